import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type WebSocket from 'ws'
import type { Bare } from '../../../../src/transports/websocket/supervise.js'
import { HAND_OVER, Writer } from '../../../../src/transports/websocket/writer.js'

interface Frame { data: Buffer, binary: boolean, fin: boolean }

/** A ws whose peer takes what we let it take: models `bufferedAmount` and the callbacks of `send`. */
class FakeSocket {
  readonly OPEN = 1
  readyState = 1
  /** Bytes that the operating system takes before anything waits. */
  room: number
  bufferedAmount = 0
  flushed = 0
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

function make (room?: number, fragments = true): { socket: FakeSocket, writer: Writer } {
  const socket = new FakeSocket(room)
  const bare = {
    send: (_socket: unknown, data: string | Buffer, { binary, fin = true }: { binary: boolean, fin?: boolean }, done?: () => void) => {
      socket.send(Buffer.from(data as string), binary, fin, done)
    }
  } as unknown as Bare
  return { socket, writer: new Writer(socket as unknown as WebSocket, bare, { fragments, handed: (bytes) => { socket.handed.push(bytes) }, flushed: () => { socket.flushed++ } }) }
}

test('a message goes to the socket at once, as it is, when nothing waits', () => {
  const { socket, writer } = make(Infinity)
  assert.equal(writer.send('text', false), true)
  assert.equal(writer.send(Buffer.from('bytes'), true), true)
  assert.deepEqual(socket.frames, [{ data: Buffer.from('text'), binary: false, fin: true }, { data: Buffer.from('bytes'), binary: true, fin: true }])
  assert.equal(writer.bufferedBytes, 0)
})

test('what the operating system did not take is buffered', () => {
  const { writer } = make(0)
  assert.equal(writer.send('1234', false), false)
  assert.equal(writer.bufferedBytes, 4)
  assert.equal(writer.queuedBytes, 0)
})

test('past 64 KiB that wait in the socket, messages wait here, and follow as it drains', () => {
  const { socket, writer } = make(0)
  writer.send('x'.repeat(HAND_OVER), false)
  assert.equal(writer.send('after', false), false)
  assert.equal(socket.frames.length, 1)
  assert.deepEqual([writer.queuedBytes, writer.bufferedBytes], [5, HAND_OVER + 5])
  socket.drain(HAND_OVER)
  assert.deepEqual(socket.received().map(String), ['x'.repeat(HAND_OVER), 'after'])
  assert.equal(writer.bufferedBytes, 5)
  socket.drain(5)
  assert.equal(writer.bufferedBytes, 0)
})

test('a large message is handed over 64 KiB at a time, as fragments of one message', () => {
  const { socket, writer } = make(0)
  const data = Buffer.alloc(3 * HAND_OVER + 1, 'y')
  writer.send(data, true)
  assert.equal(socket.frames.length, 1)
  for (let i = 0; i < 5; i++) socket.drain(HAND_OVER)
  assert.deepEqual(socket.frames.map(({ fin }) => fin), [false, false, false, true])
  assert.ok(socket.received()[0]!.equals(data))
})

test('under an extension no message is cut', () => {
  const { socket, writer } = make(0, false)
  writer.send(Buffer.alloc(3 * HAND_OVER), true)
  assert.deepEqual(socket.frames.map(({ fin }) => fin), [true])
})

test('a long text of few bytes goes at once, one of many bytes is cut at 64 KiB of bytes', () => {
  const { socket, writer } = make(Infinity)
  writer.send('x'.repeat(HAND_OVER), false)
  assert.equal(socket.frames.length, 1)
  const text = '€'.repeat(HAND_OVER / 2)
  assert.equal(writer.send(text, false), true)
  assert.deepEqual(socket.frames.map(({ data }) => data.length), [HAND_OVER, HAND_OVER, HAND_OVER / 2])
  assert.equal(String(socket.received()[1]), text)
})

test('each hand-over is told, with its bytes, and counted when it is done', () => {
  const { socket, writer } = make(0)
  writer.send('12', false)
  writer.send(Buffer.alloc(HAND_OVER + 1), true)
  assert.deepEqual(socket.handed, [2, HAND_OVER])
  socket.drain(1)
  assert.deepEqual([writer.completed, socket.flushed], [0, 0])
  socket.drain(1)
  assert.deepEqual([writer.completed, socket.flushed], [1, 1])
  socket.drain(Infinity)
  assert.deepEqual(socket.handed, [2, HAND_OVER, 1])
})

test('while it is held nothing leaves; after it, all does, in order', () => {
  const { socket, writer } = make(Infinity)
  writer.hold(true)
  assert.equal(writer.send('1', false), false)
  writer.send('2', false)
  writer.flush()
  assert.deepEqual(socket.frames, [])
  writer.hold(false)
  assert.deepEqual(socket.received().map(String), ['1', '2'])
})

test('a flush hands over all that waits, the rest of a message that was begun first', () => {
  const { socket, writer } = make(0)
  const large = Buffer.alloc(2 * HAND_OVER, 'a')
  writer.send(large, true)
  writer.send('after', false)
  writer.flush()
  assert.equal(writer.queuedBytes, 0)
  assert.deepEqual(socket.received().map((message) => message.length), [large.length, 5])
})

test('what is discarded is not sent', () => {
  const { socket, writer } = make(0)
  writer.send('x'.repeat(HAND_OVER), false)
  writer.send('after', false)
  writer.discard()
  assert.equal(writer.queuedBytes, 0)
  socket.drain(Infinity)
  assert.equal(socket.frames.length, 1)
})

test('a socket that is not open any more is given nothing from the queue', () => {
  const { socket, writer } = make(0)
  writer.send('x'.repeat(HAND_OVER), false)
  writer.send('after', false)
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
  fc.assert(fc.property(fc.array(step, { maxLength: 40 }), fc.boolean(), fc.integer({ min: 0, max: HAND_OVER }), (steps, fragments, room) => {
    const { socket, writer } = make(room, fragments)
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
        writer.send(data, true)
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
      assert.equal(writer.bufferedBytes, writer.queuedBytes + socket.bufferedAmount)
      // Whoever waits here is woken by a callback that is still to come.
      if (writer.queuedBytes > 0 && own === null) assert.ok(socket.bufferedAmount > 0, 'something waits that nothing will wake')
    }
    finish()
    for (let i = 0; i < 200 && writer.bufferedBytes > 0; i++) socket.drain(HAND_OVER)
    assert.equal(writer.bufferedBytes, 0)
    const received = socket.received()
    for (const message of received) assert.ok(message.every((byte) => byte === message[0]), 'two messages are mixed')
    assert.deepEqual(received.filter((message) => message[0] !== 200).map((message) => message[0]), order)
    assert.ok(Buffer.concat(received.filter((message) => message[0] !== 200)).equals(Buffer.concat(pushed)))
  }), { numRuns: 200 })
})
