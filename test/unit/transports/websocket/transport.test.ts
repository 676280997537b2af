/**
 * The transport over a socket and a stream that only count.
 */
import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import type { Duplex } from 'node:stream'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import type WebSocket from 'ws'
import type { TransportEnd } from '../../../../src/transports/transport.js'
import type { Supervision } from '../../../../src/transports/websocket/supervise.js'
import { WebSocketTransport } from '../../../../src/transports/websocket/transport.js'

const KIB = 1024

class FakeSocket extends EventEmitter {
  readonly OPEN = 1
  readyState = 1
  extensions = ''
  /** What ws has not written yet. */
  held = 0
  isPaused = false
  readonly pings: Buffer[] = []
  readonly stream = new FakeStream()

  get bufferedAmount (): number { return this.held + this.stream.writableLength }

  ping (payload: Buffer): void {
    this.pings.push(payload)
    this.stream.bytesWritten += payload.length
  }
}

class FakeStream extends EventEmitter {
  bytesRead = 500
  bytesWritten = 200
  writableLength = 0
  destroyed = false
}

function make ({ extensions = '', marks = true, counts = true } = {}): { transport: WebSocketTransport, socket: FakeSocket, stream: FakeStream, frames: number[], ends: TransportEnd[] } {
  const socket = new FakeSocket()
  const { stream } = socket
  socket.extensions = extensions
  stream.on('data', () => {})
  if (!counts) Object.assign(stream, { bytesRead: undefined, bytesWritten: undefined })
  const frames: number[] = []
  const ends: TransportEnd[] = []
  const supervision = {
    supervise: () => true,
    bare: {
      send: (_socket: unknown, data: Buffer | string, _options: unknown, done: () => void) => {
        frames.push(data.length)
        if (stream.bytesWritten !== undefined) stream.bytesWritten += data.length
        setImmediate(done)
      },
      terminate: () => {},
      resume: () => {}
    }
  } as unknown as Supervision
  const transport = new WebSocketTransport(socket as unknown as WebSocket, stream as unknown as Duplex, supervision, false, marks)
  transport.start(supervision, { failed () {}, flushed () {}, dropped () {}, ignored () {}, ended: (end) => { ends.push(end) } })
  return { transport, socket, stream, frames, ends }
}

test('a large message is cut into fragments of 64 KiB, except under an extension', () => {
  for (const [extensions, expected] of [['', [64 * KIB, 64 * KIB, 10]], ['permessage-deflate', [128 * KIB + 10]]] as const) {
    const { transport, frames } = make({ extensions })
    transport.send(Buffer.alloc(128 * KIB + 10), true)
    assert.deepEqual(frames, expected)
  }
})

test('a ping goes out after every 64 KiB, pushed or sent by the app; half as often with each dozen that is open; and no more than 36', () => {
  const { transport, socket } = make()
  transport.send(Buffer.alloc(64 * KIB - 1), true)
  assert.equal(socket.pings.length, 0)
  transport.sent(true, 1)
  assert.equal(socket.pings.length, 1)
  const between: number[] = []
  let since = 0
  for (let i = 0; i < 1000; i++) {
    transport.send(Buffer.alloc(32 * KIB), true)
    since += 32
    if (socket.pings.length === between.length + 1) continue
    between.push(since)
    since = 0
  }
  assert.deepEqual(between, [...Array(11).fill(64), ...Array(12).fill(128), ...Array(12).fill(256)])
  assert.equal(socket.pings.length, 36)
  // With an answer there is room again, and what was sent since is marked.
  assert.equal(transport.pong(socket.pings[0]!), true)
  assert.equal(socket.pings.length, 37)
})

test('without marks none goes out, and never are more than 40 open', () => {
  const { transport, socket } = make({ marks: false })
  for (let i = 0; i < 10; i++) transport.send(Buffer.alloc(64 * KIB), true)
  assert.equal(socket.pings.length, 0)
  for (let i = 0; i < 100; i++) transport.beat()
  assert.equal(socket.pings.length, 40)
})

test('the backlog is all that is not known to have arrived; the span, what holds no ping', () => {
  const { transport, socket, stream } = make()
  assert.deepEqual([transport.backlog(), transport.span()], [0, 0])
  stream.bytesWritten += 1000
  transport.beat()
  stream.bytesWritten += 92
  stream.writableLength = 50
  socket.held = 300
  assert.deepEqual([transport.backlog(), transport.span()], [1000 + 8 + 92 + 300, 1000])
  transport.pong(socket.pings[0]!)
  assert.deepEqual([transport.backlog(), transport.span()], [8 + 92 + 300, 400])
})

test('the peer is heard by its bytes; without a byte counter by what arrives', () => {
  const { transport, stream } = make()
  stream.bytesRead = 501
  transport.arrived()
  assert.equal(transport.heard(), 501)
  const blind = make({ counts: false })
  assert.deepEqual([blind.transport.heard(), blind.transport.remote], [0, false])
  blind.transport.arrived()
  assert.equal(blind.transport.heard(), 1)
})

test('a transport whose stream has been destroyed is not open, whatever ws says', () => {
  const { transport, stream } = make()
  assert.equal(transport.open, true)
  stream.destroyed = true
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
    transport.beat()
    ms += 50
    stream.bytesRead += 10
    transport.pong(socket.pings[0]!)
  }), 700)
  assert.ok(Number.isNaN(end(({ stream }) => { stream.bytesRead++ })))
  assert.ok(Number.isNaN(end(({ transport }) => { transport.beat() })))
})
