/**
 * Hands messages to ws, a little at a time, so that what waits is counted, and pings can go in between.
 * Invariant: messages leave in the order of their pushes, and none between the fragments of a
 * message that the app itself sends (RFC 6455 §5.4: fragments of two messages must not mix).
 */
import type WebSocket from 'ws'
import type { Payload } from '../../core/payload.js'
import type { Bare } from './supervise.js'

/** What the socket is given before it has taken the last, in bytes. */
export const HAND_OVER = 64 * 1024

export interface WriterOptions {
  /** Whether large messages may be cut into fragments: not under an extension, which would compress each. */
  readonly fragments: boolean
  /** Called when so many bytes were handed over. */
  readonly handed: (bytes: number) => void
  /** Called when something that was handed over has been taken. */
  readonly flushed: () => void
}

interface Waiting {
  readonly bytes: Buffer
  readonly binary: boolean
}

export class Writer {
  /** How many hand-overs are done. */
  completed = 0

  readonly #socket: WebSocket
  readonly #bare: Bare
  readonly #options: WriterOptions
  #queue: Waiting[] | null = null
  #queuedBytes = 0
  /** How much of the first waiting message is handed over already, as fragments. */
  #offset = 0
  #held = false

  constructor (socket: WebSocket, bare: Bare, options: WriterOptions) {
    this.#socket = socket
    this.#bare = bare
    this.#options = options
  }

  /** Bytes that were not given to the socket yet. */
  get queuedBytes (): number { return this.#queuedBytes }

  get bufferedBytes (): number { return this.#queuedBytes + this.#socket.bufferedAmount }

  /** True if nothing of it waits here. */
  send (payload: Payload, binary: boolean): boolean {
    if (!this.#held && this.#queue === null && this.#socket.bufferedAmount < HAND_OVER && isShort(payload)) {
      return this.#hand(payload, binary)
    }
    const bytes = typeof payload === 'string' ? Buffer.from(payload) : payload
    this.#queue ??= []
    this.#queue.push({ bytes, binary })
    this.#queuedBytes += bytes.length
    this.#pump()
    return this.bufferedBytes === 0
  }

  /** The app is between two fragments of a message of its own: nothing else may be sent. */
  hold (on: boolean): void {
    if (this.#held === on) return
    this.#held = on
    if (!on) this.#pump()
  }

  /** Everything to the socket, now: what comes next must come behind it. */
  flush (): void {
    if (this.#queue === null || this.#held) return
    while (this.#queue !== null) this.#handFirst(Infinity)
  }

  /** Nothing more will be sent. */
  discard (): void {
    this.#queue = null
    this.#queuedBytes = 0
  }

  #pump (): void {
    while (this.#queue !== null && !this.#held && this.#socket.readyState === this.#socket.OPEN && this.#socket.bufferedAmount < HAND_OVER) {
      this.#handFirst(this.#options.fragments ? HAND_OVER : Infinity)
    }
  }

  #handFirst (limit: number): void {
    const { bytes, binary } = this.#queue![0]!
    const end = Math.min(bytes.length, this.#offset + limit)
    const fin = end === bytes.length
    const part = this.#offset === 0 && fin ? bytes : bytes.subarray(this.#offset, end)
    this.#queuedBytes -= part.length
    if (fin) {
      this.#offset = 0
      if (this.#queue!.length === 1) this.#queue = null
      else this.#queue!.shift()
    } else {
      this.#offset = end
    }
    this.#hand(part, binary, fin)
  }

  #hand (payload: Payload, binary: boolean, fin = true): boolean {
    this.#bare.send(this.#socket, payload, { binary, fin }, this.#done)
    this.#options.handed(payload.length)
    return this.#socket.bufferedAmount === 0
  }

  readonly #done = (): void => {
    this.completed++
    if (this.#queue !== null) this.#pump()
    this.#options.flushed()
  }
}

const isShort = (payload: Payload): boolean =>
  typeof payload === 'string'
    ? payload.length <= HAND_OVER / 3 || Buffer.byteLength(payload) <= HAND_OVER
    : payload.length <= HAND_OVER
