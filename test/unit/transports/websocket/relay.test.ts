import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turnOver } from 'node:timers/promises'
import fc from 'fast-check'
import type WebSocket from 'ws'
import { toOutgoing, toShared } from '../../../../src/core/outgoing.js'
import { EACH, HAND_OVER } from '../../../../src/transports/outbound/encoding.js'
import { RelayWriter } from '../../../../src/transports/websocket/relay.js'
import type { Bare } from '../../../../src/transports/websocket/supervisor.js'
import { share } from '../../../support/proof.js'

const pinger = { given: 0, handedOver () {}, wrote () {} }

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
    ping: (_socket: unknown, payload: Buffer) => { socket.pings.push(payload) },
    bufferedAmount: () => socket.bufferedAmount
  } as unknown as Bare
  const writer = new RelayWriter(socket as unknown as WebSocket, bare, true, {
    given: 0,
    handedOver: (bytes) => { socket.handed.push(bytes) },
    wrote: () => {},
    open: true,
    taken: () => { socket.taken++ },
    unsent: () => {}
  })
  let seq = 0
  return { socket, writer, send: (data) => writer.send(toOutgoing(data, undefined), ++seq), waits: () => writer.queuedBytes + socket.bufferedAmount }
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
  writer.ping(Buffer.from('ping'), 1)
  assert.deepEqual(socket.pings, [Buffer.from('ping')])
  assert.equal(writer.queuedBytes, 5 + EACH)
})

test('past 64 KiB that wait in the socket, messages wait here, and follow as it drains', () => {
  const { socket, writer, send, waits } = make(0)
  send('x'.repeat(HAND_OVER))
  assert.equal(send('after'), false)
  assert.equal(socket.frames.length, 1)
  assert.deepEqual([writer.queuedBytes, waits()], [5 + EACH, HAND_OVER + 5 + EACH])
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
  assert.equal(writer.queuedBytes, 5 + EACH)
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

/** A class of the app's that sends when it is told to, and may fail. */
function makeOwn (): { writer: RelayWriter, sends: Array<{ data: Buffer | string, done: (error?: Error) => void }>, unsent: Array<{ seq: number, error: unknown }>, fail: { on: boolean }, wire: { open: boolean } } {
  const sends: Array<{ data: Buffer | string, done: (error?: Error) => void }> = []
  const unsent: Array<{ seq: number, error: unknown }> = []
  const fail = { on: false }
  const bare = {
    send: (_socket: unknown, data: Buffer | string, _options: unknown, done: (error?: Error) => void) => {
      if (fail.on) throw new Error('of the app')
      sends.push({ data, done })
    },
    bufferedAmount: () => 0
  } as unknown as Bare
  const wire = { open: true, taken () {}, unsent: (seq: number, error: unknown) => { unsent.push({ seq, error }) } }
  const writer = new RelayWriter({ OPEN: 1, readyState: 1 } as unknown as WebSocket, bare, false, Object.assign(wire, pinger))
  return { writer, sends, unsent, fail, wire }
}

test('what a class of the app\'s was given counts as handed over when it says so, and all before it have been', () => {
  const { writer, sends } = makeOwn()
  for (const seq of [1, 2, 3]) writer.send(toOutgoing('x', undefined), seq)
  assert.deepEqual([writer.begun, writer.handed], [3, 0])
  sends[1]!.done()
  sends[1]!.done()
  assert.equal(writer.handed, 0)
  sends[0]!.done()
  assert.equal(writer.handed, 2)
  sends[2]!.done()
  sends[0]!.done()
  assert.deepEqual([writer.handed, writer.completed], [3, 3])
})

test('of more messages than are waited for one by one it is known when all have called back, in any order', () => {
  const { writer, sends } = makeOwn()
  const count = 10_500
  for (let seq = 1; seq <= count; seq++) {
    writer.send(toOutgoing('x', undefined), seq)
    // ws has been given as many as it may be.
    if (seq % 1_000 === 0) writer.flush()
  }
  writer.flush()
  assert.equal(sends.length, count)
  for (const { done } of sends.slice(10_100)) done()
  assert.equal(writer.handed, 0)
  for (const { done } of sends.slice(0, 5_000)) done()
  assert.equal(writer.handed, 5_000)
  for (const { done } of sends.slice(5_000, 10_100)) done()
  assert.equal(writer.handed, count)
  writer.send(toOutgoing('x', undefined), count + 1)
  sends.at(-1)!.done()
  assert.equal(writer.handed, count + 1)
})

test('what waits in a class of the app\'s counts until it calls back; what it forgets is forgotten with the next, or after 10 s', (t) => {
  let now = 1000
  t.mock.method(performance, 'now', () => now)
  t.mock.timers.enable({ apis: ['setInterval'] })
  const { writer, sends } = makeOwn()
  t.after(() => { writer.discard() })
  const give = (seq: number): void => { writer.send(toOutgoing(Buffer.alloc(10_000), undefined), seq) }
  give(1)
  assert.equal(writer.waitingBytes, 10_001)
  sends[0]!.done()
  assert.equal(writer.waitingBytes, 0)
  for (const seq of [2, 3, 4]) give(seq)
  assert.equal(writer.waitingBytes, 3 * 10_001)
  sends[2]!.done()
  assert.equal(writer.waitingBytes, 10_001)
  for (let seq = 5; seq < 20; seq++) give(seq)
  assert.ok(sends.length < 12, `${sends.length} were given`)
  assert.ok(writer.waitingBytes > 15 * 10_000)
  const given = sends.length
  t.mock.timers.tick(20)
  assert.equal(sends.length, given)
  now += 10_000
  t.mock.timers.tick(20)
  assert.ok(sends.length > given)
})

test('what a class of the app\'s has forgotten, with nothing behind it, leaves room after 10 s; no more is given to one that is only held up than that', (t) => {
  let now = 1000
  t.mock.method(performance, 'now', () => now)
  t.mock.timers.enable({ apis: ['setInterval'] })
  let taken = 0
  const sent: number[] = []
  const bare = { send: (_socket: unknown, data: Buffer) => { sent.push(data.length) }, bufferedAmount: () => 0 } as unknown as Bare
  const writer = new RelayWriter({ OPEN: 1, readyState: 1 } as unknown as WebSocket, bare, false, { ...pinger, open: true, taken: () => { taken++ }, unsent () {} })
  writer.send(toOutgoing(Buffer.alloc(30_000), undefined), 1)
  assert.equal(writer.waitingBytes, 30_001)
  now += 10_000
  t.mock.timers.tick(20)
  assert.deepEqual([writer.waitingBytes, taken > 0], [0, true])
  for (let seq = 2; seq < 40; seq++) writer.send(toOutgoing(Buffer.alloc(30_000), undefined), seq)
  const first = sent.length
  for (let i = 0; i < 50; i++) {
    now += 20
    t.mock.timers.tick(20)
  }
  assert.equal(sent.length, first)
  now += 10_000
  t.mock.timers.tick(20)
  const second = sent.length
  assert.ok(second > first && second <= first + 4, `${second - first} more`)
  now += 5_000
  t.mock.timers.tick(20)
  assert.equal(sent.length, second)
  writer.discard()
})

test('a class of the app\'s that gives all to ws at once, and never calls back, is not waited for', () => {
  const ws = { given: 0, handedOver () {}, wrote () {} }
  const bare = { send: (_socket: unknown, data: Buffer) => { ws.given += data.length + 4 }, bufferedAmount: () => 0 } as unknown as Bare
  const writer = new RelayWriter({ OPEN: 1, readyState: 1 } as unknown as WebSocket, bare, false, Object.assign(ws, { open: true, taken () {}, unsent () {} }))
  for (let seq = 1; seq < 100; seq++) writer.send(toOutgoing(Buffer.alloc(30_000), undefined), seq)
  assert.deepEqual([writer.waitingBytes, writer.begun, writer.queuedBytes], [0, 99, 0])
})

test('what a class of the app\'s sends of an earlier message, while it is given the next, is the earlier one\'s', () => {
  const ws = { given: 0, handedOver () {}, wrote () {}, open: true, taken () {}, unsent () {} }
  // It keeps one back, and sends that with the next.
  let kept: { data: Buffer, done: () => void } | null = null
  const bare = {
    send: (_socket: unknown, data: Buffer, _options: unknown, done: () => void) => {
      if (kept !== null) {
        ws.given += kept.data.length + 4
        kept.done()
      }
      kept = { data, done }
    },
    bufferedAmount: () => 0
  } as unknown as Bare
  const writer = new RelayWriter({ OPEN: 1, readyState: 1 } as unknown as WebSocket, bare, false, ws)
  for (let seq = 1; seq <= 5; seq++) {
    writer.send(toOutgoing(Buffer.alloc(1_000), undefined), seq)
    assert.ok(writer.waitingBytes > 900 && writer.waitingBytes < 1_100, `${writer.waitingBytes} bytes after ${seq}`)
  }
  assert.equal(writer.handed, 4)
  writer.discard()
})

test('while anything waits nobody asks what has been written in all, which is a walk through all that waits', () => {
  let asked = 0
  let amount = 0
  const owner = { get given () { asked++; return 0 }, handedOver () {}, wrote () {}, open: true, taken () {}, unsent () {} }
  const bare = { send: (_socket: unknown, data: Buffer) => { amount += data.length }, bufferedAmount: () => amount } as unknown as Bare
  const writer = new RelayWriter({ OPEN: 1, readyState: 1 } as unknown as WebSocket, bare, false, owner)
  writer.send(toOutgoing(Buffer.alloc(1), undefined), 1)
  const before = asked
  for (let seq = 2; seq < 100; seq++) writer.send(toOutgoing(Buffer.alloc(1), undefined), seq)
  assert.equal(asked, before)
  writer.discard()
})

test('a promise of a class of the app\'s that is rejected is a message that was not sent, whatever the reason', async () => {
  for (const [reason, expected] of [[new Error('of the app'), /of the app/], [undefined, /without a reason/]] as const) {
    const unsent: unknown[] = []

    const bare = { send: () => Promise.reject(reason), bufferedAmount: () => 0 } as unknown as Bare
    const writer = new RelayWriter({ OPEN: 1, readyState: 1 } as unknown as WebSocket, bare, false, { ...pinger, open: true, taken () {}, unsent: (_seq, error) => { unsent.push(error) } })
    writer.send(toOutgoing('x', undefined), 1)
    await new Promise(setImmediate)
    assert.equal(unsent.length, 1)
    assert.match(String(unsent[0]), expected)
    assert.equal(writer.handed, 1)
  }
})

test('a class of the app\'s is given bytes of its own: the same may be for others', () => {
  const { writer, sends } = makeOwn()
  const bytes = Buffer.alloc(1_000)
  const shared = toShared(bytes, undefined)
  writer.send(shared, 1)
  ;(sends[0]!.data as Buffer).fill(1)
  assert.deepEqual(shared.payload, Buffer.alloc(1_000))
  assert.deepEqual(bytes, Buffer.alloc(1_000))
})

test('a message that a class of the app\'s fails to send is told, and takes no other with it', async () => {
  const { writer, sends, unsent, fail } = makeOwn()
  fail.on = true
  writer.hold(true)
  for (const seq of [1, 2]) writer.send(toOutgoing('x', undefined), seq)
  writer.hold(false)
  fail.on = false
  for (const seq of [3, 4]) writer.send(toOutgoing('x', undefined), seq)
  sends[0]!.done(new Error('later'))
  sends[1]!.done()
  await turnOver()
  assert.deepEqual(unsent.map(({ seq, error }) => [seq, (error as Error).message]), [[1, 'of the app'], [2, 'of the app'], [3, 'later']])
  assert.deepEqual([writer.handed, writer.queuedBytes], [4, 0])
})

test('what the wire fails to send is no failure of the class: it stays what it was, neither sent nor refused', async () => {
  const { writer, sends, unsent, wire } = makeOwn()
  for (const seq of [1, 2]) writer.send(toOutgoing('x', undefined), seq)
  // ws tells those who wait, and then closes.
  sends[0]!.done(new Error('a Blob before it could not be read'))
  wire.open = false
  sends[1]!.done(new Error('write EPIPE'))
  await turnOver()
  assert.deepEqual([unsent, writer.begun, writer.handed], [[], 2, 0])
})

test('a class that never calls back is never said to have sent anything', () => {
  const { writer, sends } = makeOwn()
  for (let seq = 1; seq <= 10_001; seq++) writer.send(toOutgoing('', undefined), seq)
  writer.flush()
  assert.deepEqual([sends.length, writer.handed, writer.begun, writer.waitingBytes], [10_001, 0, 10_001, 0])
})

test('bytes go out as they were pushed, whatever the app does to them then', () => {
  const { socket, writer, send } = make(0)
  const [first, second] = [Buffer.alloc(HAND_OVER, 'a'), Buffer.from('b')]
  send(first)
  send(second)
  first.fill('x')
  second.fill('x')
  writer.flush()
  assert.deepEqual(socket.received().map((data) => String(data)[0]), ['a', 'b'])
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
  }), { numRuns: share(2000) })
})

test('a class of the app\'s that calls back at once, or throws, takes however many wait here, in order, and none with another', () => {
  for (const how of ['calls back', 'throws'] as const) {
    const got: string[] = []
    const unsent: number[] = []
    const bare = {
      send: (_socket: unknown, data: string, _options: unknown, done: () => void) => {
        if (how === 'throws' && data !== 'last') throw new Error('not that')
        got.push(data)
        done()
      },
      bufferedAmount: () => 0
    } as unknown as Bare
    const writer = new RelayWriter({ OPEN: 1, readyState: 1 } as unknown as WebSocket, bare, false, { ...pinger, open: true, taken () {}, unsent: (seq: number) => { unsent.push(seq) } })
    writer.hold(true)
    for (let seq = 1; seq < 30_000; seq++) writer.send(toOutgoing(`${seq}`, undefined), seq)
    writer.send(toOutgoing('last', undefined), 30_000)
    writer.hold(false)
    assert.deepEqual([got.length, got.at(-1), unsent.length, writer.queuedBytes, writer.handed], how === 'throws' ? [1, 'last', 29_999, 0, 30_000] : [30_000, 'last', 0, 0, 30_000])
  }
})

test('what waits for a class of the app\'s that never calls back goes on when there is room', async () => {
  const world = { amount: HAND_OVER }
  const got: string[] = []
  let told!: () => void
  const taken = new Promise<void>((resolve) => { told = () => { if (got.length === 2) resolve() } })
  const bare = { send: (_socket: unknown, data: string) => { got.push(data) }, bufferedAmount: () => world.amount } as unknown as Bare
  const writer = new RelayWriter({ OPEN: 1, readyState: 1 } as unknown as WebSocket, bare, false, { ...pinger, open: true, taken: () => { told() }, unsent () {} })
  const timers = (): number => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length
  const before = timers()
  writer.send(toOutgoing('1', undefined), 1)
  writer.send(toOutgoing('2', undefined), 2)
  assert.deepEqual(got, [])
  world.amount = 0
  const alive = setInterval(() => {}, 1_000)
  await taken
  clearInterval(alive)
  assert.deepEqual([got, timers()], [['1', '2'], before])
})

test('a hand-over that throws on its way holds up nothing behind it', () => {
  const got: string[] = []
  let throws = true
  const bare = { send: (_socket: unknown, data: string, _options: unknown, done: () => void) => { got.push(data); done() }, bufferedAmount: () => 0 } as unknown as Bare
  const writer = new RelayWriter({ OPEN: 1, readyState: 1 } as unknown as WebSocket, bare, false, { given: 0, handedOver: () => { if (throws) { throws = false; throw new Error('of a ping') } }, wrote () {}, open: true, taken () {}, unsent () {} })
  writer.hold(true)
  for (const seq of [1, 2, 3]) writer.send(toOutgoing(`${seq}`, undefined), seq)
  assert.throws(() => { writer.hold(false) }, /of a ping/)
  writer.wake()
  assert.deepEqual([got, writer.queuedBytes], [['1', '2', '3'], 0])
})
