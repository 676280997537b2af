/**
 * The messages of one connection that its peer is not known to have, oldest first.
 * Invariant: their numbers follow each other without a gap, and no more bytes or messages are held than allowed
 * (while at least half is free a message of any size is taken: who awaits that does not do so in vain). Payloads are referred to, not copied.
 */
import { Kept } from './outgoing.js'
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

/** Whoever can bring receipts. */
export interface Asks {
  /** A receipt is wanted for all messages up to this one. */
  want (seq: number): void
}

/** After so many messages a receipt is asked for, or after a quarter of what may be unconfirmed: a ping costs as much as dozens of messages. */
const ASK_AFTER = 500

export class Outbox {
  count = 0
  bytes = 0
  /** The number of the newest message. */
  last = 0

  readonly #wire: Asks
  readonly #limits: OutboxLimits
  #list: Array<Kept | null> = []
  /** Where the oldest is in the list. */
  #first = 0
  /** What came since a receipt was last asked for. */
  #newMessages = 0
  #newBytes = 0

  constructor (wire: Asks, limits: OutboxLimits) {
    this.#wire = wire
    this.#limits = limits
  }

  /** Whether at least half of it is free. */
  get roomy (): boolean {
    return this.bytes <= this.#limits.limit / 2 && this.count <= this.#limits.messages / 2
  }

  /**
   * Takes the message that is about to be given to the wire; false if it does not fit.
   * @param answered whether its sender is told what becomes of it: then nobody will ask for the payload
   */
  take (message: Outgoing, answered: boolean): boolean {
    const { size } = message
    const { limit, messages } = this.#limits
    if ((this.count >= messages || this.bytes + size > limit) && !this.roomy) return false
    this.#list.push(answered ? new Kept(message, true) : message.kept)
    this.count++
    this.last++
    this.bytes += size
    this.#newBytes += size
    this.#newMessages++
    if (this.#newMessages >= ASK_AFTER || this.#newMessages >= messages / 4 || this.#newBytes >= limit / 4) {
      this.#newMessages = this.#newBytes = 0
      this.#wire.want(this.last)
    }
    return true
  }

  /** The peer has all messages up to this one. */
  confirm (seq: number): void {
    const confirmed = this.count - (this.last - seq)
    if (confirmed <= 0) return
    if (confirmed >= this.count) {
      this.count = this.bytes = this.#first = 0
      this.#list = []
      return
    }
    const end = this.#first + confirmed
    for (let i = this.#first; i < end; i++) {
      this.bytes -= this.#list[i]!.size
      this.#list[i] = null
    }
    this.count -= confirmed
    this.#first = end
    // What was confirmed in front is cut off when it is more than what is left: seldom enough.
    if (end < this.count) return
    this.#list = this.#list.slice(end)
    this.#first = 0
  }

  /**
   * What is not confirmed, oldest first, but for what nobody asks for.
   * @param now by `performance.now`
   * @param wall the same moment by the wall clock, in ms
   */
  list (now: number, wall: number): Undelivered[] {
    const list: Undelivered[] = []
    let seq = this.last - this.count
    for (let i = this.#first; i < this.#list.length; i++) {
      const { payload, binary, at } = this.#list[i]!
      seq++
      if (payload !== null) list.push({ data: payload, binary, seq, pushedAt: Math.round(wall - (now - at)) })
    }
    return list
  }
}
