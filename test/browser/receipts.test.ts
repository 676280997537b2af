/**
 * Which clients answer pings, in order and with the payload, so that there are receipts from them: browsers and libraries
 * as they are, with nothing of ours. `npm run receipts` writes what it has seen into docs/receipts.md.
 */
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import Fastify from 'fastify'
import type { FastifyInstance } from 'fastify'
import { chromium } from 'playwright-core'
import type WebSocket from 'ws'
import lifeline from '../../src/index.js'
import type { CloseInfo, Connection } from '../../src/index.js'
import { needs } from '../support/needs.js'
import type { Thing } from '../support/needs.js'
import { clientNames } from './support/clients.js'
import type { ClientName } from './support/clients.js'

const root = fileURLToPath(new URL('../..', import.meta.url))

/** What every client does: it blocks its thread for a second when it is told to. */
const CLIENT = `
  socket.onmessage = ({ data }) => {
    if (data !== 'block') return
    const end = Date.now() + 1000
    while (Date.now() < end);
  }`

/** Starts a client that connects to the URL; its version. It is gone when the test ends. */
type Start = (t: TestContext, url: string) => Promise<string>

/** Ends a process that was started here. */
function endsWith (t: TestContext, child: ReturnType<typeof spawn>): void {
  t.after(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGKILL')
    await once(child, 'exit')
  })
}

/** A script of Node's, without the coverage of the tests. */
const node = (flags: string[], code: string): Start => async (t, url) => {
  const { NODE_V8_COVERAGE, NODE_OPTIONS, ...env } = process.env
  const child = spawn(process.execPath, [...flags, '--input-type=module', '--eval', code, url], { cwd: root, env, stdio: ['ignore', 'pipe', 'inherit'] })
  endsWith(t, child)
  const [line] = await once(child.stdout!, 'data')
  return String(line).trim()
}

const page = (url: string): string => `${url.replace('ws:', 'http:').replace('/live', '/page')}`

const clients: Record<ClientName, { needs: Thing[], start: Start, threads: boolean }> = {
  Chromium: {
    needs: ['chromium'],
    threads: true,
    start: async (t, url) => {
      const browser = await chromium.launch({ executablePath: execFileSync('sh', ['-c', 'command -v chromium'], { encoding: 'utf8' }).trim(), args: ['--no-sandbox'] })
      t.after(() => browser.close())
      await (await browser.newPage()).goto(page(url))
      return browser.version()
    }
  },
  Firefox: {
    needs: ['firefox'],
    threads: true,
    start: async (t, url) => {
      const home = mkdtempSync(join(tmpdir(), 'lifeline-firefox-'))
      const child = spawn('firefox-esr', ['--headless', '--no-remote', '--profile', home, page(url)], { env: { ...process.env, HOME: home }, stdio: 'ignore' })
      t.after(async () => {
        child.kill('SIGTERM')
        await once(child, 'exit')
        // Its own processes write a last time.
        await sleep(500)
        rmSync(home, { recursive: true, force: true, maxRetries: 5 })
      })
      return /[\d.]+\S*/.exec(execFileSync('firefox-esr', ['--version'], { encoding: 'utf8' }))![0]
    }
  },
  'ws (npm)': {
    needs: [],
    threads: false,
    start: node([], `import WebSocket from 'ws'; import { readFileSync } from 'node:fs'
      console.log(JSON.parse(readFileSync('node_modules/ws/package.json')).version)
      const socket = new WebSocket(process.argv[1]); ${CLIENT}`)
  },
  'WebSocket of Node (undici)': {
    needs: [],
    threads: false,
    start: node(['--experimental-websocket', '--no-warnings'], `console.log(process.version); const socket = new WebSocket(process.argv[1]); ${CLIENT}`)
  },
  'websockets (Python)': {
    needs: ['python3-websockets'],
    threads: false,
    start: async (t, url) => {
      const child = spawn('/usr/bin/python3', [join(root, 'test/browser/support/answering.py'), url], { stdio: ['ignore', 'pipe', 'inherit'] })
      endsWith(t, child)
      const [line] = await once(child.stdout!, 'data')
      return String(line).trim()
    }
  }
}

const PINGS = 30

describe('clients as they are', () => {
  let app: FastifyInstance
  let url: string
  const rows: string[] = []
  const sockets = new Map<number, WebSocket>()

  before(async () => {
    app = Fastify() as unknown as FastifyInstance
    await app.register(lifeline, { receipts: true, shutdown: { timeout: 0 }, closeTimeout: 200 })
    app.get('/live', { websocket: true }, (socket, { fd }) => { sockets.set(fd, socket) })
    app.get('/page', (_request, reply) => reply.type('text/html').send(`<!doctype html><title>receipts</title><script>
      const socket = new WebSocket('ws://' + location.host + '/live'); ${CLIENT}
    </script>`))
    url = `${(await app.listen({ port: 0, host: '127.0.0.1' })).replace('http:', 'ws:')}/live`
  })
  after(async () => {
    await app.close()
    if (process.env.WRITE_RECEIPTS === 'true') write(rows)
  })

  for (const name of clientNames) {
    const { needs: things, start, threads } = clients[name]
    test(`${name} gives receipts`, async (t) => {
      if (!needs(t, ...things)) return
      const opening = new Promise<Connection>((resolve) => { app.lifeline.once('open', resolve) })
      const version = await start(t, url)
      const connection = await opening
      const over = new Promise<CloseInfo>((resolve) => { app.lifeline.once('close', (_connection, info) => { resolve(info) }) })

      // The app's own pings, between messages: what comes back is held against what went out.
      const pongs: string[] = []
      const socket = sockets.get(connection.fd)!
      socket.on('pong', (payload) => { pongs.push(String(payload)) })
      const payloads = Array.from({ length: PINGS }, (_, i) => `app ${i} ${'x'.repeat(i * 4)}`.slice(0, 125))
      for (const payload of payloads) {
        connection.push(`before ${payload}`)
        socket.ping(payload)
      }
      assert.equal((await connection.deliver('all of it')).outcome, 'delivered')
      assert.deepEqual(pongs, payloads)
      assert.equal(connection.unconfirmed.count, 0)

      connection.push('block')
      // It has come to the blocking by now.
      await sleep(200)
      const blocked = await connection.deliver('while it is blocked', { timeout: 300 })
      // Where the socket is read by another thread than that of the script, this is certain; elsewhere it cannot be.
      assert.equal(blocked.outcome, threads ? 'delivered' : 'timeout')
      assert.equal((await connection.deliver('after it')).outcome, 'delivered')
      assert.equal(connection.unconfirmed.count, 0)
      connection.close()
      assert.deepEqual((await over).unconfirmed, [])
      rows.push(`| ${name} | ${version} | yes | ${threads ? 'yes: they do not wait for the script' : 'after it: it has one thread for both'} |`)
    })
  }
})

/** Between its marks docs/receipts.md is ours. */
function write (lines: string[]): void {
  const file = join(root, 'docs/receipts.md')
  const table = ['| client | version | answers pings in order, with the payload | while its script is blocked |', '| --- | --- | --- | --- |', ...lines].join('\n')
  writeFileSync(file, readFileSync(file, 'utf8').replace(/(<!-- clients -->\n)[\s\S]*?(\n<!-- \/clients -->)/, (_, begin: string, end: string) => begin + table + end))
}
