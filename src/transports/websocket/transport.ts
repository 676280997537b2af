/**
 * One WebSocket as a transport: it supervises the socket, and tells from the wire why it ended.
 * Knows nothing of Fastify, of requests or of other sockets.
 */
import type { Duplex } from 'node:stream'
import type WebSocket from 'ws'
import { closeCode } from '../../core/causes.js'
import type { Cause } from '../../core/causes.js'
import type { Payload } from '../../core/payload.js'
import { Pings } from '../../core/pings.js'
import type { Message, Transport, TransportOwner } from '../transport.js'
import { Reading } from './reading.js'
import type { Bare, Supervision, Supervisor } from './supervise.js'
import { Writer } from './writer.js'

/** What a socket reads and writes. A real one counts its bytes. */
type Stream = Duplex & { bytesRead?: number, bytesWritten?: number }

export class WebSocketTransport implements Transport, Supervisor {
  readonly kind = 'websocket'

  readonly #socket: WebSocket
  readonly #stream: Stream
  readonly #bare: Bare
  readonly #defers: boolean
  readonly #writer: Writer
  readonly #reading: Reading
  readonly #pings = new Pings()
  #owner: TransportOwner | null = null
  #events = 0
  /** The first close code on the wire, and its reason. */
  #said: { code: number, reason: string } | null = null
  #cause: Cause | null = null
  #fault: Error | null = null
  #deferred = false
  #ended = false

  /**
   * @param defers whether a `close()` without arguments is held for a moment, in case a shutdown begins: see `closing`
   * @param marks whether a ping goes out after every 64 KiB. The kernel may take megabytes at once and show no
   * progress for minutes on a slow line; the pongs to these show that the peer takes them.
   */
  constructor (socket: WebSocket, stream: Stream, supervision: Supervision, defers: boolean, marks: boolean) {
    this.#socket = socket
    this.#stream = stream
    this.#bare = supervision.bare
    this.#defers = defers
    // Under an extension each fragment would be compressed by itself.
    this.#writer = new Writer(socket, supervision.bare, socket.extensions === '', marks ? () => { this.beat() } : null)
    this.#reading = new Reading(socket, supervision.bare, (messages, bytes) => { this.#owner?.dropped(messages, bytes) })
    this.#pings.confirmed = this.#written
  }

  /** From now on the owner is told of all that happens. */
  start (supervision: Supervision, owner: TransportOwner): void {
    this.#owner = owner
    supervision.supervise(this.#socket, this)
  }

  // As the connection sees it.

  get open (): boolean { return this.#socket.readyState === this.#socket.OPEN }

  get remote (): boolean { return this.#stream.bytesRead !== undefined }

  get paused (): boolean { return this.#reading.paused }

  get peeking (): boolean { return this.#reading.peeking }

  get bufferedBytes (): number { return this.#writer.bufferedBytes }

  get roundTrip (): number { return this.#pings.roundTrip }

  get fault (): Error | null { return this.#fault }

  heard (): number { return this.#stream.bytesRead ?? this.#events }

  progress (): number { return this.#writer.progress }

  backlog (): number { return this.#writer.queuedBytes + this.#written - this.#pings.confirmed }

  send (payload: Payload, binary: boolean): boolean {
    return this.#writer.send(payload, binary)
  }

  beat (): void {
    if (this.open) this.#socket.ping(this.#pings.open(performance.now(), this.#written))
  }

  ping (): Promise<number> {
    if (!this.open) return Promise.resolve(Infinity)
    return this.#pings.ask(() => { this.beat() })
  }

  messages (): AsyncIterableIterator<Message> {
    return this.#reading.messages()
  }

  pause (): void { this.#socket.pause() }

  resume (): void { this.#socket.resume() }

  peek (on: boolean): void { this.#reading.peek(on) }

  settled (): void { this.#reading.settled() }

  close (code: number, reason: string): void {
    this.#undefer()
    if (!this.open) return
    this.#said = { code, reason }
    this.#writer.flush()
    this.#bare.close(this.#socket, code, reason)
    this.#reading.closing()
  }

  terminate (): void {
    this.#writer.discard()
    this.#bare.terminate(this.#socket)
  }

  // As the socket sees it.

  message (data: Buffer | ArrayBuffer | Buffer[] | Blob, binary: boolean): boolean {
    return this.#reading.message(data, binary)
  }

  pong (data: Buffer): boolean {
    return this.#pings.answer(data, performance.now())
  }

  arrived (): void { this.#events++ }

  listening (): void { this.#reading.listening() }

  faulted (error: Error): void {
    this.#fault = error
    this.#cause ??= (error as NodeJS.ErrnoException).code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH' ? 'limit' : 'protocol'
  }

  threw (error: unknown): void { this.#owner?.failed(error) }

  sending (): void { this.#writer.flush() }

  sent (fin: boolean): void { this.#writer.hold(!fin) }

  /**
   * Both the app and ws call `close`. ws does when the peer's close frame or a fault has come, and it
   * has taken its listener off the stream by then (`#concluded`). Where the app registered @fastify/websocket by
   * itself, the preClose hook of that closes all sockets without a code: such a call waits for the
   * end of this turn of the loop, by when our shutdown has begun, or has not.
   */
  closing (code: number | undefined): boolean {
    if (code === undefined && this.#defers && !this.#concluded) {
      this.#deferred = true
      setImmediate(() => { this.#closeDeferred() })
      return true
    }
    this.#writer.flush()
    return false
  }

  closes (code: number | undefined, reason: string | Buffer | undefined): void {
    this.#said = { code: code ?? closeCode.noStatus, reason: String(reason ?? '') }
    if (this.#concluded) return
    this.#cause ??= 'server'
    this.#reading.closing()
  }

  terminating (): void {
    this.#cause ??= 'server'
    this.#writer.discard()
  }

  pausedByApp (on: boolean): void { this.#reading.pausedByApp(on) }

  closed (code: number, reason: Buffer): void {
    if (this.#ended) return
    this.#ended = true
    this.#writer.discard()
    this.#reading.end()
    this.#pings.end()
    const cause = this.#cause ?? (code === closeCode.abnormal ? 'reset' : 'client')
    this.#owner?.ended({ ...(this.#said ?? { code, reason: reason.toString() }), cause })
  }

  get #written (): number { return this.#stream.bytesWritten ?? 0 }

  get #concluded (): boolean { return this.#stream.listenerCount('data') === 0 }

  #undefer (): void {
    if (!this.#deferred) return
    this.#deferred = false
    this.#bare.reopen(this.#socket)
  }

  #closeDeferred (): void {
    if (!this.#deferred) return
    this.#undefer()
    if (!this.open) return
    this.#writer.flush()
    this.#bare.close(this.#socket)
    this.closes(undefined, undefined)
  }
}
