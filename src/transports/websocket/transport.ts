/**
 * One WebSocket as a transport: it supervises the socket, and tells from the wire why it ended.
 * Knows nothing of Fastify, of requests or of other sockets.
 */
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type WebSocket from 'ws'
import { closeCode } from '../../protocol/close-codes.js'
import { retryReason } from '../../protocol/retry.js'
import type { Cause } from '../../core/causes.js'
import type { Outgoing } from '../../core/outgoing.js'
import type { Wire } from '../../core/peer.js'
import type { Limited } from '../../core/limited.js'
import type { Asker, Reader, Said, Traits, Transport, TransportOwner } from '../transport.js'
import { Beats } from './beats.js'
import type { BeatWire } from './beats.js'
import { DirectWriter } from './direct.js'
import { headersOf } from './slices.js'
import { bytesOf } from './held.js'
import type { RawData } from './held.js'
import { Line } from './line.js'
import type { Stream } from './line.js'
import { Intake } from './intake.js'
import type { IntakeGate } from './intake.js'
import { Pongs } from './pongs.js'
import type { PongWire } from './pongs.js'
import { Quiet } from './quiet.js'
import { Reading } from './reading.js'
import type { ReadingOwner } from './reading.js'
import { RelayWriter } from './relay.js'
import type { WebSocketTransportOptions } from './settings.js'
import type { Supervision, Supervisor } from './supervise.js'
import type { Writer, WriterOwner } from './writer.js'

/** What ws calls a message, or a frame, that is longer than allowed, or comes in more parts. */
const tooMuch = new Set(['WS_ERR_UNSUPPORTED_MESSAGE_LENGTH', 'WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH', 'WS_ERR_TOO_MANY_BUFFERED_PARTS'])

/** One listener for all streams: it finds whom to tell. */
const owners = new WeakMap<Duplex, TransportOwner>()
function onEnd (this: Duplex): void { owners.get(this)!.closing() }

const remote: Traits = { kind: 'websocket', remote: true, confirms: 'asked', binary: true }
const injected: Traits = { ...remote, remote: false }

export class WebSocketTransport implements Transport, Wire, Supervisor, WriterOwner, ReadingOwner, IntakeGate, BeatWire, PongWire {
  readonly deaf = false
  readonly #line: Line
  readonly #options: WebSocketTransportOptions
  readonly #writer: Writer
  readonly #reading: Reading
  readonly #beats: Beats
  #intake: Intake | null = null
  #pongs: Pongs | null = null
  /** See `left`. */
  #mark = NaN
  readonly #metered: boolean
  #owner: TransportOwner | null = null
  /** What ws reads the stream with: it takes it off when the peer's close frame, or a fault, has come. */
  readonly #receiver: unknown
  /** How often something that the app itself has sent was taken. */
  #appTaken = 0
  readonly #quiet = new Quiet()
  /** The first close code on the wire, and its reason. */
  #said: { code: number, reason: string } | null = null
  #cause: Cause | null = null
  #fault: Error | null = null
  #unreadable: Error | null = null
  #deferred = false
  #ended = false

  /** @param options best the same object for all of a route */
  constructor (socket: WebSocket, stream: Stream, supervision: Supervision, options: WebSocketTransportOptions) {
    this.#line = new Line(socket, stream, supervision.bare)
    this.#options = options
    this.#receiver = stream.listeners('data').at(-1)
    this.#metered = Math.min(options.rates.messageRate, options.rates.byteRate) < Infinity
    // Only a real socket is known to be done with a Buffer when it says so.
    const direct = supervision.plain && socket.extensions === '' && stream instanceof Socket
    this.#writer = direct ? new DirectWriter(socket, stream, supervision.bare, this) : new RelayWriter(socket, supervision.bare, supervision.plain, this)
    this.#reading = new Reading(socket, supervision.bare, this)
    this.#beats = new Beats(this)
    this.#quiet.note(this.heard(), this.written)
  }

  /** From now on the owner is told of all that happens. */
  start (supervision: Supervision, owner: TransportOwner): void {
    this.#owner = owner
    supervision.supervise(this.#line.socket, this)
    // ws ends its side as well then, but waits for ever for a peer that takes nothing.
    owners.set(this.#line.stream, owner)
    this.#line.stream.on('end', onEnd)
  }

  // As the connection sees it.

  get open (): boolean { return this.#line.open }
  get traits (): Traits { return this.#line.remote ? remote : injected }
  get wire (): Wire { return this }
  get reader (): Reader { return this.#reading }
  get asker (): Asker { return this.#beats }

  phase (): 'reading' | 'paused' | 'closing' {
    if (!this.open) return 'closing'
    return this.#line.busy || (this.#reading.paused && !this.#reading.peeking) ? 'paused' : 'reading'
  }

  // What a destroyed socket still holds waits for nobody.
  get bufferedBytes (): number { return this.#line.closing && this.#line.stream.destroyed ? 0 : this.#writer.waitingBytes }
  get fault (): Error | null { return this.#fault }
  heard (): number { return this.#line.heard }
  advance (): number { return this.#writer.completed + this.#appTaken + this.#beats.pings.confirmed }
  waiting (): number { return this.#line.stream.destroyed ? 0 : this.#line.stream.writableLength }
  backlog (): number { return this.#writer.queuedBytes + this.#beats.pings.unconfirmed(this.given) }
  span (): number { return this.#beats.pings.ahead(this.given) }
  send (message: Outgoing, seq: number): boolean { return this.#writer.send(message, seq) }
  get handed (): number { return this.#writer.handed }
  get begun (): number { return this.#writer.begun }
  beat (): number { return this.#beats.beat() }
  beatenAt (number: number): number { return this.#beats.beatenAt(number) }
  peek (on: boolean): boolean { return this.#reading.peek(on && !this.#line.busy) }

  left (seq: number): boolean {
    const { appBytes, queuedBytes, handed } = this.#writer
    if (this.bufferedBytes === 0) return true
    // What waits here of the app's own has no number: it is a matter of bytes, as all is once the message is handed over.
    if (Number.isNaN(this.#mark) && appBytes > 0) this.#mark = this.given + queuedBytes + headersOf(appBytes)
    if (handed < seq) return false
    if (Number.isNaN(this.#mark)) this.#mark = this.given
    return this.written - this.#line.stream.writableLength >= this.#mark
  }

  claim (): void { this.#undefer() }

  close ({ code, reason: said, retryAfter = 0 }: Said, dropped: boolean): boolean {
    const reason = said === '' ? retryReason(retryAfter) : said
    this.#undefer()
    if (!this.open) return false
    if (dropped) this.#writer.discard()
    else this.#writer.flush()
    this.#beats.last(this.#options.receipts)
    this.#line.closing = true
    this.#said = { code, reason }
    this.#line.bare.close(this.#line.socket, code, reason)
    this.#reading.closing()
    return true
  }

  terminate (): void {
    this.#line.closing = true
    this.#writer.discard()
    this.#line.bare.terminate(this.#line.socket)
  }

  // As the socket sees it.

  message (data: RawData, binary: boolean): boolean {
    if (this.#metered) this.#intakeOf().took(bytesOf(data))
    return this.#reading.message(data, binary)
  }

  pinged (data: Buffer): void {
    this.#reading.signal(data.length)
    if (!this.open) return
    if (this.#metered) this.#intakeOf().took(data.length)
    if (this.#options.answers) this.#intakeOf().pinged(data)
  }

  pong (data: Buffer): boolean {
    this.#reading.signal(data.length)
    const roundTrip = this.#beats.answered(data)
    if (Number.isNaN(roundTrip)) {
      if (this.#metered) this.#intakeOf().took(data.length)
      return false
    }
    this.#quiet.note(this.heard(), this.written)
    this.#beats.handed(0)
    this.#beats.go()
    this.#owner?.received(this.#beats.pings.received, roundTrip)
    return true
  }

  arrived (): void { this.#line.events++ }
  listening (): void { this.#reading.listening() }

  faulted (error: Error): void {
    const concluded = this.#concluded
    // Not what the peer sent, but what the app did: a Blob that cannot be read. The peer may have closed before.
    if (!concluded || error === this.#unreadable) {
      if (!concluded) this.#cause ??= 'handler'
      this.#owner?.failed(error)
      return
    }
    this.#fault = error
    if (!tooMuch.has(String((error as NodeJS.ErrnoException | undefined)?.code))) {
      this.#cause ??= 'protocol'
      return
    }
    this.#cause ??= 'limit'
    this.#owner?.exceeded('payload', false)
  }

  threw (error: unknown): void { this.#owner?.failed(error) }
  sending (): void { this.#writer.flush() }

  sent (fin: boolean, bytes: number): void {
    this.#writer.hold(!fin)
    this.#beats.handed(bytes)
    this.#owner?.queued()
    // What was held back has left now: who waits for it is not to wait for the next push.
    if (fin) this.#beats.go()
  }

  readingBlob (on: boolean): void { this.#writer.reading(on) }
  unreadable (error: Error): void { this.#unreadable = error }
  slices (size: number): boolean { return this.#writer.slices(size) }
  get appBytes (): number { return this.#writer.appBytes }
  sendSliced (bytes: Buffer, binary: boolean, done: (error?: Error) => void): void {
    this.#writer.sendSliced(bytes, binary, done)
    this.#owner?.queued()
  }

  flushed (): void {
    this.#appTaken++
    this.#writer.wake()
    this.#beats.go()
    this.#pongs?.taken()
    this.#owner?.flushed()
  }

  // As the writer, the reading and the intake see it.

  taken (): void {
    this.#beats.go()
    this.#pongs?.taken()
    this.#owner?.flushed()
  }

  blinded (): void { this.#owner?.flushed() }
  dropped (messages: number, bytes: number): void { this.#owner?.dropped(messages, bytes) }
  ignored (): void { this.#owner?.ignored() }
  throttle (on: boolean): void { this.#reading.throttle(on) }
  answer (payload: Buffer): void { (this.#pongs ??= new Pongs(this.#line.stream, this)).answer(payload) }

  // As the pongs see it.

  get untaken (): number { return this.#line.untaken }
  writePong (payload: Buffer): void { this.#writer.pong(payload) }

  exceeded (limit: Limited, fatal: boolean): void {
    this.#owner?.exceeded(limit, fatal)
    if (fatal) this.#reading.mute()
  }

  passed (bytes: number): void { this.#beats.handed(bytes) }
  pingWritten (number: number): void { this.#beats.wrote(number) }
  unsent (seq: number, error: unknown): void { this.#owner?.unsent(seq, error) }

  // As the beats see it.

  get marks (): boolean { return this.#options.marks }
  get patience (): number { return this.#options.patience }
  settle (): void { this.#writer.settle() }
  writePing (payload: Buffer, number: number): void { this.#writer.ping(payload, number) }

  /**
   * Both the app and ws call `close`. ws does when the peer's close frame or a fault has come, and it
   * has taken its receiver off the stream by then (`#concluded`). Where the app registered @fastify/websocket by
   * itself, the preClose hook of that closes all sockets without a code: such a call waits for the
   * end of this turn of the loop, by when our shutdown has begun, or has not.
   */
  closing (code: number | undefined): boolean {
    if (code === undefined && this.#options.defers && !this.#concluded) {
      this.#line.closing = this.#deferred = true
      setImmediate(() => { this.#closeDeferred() })
      return true
    }
    this.#writer.flush()
    if (this.open && !this.#concluded) this.#beats.last(this.#options.receipts)
    return false
  }

  closes (code: number | undefined, reason: string | Buffer | undefined): void {
    this.#line.closing = true
    this.#said = { code: code ?? closeCode.noStatus, reason: String(reason ?? '') }
    if (this.#concluded) return
    this.#cause ??= 'server'
    this.#reading.closingByApp()
  }

  terminating (): void {
    if (this.open) this.#cause ??= 'server'
    this.#line.closing = true
    this.#writer.discard()
  }

  pausedByApp (on: boolean): void { this.#reading.pausedByApp(on) }

  closed (given: unknown, reason: unknown): void {
    if (this.#ended) return
    this.#ended = this.#line.closing = true
    this.#writer.discard()
    this.#reading.end()
    this.#intake?.end()
    this.#pongs?.end()
    this.#beats.end()
    // An app may emit the event by itself, with anything.
    const code = typeof given === 'number' ? given : closeCode.abnormal
    const said = Buffer.isBuffer(reason) ? reason.toString() : ''
    const cause = this.#cause ?? (code === closeCode.abnormal ? 'reset' : 'client')
    this.#owner?.ended({ ...(this.#said ?? { code, reason: said }), cause, idle: this.#quiet.since(this.heard(), this.written) })
  }

  #intakeOf (): Intake {
    return this.#intake ??= new Intake(this.#options.rates, this.#options.wheel, this)
  }

  get written (): number { return this.#line.written }
  get given (): number { return this.#line.given }
  get inside (): number { return this.#line.inside }

  get #concluded (): boolean { return !this.#line.stream.listeners('data').includes(this.#receiver as () => void) }

  #undefer (): void {
    if (!this.#deferred) return
    this.#line.closing = this.#deferred = false
    this.#line.bare.reopen(this.#line.socket)
  }

  #closeDeferred (): void {
    if (!this.#deferred) return
    this.#undefer()
    if (!this.open) return
    this.#writer.flush()
    this.#beats.last(this.#options.receipts)
    this.#line.bare.close(this.#line.socket)
    this.closes(undefined, undefined)
  }
}
