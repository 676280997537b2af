/**
 * The messages of one connection that its peer is not known to have, oldest first.
 * Invariant: their numbers follow each other without a gap, and no more bytes or messages are held than allowed
 * (a message that is larger by itself is taken when nothing else is there). Payloads are referred to, not copied.
 */
import type { Outgoing } from './outgoing.js'
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

/** After so many messages it is time to ask for a receipt, or after a quarter of what may be unconfirmed: a ping costs as much as dozens of messages. */
const ASK_AFTER = 500

/** What the list holds of a message: its payload, its size, and when it was pushed. Three small values cost half of what an object does. */
const SLOTS = 3

export class Outbox {
  count = 0
  bytes = 0
  /** The number of the newest message. */
  last = 0

  readonly #limits: OutboxLimits
  #list: Array<Payload | number | null> = []
  /** Where the oldest is in the list. */
  #first = 0
  /** What had been added when a receipt was last asked for. */
  #asked = 0
  #newBytes = 0

  constructor (limits: OutboxLimits) {
    this.#limits = limits
  }

  /** Whether at least half of it is free. */
  get roomy (): boolean {
    return this.bytes <= this.#limits.limit / 2 && this.count <= this.#limits.messages / 2
  }

  /** Takes the next message, if it fits. @param answered whether its sender is told what becomes of it: then nobody will ask for the payload */
  take (message: Outgoing, answered: boolean): boolean {
    const { size } = message
    const { limit, messages } = this.#limits
    if (this.count > 0 && (this.count >= messages || this.bytes + size > limit)) return false
    // The sign says that it is binary, and 1 more lets zero have one.
    this.#list.push(answered ? null : message.payload, message.binary ? -size - 1 : size + 1, message.at)
    this.count++
    this.last++
    this.bytes += size
    this.#newBytes += size
    return true
  }

  /** Whether it is time to ask for a receipt; said once. */
  get due (): boolean {
    const news = this.last - this.#asked
    const { limit, messages } = this.#limits
    if (news < ASK_AFTER && news < messages / 4 && this.#newBytes < limit / 4) return false
    this.#asked = this.last
    this.#newBytes = 0
    return true
  }

  /** The peer has all messages up to this one. */
  confirm (seq: number): void {
    let before = this.count - (this.last - seq)
    if (before <= 0) return
    if (before >= this.count) {
      this.count = this.bytes = this.#first = 0
      this.#list = []
      return
    }
    this.count -= before
    for (; before > 0; before--) {
      this.#list[this.#first] = null
      this.bytes -= Math.abs(this.#list[this.#first + 1] as number) - 1
      this.#first += SLOTS
    }
    if (this.#first < this.#list.length / 2) return
    this.#list = this.#list.slice(this.#first)
    this.#first = 0
  }

  /**
   * What is not confirmed, oldest first, but for what nobody asks for.
   * @param now by the clock of `Outgoing.at`
   * @param wall the same moment by the wall clock, in ms
   */
  list (now: number, wall: number): Undelivered[] {
    const list: Undelivered[] = []
    let seq = this.last - this.count
    for (let at = this.#first; at < this.#list.length; at += SLOTS) {
      const [data, size, pushedAt] = this.#list.slice(at, at + SLOTS) as [Payload | null, number, number]
      seq++
      if (data !== null) list.push({ data, binary: size < 0, seq, pushedAt: Math.round(wall - (now - pushedAt)) })
    }
    return list
  }
}
