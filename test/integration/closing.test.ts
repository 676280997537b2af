/**
 * How an end is come to: in what order, for what cause, and that nothing is left behind.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect as connectSocket } from 'node:net'
import type { Socket } from 'node:net'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import fastifyWebsocket from '@fastify/websocket'
import type { FastifyInstance } from 'fastify'
import type WebSocket from 'ws'
import type { Connection } from '../../src/index.js'
import { connect, ended, opened, start, until } from '../support/app.js'

const silent = (app: FastifyInstance): unknown => app.get('/', { websocket: true }, () => {})
const echo = (app: FastifyInstance): unknown => app.get('/', { websocket: true }, (socket, { fd }) => {
  socket.on('message', (data: Buffer) => { app.safePush(fd, data) })
})

/** A peer that speaks WebSocket only as far as the test wants: upgraded, and from then on bytes. */
async function rawPeer (t: TestContext, port: number): Promise<Socket> {
  const peer = connectSocket({ port, host: '127.0.0.1', allowHalfOpen: true })
  peer.on('error', () => {})
  t.after(() => { peer.destroy() })
  peer.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
    'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n')
  await once(peer, 'data')
  return peer
}

/** A masked close frame with code 4001. */
const closeFrame = Buffer.from([0x88, 0x82, 0, 0, 0, 0, 0x0f, 0xa1])

/** How a peer leaves, and the event of the raw socket with which the server first hears of it. */
const leaving = {
  'a close frame': { event: 'data', leave: (stream) => { stream.write(Buffer.from([0x88, 0x82, 0, 0, 0, 0, 0x0f, 0xa1])) }, end: ['client', 4001] },
  'a FIN without a close frame': { event: 'end', leave: (stream) => { stream.end() }, end: ['reset', 1006] },
  'a reset (its error)': { event: 'error', leave: (stream) => { stream.resetAndDestroy() }, end: ['reset', 1006] },
  'a reset (the end of its socket)': { event: 'close', leave: (stream) => { stream.resetAndDestroy() }, end: ['reset', 1006] }
} satisfies Record<string, { event: string, leave: (stream: Socket) => void, end: unknown }>

for (const [name, { event, leave, end }] of Object.entries(leaving)) {
  test(`${name} from the peer: by the end of the turn in which it comes nobody is there, and nothing is sent`, async (t) => {
    let tell!: (answers: unknown) => void
    const heard = new Promise((resolve) => { tell = resolve })
    const { app, url, closed } = await start(t, {
      routes: (app) => app.get('/', { websocket: true }, (_socket, { fd, raw }) => {
        // Behind ws's own listener, so that this is the turn in which ws hears of it.
        raw.socket.once(event, () => {
          setImmediate(() => { tell([app.exists(fd), app.safePush(fd, 'x'), app.lifeline.push(fd, 'x')]) })
        })
      })
    })
    const over = ended(app)
    const client = await connect(t, url)
    client.on('error', () => {}).on('message', () => { assert.fail('something was sent') })
    const [connection] = app.lifeline
    assert.equal(app.exists(connection!.fd), true)
    leave((client as unknown as { _socket: Socket })._socket)
    assert.deepEqual(await heard, [false, false, 'gone'])
    await over
    assert.deepEqual(closed.map(({ cause, code }) => [cause, code]), [end])
    assert.equal(app.lifeline.stats().pushes.gone, 2)
  })
}

test('a raw socket that the app itself destroys: nobody is there from then on, before ws has heard of it', async (t) => {
  let raw!: Socket
  const { app, url, closed } = await start(t, { routes: (app) => app.get('/', { websocket: true }, (_socket, request) => { raw = request.raw.socket }) })
  const over = ended(app)
  await connect(t, url)
  const [connection] = app.lifeline
  raw.destroy()
  assert.deepEqual([app.exists(connection!.fd), connection!.state, connection!.push('x'), app.safePush(connection!.fd, 'x')], [false, 'closing', 'gone', false])
  await over
  assert.deepEqual(closed.map(({ cause, code }) => [cause, code]), [['reset', 1006]])
})

const closers: Record<string, (app: FastifyInstance, connection: Connection, socket: WebSocket) => unknown> = {
  'connection.close()': (_app, connection) => { connection.close(4000) },
  'lifeline.disconnect()': (app, connection) => app.lifeline.disconnect(connection.fd, 4000),
  'close() of the socket': (_app, _connection, socket) => { socket.close(4000) }
}

for (const [name, close] of Object.entries(closers)) {
  for (const size of [1_000, 100_000]) {
    test(`${name}: what was pushed before, messages of ${size} bytes, is sent first`, async (t) => {
      const { app, url, closed } = await start(t, { routes: silent })
      const client = await connect(t, url)
      const got: string[] = []
      client.on('message', (data) => { got.push(String(data)) })
      const [connection] = app.lifeline
      const [socket] = app.websocketServer.clients
      client.pause()
      const pushed: string[] = []
      while (connection!.bufferedBytes < 300_000) {
        const message = `${pushed.length} `.padEnd(size, 'x')
        assert.match(connection!.push(message), /^(sent|buffered)$/)
        pushed.push(message)
      }
      // Most of it waits in our own queue, and not in that of the socket.
      assert.ok(socket!.bufferedAmount < 200_000, `${socket!.bufferedAmount} bytes wait in the socket`)
      close(app, connection!, socket!)
      assert.equal(connection!.push('too late'), 'gone')
      client.resume()
      const [code] = await once(client, 'close')
      assert.equal(code, 4000)
      assert.equal(got.length, pushed.length)
      assert.ok(got.every((message, index) => message === pushed[index]), 'in the order of their pushes')
      await connection!.closed
      assert.deepEqual(closed.map(({ cause, code }) => [cause, code]), [['server', 4000]])
    })
  }
}

const failing: Record<string, () => unknown> = {
  rejects: async () => { await null; throw new Error('preClose failed') },
  throws: () => { throw new Error('preClose failed') }
}

for (const [name, preClose] of Object.entries(failing)) {
  test(`a preClose of the app's that ${name} fails fastify.close(), and all are closed with 1012 all the same`, { timeout: 20_000 }, async (t) => {
    const { app, url, closed } = await start(t, { options: { websocket: { preClose: preClose as never } }, routes: silent })
    const clients = await Promise.all(Array.from({ length: 5 }, () => connect(t, url)))
    const told = Promise.all(clients.map((client) => once(client, 'close')))
    await assert.rejects(app.close(), /preClose failed/)
    assert.deepEqual((await told).map(([code]) => code), Array(5).fill(1012))
    assert.deepEqual(closed.map(({ cause, code }) => [cause, code]), Array(5).fill(['shutdown', 1012]))
    assert.equal(app.lifeline.size, 0)
    assert.equal(app.server.listening, false)
  })
}

const aborts: Record<string, (socket: WebSocket) => unknown> = {
  'thrown by the handler': () => { throw new DOMException('not ours', 'AbortError') },
  'rejected by the handler': async () => { await fetch('http://127.0.0.1/', { signal: AbortSignal.abort() }) },
  'thrown by a listener': (socket: WebSocket) => { socket.on('message', () => { throw new DOMException('not ours', 'AbortError') }) }
}

for (const [name, handler] of Object.entries(aborts)) {
  test(`an AbortError, ${name} of a connection that lives, is a failure like any other`, async (t) => {
    const events: unknown[] = []
    const { app, url, errors, closed } = await start(t, {
      routes: (app) => {
        app.get('/', { websocket: true }, (socket) => handler(socket) as void)
        app.lifeline.on('error', (connection, error) => { events.push([connection?.fd, (error as Error).name]) })
      }
    })
    const over = ended(app)
    const client = await connect(t, url)
    client.send('x')
    const [code] = await once(client, 'close')
    assert.equal(code, 1011)
    const { cause, fd } = await over
    assert.equal(cause, 'handler')
    assert.deepEqual(events, [[fd, 'AbortError']])
    assert.deepEqual(errors().map(({ fd }) => fd), [fd])
    assert.equal(closed.length, 1)
  })
}

for (const verb of ['terminate', 'close'] as const) {
  test(`${verb}() while the peer's close is under way: the cause is still the client`, async (t) => {
    const { app, port } = await start(t, { routes: silent })
    const adopted = opened(app)
    const over = ended(app)
    const peer = await rawPeer(t, port)
    const connection = await adopted
    // Our answer has come, and our FIN: the server waits for the peer's.
    const answered = once(peer.resume(), 'end')
    peer.write(closeFrame)
    await answered
    assert.equal(connection.state, 'closing')
    connection[verb]()
    if (verb === 'close') peer.end()
    const { cause, code } = await over
    assert.deepEqual([cause, code], ['client', 4001])
  })
}

const registering = {
  'we register @fastify/websocket': undefined,
  'the app registers @fastify/websocket': (app: FastifyInstance) => app.register(fastifyWebsocket)
}

for (const [name, theirs] of Object.entries(registering)) {
  test(`${name}: after fastify.close() the server has the listeners that it had before`, async (t) => {
    const own = (): void => {}
    let before!: Record<string, number>
    const count = ({ server }: FastifyInstance): Record<string, number> =>
      Object.fromEntries(server.eventNames().map((event) => [String(event), server.listenerCount(event as never)]))
    const { app, url } = await start(t, {
      before: async (app) => {
        app.server.on('upgrade', own)
        before = count(app)
        await theirs?.(app)
      },
      routes: silent
    })
    assert.ok(app.server.listenerCount('upgrade') > 1)
    await connect(t, url)
    const { websocketServer } = app
    await app.close()
    assert.deepEqual(app.server.listeners('upgrade'), [own])
    assert.deepEqual(count(app), before)
    assert.equal(websocketServer.listenerCount('connection'), 0)
  })
}

/** The process that is flooded is the one that measures. */
const LATE = 300

const floods = {
  'that nobody reads': { routes: silent, underway: (app: FastifyInstance) => app.lifeline.stats().dropped.unread > 200, least: 0 },
  // Those who do not take the echo are waited for.
  'that is echoed': { routes: echo, underway: (app: FastifyInstance) => app.lifeline.stats().pushes.full > 0, least: 300 }
}

for (const [name, { routes, underway, least }] of Object.entries(floods)) {
  test(`close() during a flood ${name}, from peers that answer no close frame, settles within shutdown.timeout + closeTimeout`, async (t) => {
    const shutdown = { timeout: 300 }
    const closeTimeout = 500
    const { app, port, url, closed, errors } = await start(t, { options: { shutdown, closeTimeout }, routes })
    // A masked binary frame of 1,000 bytes.
    const frame = Buffer.alloc(1_008)
    Buffer.from([0x82, 0xfe, 0x03, 0xe8]).copy(frame)
    const flood = Buffer.concat(Array(64).fill(frame))
    for (let i = 0; i < 3; i++) {
      const peer = await rawPeer(t, port)
      const pour = (): void => { while (peer.write(flood)); }
      peer.on('drain', pour)
      // Two of them do not read what comes back either.
      if (i === 0) peer.resume()
      else peer.pause()
      pour()
    }
    // And one that answers as it should, but sends for as long as it can.
    const client = await connect(t, url)
    const say = (): void => { client.send(frame, () => { if (client.readyState === client.OPEN) setImmediate(say) }) }
    say()
    await until('the flood is under way', () => underway(app))
    const began = performance.now()
    await app.close()
    const took = performance.now() - began
    // A step of the shutdown early, so as not to be late.
    assert.ok(took > least + closeTimeout - 50 && took < shutdown.timeout + closeTimeout + LATE, `close() took ${took} ms`)
    assert.deepEqual(closed.map(({ cause, code }) => [cause, code]), Array(4).fill(['shutdown', 1012]))
    assert.deepEqual(errors(), [])
  })
}

test('a peer that half-closes and reads nothing is ended after closeTimeout, however seldom the heartbeat looks', async (t) => {
  const { app, port, closed } = await start(t, { options: { heartbeat: { interval: 60_000, timeout: 60_000 }, closeTimeout: 300, backpressure: { limit: 64 << 20 } }, routes: silent })
  const opening = opened(app)
  const peer = await rawPeer(t, port)
  const connection = await opening
  peer.pause()
  connection.push(Buffer.alloc(32 << 20))
  const over = ended(app)
  peer.end()
  const at = performance.now()
  await over
  assert.ok(performance.now() - at < 10_000, 'not when the heartbeat looks, which is after 18 s')
  assert.deepEqual(closed.map(({ cause, code }) => [cause, code]), [['reset', 1006]])
})
