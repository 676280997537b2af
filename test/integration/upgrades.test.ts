import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { connect as connectSocket } from 'node:net'
import type { Socket } from 'node:net'
import { after, before, describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import fastifyWebsocket from '@fastify/websocket'
import type { FastifyInstance } from 'fastify'
import WebSocket, { WebSocketServer } from 'ws'
import { connect, level, start, until } from '../support/app.js'
import { tries } from '../support/proof.js'
import { sockets, startRemote } from '../support/remote.js'
import type { Remote } from '../support/remote.js'

const silent = (app: FastifyInstance): unknown => app.get('/', { websocket: true }, () => {})

// What is left is told from what was there before: not too few.
const TIMES = Math.max(100, tries('refusals'))
const AT_ONCE = 100

const request = (path: string, header = ''): string =>
  `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
  `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n${header}\r\n`

/** Asks for an upgrade and gives the first line of the answer, once the server has ended the socket. It never ends it itself. */
async function refused (port: number, path: string): Promise<string> {
  const socket = connectSocket({ port, host: '127.0.0.1', allowHalfOpen: true })
  let answer = ''
  socket.setEncoding('latin1').on('data', (chunk) => { answer += chunk })
  socket.write(request(path))
  await once(socket, 'end')
  socket.destroy()
  return answer.split('\r\n')[0]!
}

async function many (task: () => Promise<string>): Promise<Set<string>> {
  const answers = new Set<string>()
  for (let done = 0; done < TIMES; done += AT_ONCE) {
    for (const answer of await Promise.all(Array.from({ length: AT_ONCE }, task))) answers.add(answer)
  }
  return answers
}

async function noneLeft (remote: Remote, before: number): Promise<void> {
  await until('no socket is left', () => remote.sockets() <= before)
  const settled = await remote.close()
  assert.ok(settled < 5_000, `close() took ${settled} ms`)
  assert.equal(await remote.exited, 0)
}

const cases = {
  'a hook registered before us that replies': ['/hook?do=reply', 'HTTP/1.1 401 Unauthorized'],
  'a hook registered before us that throws': ['/hook?do=throw', 'HTTP/1.1 500 Internal Server Error'],
  'a route that does not exist': ['/nowhere', 'HTTP/1.1 404 Not Found'],
  'a bad URL': ['/%', 'HTTP/1.1 400 Bad Request'],
  'a hook that never answers': ['/hook?do=never', 'HTTP/1.1 503 Service Unavailable']
} as const

describe('refused for whatever reason', () => {
  let remote: Remote
  let idle: number
  const cleanups: Array<() => unknown> = []
  before(async () => {
    // An answer that passes no hook counts as whole when it has not grown for closeTimeout.
    remote = await startRemote({ after: (cleanup: () => unknown) => { cleanups.push(cleanup) } } as TestContext, { lifeline: { upgradeTimeout: 200, closeTimeout: 500 } })
    idle = remote.sockets()
  })
  after(async () => { for (const cleanup of cleanups) await cleanup() })

  for (const [name, [path, answer]] of Object.entries(cases)) {
    test(`${name}: ${TIMES} refused upgrades leave no socket (field 7)`, async () => {
      const { refused: already, timedOut } = (await remote.stats()).upgrades
      assert.deepEqual([...await many(() => refused(remote.port, path))], [answer])
      assert.deepEqual((await remote.stats()).upgrades, { refused: already + TIMES, timedOut: timedOut + (name.includes('never') ? TIMES : 0) })
      await until('no socket is left', () => remote.sockets() <= idle)
    })
  }

  test('after all of them close() settles, and nothing keeps the process', async () => {
    await noneLeft(remote, idle)
  })
})

test(`a client gone during a slow hook, by FIN or by reset: ${TIMES} leave no socket`, async (t) => {
  const enter = new Map<string, () => void>()
  let entries = 0
  const { app, port, errors, closed } = await start(t, {
    before: (app) => {
      app.addHook('onRequest', async ({ headers, raw: { socket } }) => {
        entries++
        // It takes until the client is known to have left.
        const left = new Promise((resolve) => { socket.once(headers['x-leaves'] === 'by reset' ? 'close' : 'end', resolve) })
        enter.get(String(headers['x-n']))!()
        await left
      })
    },
    routes: (app) => app.get('/', { websocket: true }, () => { assert.fail('the handler ran') })
  })
  const before = sockets(process.pid)
  let count = 0
  await many(async () => {
    const n = ++count
    const reset = n % 2 === 0
    const socket = connectSocket({ port, host: '127.0.0.1' })
    const entered = new Promise<void>((resolve) => { enter.set(String(n), resolve) })
    socket.write(request('/', `x-n: ${n}\r\nx-leaves: ${reset ? 'by reset' : 'by FIN'}\r\n`))
    await entered
    if (reset) socket.resetAndDestroy()
    else socket.destroy()
    return ''
  })
  assert.equal(entries, TIMES)
  await until('all are counted', () => app.lifeline.stats().upgrades.refused >= TIMES)
  const { upgrades, opened } = app.lifeline.stats()
  assert.deepEqual({ upgrades, opened, closed }, { upgrades: { refused: TIMES, timedOut: 0 }, opened: 0, closed: [] })
  assert.deepEqual(errors(), [])
  await until('no socket is left', () => sockets(process.pid) <= before)
  const began = performance.now()
  await app.close()
  assert.ok(performance.now() - began < 5_000)
})

test(`503 while closing: ${TIMES} sockets that ask for an upgrade meanwhile are answered and ended, and close() settles`, async (t) => {
  const remote = await startRemote(t, { lifeline: { closeTimeout: 8_000 } })
  const before = remote.sockets()
  const reach = async (): Promise<Socket> => {
    const socket = connectSocket({ port: remote.port, host: '127.0.0.1', allowHalfOpen: true })
    await once(socket, 'connect')
    return socket
  }
  // A peer that does not answer the close frame keeps the server in its closing for as long as the test wants it.
  const stubborn = await reach()
  stubborn.write(request('/silent'))
  await once(stubborn, 'data')
  const idle: Socket[] = []
  while (idle.length < TIMES) idle.push(...await Promise.all(Array.from({ length: AT_ONCE }, reach)))
  await until('all are accepted', () => remote.sockets() === before + 1 + TIMES)
  const told = once(stubborn, 'data')
  const closing = remote.close()
  const frame: Buffer = (await told)[0]
  assert.deepEqual([frame[0], frame.readUInt16BE(2)], [0x88, 1012], 'the closing has begun, with 1012')
  const answers = await Promise.all(idle.map(async (socket) => {
    let answer = ''
    socket.setEncoding('latin1').on('data', (chunk) => { answer += chunk })
    socket.write(request('/silent'))
    await once(socket, 'end')
    socket.destroy()
    return answer.split('\r\n')[0]
  }))
  assert.deepEqual([...new Set(answers)], ['HTTP/1.1 503 Service Unavailable'])
  await until('no socket is left but the one', () => remote.sockets() <= before + 1)
  assert.equal(await remote.size(), 1, 'it is still closing')
  stubborn.destroy()
  assert.ok(await closing < 8_000)
  assert.equal(await remote.exited, 0)
})

test('upgrades that wait in a hook when close() begins are refused with 503, and close() settles', async (t) => {
  const { app, port } = await start(t, {
    before: (app) => { app.addHook('onRequest', () => new Promise(() => {})) },
    routes: (app) => app.get('/', { websocket: true }, () => {})
  })
  const answer = refused(port, '/')
  await until('the upgrade is under way', () => app.lifeline.heartbeat.running)
  await app.close()
  assert.equal(await answer, 'HTTP/1.1 503 Service Unavailable')
})

test('a hook that answers after upgradeTimeout harms nothing', async (t) => {
  let answerLate!: () => void
  const { app, port, errors } = await start(t, {
    options: { upgradeTimeout: 50 },
    before: (app) => { app.addHook('onRequest', () => new Promise<void>((resolve) => { answerLate = resolve })) },
    routes: (app) => app.get('/', { websocket: true }, () => { assert.fail('the handler ran') })
  })
  assert.equal(await refused(port, '/'), 'HTTP/1.1 503 Service Unavailable')
  answerLate()
  await new Promise(setImmediate)
  assert.equal(app.lifeline.size, 0)
  assert.equal(errors().length, 0)
})

test('a socket that has served requests before is not taken for a refused upgrade', async (t) => {
  const { app, port } = await start(t, {
    before: (app) => {
      app.addHook('onRequest', async (request) => {
        if (request.url === '/live') await new Promise((resolve) => { setTimeout(resolve, 700) })
      })
    },
    routes: (app) => {
      app.get('/', async () => 'ok')
      app.get('/live', { websocket: true }, () => {})
    }
  })
  const socket = connectSocket({ port, host: '127.0.0.1' })
  socket.setEncoding('latin1')
  let heard = ''
  socket.on('data', (chunk) => { heard += chunk })
  socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  await until('the first answer', () => heard.endsWith('ok'))
  socket.write(request('/live'))
  await until('the upgrade', () => heard.includes('HTTP/1.1 101'))
  assert.equal(app.lifeline.size, 1)
  socket.destroy()
})

test('an accepted upgrade outlives upgradeTimeout', async (t) => {
  const { app, url } = await start(t, { options: { upgradeTimeout: 50 }, routes: (app) => app.get('/', { websocket: true }, () => {}) })
  const client = await connect(t, url)
  const [connection] = app.lifeline
  await new Promise((resolve) => { setTimeout(resolve, 400) })
  assert.equal(client.readyState, client.OPEN)
  assert.equal(connection!.state, 'open')
})

for (const theirs of [false, true]) {
  test(`${theirs ? '@fastify/websocket of the app' : '@fastify/websocket of ours'}: 50 upgrades behind a request that is under way are refused in their turn, and fill no log`, async (t) => {
    let answer!: () => void
    const answered = new Promise<void>((resolve) => { answer = resolve })
    let asked = 0
    const { app, url, port, lines } = await start(t, {
      before: (app) => theirs ? app.register(fastifyWebsocket) : undefined,
      routes: (app) => {
        app.get('/slow', { logLevel: 'silent' }, async () => {
          asked++
          await answered
          return 'slow'
        })
        app.get('/', { websocket: true }, (socket) => { socket.on('message', () => { socket.send('here') }) })
      }
    })
    const [before, said] = [sockets(process.pid), lines.length]
    const heard = Promise.all(Array.from({ length: 50 }, async () => {
      const socket = connectSocket({ port, host: '127.0.0.1', allowHalfOpen: true })
      let heard = ''
      socket.setEncoding('latin1').on('data', (chunk) => { heard += chunk })
      socket.write('GET /slow HTTP/1.1\r\nHost: x\r\n\r\n' + request('/'))
      await once(socket, 'end')
      socket.destroy()
      return heard
    }))
    await until('all are refused', () => app.lifeline.stats().upgrades.refused === 50)
    assert.equal(asked, 50)
    answer()
    for (const answers of await heard) {
      assert.match(answers, /^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\nslowHTTP\/1\.1 503 Service Unavailable\r\n/)
    }
    await until('no socket is left', () => sockets(process.pid) <= before)
    assert.deepEqual(app.lifeline.stats().upgrades, { refused: 50, timedOut: 0 })
    assert.deepEqual(lines.slice(said).filter((line) => line.level > level.debug), [])
    const client = await connect(t, url)
    client.send('?')
    assert.equal(String((await once(client, 'message'))[0]), 'here')
    await app.close()
    assert.equal(app.server.listenerCount('upgrade'), 0)
  })
}

test('an upgrade that a hook has hijacked is whose it is', async (t) => {
  const { port } = await start(t, {
    options: { upgradeTimeout: 100 },
    routes: (app) => {
      app.addHook('onRequest', async (request, reply) => {
        reply.hijack()
        request.raw.socket.write('HTTP/1.1 101 Switching Protocols\r\n\r\nmine')
        setTimeout(() => { request.raw.socket.end('still mine') }, 700)
      })
      app.get('/', async () => 'never')
    }
  })
  const socket = connectSocket({ port, host: '127.0.0.1' })
  let heard = ''
  socket.setEncoding('latin1').on('data', (chunk) => { heard += chunk })
  socket.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: mine\r\n\r\n')
  await once(socket, 'close')
  assert.match(heard, /mine.*still mine$/s)
})

test('a client that gets in after the shutdown has begun is told to come back, and close() settles', async (t) => {
  let closing!: () => void
  const begun = new Promise<void>((resolve) => { closing = resolve })
  let go!: () => void
  const late = new Promise<void>((resolve) => { go = resolve })
  const { app, url } = await start(t, {
    fastify: { return503OnClosing: false },
    before: async (app) => await app.register(fastifyWebsocket, { preClose: (done) => { done() } }),
    routes: (app) => {
      silent(app)
      app.addHook('preClose', async () => { closing(); await late })
    }
  })
  const closed = app.close()
  await begun
  const client = new WebSocket(url)
  const code = await new Promise((resolve) => {
    client.on('error', () => {})
    client.on('close', resolve)
  })
  assert.equal(code, 1012)
  go()
  await closed
})

test('a refused client that reads nothing is let go of, and does not hold up fastify.close()', async (t) => {
  const { app, port } = await start(t, {
    options: { closeTimeout: 200, upgradeTimeout: 200, shutdown: { timeout: 100 } },
    routes: (app) => { app.setNotFoundHandler(async () => 'x'.repeat(20_000_000)) }
  })
  const socket = connectSocket({ port, host: '127.0.0.1' })
  socket.on('error', () => {})
  socket.pause()
  socket.write('GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
  await until('the upgrade is under way', () => app.lifeline.heartbeat.running)
  await app.close()
  socket.destroy()
})

test('the raw request does not go on holding the request and the reply', async (t) => {
  let held: Array<string | undefined> = []
  const { url } = await start(t, {
    routes: (app) => app.get('/', { websocket: true }, (_socket, request) => {
      held = Object.getOwnPropertySymbols(request.raw).map(({ description }) => description)
    })
  })
  await connect(t, url)
  assert.equal(held.some((name) => name?.startsWith('fastify-lifeline')), false)
})

test('what another server of the app\'s has taken on Fastify\'s own is its own, however quiet, where @fastify/websocket has a server of its own', { timeout: 20_000 }, async (t) => {
  const elsewhere = createServer()
  const taken: WebSocket[] = []
  const { url } = await start(t, {
    async before (app: any) {
      const other = new WebSocketServer({ server: app.server })
      other.on('connection', (socket) => { taken.push(socket) })
      app.addHook('preClose', async () => { for (const socket of taken) socket.terminate() })
      await app.register(fastifyWebsocket, { options: { server: elsewhere } })
    },
    options: { closeTimeout: 50, upgradeTimeout: 50, heartbeat: { interval: 100, timeout: 100 } },
    routes: (app) => app.get('/', { websocket: true }, () => {})
  })
  const client = await connect(t, url)
  await until('it is there', () => taken.length === 1)
  // Several times as long as anybody undecided has.
  await sleep(500)
  assert.equal(client.readyState, client.OPEN)
  taken[0]!.send('hello')
  assert.equal(String((await once(client, 'message'))[0]), 'hello')
})
