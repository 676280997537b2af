/**
 * Hands messages to ws, a little at a time, so that what waits is counted and progress is seen.
 * Invariant: messages leave in the order of their pushes, and none between the fragments of a
 * message that the app itself sends (RFC 6455 §5.4: fragments of two messages must not mix).
 */
import type WebSocket from 'ws'
import type { Payload } from '../../core/payload.js'
import type { Bare } from './supervise.js'

/** What the socket is given before it has taken the last, in bytes. */
export const HAND_OVER = 64 * 1024

interface Waiting {
  readonly bytes: Buffer
  readonly binary: boolean
}

export class Writer {
  /** Hand-overs that had to wait for room and are done. Room comes only from a peer that takes what we sent. */
  progress = 0

  readonly #socket: WebSocket
  readonly #bare: Bare
  readonly #fragments: boolean
  readonly #mark: (() => void) | null
  #sinceMark = 0
  #queue: Waiting[] | null = null
  #queuedBytes = 0
  /** How much of the first waiting message is handed over already, as fragments. */
  #offset = 0
  /** Hand-overs made, and done; and the first of those under way that had to wait, 0 if none. */
  #handed = 0
  #completed = 0
  #stuck = 0
  #held = false

  /**
   * @param fragments whether large messages may be cut into fragments: not under an extension, which would compress each
   * @param mark called after every 64 KiB that are handed over
   */
  constructor (socket: WebSocket, bare: Bare, fragments: boolean, mark: (() => void) | null) {
    this.#socket = socket
    this.#bare = bare
    this.#fragments = fragments
    this.#mark = mark
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
      this.#handFirst(this.#fragments ? HAND_OVER : Infinity)
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
    this.#handed++
    if (this.#mark !== null && (this.#sinceMark += payload.length) >= HAND_OVER) {
      this.#sinceMark = 0
      this.#mark()
    }
    if (this.#socket.bufferedAmount === 0) return true
    if (this.#stuck === 0) this.#stuck = this.#handed
    return false
  }

  readonly #done = (): void => {
    this.#completed++
    if (this.#stuck !== 0 && this.#completed >= this.#stuck) {
      this.progress++
      this.#stuck = this.#socket.bufferedAmount > 0 ? this.#completed + 1 : 0
    }
    if (this.#queue !== null) this.#pump()
  }
}

const isShort = (payload: Payload): boolean =>
  typeof payload === 'string'
    ? payload.length <= HAND_OVER / 3 || Buffer.byteLength(payload) <= HAND_OVER
    : payload.length <= HAND_OVER
