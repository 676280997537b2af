/**
 * Receipts held against a simulated peer: whatever is pushed, delivered, taken by the kernel, read, answered, forged and
 * cut off, in whatever order, what is said of a message is true.
 */
import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { test } from 'node:test'
import { setImmediate as turnOver } from 'node:timers/promises'
import fc from 'fast-check'
import type WebSocket from 'ws'
import type { CloseInfo } from '../../../src/life/close-info.js'
import { Connection, lifeOf } from '../../../src/api/connection.js'
import type { Lifeline } from '../../../src/api/lifeline.js'
import { assembled, call } from '../assembled.js'
import type { Outcome } from '../../../src/core/receipts.js'
import { nextFd } from '../../../src/core/registry.js'
import { encode, opcode } from '../../../src/transports/websocket/frame.js'
import type { Supervision } from '../../../src/transports/websocket/supervisor.js'
import { WebSocketTransport } from '../../../src/transports/websocket/transport.js'
import { FrameReader } from '../../support/frames.js'
import { claims, tries } from '../../support/proof.js'

const RUNS = tries('receipts')
const LIMITS = { limit: 200_000, messages: 12 }

/** A socket whose kernel takes what it is let take. */
class Wire extends Socket {
  room = Infinity
  written = 0
  readonly taken: Buffer[] = []
  #stuck: { chunk: Buffer, done: () => void } | null = null

  override _write (chunk: Buffer, _encoding: string, done: () => void): void {
    this.#stuck = { chunk, done }
    this.admit(0)
  }

  /** The kernel takes so many bytes more. */
  admit (bytes: number): void {
    this.room += bytes
    if (this.#stuck === null || this.room <= 0) return
    const { chunk, done } = this.#stuck
    this.#stuck = null
    // It takes a part of a chunk as well, but what it has copied may be overwritten.
    this.room -= chunk.length
    this.written += chunk.length
    this.taken.push(Buffer.from(chunk))
    done()
  }
}
// One write at a time, so that each can get stuck.
Object.defineProperty(Wire.prototype, '_writev', { value: null })
Object.defineProperty(Wire.prototype, 'bytesWritten', { get (this: Wire) { return this.written + this.writableLength } })

/** As much of ws as the transport sees; with an extension it compresses, which takes a while. */
class FakeSocket extends EventEmitter {
  readonly OPEN = 1
  readyState = 1
  isPaused = false
  readonly wire = new Wire()
  readonly extensions: string
  #queue: Array<{ bytes: Buffer, waits: boolean, done: (() => void) | undefined }> = []

  constructor (compresses: boolean) {
    super()
    this.extensions = compresses ? 'permessage-deflate' : ''
    this.wire.on('data', () => {})
  }

  get bufferedAmount (): number { return this.wire.writableLength + this.#queue.reduce((sum, { bytes }) => sum + bytes.length, 0) }

  /** Behind what has yet to be compressed. */
  send (bytes: Buffer, waits: boolean, done?: () => void): void {
    this.#queue.push({ bytes, waits, done })
    if (!this.#queue[0]!.waits) this.compressed()
  }

  /** The first that is compressed has been. */
  compressed (): void {
    const first = this.#queue[0]
    if (first !== undefined) first.waits = false
    while (this.#queue.length > 0 && !this.#queue[0]!.waits) {
      const { bytes, done } = this.#queue.shift()!
      this.wire.write(bytes, done)
    }
  }

  pause (): void {}
  resume (): void {}
}

const bare = {
  send: (socket: unknown, data: string | Buffer, _options: unknown, done: () => void) => {
    (socket as FakeSocket).send(encode(data, Buffer.byteLength(data), opcode.binary, true), true, done)
  },
  ping: (socket: unknown, payload: Buffer, done: () => void) => { (socket as FakeSocket).send(encode(payload, payload.length, opcode.ping, true), false, done) },
  bufferedAmount: (socket: unknown) => (socket as FakeSocket).bufferedAmount,
  close: (socket: unknown) => { (socket as FakeSocket).send(encode(Buffer.from([3, 232]), 2, 8, true), false) },
  reopen: () => false,
  terminate: (socket: unknown) => { (socket as FakeSocket).wire.destroy() },
  resume: () => {}
}
const supervision = { plain: true, supervise: () => true, bare } as unknown as Supervision

/** The other end: it takes frames in order, and answers pings in order. */
class FakePeer {
  readonly received: number[] = []
  /** Pongs that are on their way back, with what had been received before their pings. */
  readonly pongs: Array<{ payload: Buffer, before: number }> = []
  #reader = new FrameReader()

  read (chunk: Buffer): void {
    for (const { kind, data } of this.#reader.read(chunk)) {
      if (kind === 'ping') this.pongs.push({ payload: Buffer.from(data), before: this.received.length })
      else if (kind !== 'close') this.received.push(Number(data.toString('latin1', 0, 6)))
    }
  }
}

function open (compresses: boolean, receipts: typeof LIMITS | null): { connection: Connection, transport: WebSocketTransport, socket: FakeSocket, lifeline: Lifeline } {
  const { lifeline, house } = assembled({ limit: 300_000, low: 75_000 })
  const { wheel } = house
  const socket = new FakeSocket(compresses)
  const rates = { messageRate: Infinity, byteRate: Infinity, pongRate: 100, payload: 1024, policy: 'pause' } as const
  const transport = new WebSocketTransport(socket as unknown as WebSocket, socket.wire as Duplex, supervision, { defers: false, answers: true, receipts: receipts !== null, fragments: true, patience: 10_000, rates, wheel, loop: { away: 0 } })
  const connection = new Connection(house, transport, nextFd(), receipts, call)
  transport.start(supervision, lifeOf(connection))
  return { connection, transport, socket, lifeline }
}

/** A message that says which one it is. */
const message = (number: number, size: number): string => String(number).padStart(6, '0') + 'x'.repeat(size)

const size = fc.oneof({ weight: 6, arbitrary: fc.nat(200) }, { weight: 2, arbitrary: fc.constantFrom(30_000, 65_530, 65_531) }, { weight: 1, arbitrary: fc.constantFrom(70_000, 140_000, 210_000) })
const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ verb: fc.constantFrom('push' as const, 'share' as const, 'deliver' as const), size }) },
  { weight: 4, arbitrary: fc.record({ verb: fc.constant('turn' as const) }) },
  { weight: 3, arbitrary: fc.record({ verb: fc.constant('trip' as const) }) },
  { weight: 4, arbitrary: fc.record({ verb: fc.constant('read' as const), chunks: fc.nat(4) }) },
  { weight: 4, arbitrary: fc.record({ verb: fc.constantFrom('pong' as const, 'compressed' as const, 'beat' as const) }) },
  { weight: 2, arbitrary: fc.record({ verb: fc.constant('room' as const), bytes: fc.constantFrom(0, 100, 70_000, 300_000) }) },
  { weight: 2, arbitrary: fc.record({ verb: fc.constant('forge' as const), how: fc.constantFrom('again' as const, 'next' as const, 'short' as const, 'random' as const), noise: fc.uint8Array({ maxLength: 16 }) }) },
  { weight: 1, arbitrary: fc.record({ verb: fc.constantFrom('close' as const, 'stuck' as const) }) }
)

for (const compresses of [false, true]) {
  for (const receipts of [LIMITS, null]) {
    test(`what is said of messages is true, whatever happens (${compresses ? 'through ws' : 'directly'}, receipts ${receipts === null ? 'off' : 'on'})`, async (t) => {
      const seen = { delivered: 0, gone: 0, full: 0, invalid: 0, timeout: 0, unconfirmed: 0, listed: 0, confirmed: 0 }
      await fc.assert(fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 60, size: 'max' }), async (steps) => {
        const { connection, transport, socket, lifeline } = open(compresses, receipts)
        const { wire } = socket
        const peer = new FakePeer()
        const plain: number[] = []
        const delivers = new Map<number, { outcome: Outcome | null, promise: Promise<unknown> }>()
        const answered: Buffer[] = []
        /** How many messages a pong that came has proved. */
        let proved = 0
        let number = 0
        let info: CloseInfo | null = null
        lifeline.on('close', (_, _info) => { info = _info })

        const pong = (): void => {
          const next = peer.pongs.shift()
          if (next === undefined) return
          answered.push(next.payload)
          proved = Math.max(proved, next.before)
          assert.equal(transport.pong(next.payload), true)
        }

        for (const one of steps) {
          switch (one.verb) {
            case 'push': {
              const result = connection.push(message(++number, one.size))
              if (result === 'sent' || result === 'buffered') plain.push(number)
              break
            }
            case 'share':
              if (lifeline.broadcast(message(++number, one.size)) === 1) plain.push(number)
              break
            case 'deliver': {
              const mine = { outcome: null as Outcome | null, promise: Promise.resolve() as Promise<unknown> }
              mine.promise = connection.deliver(message(++number, one.size), { timeout: 60_000 }).then(({ outcome }) => { mine.outcome = outcome })
              delivers.set(number, mine)
              break
            }
            case 'turn': await turnOver(); break
            case 'compressed': socket.compressed(); break
            case 'read': for (let i = 0; i <= one.chunks && wire.taken.length > 0; i++) peer.read(wire.taken.shift()!); break
            case 'stuck': wire.room = 0; break
            case 'room': wire.admit(one.bytes === 0 ? Infinity : one.bytes); break
            case 'beat': transport.wire.beat(); break
            case 'pong': pong(); break
            // There and back, as far as the kernel lets it.
            case 'trip':
              socket.compressed()
              await turnOver()
              for (const chunk of wire.taken.splice(0)) peer.read(chunk)
              while (peer.pongs.length > 0) pong()
              break
            case 'forge': {
              const last = answered.at(-1)
              const forged = one.how === 'random' || last === undefined
                ? Buffer.from(one.noise)
                : one.how === 'short'
                  ? last.subarray(0, 7)
                  : Buffer.from(last)
              // A number that nobody has sent yet.
              if (one.how === 'next' && forged.length === 8) forged.writeUInt32BE(forged.readUInt32BE(4) + 1000, 4)
              assert.equal(transport.pong(forged), false)
              break
            }
            case 'close': connection.close(); break
          }
          const { count } = connection.unconfirmed
          assert.ok(count <= LIMITS.messages)
          assert.ok(connection.unconfirmed.bytes <= Math.max(LIMITS.limit, LIMITS.limit / 2 + 210_006))
          // What is on its way may be read any moment, but what was delivered has been.
          for (const [which, { outcome }] of delivers) if (outcome === 'delivered') assert.ok(peer.received.includes(which))
        }

        transport.closed(1006, Buffer.alloc(0))
        wire.destroy()
        // What the kernel has taken may yet arrive.
        const before = peer.received.length
        for (const chunk of wire.taken) peer.read(chunk)
        await Promise.all(Array.from(delivers.values(), ({ promise }) => promise))
        for (const [which, { outcome }] of delivers) {
          seen[outcome!]++
          if (outcome === 'delivered') assert.ok(peer.received.indexOf(which) < before && peer.received.includes(which), `${which} was not delivered`)
          else if (outcome !== 'unconfirmed') assert.ok(!peer.received.includes(which), `${which} is ${outcome}, and arrived`)
          else assert.ok(!peer.received.slice(0, proved).includes(which), `${which} was proved`)
        }
        const unconfirmed = info!.unconfirmed.map(({ data }) => Number((data as string).slice(0, 6)))
        const certain = new Set(peer.received.slice(0, proved))
        assert.deepEqual(unconfirmed, receipts === null ? [] : plain.filter((which) => !certain.has(which)))
        assert.deepEqual(info!.unconfirmed.map(({ seq }) => seq), info!.unconfirmed.map(({ seq }) => seq).toSorted((a, b) => a - b))
        seen.listed += unconfirmed.length
        seen.confirmed += certain.size
      }), { numRuns: RUNS / 4 })
      t.diagnostic(JSON.stringify(seen))
      // Without receipts one is full only when much waits here, once in hundreds of runs.
      const certain = receipts !== null || RUNS === claims.receipts.tries ? ['full' as const] : []
      for (const outcome of ['delivered', 'gone', 'unconfirmed', ...certain] as const) assert.ok(seen[outcome] > 0, `no message was ever ${outcome}`)
      assert.ok(seen.confirmed > 0 && (seen.listed > 0) === (receipts !== null))
    })
  }
}
