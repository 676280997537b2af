/**
 * One WebSocket as a transport: it supervises the socket, and tells from the wire why it ended.
 * Knows nothing of Fastify, of requests or of other sockets.
 */
import { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type WebSocket from 'ws'
import { closeCode } from '../../core/causes.js'
import type { Cause } from '../../core/causes.js'
import type { Outgoing } from '../../core/outgoing.js'
import type { Limited } from '../../core/tally.js'
import type { Message, Transport, TransportOwner } from '../transport.js'
import { Beats } from './beats.js'
import type { BeatWire } from './beats.js'
import { DirectWriter } from './direct.js'
import { headersOf } from './slices.js'
import { bytesOf } from './held.js'
import type { RawData } from './held.js'
import { Intake } from './intake.js'
import type { IntakeGate } from './intake.js'
import { Pongs } from './pongs.js'
import type { PongWire } from './pongs.js'
import { Quiet } from './quiet.js'
import { Reading } from './reading.js'
import type { ReadingOwner } from './reading.js'
import { RelayWriter } from './relay.js'
import type { WebSocketTransportOptions } from './settings.js'
import type { Bare, Supervision, Supervisor } from './supervise.js'
import type { Writer, WriterOwner } from './writer.js'

/** What ws calls a message, or a frame, that is longer than allowed. */
const tooLong = new Set(['WS_ERR_UNSUPPORTED_MESSAGE_LENGTH', 'WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH'])

/** What a socket reads and writes. A real one counts its bytes. */
type Stream = Duplex & { bytesRead?: number, bytesWritten?: number }

/** One listener for all streams: it finds whom to tell. */
const owners = new WeakMap<Duplex, TransportOwner>()
function onEnd (this: Duplex): void { owners.get(this)!.closing() }

export class WebSocketTransport implements Transport, Supervisor, WriterOwner, ReadingOwner, IntakeGate, BeatWire, PongWire {
  readonly kind = 'websocket'
  readonly #socket: WebSocket
  readonly #stream: Stream
  readonly #bare: Bare
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
  #events = 0
  /** How often something that the app itself has sent was taken. */
  #appTaken = 0
  #spoken = false
  readonly #quiet = new Quiet()
  /** The first close code on the wire, and its reason. */
  #said: { code: number, reason: string } | null = null
  #cause: Cause | null = null
  #fault: Error | null = null
  #unreadable: Error | null = null
  /** The closing handshake has begun, or it was terminated. */
  #closing = false
  #deferred = false
  #ended = false

  /** @param options best the same object for all of a route */
  constructor (socket: WebSocket, stream: Stream, supervision: Supervision, options: WebSocketTransportOptions) {
    this.#socket = socket
    this.#stream = stream
    this.#bare = supervision.bare
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
    supervision.supervise(this.#socket, this)
    // ws ends its side as well then, but waits for ever for a peer that takes nothing.
    owners.set(this.#stream, owner)
    this.#stream.on('end', onEnd)
  }

  // As the connection sees it.

  // The stream may have been ended or destroyed behind the back of ws, which learns of it a turn later.
  get open (): boolean { return !this.#closing && this.#stream.writable }
  get remote (): boolean { return this.#stream.bytesRead !== undefined }
  get paused (): boolean { return this.#reading.paused }
  get throttled (): boolean { return this.#reading.throttled }
  get blind (): boolean { return this.#reading.blind }
  get consumed (): number { return this.#reading.consumed }
  get spoken (): boolean { return this.#spoken }

  phase (): 'reading' | 'paused' | 'closing' {
    if (!this.open) return 'closing'
    return this.paused && !this.#reading.peeking ? 'paused' : 'reading'
  }

  // What a destroyed socket still holds waits for nobody.
  get bufferedBytes (): number { return this.#closing && this.#stream.destroyed ? 0 : this.#writer.waitingBytes }
  get roundTrip (): number { return this.#beats.pings.roundTrip }
  get fault (): Error | null { return this.#fault }
  heard (): number { return this.#stream.bytesRead ?? this.#events }
  advance (): number { return this.#writer.completed + this.#appTaken + this.#beats.pings.confirmed }
  waiting (): number { return this.#stream.destroyed ? 0 : this.#stream.writableLength }
  backlog (): number { return this.#writer.queuedBytes + this.#beats.pings.unconfirmed(this.given) }
  span (): number { return this.#beats.pings.ahead(this.given) }
  send (message: Outgoing, seq: number): boolean { return this.#writer.send(message, seq) }
  get handed (): number { return this.#writer.handed }
  get begun (): number { return this.#writer.begun }
  want (seq: number): void { this.#beats.want(seq) }
  beat (): number { return this.#beats.beat() }
  beatenAt (number: number): number { return this.#beats.beatenAt(number) }
  ping (): Promise<number> { return this.#beats.ping() }
  messages (): AsyncIterableIterator<Message> { return this.#reading.messages() }
  pause (): void { this.#socket.pause() }
  resume (): void { this.#socket.resume() }
  peek (on: boolean): boolean { return this.#reading.peek(on) }
  readOn (on: boolean): void { this.#reading.readOn(on) }

  left (seq: number): boolean {
    const { appBytes, queuedBytes, handed } = this.#writer
    if (this.bufferedBytes === 0) return true
    // What waits here of the app's own has no number: it is a matter of bytes, as all is once the message is handed over.
    if (Number.isNaN(this.#mark) && appBytes > 0) this.#mark = this.given + queuedBytes + headersOf(appBytes)
    if (handed < seq) return false
    if (Number.isNaN(this.#mark)) this.#mark = this.given
    return this.written - this.#stream.writableLength >= this.#mark
  }

  settled (): void { this.#reading.settled() }
  claim (): void { this.#undefer() }

  close (code: number, reason: string, dropped: boolean): boolean {
    this.#undefer()
    if (!this.open) return false
    if (dropped) this.#writer.discard()
    else this.#writer.flush()
    this.#beats.last(this.#options.receipts)
    this.#closing = true
    this.#said = { code, reason }
    this.#bare.close(this.#socket, code, reason)
    this.#reading.closing()
    return true
  }

  terminate (): void {
    this.#closing = true
    this.#writer.discard()
    this.#bare.terminate(this.#socket)
  }

  // As the socket sees it.

  message (data: RawData, binary: boolean): boolean {
    this.#spoken = true
    if (this.#metered) this.#intakeOf().took(bytesOf(data))
    return this.#reading.message(data, binary)
  }

  pinged (data: Buffer): void {
    if (!this.open) return
    if (this.#metered) this.#intakeOf().took(data.length)
    if (this.#options.answers) this.#intakeOf().pinged(data)
  }

  pong (data: Buffer): boolean {
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

  arrived (): void { this.#events++ }
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
    if (!tooLong.has(String((error as NodeJS.ErrnoException).code))) {
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
  answer (payload: Buffer): void { (this.#pongs ??= new Pongs(this.#stream, this)).answer(payload) }

  // As the pongs see it.

  get untaken (): number { return this.#bare.bufferedAmount(this.#socket) }
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
      this.#closing = this.#deferred = true
      setImmediate(() => { this.#closeDeferred() })
      return true
    }
    this.#writer.flush()
    if (this.open && !this.#concluded) this.#beats.last(this.#options.receipts)
    return false
  }

  closes (code: number | undefined, reason: string | Buffer | undefined): void {
    this.#closing = true
    this.#said = { code: code ?? closeCode.noStatus, reason: String(reason ?? '') }
    if (this.#concluded) return
    this.#cause ??= 'server'
    this.#reading.closingByApp()
  }

  terminating (): void {
    if (this.open) this.#cause ??= 'server'
    this.#closing = true
    this.#writer.discard()
  }

  pausedByApp (on: boolean): void { this.#reading.pausedByApp(on) }

  closed (code: number, reason: Buffer): void {
    if (this.#ended) return
    this.#ended = this.#closing = true
    this.#writer.discard()
    this.#reading.end()
    this.#intake?.end()
    this.#pongs?.end()
    this.#beats.end()
    const cause = this.#cause ?? (code === closeCode.abnormal ? 'reset' : 'client')
    this.#owner?.ended({ ...(this.#said ?? { code, reason: reason.toString() }), cause, idle: this.#quiet.since(this.heard(), this.written) })
  }

  #intakeOf (): Intake {
    return this.#intake ??= new Intake(this.#options.rates, this.#options.wheel, this)
  }

  get written (): number { return this.#stream.bytesWritten ?? 0 }

  /** What was written, and what ws has not written yet: it compresses, or reads a Blob. */
  get given (): number { return this.written + this.inside }
  get inside (): number { return this.#bare.bufferedAmount(this.#socket) - this.#stream.writableLength }

  get #concluded (): boolean { return !this.#stream.listeners('data').includes(this.#receiver as () => void) }

  #undefer (): void {
    if (!this.#deferred) return
    this.#closing = this.#deferred = false
    this.#bare.reopen(this.#socket)
  }

  #closeDeferred (): void {
    if (!this.#deferred) return
    this.#undefer()
    if (!this.open) return
    this.#writer.flush()
    this.#beats.last(this.#options.receipts)
    this.#bare.close(this.#socket)
    this.closes(undefined, undefined)
  }
}
