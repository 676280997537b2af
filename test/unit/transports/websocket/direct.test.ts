/**
 * The writer over a real Writable, whose sink takes what it is let take; what it took is read as a
 * strict client would.
 */
import assert from 'node:assert/strict'
import { Writable } from 'node:stream'
import type { Duplex } from 'node:stream'
import { test } from 'node:test'
import { setImmediate as turnOver } from 'node:timers/promises'
import { types } from 'node:util'
import fc from 'fast-check'
import type WebSocket from 'ws'
import { toOutgoing, toShared } from '../../../../src/core/outgoing.js'
import { DirectWriter } from '../../../../src/transports/websocket/direct.js'
import { EACH, HAND_OVER, HEADER_MAX } from '../../../../src/transports/outbound/encoding.js'
import { encode, opcode } from '../../../../src/transports/websocket/frame.js'
import type { Bare } from '../../../../src/transports/websocket/supervisor.js'
import { FrameReader } from '../../../support/frames.js'
import { bytesEach } from '../../../support/memory.js'
import { share } from '../../../support/proof.js'

/** What the kernel takes, of what is written. */
class Sink extends Writable {
  room: number
  readonly writes: Buffer[] = []
  readonly given: Buffer[] = []
  #stuck: { chunk: Buffer, done: (error?: Error | null) => void } | null = null

  constructor (room: number) {
    super()
    this.room = room
  }

  override _write (chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.#stuck = { chunk, done }
    this.take(0)
  }

  override _destroy (error: Error | null, done: (error?: Error | null) => void): void {
    this.#stuck = null
    done(error)
  }

  take (bytes: number): void {
    this.room += bytes
    if (this.#stuck === null || this.#stuck.chunk.length > this.room) return
    const { chunk, done } = this.#stuck
    this.#stuck = null
    this.room -= chunk.length
    // The kernel copies: what it has taken may be overwritten.
    this.writes.push(Buffer.from(chunk))
    this.given.push(chunk)
    done()
  }
}

interface Made {
  sink: Sink
  writer: DirectWriter
  socket: { readyState: number, OPEN: 1 }
  handed: number[]
  /** What the owner does when something was handed over. */
  then: { passed: () => void }
  /** Messages and pings that went to ws instead. */
  relayed: string[]
  send: (data: string | Buffer) => boolean
  /** To many. */
  share: (...data: Array<string | Buffer>) => void
  /** What a client has read by now. */
  read: () => string[]
}

function make (room = Infinity): Made {
  const sink = new Sink(room)
  const socket = { readyState: 1, OPEN: 1 } as const
  const handed: number[] = []
  const relayed: string[] = []
  const then = { passed: (): void => {} }
  const bare = {
    send: (_socket: unknown, data: string | Buffer, _options: unknown, done: () => void) => { relayed.push(String(data)); setImmediate(done) },
    ping: (_socket: unknown, payload: Buffer) => { relayed.push(`ping ${payload}`) }
  } as unknown as Bare
  const writer = new DirectWriter(socket as unknown as WebSocket, sink as unknown as Duplex, bare, { given: 0, handedOver: (bytes) => { handed.push(bytes); then.passed() }, wrote: () => {}, get open () { return socket.readyState === 1 }, taken: () => {}, unsent: () => {} })
  let seq = 0
  return {
    sink,
    writer,
    socket,
    handed,
    then,
    relayed,
    send: (data) => writer.send(toOutgoing(data, undefined), ++seq),
    share: (...list) => { for (const data of list) writer.send(toShared(data, undefined), ++seq) },
    read: () => {
      const reader = new FrameReader()
      const messages = sink.writes.flatMap((bytes) => reader.read(bytes)).map(({ data }) => String(data))
      assert.notEqual(reader.torn, 'frame')
      return messages
    }
  }
}

test('the first push of a turn is written at once, the rest together at its end', async () => {
  const { sink, send, read, writer } = make()
  assert.equal(send('1'), true)
  assert.equal(sink.writes.length, 1)
  assert.equal(send('2'), false)
  assert.equal(send('3'), false)
  assert.equal(sink.writes.length, 1)
  assert.equal(writer.queuedBytes, 6)
  await turnOver()
  assert.equal(sink.writes.length, 2)
  assert.deepEqual(read(), ['1', '2', '3'])
  assert.equal(writer.queuedBytes, 0)
  assert.equal(send('4'), true)
})

test('what goes to many waits for the end of the turn, and leaves as the same bytes for all', async () => {
  const [one, two] = [make(), make()]
  const messages = ['1', '2', '3'].map((data) => toShared(data, undefined))
  for (const [i, message] of messages.entries()) for (const { writer } of [one, two]) assert.equal(writer.send(message, i + 1), false)
  assert.equal(one.sink.writes.length, 0)
  await turnOver()
  assert.equal(one.sink.writes.length, 1)
  assert.equal(one.sink.given[0], two.sink.given[0])
  assert.deepEqual(one.read(), ['1', '2', '3'])
})

test('a push behind a broadcast stays behind it, and one before it before', async () => {
  const { send, share, read } = make()
  send('1')
  share('2')
  send('3')
  share('4')
  await turnOver()
  await turnOver()
  assert.deepEqual(read(), ['1', '2', '3', '4'])
})

test('a flood in one turn is handed over 64 KiB at a time as long as the socket takes it', async () => {
  const { sink, send, writer } = make()
  for (let i = 0; i < 3000; i++) send('x'.repeat(98))
  assert.ok(sink.writes.length >= 4, 'full batches need not wait for the end of the turn')
  assert.ok(writer.queuedBytes < HAND_OVER)
  await turnOver()
  assert.equal(writer.queuedBytes, 0)
  assert.ok(sink.writes.every((bytes) => bytes.length <= HAND_OVER + HEADER_MAX))
})

test('past what the socket takes, all waits here, is counted, and follows when it has been taken', async () => {
  const { sink, send, writer, read } = make(0)
  assert.equal(send('1'), false)
  for (let i = 0; i < 2000; i++) assert.equal(send('x'.repeat(98)), false)
  await turnOver()
  assert.deepEqual([sink.writableLength, writer.queuedBytes, writer.completed], [3, 200_000, 0])
  sink.take(3)
  await turnOver()
  assert.equal(writer.completed, 1)
  assert.ok(sink.writableLength <= HAND_OVER + HEADER_MAX)
  assert.equal(sink.writableLength + writer.queuedBytes, 200_000)
  sink.take(Infinity)
  await turnOver()
  assert.equal(read().length, 2001)
})

test('a long message is handed over in fragments, with a ping in between', async () => {
  const { sink, send, writer, read, handed } = make(0)
  send('y'.repeat(3 * HAND_OVER))
  assert.deepEqual(handed, [HAND_OVER + HEADER_MAX])
  writer.ping(Buffer.from('ping'), 1)
  sink.take(Infinity)
  await turnOver()
  assert.deepEqual(read().map((data) => data.slice(0, 4)), ['ping', 'yyyy'])
})

test('a flush writes all that waits, in order, before what comes next', () => {
  const { sink, send, share, writer, read } = make()
  send('1')
  share('2')
  send('3')
  writer.flush()
  sink.write(encode('own', 3, opcode.text, true))
  assert.deepEqual(read(), ['1', '2', '3', 'own'])
  assert.equal(writer.queuedBytes, 0)
})

test('while it is held nothing leaves, not even by a flush; after it, all does, in order', async () => {
  const { sink, send, share, writer, read } = make()
  writer.hold(true)
  assert.equal(send('1'), false)
  share('2')
  send('3')
  writer.flush()
  await turnOver()
  assert.deepEqual([sink.writes.length, writer.queuedBytes], [0, 3 + 3 * EACH])
  writer.hold(false)
  await turnOver()
  assert.deepEqual(read(), ['1', '2', '3'])
  assert.equal(writer.queuedBytes, 0)
})

test('while ws reads Blobs, messages and pings go through it, for it keeps the order', async () => {
  const { sink, send, writer, relayed, read } = make()
  writer.reading(true)
  writer.reading(true)
  assert.equal(send('1'), false)
  writer.reading(false)
  send('2')
  writer.ping(Buffer.from('3'), 1)
  assert.deepEqual(relayed, ['1', '2', 'ping 3'])
  writer.reading(false)
  await turnOver()
  assert.equal(writer.completed, 2)
  send('4')
  assert.equal(sink.writes.length, 1)
  assert.deepEqual(read(), ['4'])
})

test('what is discarded is not sent, and what was handed over is not torn', async () => {
  const { sink, send, share, writer, read } = make(0)
  send('1')
  send('z'.repeat(2 * HAND_OVER))
  share('3')
  writer.discard()
  assert.equal(writer.queuedBytes, 0)
  sink.take(Infinity)
  await turnOver()
  await turnOver()
  assert.deepEqual(read(), ['1'])
})

test('a socket that closes is given nothing more, and one that is destroyed neither', async () => {
  for (const end of [({ socket }: Made) => { socket.readyState = 2 }, ({ sink }: Made) => { sink.destroy() }]) {
    const made = make(0)
    made.send('1')
    made.send('2')
    made.share('3')
    end(made)
    made.sink.take(Infinity)
    await turnOver()
    await turnOver()
    assert.ok(made.sink.writes.filter(({ length }) => length > 0).length <= 1)
    assert.equal(made.handed.length, 1)
  }
})

test('any sequence of pushes, broadcasts, sends of the app\'s, fragments, flushes, drains and turns arrives whole and in order at each of three, and every byte is counted', async () => {
  const size = fc.oneof({ weight: 6, arbitrary: fc.nat(200) }, fc.constantFrom(65_535, 65_536, 65_537), fc.nat(3 * HAND_OVER))
  const step = fc.record({
    verb: fc.constantFrom('push', 'push', 'broadcast', 'broadcast', 'own', 'flush', 'drain', 'ping', 'tick', 'turn'),
    at: fc.nat(2),
    size
  })
  await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 60 }), fc.nat(HAND_OVER), async (steps, room) => {
    const three = [make(room), make(Infinity), make(0)]
    const expected: string[][] = [[], [], []]
    const begun = [false, false, false]
    const behind: string[][] = [[], [], []]
    const expect = (at: number, data: string): void => { (begun[at] === true ? behind : expected)[at]!.push(data) }
    let count = 0
    const own = (at: number): void => {
      const { writer, sink } = three[at]!
      const data = Buffer.from('o')
      writer.flush()
      const fin = begun[at]!
      sink.write(encode(data, 1, fin ? opcode.continuation : opcode.text, fin))
      if (fin) expected[at]!.push('oo', ...behind[at]!.splice(0))
      begun[at] = !fin
      writer.hold(!fin)
    }
    for (const { verb, at, size } of steps) {
      const one = three[at]!
      const data = `${++count} ${'x'.repeat(size)}`
      switch (verb) {
        case 'push': one.send(data); expect(at, data); break
        case 'broadcast': {
          const message = toShared(data, undefined)
          for (const [i, { writer }] of three.entries()) {
            writer.send(message, count)
            expect(i, data)
          }
          break
        }
        case 'own': own(at); break
        case 'flush': one.writer.flush(); break
        case 'drain': one.sink.take(size); break
        case 'ping': one.writer.ping(Buffer.from('p'), 1); break
        case 'tick': await new Promise((resolve) => { process.nextTick(resolve) }); break
        case 'turn': await turnOver()
      }
      const waits = one.writer.queuedBytes
      assert.ok(waits >= 0)
    }
    for (const at of [0, 1, 2]) if (begun[at] === true) own(at)
    for (const { sink } of three) sink.take(Infinity)
    for (let i = 0; i < 3; i++) await turnOver()
    for (const [i, { writer, read }] of three.entries()) {
      assert.equal(writer.queuedBytes, 0)
      assert.deepEqual(read().filter((data) => data !== 'p'), expected[i])
    }
  }), { numRuns: share(3000) })
})

test('a ping that the kernel does not take at once holds up nothing that waits behind it', async () => {
  const frame = HAND_OVER + HEADER_MAX
  const payload = Buffer.from('a ping')
  const { sink, writer, then, send, read } = make(0)
  then.passed = () => { writer.ping(payload, 1) }
  send('x'.repeat(4 * HAND_OVER))
  // So much that the ping behind the second frame is the first thing that it does not take.
  sink.take(2 * frame + 2 + payload.length)
  await turnOver()
  assert.deepEqual([sink.writableLength, writer.queuedBytes], [2 + payload.length, 2 * frame])
  then.passed = () => {}
  sink.take(Infinity)
  await turnOver()
  assert.equal(writer.queuedBytes, 0)
  assert.deepEqual(read().map(({ length }) => length), [payload.length, payload.length, 4 * HAND_OVER])
})

test('a large message of the app\'s that was handed to a socket that had gone by then is called back for with an error', async () => {
  const { sink, writer } = make()
  const told: unknown[] = []
  sink.destroy()
  writer.sendSliced(Buffer.alloc(HAND_OVER + 1), true, (error) => { told.push(error) })
  while (writer.appBytes > 0) writer.flush()
  await turnOver()
  assert.equal(told.length, 1)
  assert.ok(types.isNativeError(told[0]))
})

test('messages that wait between small ones of the app\'s cost little more than their bytes', async () => {
  const { writer, send } = make(0)
  writer.sendSliced(Buffer.alloc(HAND_OVER + 1), true, () => {})
  const alternate = (i: number): void => {
    send('a push of ours')
    writer.sendSliced(Buffer.from(`one of the app's, ${i}`), false, () => {})
  }
  await bytesEach(200, alternate)
  const costs: number[] = []
  for (let i = 0; i < 5; i++) costs.push(await bytesEach(2_000, alternate))
  const each = costs.toSorted((a, b) => a - b)[2]!
  assert.ok(each <= 2 * 36 + 256, `${costs.join(', ')} bytes`)
  assert.ok(writer.appBytes > 0)
})

test('broadcasts that wait for one peer alone cost little more than their bytes, however small they are', async () => {
  const { share } = make(0)
  share(Buffer.alloc(HAND_OVER))
  // Each is another message: nobody else gets the same.
  const broadcast = (): void => { share('xx') }
  await bytesEach(20_000, broadcast)
  const costs: number[] = []
  for (let i = 0; i < 5; i++) costs.push(await bytesEach(50_000, broadcast))
  const each = costs.toSorted((a, b) => a - b)[2]!
  assert.ok(each <= 20, `${costs.join(', ')} bytes for 4`)
})

test('an empty message of the app\'s behind a large one is called back for, taken or not', async () => {
  for (const end of [(made: Made) => { made.sink.take(Infinity) }, ({ writer, sink }: Made) => { writer.discard(); sink.destroy() }]) {
    const made = make(0)
    const told: string[] = []
    made.writer.sendSliced(Buffer.alloc(HAND_OVER + 1), true, (error) => { told.push(`large ${error === undefined}`) })
    made.writer.sendSliced(Buffer.alloc(0), false, (error) => { told.push(`empty ${error === undefined}`) })
    // The last slice has left, and the empty one waits.
    made.sink.take(HAND_OVER + HEADER_MAX)
    await turnOver()
    end(made)
    for (let i = 0; i < 3; i++) await turnOver()
    assert.equal(told.filter((text) => text.startsWith('empty')).length, 1)
  }
})
