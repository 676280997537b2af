/**
 * The transport over a socket and a stream that only count.
 */
import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { setImmediate as turnOver } from 'node:timers/promises'
import type WebSocket from 'ws'
import type { TransportEnd } from '../../../../src/transports/transport.js'
import type { Supervision } from '../../../../src/transports/websocket/supervisor.js'
import { toOutgoing } from '../../../../src/core/outgoing.js'
import type { Outgoing } from '../../../../src/core/outgoing.js'
import { Wheel } from '../../../../src/core/time/wheel.js'
import { WebSocketTransport } from '../../../../src/transports/websocket/transport.js'

const KIB = 1024

const message = (bytes: number): Outgoing => toOutgoing(Buffer.alloc(bytes), undefined)

class FakeSocket extends EventEmitter {
  readonly OPEN = 1
  readyState = 1
  extensions = ''
  /** What ws has not written yet. */
  held = 0
  isPaused = false
  readonly stream = new FakeStream()

  get pings (): Buffer[] { return this.stream.pings }

  get bufferedAmount (): number { return this.held + this.stream.writableLength }
}

class FakeStream extends EventEmitter {
  bytesRead = 500
  bytesWritten = 200
  writableLength = 0
  writable = true
  stopped = false
  /** The payloads of pings, and the lengths of all else. */
  readonly pings: Buffer[] = []
  readonly frames: number[] = []

  isPaused (): boolean { return this.stopped }
  resume (): this {
    this.stopped = false
    return this
  }

  write (bytes: Buffer, done?: () => void): void {
    this.bytesWritten += bytes.length
    if (bytes[0] === 0x89) this.pings.push(bytes.subarray(2))
    else this.frames.push(bytes.length)
    if (done !== undefined) setImmediate(done)
  }
}

interface Made {
  transport: WebSocketTransport
  socket: FakeSocket
  stream: FakeStream
  /** The lengths of the messages that went to ws. */
  relayed: number[]
  ends: TransportEnd[]
}

// To the transport it is a real socket; of a socket's own methods it has those of an emitter only.
Object.setPrototypeOf(FakeStream.prototype, Object.create(Socket.prototype, Object.getOwnPropertyDescriptors(EventEmitter.prototype)))

const rates = { messageRate: Infinity, byteRate: Infinity, pongRate: 100, payload: 1024 * KIB, policy: 'pause' } as const

function make ({ extensions = '', counts = true, plain = true } = {}): Made {
  const socket = new FakeSocket()
  const { stream } = socket
  socket.extensions = extensions
  stream.on('data', () => {})
  if (!counts) {
    Object.assign(stream, { bytesRead: undefined, bytesWritten: undefined })
    Object.setPrototypeOf(stream, EventEmitter.prototype)
  }
  const relayed: number[] = []
  const ends: TransportEnd[] = []
  const supervision = {
    plain,
    supervise: () => true,
    bare: {
      send: (_socket: unknown, data: Buffer | string, _options: unknown, done: () => void) => {
        relayed.push(data.length)
        setImmediate(done)
      },
      ping: () => {},
      bufferedAmount: () => socket.bufferedAmount,
      reopen: () => false,
      pause: () => {},
      terminate: () => {},
      resume: () => {}
    }
  } as unknown as Supervision
  const transport = new WebSocketTransport(socket as unknown as WebSocket, stream as unknown as Duplex, supervision, { defers: false, answers: true, receipts: false, fragments: true, patience: 10_000, rates, wheel: new Wheel(50), loop: { away: 0 } })
  transport.start(supervision, { failed () {}, flushed () {}, dropped () {}, came () {}, took () {}, detached () {}, ignored () {}, exceeded () {}, received () {}, unsent () {}, closing () {}, queued () {}, ended: (end) => { ends.push(end) } })
  return { transport, socket, stream, relayed, ends }
}

test('frames of our own go to the socket, a large message in fragments of 64 KiB', async () => {
  const { transport, stream, relayed } = make()
  transport.send(message(128 * KIB + 10), 1)
  await turnOver()
  await turnOver()
  assert.deepEqual(stream.frames, [64 * KIB + 10, 64 * KIB + 10, 12])
  assert.deepEqual(relayed, [])
})

for (const [what, options] of Object.entries({
  'under an extension': { extensions: 'permessage-deflate' },
  'without a real socket': { counts: false },
  'where a class of the app\'s has a send of its own': { plain: false }
})) {
  test(`${what} messages go to ws, whole`, () => {
    const { transport, stream, relayed } = make(options)
    transport.send(message(128 * KIB + 10), 1)
    assert.deepEqual(relayed, [128 * KIB + 10])
    assert.deepEqual(stream.frames, [])
  })
}

test('a ping goes out after every 64 KiB, pushed or sent by the app; half as often with each dozen that is open, but no more seldom than every 256 KiB', () => {
  const { transport, socket } = make()
  transport.send(message(64 * KIB - 10), 1)
  assert.equal(socket.pings.length, 0)
  transport.sent(true, 10)
  assert.equal(socket.pings.length, 1)
  const between: number[] = []
  let since = 0
  for (let i = 0; i < 1000; i++) {
    transport.sent(true, 32 * KIB)
    since += 32
    if (socket.pings.length === between.length + 1) continue
    between.push(since)
    since = 0
  }
  assert.deepEqual(between.slice(0, 35), [...Array(11).fill(64), ...Array(12).fill(128), ...Array(12).fill(256)])
  assert.ok(between.length > 100 && between.slice(35).every((kib) => kib === 256))
  assert.equal(transport.pong(socket.pings[0]!), true)
})

test('where there is no network no marks go out; and who is not read gets no more than 40 pings', () => {
  const { transport, socket } = make({ counts: false })
  for (let i = 0; i < 10; i++) transport.send(message(64 * KIB), i + 1)
  assert.equal(socket.pings.length, 0)
  const own = make()
  for (let i = 0; i < 100; i++) own.transport.wire.beat()
  assert.equal(own.socket.pings.length, 100)
  const paused = make()
  paused.transport.pausedByApp(true)
  for (let i = 0; i < 100; i++) paused.transport.wire.beat()
  assert.equal(paused.socket.pings.length, 40)
})

test('the span is what the peer has to take in before it comes to a ping', () => {
  const { transport, socket, stream } = make()
  assert.equal(transport.wire.span(), 0)
  stream.bytesWritten += 1000
  transport.wire.beat()
  stream.bytesWritten += 92
  stream.writableLength = 50
  socket.held = 300
  assert.equal(transport.wire.span(), 1000)
  transport.pong(socket.pings[0]!)
  assert.equal(transport.wire.span(), 402)
})

test('while the app has stopped reading nothing waits for the peer; and that it stops, or takes at last what was held, may excuse it', async () => {
  const { transport, socket, stream } = make()
  stream.writableLength = 50
  assert.equal(transport.wire.waiting(), 50)
  const before = transport.wire.advance()
  socket.isPaused = true
  transport.pausedByApp(true)
  assert.equal(transport.wire.waiting(), 0)
  socket.isPaused = false
  transport.pausedByApp(false)
  assert.equal(transport.wire.waiting(), 50)
  const paused = transport.wire.advance()
  assert.ok(paused > before)
  for (let i = 0; i < 10; i++) transport.message(Buffer.alloc(10_000), true)
  const reader = transport.reader.messages()
  await reader.next()
  assert.ok(transport.wire.advance() > paused)
})

test('the peer is heard by its bytes; without a byte counter by what arrives', () => {
  const { transport, stream } = make()
  stream.bytesRead = 501
  transport.arrived()
  assert.equal(transport.wire.heard(), 501)
  const blind = make({ counts: false })
  assert.deepEqual([blind.transport.wire.heard(), blind.transport.traits.remote], [0, false])
  blind.transport.arrived()
  assert.equal(blind.transport.wire.heard(), 1)
})

test('what was taken of what the app itself has sent is progress, as what was pushed is', async () => {
  const { transport } = make()
  const before = transport.wire.advance()
  transport.flushed()
  assert.ok(transport.wire.advance() > before)
  const between = transport.wire.advance()
  transport.send(message(100), 1)
  await turnOver()
  assert.ok(transport.wire.advance() > between)
})

test('a transport whose stream has been destroyed is not open, whatever ws says', () => {
  const { transport, stream } = make()
  assert.equal(transport.open, true)
  stream.writable = false
  assert.equal(transport.open, false)
})

test('how long nothing had passed is known from the opening, or the last pong, if nothing has since', (t: TestContext) => {
  let ms = 1000
  t.mock.method(performance, 'now', () => ms)
  const end = (act: (one: ReturnType<typeof make>) => void): number => {
    const one = make()
    act(one)
    ms += 700
    one.transport.closed(1006, Buffer.alloc(0))
    return one.ends[0]!.idle
  }
  assert.equal(end(() => {}), 700)
  assert.equal(end(({ transport, socket, stream }) => {
    transport.wire.beat()
    ms += 50
    stream.bytesRead += 10
    transport.pong(socket.pings[0]!)
  }), 700)
  assert.ok(Number.isNaN(end(({ stream }) => { stream.bytesRead++ })))
  assert.ok(Number.isNaN(end(({ transport }) => { transport.wire.beat() })))
})

test('a peer whose stream ws has stopped, for zlib is not done, is not listened to; a look at it reads on', () => {
  const { transport, socket, stream } = make({ extensions: 'permessage-deflate' })
  assert.equal(transport.wire.paused, false)
  for (const paused of [false, true]) {
    stream.stopped = true
    assert.equal(transport.wire.paused, true)
    socket.isPaused = paused
    assert.deepEqual([transport.wire.peek(true), stream.stopped, transport.wire.paused], [true, false, false])
    // What comes stops it again.
    stream.stopped = true
    transport.wire.peek(false)
    socket.isPaused = false
    assert.deepEqual([stream.stopped, transport.wire.paused], [true, true])
  }
  stream.stopped = false
  assert.equal(transport.wire.paused, false)
})
