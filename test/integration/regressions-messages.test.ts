/**
 * What once went wrong with messages, and must not again.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect as connectSocket } from 'node:net'
import type { Duplex } from 'node:stream'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import fastifyWebsocket from '@fastify/websocket'
import type { FastifyInstance } from 'fastify'
import WebSocket, { createWebSocketStream } from 'ws'
import type { Connection } from '../../src/index.js'
import { Inbox } from '../../src/transports/websocket/inbox.js'
import { connect, ended, start, until } from '../support/app.js'

const silent = (app: FastifyInstance): unknown => app.get('/', { websocket: true }, () => {})

test('a listener takes over from a loop that was left, with what the loop had not taken', async (t) => {
  const got: string[] = []
  const { url } = await start(t, {
    routes: (app) => app.get('/', { websocket: true }, async (socket, request) => {
      for await (const { data } of app.lifeline.of(request).messages()) {
        got.push(`loop ${String(data)}`)
        if (got.length === 1) break
      }
      socket.on('message', (data) => { got.push(`listener ${String(data)}`) })
    })
  })
  const client = await connect(t, url)
  for (const text of ['1', '2', '3']) client.send(text)
  await until('all have come', () => got.length === 3)
  client.send('4')
  await until('the last has come', () => got.length === 4)
  assert.deepEqual(got, ['loop 1', 'listener 2', 'listener 3', 'listener 4'])
})

test('a listener that comes after another one has paused, left and resumed gets what was held', async (t) => {
  const got: string[] = []
  const { url } = await start(t, {
    routes: (app) => app.get('/', { websocket: true }, (socket) => {
      const first = (data: unknown): void => {
        got.push(`first ${String(data)}`)
        socket.pause()
        setImmediate(() => {
          socket.off('message', first)
          socket.resume()
          setImmediate(() => { socket.on('message', (data) => { got.push(`second ${String(data)}`) }) })
        })
      }
      socket.on('message', first)
    })
  })
  const client = await connect(t, url)
  for (const text of ['1', '2', '3']) client.send(text)
  await until('the first has come', () => got.length > 0)
  await until('all have come', () => {
    if (got.length < 3) client.send('more')
    return got.length >= 3
  })
  assert.deepEqual(got.slice(0, 2), ['first 1', 'second 2'])
})

test('a detached buffer is no message', async (t) => {
  const { app, url } = await start(t, { routes: silent })
  await connect(t, url)
  const [connection] = app.lifeline
  const bytes = new Uint8Array(8)
  structuredClone(bytes, { transfer: [bytes.buffer] })
  let reported: unknown
  app.lifeline.on('error', (_connection, error) => { reported = error })
  assert.equal(app.safePush(connection!.fd, bytes), false)
  assert.equal((reported as { code: string }).code, 'FST_ERR_LIFELINE_INVALID_DATA')
})

test('a fragment that cannot be sent does not hold up what is pushed after it', async (t) => {
  const { app, url } = await start(t, { routes: silent })
  const client = await connect(t, url)
  const [connection] = app.lifeline
  for (const socket of app.websocketServer.clients) assert.throws(() => { socket.send({} as never, { fin: false }) })
  const message = once(client, 'message')
  assert.equal(app.lifeline.push(connection!.fd, 'after it'), 'sent')
  assert.equal(String((await message)[0]), 'after it')
})

test('a reader that leaves a full inbox behind does not leave the peer waiting for ever', async () => {
  let held = false
  const inbox = new Inbox({ hold (on) { held = on }, sated () {}, expected: () => false, left () {}, dropped () {}, ignored () {} })
  inbox.settled()
  const messages = inbox.messages()
  for (let i = 0; i < 10; i++) inbox.add({ data: Buffer.alloc(30_000), binary: true })
  assert.equal(held, true)
  await messages.return!()
  assert.equal(held, false)
})

test('what is held while the app has paused reaches the listeners before the close event', async (t) => {
  const told: string[] = []
  const { app, url } = await start(t, {
    routes: (app) => app.get('/', { websocket: true }, (socket: WebSocket) => {
      socket.on('message', (data) => {
        told.push(String(data))
        socket.pause()
      })
      socket.on('close', () => { told.push('close') })
    })
  })
  const end = ended(app)
  const client = await connect(t, url)
  for (const text of ['1', '2', '3']) client.send(text)
  await sleep(50)
  client.terminate()
  for (const socket of app.websocketServer.clients) socket.resume()
  await end
  assert.deepEqual(told.at(-1), 'close')
  assert.deepEqual(told.slice(0, 2), ['1', '2'])
})

test('messages that are held because the app has paused are not taken for unread', async (t) => {
  const got: string[] = []
  const { app, url } = await start(t, {
    routes: (app) => app.get('/', { websocket: true }, (socket) => {
      socket.once('message', (data) => {
        got.push(String(data))
        socket.pause()
        setTimeout(() => {
          socket.on('message', (data) => { got.push(String(data)) })
          socket.resume()
        }, 100)
      })
    })
  })
  const client = await connect(t, url)
  for (let i = 0; i < 4_000; i++) client.send(String(i))
  await until('all have come', () => got.length === 4_000)
  assert.deepEqual(got, Array.from({ length: 4_000 }, (_, i) => String(i)))
  assert.equal(app.lifeline.stats().dropped.unread, 0)
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

test('a socket that the app destroys by itself is gone at once', async (t) => {
  let raw!: Duplex
  const { app, url } = await start(t, {
    routes: (app) => app.get('/', { websocket: true }, (_socket, request) => { raw = request.raw.socket })
  })
  await connect(t, url)
  const [{ fd }] = app.lifeline as unknown as [Connection]
  const end = ended(app)
  assert.equal(app.exists(fd), true)
  raw.destroy()
  assert.deepEqual([app.exists(fd), app.safePush(fd, 'x')], [false, false])
  assert.equal((await end).cause, 'reset')
})

test('a data listener of the app on the raw socket does not change who closed', async (t) => {
  const { app, url } = await start(t, {
    routes: (app) => app.get('/', { websocket: true }, (_socket, request) => { request.raw.socket.on('data', () => {}) })
  })
  const client = await connect(t, url)
  const end = ended(app)
  client.close(4001)
  assert.deepEqual([(await end).cause, (await end).code], ['client', 4001])
})

test('the end of a client whose handler never ends, and never reads, is seen', async (t) => {
  const { app, url } = await start(t, {
    options: { heartbeat: false, backpressure: { stallTimeout: 200 } },
    routes: (app) => app.get('/', { websocket: true }, async (_socket, request) => { await app.lifeline.of(request).closed })
  })
  const drops: unknown[] = []
  app.lifeline.on('drop', (_connection, { reason }) => { drops.push(reason) })
  const end = ended(app)
  const client = await connect(t, url)
  for (let i = 0; i < 20; i++) client.send(Buffer.alloc(10_000))
  client.close(4001)
  assert.deepEqual([(await end).cause, (await end).code], ['client', 4001])
  assert.deepEqual(drops, ['unread'])
})

test('no push gets into a message whose fragment the app sent with fin: undefined', async (t) => {
  const { app, url } = await start(t, {
    routes: (app) => app.get('/', { websocket: true }, (socket: WebSocket, request) => {
      socket.send('A', { fin: undefined } as never)
      app.safePush(request.fd, 'push')
      socket.send('B')
    })
  })
  const client = new WebSocket(url)
  t.after(() => { client.terminate() })
  const got: string[] = []
  client.on('message', (data) => { got.push(String(data)) })
  await until('both have come', () => got.length === 2)
  assert.deepEqual(got, ['AB', 'push'])
  assert.equal(app.lifeline.size, 1)
})

test('at shutdown a connection that waits for its turn is closed by it, also where @fastify/websocket closes at once', async (t) => {
  const { app, url, closed } = await start(t, {
    options: { shutdown: { window: 300, timeout: 2000 } },
    before: (app) => app.register(fastifyWebsocket),
    routes: silent
  })
  const clients = await Promise.all([1, 2, 3].map(() => connect(t, url)))
  const codes = clients.map((client) => once(client, 'close'))
  const [slow] = app.lifeline
  clients[0]!.pause()
  while (slow!.bufferedBytes < 100_000) slow!.push(Buffer.alloc(50_000))
  const done = app.close()
  setTimeout(() => { clients[0]!.resume() }, 200)
  for (const [code] of await Promise.all(codes)) assert.equal(code, 1012)
  await done
  assert.deepEqual(closed.map(({ cause }) => cause), ['shutdown', 'shutdown', 'shutdown'])
})

for (const options of [{}, { websocket: { options: { perMessageDeflate: true } } }]) {
  test(`a stream of a socket that ends its own side reads all that the peer had sent (${Object.keys(options).join()})`, async (t) => {
    let read = 0
    let over!: () => void
    const ended = new Promise<void>((resolve) => { over = resolve })
    const { url } = await start(t, {
      options,
      routes: (app) => app.get('/', { websocket: true }, async (socket: WebSocket) => {
        const duplex = createWebSocketStream(socket)
        await once(duplex, 'readable')
        duplex.end('ok')
        for await (const chunk of duplex) read += chunk.length
        over()
      })
    })
    const client = new WebSocket(url)
    await once(client, 'open')
    for (let i = 0; i < 20; i++) client.send(Buffer.alloc(20_000))
    await ended
    assert.equal(read, 400_000)
  })
}

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
