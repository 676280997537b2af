/**
 * One WebSocket as a transport: it supervises the socket, and tells from the wire why it ended.
 * Knows nothing of Fastify, of requests or of other sockets.
 */
import { Socket } from 'node:net'
import type WebSocket from 'ws'
import { closeCode } from '../../protocol/close-codes.js'
import { retryReason } from '../../protocol/retry.js'
import type { Cause } from '../../core/causes.js'
import type { Outgoing } from '../../core/outgoing.js'
import type { Wire } from '../../core/peer.js'
import type { Asker, Carrier, Reader, Said, Screen, Traits, TransportOwner } from '../transport.js'
import { Beats } from './beats.js'
import { DirectWriter } from './direct.js'
import { bytesOf, seenBy } from './held.js'
import type { RawData } from './held.js'
import { Line } from './line.js'
import type { Stream } from './line.js'
import { Intake, isMetered } from './intake.js'
import { Reading } from './reading.js'
import { RelayWriter } from './relay.js'
import type { WebSocketTransportOptions } from './settings.js'
import type { Supervision, Supervisor } from './supervisor.js'
import type { Writer } from './writer.js'

/** What ws calls a message, or a frame, that is longer than allowed, or comes in more parts. */
const tooMuch = new Set(['WS_ERR_UNSUPPORTED_MESSAGE_LENGTH', 'WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH', 'WS_ERR_TOO_MANY_BUFFERED_PARTS'])

const remote: Traits = { kind: 'websocket', remote: true, confirms: 'asked', binary: true }
const injected: Traits = { ...remote, remote: false }

export class WebSocketTransport implements Carrier, Supervisor {
  readonly #line: Line
  readonly #options: WebSocketTransportOptions
  readonly #writer: Writer
  readonly #reading: Reading
  readonly #beats: Beats
  #intake: Intake | null = null
  #screen: Screen | null = null
  /** What ws reads the stream with: it takes it off when the peer's close frame, or a fault, has come. */
  readonly #receiver: unknown
  /** The first close code on the wire, and its reason. */
  #said: { code: number, reason: string } | null = null
  #cause: Cause | null = null
  #fault: Error | null = null
  #unreadable: Error | null = null
  #ended = false

  /** @param options best the same object for all of a route */
  constructor (socket: WebSocket, stream: Stream, supervision: Supervision, options: WebSocketTransportOptions) {
    this.#line = new Line(socket, stream, supervision.bare)
    this.#options = options
    this.#receiver = stream.listeners('data').at(-1)
    // Only a real socket is known to be done with a Buffer when it says so; and ws alone sends a message of any size in one frame.
    const direct = options.fragments && supervision.plain && socket.extensions === '' && stream instanceof Socket
    this.#reading = new Reading(this.#line)
    this.#beats = new Beats(this.#line, this.#reading, options)
    this.#writer = this.#beats.writer = direct
      ? new DirectWriter(socket, stream, supervision.bare, this.#beats)
      : new RelayWriter(socket, supervision.bare, supervision.plain, this.#beats)
    this.#line.note()
  }

  /** From now on the owner is told of all that happens. */
  start (supervision: Supervision, owner: TransportOwner): void {
    this.#line.tells(owner)
    supervision.supervise(this.#line.socket, this)
    if (this.#metered) this.#intakeOf()
  }

  // As the connection sees it.

  get open (): boolean { return this.#line.open }
  get traits (): Traits { return this.#line.remote ? remote : injected }
  get wire (): Wire { return this.#beats }
  get reader (): Reader { return this.#reading }
  get asker (): Asker { return this.#beats }

  // What a destroyed socket still holds waits for nobody.
  get bufferedBytes (): number { return this.#line.closing && this.#line.stream.destroyed ? 0 : this.#writer.waitingBytes }
  get fault (): Error | null { return this.#fault }
  fits (): boolean { return true }
  get roomy (): boolean { return true }
  screen (screen: Screen): void { this.#screen = screen }
  send (message: Outgoing, seq: number): boolean { return this.#writer.send(message, seq) }
  get begun (): number { return this.#writer.begun }

  left (seq: number): boolean { return this.bufferedBytes === 0 || this.#line.left(seq, this.#writer) }
  claim (): void { this.#undefer() }

  close ({ code, reason: said, retryAfter = 0 }: Said, dropped: boolean): boolean {
    const reason = said === '' ? retryReason(retryAfter) : said
    this.#undefer()
    if (!this.open) return false
    this.#goFirst(dropped)
    // First: what a class of the app's throws there must not begin it again.
    this.#begun(code, reason)
    this.#line.bare.close(this.#line.socket, code, reason)
    this.#beats.watch()
    this.#reading.closing()
    return true
  }

  terminate (): void {
    if (this.#undefer()) this.#cause ??= 'server'
    this.#line.closing = true
    this.#writer.discard()
    this.#line.bare.terminate(this.#line.socket)
    // Whatever a class of the app's has done.
    this.#line.stream.destroy()
  }

  // As the socket sees it.

  message (data: RawData, binary: boolean): boolean {
    // What is the session's own is nobody else's, and held against no rate.
    const seen = this.#screen === null ? data : seenBy(this.#screen, data, binary)
    if (seen === null) return true
    this.#line.owner?.came(bytesOf(seen))
    const kept = this.#reading.message(seen, binary, this.#metered ? this.#intakeOf().took(bytesOf(seen)) : 0)
    if (kept || seen === data) return kept
    this.#line.bare.emit(this.#line.socket, 'message', seen, false)
    return true
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
    if (roundTrip === null) return true
    if (Number.isNaN(roundTrip)) {
      if (this.#metered) this.#intakeOf().took(data.length)
      return false
    }
    this.#line.note()
    this.#beats.handedOver(0)
    this.#beats.go()
    this.#line.owner?.received(this.#beats.pings.received, roundTrip)
    return true
  }

  arrived (): void { this.#line.events++ }
  listening (): void { this.#reading.listening() }

  faulted (error: Error): void {
    const concluded = this.#concluded
    // Not what the peer sent, but what the app did: a Blob that cannot be read. The peer may have closed before.
    if (!concluded || error === this.#unreadable) {
      if (!concluded) this.#cause ??= 'handler'
      this.#line.owner?.failed(error)
      return
    }
    this.#fault = error
    if (!tooMuch.has(String((error as NodeJS.ErrnoException | undefined)?.code))) {
      this.#cause ??= 'protocol'
      return
    }
    this.#cause ??= 'limit'
    this.#line.owner?.exceeded('payload', false)
  }

  threw (error: unknown): void { this.#line.owner?.failed(error) }
  sending (fin: boolean): boolean {
    const { held } = this.#writer
    this.#writer.flush()
    if (!fin) this.#writer.hold(true)
    return held
  }

  notSent (before: boolean): void {
    this.#writer.hold(before)
    this.#line.owner?.queued()
  }

  sent (fin: boolean, bytes: number): void {
    this.#writer.hold(!fin)
    this.#beats.handedOver(bytes)
    this.#line.owner?.queued()
    // What was held back has left now: who waits for it is not to wait for the next push.
    if (fin) this.#beats.go()
  }

  signalling (): void { this.#writer.flush() }
  signalled (): void { this.#beats.watch() }
  readingBlob (on: boolean): void {
    this.#writer.reading?.(on)
    this.#beats.watch()
  }

  unreadable (error: Error): void { this.#unreadable = error }
  slices (size: number): boolean { return this.#writer.slices(size) }
  get appBytes (): number { return this.#writer.appBytes }
  sendSliced (bytes: Buffer, binary: boolean, done: (error?: Error) => void): void {
    this.#writer.sendSliced(bytes, binary, done)
    this.#line.owner?.queued()
  }

  flushed (): void {
    if (this.#line.stream.destroyed) return
    this.#beats.appTaken++
    this.#writer.wake?.()
    this.#beats.taken()
  }

  /**
   * Both the app and ws call `close`. ws does when the peer's close frame or a fault has come, and it has taken its receiver off the stream
   * by then (`#concluded`). Where the app registered @fastify/websocket by itself, the preClose hook of that closes all sockets without a
   * code: such a call waits for the end of this turn of the loop, by when our shutdown has begun, or has not.
   */
  closing (code: number | undefined): boolean {
    if (code === undefined && this.#options.defers && !this.#concluded) {
      this.#line.closing = true
      setImmediate(() => { this.#closeDeferred() })
      return true
    }
    this.#goFirst(false)
    return false
  }

  closes (code: number | undefined, reason: string | Buffer | undefined): void {
    this.#begun(code ?? closeCode.noStatus, String(reason ?? ''))
    this.#beats.watch()
    const takes = !this.#concluded
    this.#line.owner?.closing(takes)
    if (!takes) return
    this.#cause ??= 'server'
    this.#reading.closingByApp()
  }

  /** What was pushed leaves before the close frame, if it is not `dropped`, and what asks whether it has arrived. */
  #goFirst (dropped: boolean): void {
    if (dropped) this.#writer.discard()
    else this.#writer.flush()
    if (this.open && !this.#concluded) this.#beats.last()
  }

  /** Our close frame is on its way, whoever has asked for it. */
  #begun (code: number, reason: string): void {
    this.#line.closing = true
    this.#said = { code, reason }
  }

  terminating (): void {
    this.#undefer()
    if (this.open) this.#cause ??= 'server'
    this.#line.closing = true
    this.#writer.discard()
    this.#reading.closing()
  }

  pausedByApp (on: boolean): void { this.#reading.pausedByApp(on) }

  closed (given: unknown, reason: unknown): void {
    if (this.#ended) return
    this.#ended = this.#line.closing = true
    this.#writer.discard()
    this.#reading.end()
    this.#intake?.end()
    this.#beats.end()
    // An app may emit the event by itself, with anything.
    const code = typeof given === 'number' ? given : closeCode.abnormal
    const said = Buffer.isBuffer(reason) ? reason.toString() : ''
    const cause = this.#cause ?? (code === closeCode.abnormal ? 'reset' : 'client')
    this.#line.owner?.ended({ ...(this.#said ?? { code, reason: said }), cause, idle: this.#line.quiet })
  }

  get #metered (): boolean { return isMetered(this.#options.rates) }

  #intakeOf (): Intake {
    return this.#intake ??= new Intake(this.#options, this.#reading, {
      answer: (payload) => { this.#beats.answer(payload) },
      // Who is closed for it is heard no more: its owner sees to that.
      exceeded: (limit, fatal) => { this.#line.owner?.exceeded(limit, fatal) }
    })
  }

  get #concluded (): boolean { return !this.#line.stream.listeners('data').includes(this.#receiver as () => void) }

  /** Takes back that a close was put off; false if none was. */
  #undefer (): boolean {
    const { bare, socket } = this.#line
    const deferred = bare.reopen(socket)
    if (deferred) this.#line.closing = false
    return deferred
  }

  #closeDeferred (): void {
    if (!this.#undefer() || !this.open) return
    this.#goFirst(false)
    this.#line.closing = true
    this.#line.bare.close(this.#line.socket)
    this.closes(undefined, undefined)
  }
}
