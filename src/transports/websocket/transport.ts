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
import type { Wheel } from '../../core/wheel.js'
import type { Message, Transport, TransportOwner } from '../transport.js'
import { Beats } from './beats.js'
import type { BeatWire } from './beats.js'
import { DirectWriter } from './direct.js'
import { bytesOf } from './inbox.js'
import { Intake } from './intake.js'
import type { IntakeGate, Rates } from './intake.js'
import { Reading } from './reading.js'
import type { ReadingOwner } from './reading.js'
import { RelayWriter } from './relay.js'
import type { Bare, Supervision, Supervisor } from './supervise.js'
import type { Writer, WriterOwner } from './writer.js'

/** What ws calls a message, or a frame, that is longer than allowed. */
const tooLong = new Set(['WS_ERR_UNSUPPORTED_MESSAGE_LENGTH', 'WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH'])

export interface WebSocketTransportOptions {
  /** Whether a `close()` without arguments is held for a moment, in case a shutdown begins: see `closing`. */
  readonly defers: boolean
  /**
   * Whether a ping goes out after every 64 KiB. The kernel may take megabytes at once, and a slow
   * line may need minutes for them; the pongs to these show that the peer takes them.
   */
  readonly marks: boolean
  /** Whether pings of the peer are answered here: ws does not. */
  readonly answers: boolean
  /** Whether the owner wants to know of every message whether it has arrived. */
  readonly receipts: boolean
  readonly rates: Rates
  readonly wheel: Wheel
}

/** What a socket reads and writes. A real one counts its bytes. */
type Stream = Duplex & { bytesRead?: number, bytesWritten?: number }

export class WebSocketTransport implements Transport, Supervisor, WriterOwner, ReadingOwner, IntakeGate, BeatWire {
  readonly kind = 'websocket'

  readonly #socket: WebSocket
  readonly #stream: Stream
  readonly #bare: Bare
  readonly #options: WebSocketTransportOptions
  readonly #writer: Writer
  readonly #reading: Reading
  readonly #beats: Beats
  #intake: Intake | null = null
  readonly #metered: boolean
  /** How many messages were given to it. */
  accepted = 0
  #owner: TransportOwner | null = null
  /** What ws reads the stream with: it takes it off when the peer's close frame, or a fault, has come. */
  readonly #receiver: unknown
  #events = 0
  #spoken = false
  /** When nothing more was known to have passed, monotonic in ms; and what had, until then. */
  #quiet = { at: 0, heard: 0, written: 0 }
  /** The first close code on the wire, and its reason. */
  #said: { code: number, reason: string } | null = null
  #cause: Cause | null = null
  #fault: Error | null = null
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
    this.#writer = direct ? new DirectWriter(socket, stream, supervision.bare, this) : new RelayWriter(socket, supervision.bare, this)
    this.#reading = new Reading(socket, supervision.bare, this)
    this.#beats = new Beats(this)
    this.#hush()
  }

  /** From now on the owner is told of all that happens. */
  start (supervision: Supervision, owner: TransportOwner): void {
    this.#owner = owner
    supervision.supervise(this.#socket, this)
  }

  // As the connection sees it.

  // The stream may have been ended or destroyed behind the back of ws, which learns of it a turn later.
  get open (): boolean { return !this.#closing && this.#stream.writable }

  get remote (): boolean { return this.#stream.bytesRead !== undefined }

  get paused (): boolean { return this.#reading.paused }

  get spoken (): boolean { return this.#spoken }

  get peeking (): boolean { return this.#reading.peeking }

  // What a destroyed socket still holds waits for nobody.
  get bufferedBytes (): number { return this.#closing && this.#stream.destroyed ? 0 : this.#writer.queuedBytes + this.#socket.bufferedAmount }

  get roundTrip (): number { return this.#beats.pings.roundTrip }

  get fault (): Error | null { return this.#fault }

  heard (): number { return this.#stream.bytesRead ?? this.#events }

  advance (): number { return this.#writer.completed + this.#beats.pings.confirmed }

  backlog (): number { return this.#writer.queuedBytes + this.given - this.#beats.pings.confirmed }

  span (): number { return this.#beats.pings.ahead(this.given) }

  send (message: Outgoing): boolean {
    this.accepted++
    return this.#writer.send(message)
  }

  get handed (): number { return this.#writer.handed }

  want (seq: number): void { this.#beats.want(seq) }

  beat (): void { this.#beats.beat() }

  ping (): Promise<number> { return this.#beats.ping() }

  messages (): AsyncIterableIterator<Message> {
    return this.#reading.messages()
  }

  pause (): void { this.#socket.pause() }

  resume (): void { this.#socket.resume() }

  peek (on: boolean): boolean { return this.#reading.peek(on) }

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

  message (data: Buffer | ArrayBuffer | Buffer[] | Blob, binary: boolean): boolean {
    this.#spoken = true
    if (this.#metered) this.#intakeOf().took(bytesOf({ data, binary }))
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
    this.#hush()
    this.#beats.handed(0)
    this.#beats.go()
    this.#owner?.received(this.#beats.pings.received, roundTrip)
    return true
  }

  arrived (): void { this.#events++ }

  listening (): void { this.#reading.listening() }

  faulted (error: Error): void {
    if (!this.#concluded) {
      // Not what the peer sent, but what the app did: a Blob that cannot be read.
      this.#cause ??= 'handler'
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
  }

  readingBlob (on: boolean): void { this.#writer.reading(on) }

  flushed (): void {
    this.#writer.wake()
    this.#owner?.flushed()
  }

  // As the writer, the reading and the intake see it.

  taken (): void {
    this.#beats.go()
    this.#owner?.flushed()
  }

  dropped (messages: number, bytes: number): void { this.#owner?.dropped(messages, bytes) }

  ignored (): void { this.#owner?.ignored() }

  throttle (on: boolean): void { this.#reading.throttle(on) }

  answer (payload: Buffer): void {
    if (this.open) this.#writer.pong(payload)
  }

  exceeded (limit: Limited, fatal: boolean): void {
    this.#owner?.exceeded(limit, fatal)
    if (fatal) this.#reading.mute()
  }

  passed (bytes: number): void { this.#beats.handed(bytes) }

  // As the beats see it.

  get marks (): boolean { return this.#options.marks }

  writePing (payload: Buffer): void { this.#writer.ping(payload) }

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
    this.#beats.end()
    const cause = this.#cause ?? (code === closeCode.abnormal ? 'reset' : 'client')
    this.#owner?.ended({ ...(this.#said ?? { code, reason: reason.toString() }), cause, idle: this.#idle })
  }

  #intakeOf (): Intake {
    return this.#intake ??= new Intake(this.#options.rates, this.#options.wheel, this)
  }

  #hush (): void {
    this.#quiet.at = performance.now()
    this.#quiet.heard = this.heard()
    this.#quiet.written = this.written
  }

  get #idle (): number {
    const { at, heard, written } = this.#quiet
    return heard === this.heard() && written === this.written ? performance.now() - at : NaN
  }

  get written (): number { return this.#stream.bytesWritten ?? 0 }

  /** What was written, and what ws has not written yet: it compresses, or reads a Blob. */
  get given (): number { return this.written + this.#socket.bufferedAmount - this.#stream.writableLength }

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
