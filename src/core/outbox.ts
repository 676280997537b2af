/**
 * The messages of one connection that its peer is not known to have, oldest first.
 * Invariant: their numbers follow each other without a gap, and no more bytes or messages are held than allowed
 * (a message that is larger by itself is taken when nothing else is there). Payloads are referred to, not copied.
 */
import type { Payload } from './payload.js'

/** How much may be unconfirmed. */
export interface OutboxLimits {
  /** In bytes. */
  readonly limit: number
  readonly messages: number
}

/** A message of which it is not known whether it has arrived. */
export interface Undelivered {
  /** As it was to go out: text as a string (JSON, if an object was pushed), bytes as a Buffer. */
  readonly data: Payload
  readonly binary: boolean
  /** Which message of this connection it was, from 1. */
  readonly seq: number
  /** Wall clock, ms since the epoch. */
  readonly pushedAt: number
}

const FIRST = 16

const NONE = new Float64Array(0)

export class Outbox {
  count = 0
  bytes = 0
  /** The number of the newest message. */
  last = 0

  readonly #limits: OutboxLimits
  // A ring: three numbers a message cost less than an object does.
  #payloads: Array<Payload | null> = []
  #sizes = NONE
  #times = NONE
  #first = 0
  /** What was added since a receipt was last asked for. */
  #news = { bytes: 0, messages: 0 }

  constructor (limits: OutboxLimits) {
    this.#limits = limits
  }

  fits (size: number): boolean {
    return this.count === 0 || (this.count < this.#limits.messages && this.bytes + size <= this.#limits.limit)
  }

  /** Whether at least half of it is free. */
  get roomy (): boolean {
    return this.bytes <= this.#limits.limit / 2 && this.count <= this.#limits.messages / 2
  }

  /**
   * Takes the next message.
   * @param payload null if nobody will ask for it
   * @param size in bytes
   * @param now wall clock, in ms
   * @returns whether it is time to ask for a receipt: a quarter has come since the last time
   */
  add (payload: Payload | null, binary: boolean, size: number, now: number): boolean {
    if (this.count === this.#sizes.length) this.#grow()
    const at = (this.#first + this.count) & (this.#sizes.length - 1)
    this.#payloads[at] = payload
    // The sign says that it is binary, and 1 more lets zero have one.
    this.#sizes[at] = binary ? -size - 1 : size + 1
    this.#times[at] = now
    this.count++
    this.last++
    this.bytes += size
    const news = this.#news
    news.bytes += size
    news.messages++
    if (news.bytes < this.#limits.limit / 4 && news.messages < this.#limits.messages / 4) return false
    news.bytes = news.messages = 0
    return true
  }

  /** The peer has all messages up to this one. */
  confirm (seq: number): void {
    const mask = this.#sizes.length - 1
    for (let before = this.count - (this.last - seq); before > 0; before--) {
      this.#payloads[this.#first] = null
      this.bytes -= Math.abs(this.#sizes[this.#first]!) - 1
      this.#first = (this.#first + 1) & mask
      this.count--
    }
    if (this.count === 0 && this.#sizes.length > FIRST) this.#release()
  }

  /** What is not confirmed, oldest first, but for what nobody asks for. */
  list (): Undelivered[] {
    const list: Undelivered[] = []
    for (let i = 0; i < this.count; i++) {
      const at = (this.#first + i) & (this.#sizes.length - 1)
      const data = this.#payloads[at] ?? null
      if (data !== null) list.push({ data, binary: this.#sizes[at]! < 0, seq: this.last - this.count + 1 + i, pushedAt: this.#times[at]! })
    }
    return list
  }

  #grow (): void {
    const { length } = this.#sizes
    const payloads = this.#payloads
    const order = (i: number): number => (this.#first + i) & (length - 1)
    const sizes = new Float64Array(length === 0 ? FIRST : 2 * length)
    const times = new Float64Array(sizes.length)
    this.#payloads = Array.from({ length: sizes.length }, (_, i) => i < length ? payloads[order(i)]! : null)
    for (let i = 0; i < length; i++) {
      sizes[i] = this.#sizes[order(i)]!
      times[i] = this.#times[order(i)]!
    }
    this.#sizes = sizes
    this.#times = times
    this.#first = 0
  }

  #release (): void {
    this.#payloads = []
    this.#sizes = this.#times = NONE
    this.#first = 0
  }
}
