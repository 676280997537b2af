/**
 * What attacks have broken, and was mended: one test for each, by what was promised.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { Server } from 'node:http'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import websocket from '@fastify/websocket'
import Fastify from 'fastify'
import WebSocket from 'ws'
import type { Connection } from '../../src/index.js'
import lifeline from '../../src/index.js'
import { fileURLToPath } from 'node:url'
import { connect, opened, start, until } from '../support/app.js'
import type { App } from '../support/app.js'

/** A client, and both sides of it here. */
async function meet (t: TestContext, { app, url }: Pick<App, 'app' | 'url'>): Promise<{ client: WebSocket, connection: Connection, socket: WebSocket }> {
  const opening = opened(app)
  const met = once(app.websocketServer, 'connection')
  const client = await connect(t, url)
  return { client, connection: await opening, socket: (await met)[0] as WebSocket }
}

/** The event loop stands still. */
function block (ms: number): void {
  for (const end = performance.now() + ms; performance.now() < end;);
}

describe('a rate with policy close ends nobody for what we ourselves have held up', () => {
  for (const [what, holdUp] of [
    ['a stalled loop', async () => { block(2000) }],
    ['pauseReading', async (connection: Connection) => { connection.pauseReading(); await sleep(2000); connection.resumeReading() }]
  ] as const) {
    test(what, { timeout: 20_000 }, async (t) => {
      const { app, url } = await start(t, { options: { limits: { messageRate: 20, policy: 'close' } }, routes: (app) => { app.get('/', { websocket: true }, () => {}) } })
      const opening = opened(app)
      // In a process of its own, for the loop here stands still.
      const client = spawn(process.execPath, ['-e', `const socket = new (require('ws'))('${url}'); socket.on('open', () => setInterval(() => socket.send('x'), 80)); socket.on('close', () => process.exit())`], { cwd: fileURLToPath(new URL('../..', import.meta.url)), stdio: ['ignore', 'ignore', 'inherit'] })
      t.after(() => { client.kill() })
      const connection = await opening
      const got: unknown[] = []
      connection.onMessage(({ data }) => { got.push(data) })
      await until('some have come', () => got.length > 5)
      await holdUp(connection)
      const before = got.length
      await until('all have come', () => got.length > before + 30)
      assert.equal(connection.state, 'open')
    })
  }
})

test('shutdown.timeout may be as long as a timer can', { timeout: 10_000 }, async () => {
  const app = Fastify()
  await app.register(lifeline, { shutdown: { timeout: 2_147_483_647 } })
  app.get('/', { websocket: true }, () => {})
  app.lifeline.on('close', () => sleep(50))
  await app.ready()
  await app.injectWS('/')
  const began = performance.now()
  await app.close()
  assert.ok(performance.now() - began < 5_000)
})

test('a boot that takes longer than shutdown.timeout keeps nobody out, where the app has registered @fastify/websocket', async (t) => {
  const app = Fastify()
  await app.register(websocket)
  await app.register(lifeline, { shutdown: { timeout: 30 } })
  app.get('/', { websocket: true }, () => {})
  await sleep(100)
  await app.listen({ port: 0, host: '127.0.0.1' })
  t.after(() => app.close())
  const client = await connect(t, `ws://127.0.0.1:${(app.server.address() as { port: number }).port}`)
  await sleep(50)
  assert.equal(client.readyState, client.OPEN)
})

test('what is awaited of nobody lets the loop turn', { timeout: 10_000 }, async (t) => {
  const { app, url } = await start(t, { routes: (app) => { app.get('/', { websocket: true }, () => {}) } })
  const turns = { count: 0 }
  setImmediate(() => { turns.count++ })
  for (let i = 0; i < 100_000 && turns.count === 0; i++) await app.lifeline.group('nobody').deliver('x')
  assert.equal(turns.count, 1)
  const opening = opened(app)
  const client = await connect(t, url)
  const connection = await opening
  client.close()
  await connection.closed
  setImmediate(() => { turns.count++ })
  for (let i = 0; i < 100_000 && turns.count === 1; i++) assert.equal(await connection.next(), null)
  assert.equal(turns.count, 2)
})

test('a preClose of the app\'s, given to the plugin, that never ends keeps nobody from being closed', { timeout: 10_000 }, async (t) => {
  const app = Fastify()
  await app.register(lifeline, { shutdown: { timeout: 100 }, websocket: { preClose: async () => { await new Promise(() => {}) } } })
  app.get('/', { websocket: true }, () => {})
  await app.listen({ port: 0, host: '127.0.0.1' })
  const client = await connect(t, `ws://127.0.0.1:${(app.server.address() as { port: number }).port}`)
  const closed = once(client, 'close')
  await app.close()
  assert.equal((await closed)[0], 1012)
})

for (const [what, options] of [['expire', {}], ['firstMessage', { limits: { firstMessage: 300 } }]] as const) {
  test(`after ${what} nobody hears what the client goes on to say`, { timeout: 20_000 }, async (t) => {
    const heard: string[] = []
    const { app, url } = await start(t, {
      options: { closeTimeout: 500, ...options },
      routes: (app) => { app.get('/', { websocket: true }, (socket) => { socket.on('message', (data) => { heard.push(String(data)) }) }) }
    })
    const opening = opened(app)
    const client = await connect(t, url)
    const connection = await opening
    // It does not read that it is closed, and goes on.
    client.pause()
    if (what === 'expire') connection.expire(0)
    else await until('it closes', () => connection.state === 'closing')
    for (let i = 0; i < 10 && connection.state === 'closing'; i++) {
      client.send('x')
      await sleep(20)
    }
    await connection.closed
    assert.deepEqual(heard, [])
  })
}

test('a server that has served one app may serve another', async () => {
  let server!: Server
  const make = async (): Promise<void> => {
    const app = Fastify({ serverFactory: (handler) => (server ??= createServer(handler)) })
    await app.register(lifeline)
    app.get('/', { websocket: true }, () => {})
    await app.ready()
    await app.close()
  }
  await make()
  await make()
})

test('an injected socket need not be one', { timeout: 5_000 }, async (t) => {
  const app = Fastify()
  await app.register(lifeline)
  app.get('/', { websocket: true }, () => {})
  await app.ready()
  t.after(() => app.close())
  const client = await app.injectWS('/', { socket: { remoteAddress: '10.1.2.3' } } as never)
  assert.equal(client.readyState, WebSocket.OPEN)
  client.terminate()
})

test('a peer that reads nothing is stalled in time, also if the app sends to it by many small socket.send', { timeout: 30_000 }, async (t) => {
  const { app, url } = await start(t, {
    options: { heartbeat: { interval: 500, timeout: 500 }, backpressure: { stallTimeout: 1000, limit: 8 * 1024 * 1024 } },
    routes: (app) => { app.get('/', { websocket: true }, () => {}) }
  })
  const { client, connection, socket } = await meet(t, { app, url })
  client.pause()
  // It talks, all the same.
  const talking = setInterval(() => { client.send('x') }, 100)
  const since = performance.now()
  const sending = setInterval(() => { for (let i = 0; i < 256; i++) socket.send('x'.repeat(4096)) }, 20)
  const { cause } = await connection.closed
  clearInterval(talking)
  clearInterval(sending)
  assert.equal(cause, 'stalled')
  assert.ok(performance.now() - since < 8_000)
})

test('a dead peer is found though each turn of the loop takes longer than a slot', { timeout: 30_000 }, async (t) => {
  const { app, url } = await start(t, { options: { heartbeat: { interval: 1000, timeout: 500 } }, routes: (app) => { app.get('/', { websocket: true }, () => {}) } })
  const opening = opened(app)
  const client = await connect(t, url)
  const connection = await opening
  client.pause()
  const since = performance.now()
  const busy = { on: true }
  const work = (): void => { block(150); if (busy.on) setImmediate(work) }
  work()
  const { cause } = await connection.closed
  busy.on = false
  assert.equal(cause, 'heartbeat')
  // One by one, a turn each, its slots would take three times as long.
  assert.ok(performance.now() - since < 5_000, String(performance.now() - since))
})

test('closeTimeout is that under compression as well, whatever is sent meanwhile', { timeout: 20_000 }, async (t) => {
  const { app, url } = await start(t, { options: { closeTimeout: 1500, websocket: { options: { perMessageDeflate: { threshold: 0 } } } }, routes: (app) => { app.get('/', { websocket: true }, () => {}) } })
  for (const late of [false, true]) {
    const { client, connection, socket } = await meet(t, { app, url })
    // Like one that is gone: it answers nothing.
    client.pause()
    const since = performance.now()
    connection.push('a message that is compressed')
    connection.close(4000)
    // To a socket that closes ws sends nothing, and counts it.
    if (late) socket.send('too late')
    await connection.closed
    assert.ok(performance.now() - since < 2_900, `${late} ${performance.now() - since}`)
    assert.equal(app.lifeline.stats().bufferedBytes, 0)
  }
})

test('no time that a peer has is shorter than is said', async (t) => {
  const { app, url } = await start(t, { options: { limits: { firstMessage: 250 } }, routes: (app) => { app.get('/', { websocket: true }, () => {}) } })
  const ends: number[] = []
  app.lifeline.on('close', (_connection, { openedAt, closedAt }) => { ends.push(closedAt - openedAt) })
  for (let i = 0; i < 12; i++) {
    await connect(t, url)
    await sleep(21)
  }
  await until('all have gone', () => ends.length === 12)
  assert.ok(Math.min(...ends) >= 245, String(Math.min(...ends)))
})

test('a class of sockets that overrides emit hears of the close', async (t) => {
  const heard: string[] = []
  class Own extends WebSocket {
    override emit (event: string, ...args: unknown[]): boolean {
      heard.push(event)
      return super.emit(event as never, ...args as never[])
    }
  }
  const { app, url } = await start(t, { options: { websocket: { options: { WebSocket: Own as never } } }, routes: (app) => { app.get('/', { websocket: true }, () => {}) } })
  const opening = opened(app)
  const client = await connect(t, url)
  client.close()
  await (await opening).closed
  await until('it has heard', () => heard.includes('close'))
})
