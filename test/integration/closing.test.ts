/**
 * How an end is come to: in what order, for what cause, and that nothing is left behind.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect as connectSocket } from 'node:net'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
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

test('however long a preClose of the app\'s has taken, fastify.close() does not fail for a slow client', { timeout: 20_000 }, async (t) => {
  const { app, url, closed } = await start(t, {
    fastify: { pluginTimeout: 1000 },
    options: { closeTimeout: 300, shutdown: { timeout: 1500 }, websocket: { preClose: (async () => { await new Promise((resolve) => { setTimeout(resolve, 500) }) }) as never } },
    routes: (app) => app.get('/', { websocket: true }, (socket) => { for (let i = 0; i < 10; i++) socket.send(Buffer.alloc(1_000_000)) })
  })
  const client = await connect(t, url)
  client.pause()
  await app.close()
  assert.deepEqual(closed.map(({ cause }) => cause), ['shutdown'])
})

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

for (const [how, close] of Object.entries({
  'the connection': (connection: Connection) => { connection.close() },
  'the socket': (_connection: Connection, socket: WebSocket) => { socket.close(1000, 'bye') },
  'the socket, without a code': (_connection: Connection, socket: WebSocket) => { socket.close() }
})) {
  test(`a peer that does not answer when the app closes ${how} is ended after closeTimeout, however seldom the heartbeat looks`, { timeout: 10_000 }, async (t) => {
    let closing!: Promise<unknown>
    const { port, closed } = await start(t, {
      options: { heartbeat: { interval: 600_000, timeout: 600_000 }, closeTimeout: 100 },
      routes: (app) => app.get('/', { websocket: true }, (socket, request) => {
        const connection = app.lifeline.of(request)
        closing = connection.closed
        close(connection, socket)
      })
    })
    await rawPeer(t, port)
    await closing
    assert.deepEqual(closed.map(({ cause }) => cause), ['server'])
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

test('close() on a connection whose peer floods it, and whose handler is still at work, is clean', async (t) => {
  const { app, url } = await start(t, {
    options: { closeTimeout: 60_000 },
    routes: (app) => app.get('/', { websocket: true }, () => new Promise(() => {}))
  })
  const client = await connect(t, url)
  const [connection] = app.lifeline
  for (let i = 0; i < 50; i++) client.send(Buffer.alloc(60_000))
  connection!.close(4000)
  const [code] = await once(client, 'close')
  assert.equal(code, 4000)
  assert.equal((await connection!.closed).code, 4000)
})

test('a close() that was put off loses nothing of what waits', async (t) => {
  const { app, url } = await start(t, {
    before: (app) => app.register(fastifyWebsocket),
    routes: (app) => app.get('/', { websocket: true }, () => {})
  })
  const client = await connect(t, url)
  client.pause()
  const [connection] = app.lifeline
  let pushed = 0
  while (connection!.bufferedBytes < 500_000) {
    connection!.push(Buffer.alloc(60_000))
    pushed++
  }
  let got = 0
  client.on('message', () => { got++ })
  for (const socket of app.websocketServer.clients) socket.close()
  client.resume()
  await once(client, 'close')
  assert.equal(got, pushed)
})

test('a close code that ws refuses has changed nothing', async (t) => {
  const { app, url } = await start(t, { routes: silent })
  const client = await connect(t, url)
  const [connection] = app.lifeline
  const next = connection!.messages().next()
  for (const socket of app.websocketServer.clients) assert.throws(() => { socket.close(999) })
  client.send('still read')
  assert.deepEqual((await next).value, { data: 'still read', binary: false })
  const end = ended(app)
  client.terminate()
  assert.deepEqual([(await end).cause, (await end).code], ['reset', 1006])
})

test('who began the closing names the cause, not who joins in', async (t) => {
  const { app, url, closed } = await start(t, {
    routes: (app) => app.get('/', { websocket: true }, (socket, request) => {
      const connection = app.lifeline.of(request)
      socket.on('message', () => { socket.close(4000) })
      socket.on('close', () => { connection.close(4999) })
    })
  })
  let end = ended(app)
  ;(await connect(t, url)).close(4001)
  await end
  end = ended(app)
  const client = await connect(t, url)
  client.send('close me')
  await end
  assert.deepEqual(closed.map(({ cause, code }) => [cause, code]), [['client', 4001], ['server', 4000]])
})

test('terminating in a closing that the peer began leaves the cause with the peer', async (t) => {
  const { app, url } = await start(t, {
    routes: (app) => app.get('/', { websocket: true }, (socket: WebSocket, request) => {
      request.raw.socket.once('end', () => { socket.terminate() })
    })
  })
  const end = ended(app)
  const client = await connect(t, url)
  client.close(4001)
  assert.equal((await end).cause, 'client')
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

test('fastify.close() waits for what close listeners and onClose handlers return, those of ends before it too, and whatever becomes of it', async (t) => {
  const done: string[] = []
  const slowly = (what: string) => async (): Promise<void> => {
    await new Promise((resolve) => { setTimeout(resolve, 100) })
    done.push(what)
  }
  const { app, url } = await start(t, {
    routes: (app) => app.get('/', { websocket: true, config: { lifeline: { on: { close: slowly('route') } } } }, (_socket, request) => {
      app.lifeline.of(request).onClose(slowly('handler'))
    })
  })
  app.lifeline.on('close', slowly('listener'))
  app.lifeline.on('close', async () => { throw new Error('boom') })
  const first = await connect(t, url)
  await connect(t, url)
  const [connection] = app.lifeline
  first.terminate()
  await connection!.closed
  await app.close()
  assert.deepEqual(done.sort(), ['handler', 'handler', 'listener', 'listener', 'route', 'route'])
})

test('but for shutdown.timeout at most, and not for what other listeners do', { timeout: 20_000 }, async (t) => {
  const { app, url } = await start(t, { options: { shutdown: { timeout: 200 } }, routes: silent })
  const never = new Promise<never>(() => {})
  app.lifeline.on('open', () => never)
  await connect(t, url)
  const other = await start(t, { routes: silent, options: { shutdown: { timeout: 3_600_000 } } })
  other.app.lifeline.on('open', () => never)
  await connect(t, other.url)
  await other.app.close()
  app.lifeline.on('close', () => never)
  let late = false
  app.lifeline.on('close', async () => {
    // It is waited for as long as it may take, though another is never done.
    await new Promise((resolve) => { setTimeout(resolve, 50) })
    late = true
  })
  await app.close()
  assert.equal(late, true)
})

for (const registered of [false, true]) {
  const way = registered ? ' (the app has registered @fastify/websocket)' : ''
  const options = { closeTimeout: 100, heartbeat: { interval: 60_000, timeout: 60_000 }, backpressure: { limit: 64 << 20, stallTimeout: 60_000 } } as const
  const large = Buffer.alloc(24 << 20)

  for (const [how, close] of Object.entries({
    'the connection': (connection: Connection) => { connection.close(4000, 'all said') },
    'the socket': (_connection: Connection, socket: WebSocket) => { socket.close(4000, 'all said') }
  })) {
    test(`when the app closes ${how}, what was pushed before has \`stallTimeout\` to leave, and the close frame comes behind it${way}`, { timeout: 60_000 }, async (t) => {
      const sockets: WebSocket[] = []
      const { app, port, closed } = await start(t, { ...(registered && { before: (app: FastifyInstance) => app.register(fastifyWebsocket) }), options, routes: (app) => app.get('/', { websocket: true }, (socket) => { sockets.push(socket) }) })
      const opening = opened(app)
      const peer = await rawPeer(t, port)
      const connection = await opening
      peer.pause()
      connection.push(large)
      assert.ok(connection.bufferedBytes > 0)
      close(connection, sockets[0]!)
      // As often as the peer would have been ended, were it a matter of closeTimeout.
      await sleep(1_000)
      assert.deepEqual(closed, [])
      let bytes = 0
      let last = Buffer.alloc(0)
      peer.on('data', (data: Buffer) => {
        bytes += data.length
        last = Buffer.concat([last, data]).subarray(-12)
        if (last.subarray(-10).equals(Buffer.concat([Buffer.from([0x0f, 0xa0]), Buffer.from('all said')]))) peer.write(closeFrame)
      }).resume()
      await until('it is over', () => closed.length === 1)
      assert.ok(bytes > large.length)
      assert.deepEqual(closed.map(({ cause, code, reason }) => [cause, code, reason]), [['server', 4000, 'all said']])
    })
  }

  test(`a peer that takes nothing of what was pushed before the close frame is ended, once \`stallTimeout\` has passed${way}`, { timeout: 60_000 }, async (t) => {
    // Much more than closeTimeout: a machine that is busy for a while does not make the one the other.
    const stallTimeout = 3_000
    const { app, port, closed } = await start(t, { ...(registered && { before: (app: FastifyInstance) => app.register(fastifyWebsocket) }), options: { ...options, backpressure: { ...options.backpressure, stallTimeout } }, routes: silent })
    const opening = opened(app)
    const peer = await rawPeer(t, port)
    const connection = await opening
    peer.pause()
    connection.push(large)
    const at = performance.now()
    connection.close()
    await until('it is over', () => closed.length === 1)
    assert.ok(performance.now() - at >= stallTimeout)
    assert.deepEqual(closed.map(({ cause }) => cause), ['server'])
  })

  test(`one that ends its side meanwhile has closeTimeout${way}`, { timeout: 60_000 }, async (t) => {
    const { app, port, closed } = await start(t, { ...(registered && { before: (app: FastifyInstance) => app.register(fastifyWebsocket) }), options, routes: silent })
    const opening = opened(app)
    const peer = await rawPeer(t, port)
    const connection = await opening
    peer.pause()
    connection.push(large)
    connection.close()
    peer.end()
    await until('it is over', () => closed.length === 1)
    assert.deepEqual(closed.map(({ cause }) => cause), ['server'])
  })
}
