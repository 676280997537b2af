/**
 * What src relies on and neither ws nor @fastify/websocket documents. When one of these fails, an
 * update has changed the ground: look for what is named in the test's comment.
 */
import assert from 'node:assert/strict'
import { EventEmitter, once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import WebSocket from 'ws'
import { PARTS_DEFAULT } from '../../../src/plugin/unfinished.js'
import { bare, begin, echo, upgradeRequest } from './setups.js'
import type { Begun } from './setups.js'

interface Options { WebSocket: unknown, maxPayload: number, closeTimeout: number, maxFragments: number, maxBufferedChunks: number }
const optionsOf = ({ app }: Begun): Options => app.websocketServer.options as unknown as Options

/** A class of sockets that tells what is done to them. */
function spying (): { Spy: typeof WebSocket, calls: Array<{ method: string, args: unknown[], listeners: number, socket: WebSocket }>, streams: Map<WebSocket, EventEmitter> } {
  const calls: Array<{ method: string, args: unknown[], listeners: number, socket: WebSocket }> = []
  const streams = new Map<WebSocket, EventEmitter>()
  class Spy extends WebSocket {
    override close (...args: [number?, (string | Buffer)?]): void {
      calls.push({ method: 'close', args, listeners: streams.get(this)?.listenerCount('data') ?? -1, socket: this })
      super.close(...args)
    }
  }
  return { Spy: Spy as typeof WebSocket, calls, streams }
}

async function spied (t: TestContext, handler: (socket: WebSocket) => void = () => {}): Promise<Begun & ReturnType<typeof spying>> {
  const spy = spying()
  const begun = await begin(t, bare, { routes: (app) => app.get('/', { websocket: true }, handler) })
  optionsOf(begun).WebSocket = spy.Spy
  begun.app.websocketServer.on('connection', (socket, request: IncomingMessage) => { spy.streams.set(socket, request.socket) })
  return { ...begun, ...spy }
}

// plugin.ts installs the supervised class by assignment to websocketServer.options.
test('ws reads options.WebSocket at each upgrade', async (t) => {
  const begun = await begin(t, bare, { routes: (app) => app.get('/', { websocket: true }, echo) })
  assert.equal(optionsOf(begun).WebSocket, WebSocket)
  const made: string[] = []
  begun.app.websocketServer.on('connection', (socket) => { made.push(socket.constructor.name) })
  class First extends WebSocket {}
  class Second extends WebSocket {}
  for (const Class of [First, Second]) {
    optionsOf(begun).WebSocket = Class
    await begun.dial()
  }
  assert.deepEqual(made, ['First', 'Second'])
})

// supervise.ts: its constructor takes what ws gives to one.
test('ws makes a server\'s socket with (null, undefined, the server\'s options)', async (t) => {
  const begun = await begin(t, bare, { routes: (app) => app.get('/', { websocket: true }, echo) })
  const args: unknown[][] = []
  optionsOf(begun).WebSocket = class extends WebSocket {
    constructor (...given: unknown[]) {
      super(...given as [string])
      args.push(given)
    }
  }
  await begun.dial()
  assert.deepEqual(args[0]!.slice(0, 2), [null, undefined])
  assert.equal(args[0]![2], begun.app.websocketServer.options)
})

// plugin.ts, bound().
test('ws reads options.maxPayload at each upgrade', async (t) => {
  const begun = await begin(t, bare, { routes: (app) => app.get('/', { websocket: true }, echo) })
  const before = await begun.dial()
  optionsOf(begun).maxPayload = 10
  const after = await begun.dial()
  after.socket.send('x'.repeat(11))
  assert.match(String((await after.closed).code), /1009|1006/)
  assert.equal(await before.ask('x'.repeat(11)), 'x'.repeat(11))
})

// plugin.ts, bound().
test('ws reads options.maxFragments at each upgrade', async (t) => {
  const begun = await begin(t, bare, { routes: (app) => app.get('/', { websocket: true }, echo) })
  optionsOf(begun).maxFragments = 2
  const client = await begun.dial()
  for (const fin of [false, false, true]) client.socket.send('x', { fin })
  assert.equal((await client.closed).code, 1008)
})

// plugin.ts, bound(), and Heartbeat's closeTimeout beside it.
test('ws reads options.closeTimeout at each upgrade', async (t) => {
  const begun = await begin(t, bare, { routes: (app) => app.get('/', { websocket: true }, (socket) => { socket.close(4000) }) })
  optionsOf(begun).closeTimeout = 50
  const client = begun.say(upgradeRequest('/'))
  const start = performance.now()
  client.resume()
  await once(client, 'close')
  assert.equal(performance.now() - start < 5_000, true)
})

test('ws\'s defaults are the ones that plugin.ts takes for not chosen by the app', async (t) => {
  const begun = await begin(t, bare)
  assert.equal(optionsOf(begun).maxPayload, 100 * 1024 * 1024)
  assert.equal(optionsOf(begun).closeTimeout, 30_000)
  const { maxFragments, maxBufferedChunks } = optionsOf(begun)
  assert.deepEqual({ maxFragments, maxBufferedChunks }, PARTS_DEFAULT)
})

// transport.ts, closing(): by this it tells ws's own close from the app's.
test('ws has taken its data listener off the stream when it answers a close frame', async (t) => {
  const { dial, calls } = await spied(t)
  const client = await dial()
  client.socket.close(4001, 'bye')
  await client.closed
  assert.equal(calls.length, 1)
  assert.equal(calls[0]!.listeners, 0)
  assert.equal(calls[0]!.args[0], 4001)
  assert.equal(String(calls[0]!.args[1]), 'bye')
})

test('ws has taken its data listener off the stream when it closes for a fault', async (t) => {
  const { say, calls } = await spied(t)
  const client = say(upgradeRequest('/'))
  await once(client, 'data')
  client.resume().write(Buffer.from([0xa2, 0x80, 0, 0, 0, 0]))
  await once(client, 'close')
  assert.equal(calls[0]!.listeners, 0)
  assert.equal(calls[0]!.args[0], 1002)
})

test('ws\'s data listener is on the stream when the app calls close, paused or not', async (t) => {
  const { dial, calls } = await spied(t, (socket) => {
    socket.on('message', (data) => {
      if (String(data) === 'pause') socket.pause()
      socket.close(4002)
    })
  })
  for (const text of ['go', 'pause']) {
    const client = await dial()
    client.socket.send(text)
    if (text === 'pause') client.socket.once('message', () => {})
    while (calls.length === 0) await new Promise(setImmediate)
    assert.notEqual(calls[0]!.listeners, 0)
    assert.equal(calls[0]!.args[0], 4002)
    calls[0]!.socket.terminate()
    calls.length = 0
  }
})

test('ws closes for a close frame after the messages before it were emitted', async (t) => {
  const order: string[] = []
  const { dial } = await spied(t, (socket) => {
    socket.on('message', (data) => { order.push(String(data)) })
    socket.on('close', () => { order.push('close') })
  })
  const client = await dial()
  for (let i = 0; i < 5; i++) client.socket.send(String(i))
  client.socket.close()
  await client.closed
  while (order.at(-1) !== 'close') await new Promise(setImmediate)
  assert.deepEqual(order, ['0', '1', '2', '3', '4', 'close'])
})

// adopt-websocket.ts: the connection is there before the handler asks for it.
test('connection is emitted before the handler runs, in the same turn, with the raw request', async (t) => {
  const order: unknown[] = []
  const begun = await begin(t, bare, {
    routes: (app) => app.get('/', { websocket: true }, (socket, request) => { order.push(['handler', socket === seen, request.raw === raw]) })
  })
  let seen: WebSocket | undefined
  let raw: IncomingMessage | undefined
  begun.app.websocketServer.on('connection', (socket, request: IncomingMessage) => {
    seen = socket
    raw = request
    order.push('connection')
    process.nextTick(() => { order.push('next tick') })
  })
  await begun.dial()
  while (order.length < 3) await new Promise(setImmediate)
  assert.deepEqual(order, ['connection', ['handler', true, true], 'next tick'])
})

// upgrade-hooks.ts finds the Fastify request by what an onRequest hook leaves on the raw one.
test('the raw request of the upgrade event, of the hooks and of connection is one object', async (t) => {
  const raws = new Set<unknown>()
  const begun = await begin(t, bare, {
    routes: (app) => {
      app.addHook('onRequest', async (request) => { raws.add(request.raw) })
      app.server.on('upgrade', (request) => { raws.add(request) })
      app.websocketServer.on('connection', (_socket, request) => { raws.add(request) })
      app.get('/', { websocket: true }, () => {})
    }
  })
  await begun.dial()
  assert.equal(raws.size, 1)
})

// upgrades.ts is prepended: it has noted a socket before anyone answers on it.
test('@fastify/websocket listens to upgrade from its registration on', async (t) => {
  const begun = await begin(t, bare)
  assert.equal(begun.app.server.listenerCount('upgrade'), 1)
})

// supervise.ts switches captureRejections on by calling EventEmitter again on an emitter that has listeners.
test('EventEmitter called on an emitter switches captureRejections on and keeps its listeners', async () => {
  const emitter = new EventEmitter()
  const errors: unknown[] = []
  const listener = async (): Promise<void> => { throw new Error('rejected') }
  emitter.on('x', listener)
  ;(EventEmitter as unknown as (this: EventEmitter, options: object) => void).call(emitter, { captureRejections: true })
  Object.assign(emitter, { [Symbol.for('nodejs.rejection')]: (error: Error) => { errors.push(error.message) } })
  assert.deepEqual(emitter.listeners('x'), [listener])
  emitter.emit('x')
  await new Promise(setImmediate)
  assert.deepEqual(errors, ['rejected'])
})

// supervise.ts, wrap(): on… attributes go through addEventListener and read back what it stored.
test('ws sets onmessage through addEventListener, with the handler as it was given', () => {
  const given: unknown[] = []
  class Spy extends WebSocket {
    override addEventListener (...args: unknown[]): void {
      given.push(args[0], args[1])
      super.addEventListener(...args as ['message', () => void])
    }
  }
  const socket = new (Spy as unknown as new (...args: unknown[]) => WebSocket)(null, undefined, {})
  const handler = (): void => {}
  socket.onmessage = handler
  assert.deepEqual(given, ['message', handler])
  assert.equal(socket.onmessage, handler)
})

// supervise.ts, readyState: ws asks through the property, not a field of its own, in close and send.
test('ws obeys a readyState that a subclass says', () => {
  const sent: unknown[] = []
  class Closing extends WebSocket {}
  Object.defineProperty(Closing.prototype, 'readyState', { get: () => WebSocket.CLOSING })
  const socket = new (Closing as unknown as new (...args: unknown[]) => WebSocket)(null, undefined, {})
  socket.send('x', (error) => { sent.push(error) })
  socket.close(4000)
  assert.equal(socket.readyState, WebSocket.CLOSING)
})

// adopt-websocket.ts and @fastify/websocket: the injected request has no socket, hence no address.
test('injectWS makes a request without a socket, on a stream that counts no bytes', async (t) => {
  const begun = await begin(t, bare, { routes: (app) => app.get('/', { websocket: true }, () => {}) })
  const seen: unknown[] = []
  begun.app.server.on('upgrade', (request, stream: { bytesRead?: number, destroySoon?: unknown }) => { seen.push(request.socket, stream.bytesRead, stream.destroySoon) })
  const client = await begun.app.injectWS('/') as unknown as WebSocket
  client.terminate()
  assert.deepEqual(seen, [undefined, undefined, undefined])
})

// plugin.ts switches it off on the server's options, for we answer pings.
test('ws reads options.autoPong at each upgrade, and without it answers no ping', async (t) => {
  const begun = await begin(t, bare, { routes: (app) => app.get('/', { websocket: true }, (socket) => { socket.on('ping', () => { socket.send('a ping came') }) }) })
  const client = new WebSocket(begun.url)
  await once(client, 'open')
  const pongs: string[] = []
  client.on('pong', (data) => { pongs.push(String(data)) })
  client.ping('first')
  await once(client, 'message')
  Object.assign(begun.app.websocketServer.options, { autoPong: false })
  const other = new WebSocket(begun.url)
  await once(other, 'open')
  other.on('pong', (data) => { pongs.push(String(data)) })
  other.ping('second')
  await once(other, 'message')
  assert.deepEqual(pongs, ['first'])
  client.terminate()
  other.terminate()
})
