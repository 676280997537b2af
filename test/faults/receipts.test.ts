/**
 * Receipts from real processes: frozen right after a message, or behind a line that loses packets and then all of them.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { FastifyInstance } from 'fastify'
import type { CloseInfo, Connection } from '../../src/index.js'
import { start, until } from '../support/app.js'
import { startRemote } from '../support/remote.js'
import { needs } from '../support/needs.js'
import { tries } from '../support/proof.js'
import { startFleet } from './support/fleet.js'
import { createNetwork } from './support/network.js'

const root = fileURLToPath(new URL('../..', import.meta.url))

const FROZEN = tries('frozen')

/** Says which messages it has received. */
const CLIENT = `
  import WebSocket from 'ws'
  import { writeSync } from 'node:fs'
  new WebSocket(process.argv[1]).on('message', (data) => { writeSync(1, data + '\\n') })`

interface Client { child: ChildProcess, connection: Connection, over: Promise<CloseInfo>, received: number[] }

/** A client in a process of its own, and its connection. */
async function startClient (t: TestContext, app: FastifyInstance, url: string, name: number): Promise<Client> {
  const { NODE_V8_COVERAGE, NODE_OPTIONS, ...env } = process.env
  const child = spawn(process.execPath, ['--input-type=module', '--eval', CLIENT, `${url}/?name=${name}`], { cwd: root, env, stdio: ['ignore', 'pipe', 'inherit'] })
  t.after(async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    child.kill('SIGKILL')
    await once(child, 'exit')
  })
  const received: number[] = []
  createInterface(child.stdout!).on('line', (line) => { received.push(Number(line)) })
  await until('it has connected', () => Array.from(app.lifeline).some(({ data }) => (data as { name: number }).name === name), 30_000)
  const connection = Array.from(app.lifeline).find(({ data }) => (data as { name: number }).name === name)!
  return { child, connection, over: connection.closed, received }
}

async function freeze (child: ChildProcess): Promise<void> {
  child.kill('SIGSTOP')
  await until('it is stopped', () => /^State:\tT/m.test(readFileSync(`/proc/${child.pid}/status`, 'utf8')))
}

const numbers = ({ unconfirmed }: CloseInfo): number[] => unconfirmed.map(({ data }) => Number(data))
const range = (from: number, to: number): number[] => Array.from({ length: Math.max(0, to - from + 1) }, (_, i) => from + i)

describe('receipts', { concurrency: true }, () => {
  describe(`${FROZEN} clients that are frozen`, { concurrency: 2 }, () => {
    const WAVE = Math.min(FROZEN, 20)
    const WAVES = FROZEN / WAVE
    for (const wave of range(1, WAVES)) {
      test(`wave ${wave} of ${WAVES}`, { skip: process.platform !== 'linux' && process.env.CI !== 'true' && 'this machine has no /proc' }, async (t) => {
        const { app, url, errors } = await start(t, {
          options: { receipts: true, heartbeat: { interval: 1000, timeout: 2000 } },
          routes: (app) => {
            app.get<{ Querystring: { name: string } }>('/', { websocket: true }, (_socket, request) => {
              Object.assign(app.lifeline.of(request).data, { name: Number(request.query.name) })
            })
          }
        })
        await Promise.all(range(1, WAVE).map(async (name) => {
          const { child, connection, over, received } = await startClient(t, app, url, name)
          const last = Math.floor(Math.random() * 20)
          const end = last + 1 + Math.floor(Math.random() * 50)
          const delivers = name % 2 === 0
          for (const i of range(1, last)) connection.push(String(i))
          if (delivers && last > 0) {
            assert.equal((await connection.deliver('0')).outcome, 'delivered')
          } else if (last % 2 === 1) {
            // As far as it gets until it is stopped.
            await new Promise(setImmediate)
          }
          await freeze(child)
          for (const i of range(last + 1, end)) connection.push(String(i))
          const info = await over
          assert.equal(info.cause, 'heartbeat')
          const unconfirmed = numbers(info)
          if (delivers) {
            // What a deliver has proved is exact.
            assert.deepEqual(unconfirmed, range(last + 1, end))
          } else {
            // Without it some that have come may be among them, but none is missing that has not.
            assert.deepEqual(unconfirmed, range(unconfirmed[0]!, end))
            assert.ok(unconfirmed[0]! <= last + 1)
            assert.ok(received.every((number) => number <= last))
          }
          assert.ok(unconfirmed[0]! <= Math.max(0, ...received) + 1)
        }))
        assert.deepEqual(errors(), [])
      })
    }
  })

  test('behind a line that loses 10 % of all packets, and then all', { timeout: 120_000 }, async (t) => {
    if (!needs(t, 'namespaces')) return
    const network = createNetwork(t, 'lossy')
    const { lossy } = network.groups
    const server = await startRemote(t, { host: '0.0.0.0', prefix: network.server, lifeline: { receipts: true, heartbeat: { interval: 1000, timeout: 10_000 } } })
    const fleet = await startFleet(t, lossy.prefix)
    await fleet.connect(`ws://${lossy.host}:${server.port}/silent`, 'ws', 10)
    lossy.lose(10)
    const fds = (await server.list()).map(({ fd }) => fd)
    const outcomes = await Promise.all(fds.map(async (fd) => {
      const all: string[] = []
      for (let round = 0; round < 5; round++) all.push(...await server.deliver(fd, 20, 500, 60_000))
      return all
    }))
    assert.deepEqual(new Set(outcomes.flat()), new Set(['delivered']))
    assert.deepEqual((await fleet.state()).map(({ messages }) => messages), Array(10).fill(100))
    // Some of these come to nothing in time; what is said of them is true all the same.
    const hasty = await Promise.all(fds.map(async (fd) => await server.deliver(fd, 1, 50_000, 20)))
    t.diagnostic(`within 20 ms: ${hasty.flat().join(' ')}`)
    assert.ok(hasty.flat().every((outcome) => outcome === 'delivered' || outcome === 'timeout'))
    await until('all has come', async () => (await fleet.state()).every(({ messages }) => messages === 101), 60_000)
    assert.equal((await server.deliver(fds[0]!, 1, 10, 60_000))[0], 'delivered')

    lossy.blackhole()
    const pushed = await Promise.all(fds.map(async (fd) => await Promise.all(range(1, 10).map(async (i) => await server.safePush(fd, `lost ${i}`)))))
    assert.ok(pushed.flat().every(Boolean))
    await until('all are found dead', async () => (await server.closed()).length === 10, 60_000)
    for (const { cause, unconfirmed } of await server.closed()) {
      assert.equal(cause, 'heartbeat')
      assert.deepEqual(unconfirmed.map(({ data }) => data), range(1, 10).map((i) => `lost ${i}`))
    }
  })
})
