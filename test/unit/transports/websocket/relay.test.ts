import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type WebSocket from 'ws'
import { toOutgoing } from '../../../../src/core/outgoing.js'
import { HAND_OVER } from '../../../../src/transports/websocket/frame.js'
import { RelayWriter } from '../../../../src/transports/websocket/relay.js'
import type { Bare } from '../../../../src/transports/websocket/supervise.js'

interface Frame { data: Buffer, binary: boolean, fin: boolean }

/** A ws whose peer takes what we let it take: models `bufferedAmount` and the callbacks of `send`. */
class FakeSocket {
  readonly OPEN = 1
  readyState = 1
  /** Bytes that the operating system takes before anything waits. */
  room: number
  bufferedAmount = 0
  taken = 0
  readonly pings: Buffer[] = []
  readonly handed: number[] = []
  readonly frames: Frame[] = []
  readonly #waiting: Array<{ size: number, done: (() => void) | undefined }> = []

  constructor (room = 0) { this.room = room }

  send (data: Buffer, binary: boolean, fin: boolean, done?: () => void): void {
    this.frames.push({ data, binary, fin })
    this.#waiting.push({ size: data.length, done })
    this.bufferedAmount += data.length
    if (this.bufferedAmount <= this.room) this.#take()
  }

  #take (): void {
    this.room -= this.bufferedAmount
    this.bufferedAmount = 0
  }

  /** The callbacks of what has been taken, and `bytes` more. */
  drain (bytes = 0): void {
    this.room += bytes
    let taken = this.#waiting.reduce((sum, { size }) => sum + size, 0) - this.bufferedAmount
    if (this.bufferedAmount <= this.room) {
      taken += this.bufferedAmount
      this.#take()
    } else {
      taken += this.room
      this.bufferedAmount -= this.room
      this.room = 0
    }
    while (this.#waiting.length > 0 && this.#waiting[0]!.size <= taken) {
      const { size, done } = this.#waiting.shift()!
      taken -= size
      done?.()
    }
    // A message that is taken in part stays whole in the list.
    if (this.#waiting.length > 0) this.#waiting[0]!.size -= taken
  }

  /** What the peer reads: whole messages, or an error where fragments of two are mixed (RFC 6455 §5.4). */
  received (): Buffer[] {
    const messages: Buffer[] = []
    let open: { parts: Buffer[], whose: unknown } | null = null
    for (const { data, fin } of this.frames) {
      open ??= { parts: [], whose: null }
      open.parts.push(data)
      if (!fin) continue
      messages.push(Buffer.concat(open.parts))
      open = null
    }
    assert.equal(open, null, 'a message without an end')
    return messages
  }
}

interface Made { socket: FakeSocket, writer: RelayWriter, send: (data: string | Buffer) => boolean, waits: () => number }

function make (room?: number): Made {
  const socket = new FakeSocket(room)
  const bare = {
    send: (_socket: unknown, data: string | Buffer, { binary }: { binary: boolean }, done?: () => void) => {
      socket.send(Buffer.from(data as string), binary, true, done)
    },
    ping: (_socket: unknown, payload: Buffer) => { socket.pings.push(payload) }
  } as unknown as Bare
  const writer = new RelayWriter(socket as unknown as WebSocket, bare, {
    passed: (bytes) => { socket.handed.push(bytes) },
    taken: () => { socket.taken++ }
  })
  return { socket, writer, send: (data) => writer.send(toOutgoing(data, undefined, false)), waits: () => writer.queuedBytes + socket.bufferedAmount }
}

test('a message goes to ws at once, as it is, when nothing waits', () => {
  const { socket, send, waits } = make(Infinity)
  assert.equal(send('text'), true)
  assert.equal(send(Buffer.from('bytes')), true)
  assert.deepEqual(socket.frames, [{ data: Buffer.from('text'), binary: false, fin: true }, { data: Buffer.from('bytes'), binary: true, fin: true }])
  assert.equal(waits(), 0)
})

test('what the operating system did not take is buffered', () => {
  const { writer, send, waits } = make(0)
  assert.equal(send('1234'), false)
  assert.deepEqual([waits(), writer.queuedBytes], [4, 0])
})

test('a ping goes to ws at once, whatever waits here', () => {
  const { socket, writer, send } = make(0)
  send('x'.repeat(HAND_OVER))
  send('after')
  writer.ping(Buffer.from('ping'))
  assert.deepEqual(socket.pings, [Buffer.from('ping')])
  assert.equal(writer.queuedBytes, 5)
})

test('past 64 KiB that wait in the socket, messages wait here, and follow as it drains', () => {
  const { socket, writer, send, waits } = make(0)
  send('x'.repeat(HAND_OVER))
  assert.equal(send('after'), false)
  assert.equal(socket.frames.length, 1)
  assert.deepEqual([writer.queuedBytes, waits()], [5, HAND_OVER + 5])
  socket.drain(HAND_OVER)
  assert.deepEqual(socket.received().map(String), ['x'.repeat(HAND_OVER), 'after'])
  assert.equal(waits(), 5)
  socket.drain(5)
  assert.equal(waits(), 0)
})

test('each hand-over is told, with its bytes, and counted when it is done', () => {
  const { socket, writer, send } = make(0)
  send('12')
  send(Buffer.alloc(HAND_OVER))
  assert.deepEqual(socket.handed, [2, HAND_OVER])
  socket.drain(1)
  assert.deepEqual([writer.completed, socket.taken], [0, 0])
  socket.drain(1)
  assert.deepEqual([writer.completed, socket.taken], [1, 1])
  socket.drain(Infinity)
  assert.deepEqual([writer.completed, socket.taken], [2, 2])
})

test('when something of the app\'s own has been taken, what waits here goes on', () => {
  const { socket, writer, send } = make(0)
  socket.send(Buffer.alloc(HAND_OVER), true, true)
  send('after')
  assert.equal(writer.queuedBytes, 5)
  socket.drain(HAND_OVER)
  writer.wake()
  assert.equal(writer.queuedBytes, 0)
})

test('while it is held nothing leaves; after it, all does, in order', () => {
  const { socket, writer, send } = make(Infinity)
  writer.hold(true)
  assert.equal(send('1'), false)
  send('2')
  writer.flush()
  assert.deepEqual(socket.frames, [])
  writer.hold(false)
  assert.deepEqual(socket.received().map(String), ['1', '2'])
})

test('a flush hands over all that waits, the rest of a message that was begun first', () => {
  const { socket, writer, send } = make(0)
  const large = Buffer.alloc(2 * HAND_OVER, 'a')
  send(large)
  send('after')
  writer.flush()
  assert.equal(writer.queuedBytes, 0)
  assert.deepEqual(socket.received().map((message) => message.length), [large.length, 5])
})

test('what is discarded is not sent', () => {
  const { socket, writer, send } = make(0)
  send('x'.repeat(HAND_OVER))
  send('after')
  writer.discard()
  assert.equal(writer.queuedBytes, 0)
  socket.drain(Infinity)
  assert.equal(socket.frames.length, 1)
})

test('a socket that is not open any more is given nothing from the queue', () => {
  const { socket, send } = make(0)
  send('x'.repeat(HAND_OVER))
  send('after')
  socket.readyState = 2
  socket.drain(Infinity)
  assert.equal(socket.frames.length, 1)
})

test('any sequence of pushes, fragments of the app\'s own, flushes and drains leaves whole messages, in order, and counts every byte', () => {
  const step = fc.oneof(
    fc.record({ do: fc.constant('push' as const), size: fc.oneof(fc.integer({ min: 0, max: 100 }), fc.integer({ min: 0, max: 4 * HAND_OVER })) }),
    fc.record({ do: fc.constant('own' as const), size: fc.integer({ min: 0, max: 100 }) }),
    fc.record({ do: fc.constant('flush' as const), size: fc.constant(0) }),
    fc.record({ do: fc.constant('drain' as const), size: fc.integer({ min: 0, max: 2 * HAND_OVER }) })
  )
  fc.assert(fc.property(fc.array(step, { maxLength: 40 }), fc.integer({ min: 0, max: HAND_OVER }), (steps, room) => {
    const { socket, writer, send, waits } = make(room)
    /** Each message is filled with its number, so that mixed ones show. */
    const pushed: Buffer[] = []
    const order: number[] = []
    let number = 0
    let own: Buffer | null = null
    const sendOwn = (data: Buffer, fin: boolean): void => {
      // As the transport does around a send of the app's.
      writer.flush()
      if (!fin) writer.hold(true)
      socket.send(data, true, fin)
      if (fin) writer.hold(false)
    }
    const finish = (): void => {
      if (own !== null) sendOwn(own, true)
      own = null
    }
    for (const { do: what, size } of steps) {
      if (what === 'push') {
        const data = Buffer.alloc(size + 1, ++number)
        pushed.push(data)
        order.push(number)
        send(data)
      } else if (what === 'own') {
        if (own === null) {
          own = Buffer.alloc(size + 1, 200)
          sendOwn(own, false)
        } else {
          finish()
        }
      } else if (what === 'flush') {
        writer.flush()
      } else {
        socket.drain(size)
      }
      // Whoever waits here is woken by a callback that is still to come.
      if (writer.queuedBytes > 0 && own === null) assert.ok(socket.bufferedAmount > 0, 'something waits that nothing will wake')
    }
    finish()
    for (let i = 0; i < 200 && waits() > 0; i++) socket.drain(HAND_OVER)
    assert.equal(waits(), 0)
    const received = socket.received()
    for (const message of received) assert.ok(message.every((byte) => byte === message[0]), 'two messages are mixed')
    assert.deepEqual(received.filter((message) => message[0] !== 200).map((message) => message[0]), order)
    assert.ok(Buffer.concat(received.filter((message) => message[0] !== 200)).equals(Buffer.concat(pushed)))
  }), { numRuns: 200 })
})
