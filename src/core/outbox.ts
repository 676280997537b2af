/**
 * The messages of one connection that its peer is not known to have, oldest first.
 * Invariant: their numbers follow each other without a gap, and no more bytes or messages are held than allowed
 * (while at least half is free a message of any size is taken: who awaits that does not do so in vain). What is held is
 * nobody else's to change.
 */
import { Outgoing } from './outgoing.js'
import type { Bytes } from './bytes.js'

/** How much may be unconfirmed. */
export interface OutboxLimits {
  /** In bytes. */
  readonly limit: number
  readonly messages: number
}

interface Pushed<Binary extends boolean> {
  /** As it was to go out: text as a string (JSON, if an object was pushed), bytes as a Buffer. */
  readonly data: Binary extends true ? Bytes : string
  /** Whether it was to go out as a binary message. */
  readonly binary: Binary
  /** The number of the message on its connection, from 1. */
  readonly seq: number
  /** Wall clock, ms since the epoch. */
  readonly pushedAt: number
}

/** A message of which it is not known whether it has arrived. */
export type Unconfirmed = Pushed<false> | Pushed<true>

/** Whoever can bring receipts. */
export interface Asks {
  /** A receipt is wanted for all messages up to this one. */
  want (seq: number): void
}

/** Who counts what all outboxes hold together. */
export interface Keeping {
  /** So much more is held; less, if negative. */
  kept (messages: number, bytes: number): void
}

/** After so many messages a receipt is asked for, or after a quarter of what may be unconfirmed: a ping costs as much as dozens of messages. */
const ASK_AFTER = 500

/**
 * How much more is kept while the peer's receipts cannot be seen, because too much stands before them, in bytes: what comes of
 * that when each message is answered by one as long. And what a message counts for then beside its bytes.
 */
export const MORE = 16 * 1024 * 1024
const EACH = 64

/** The moment of a message that nobody will ask for: its payload is not kept. */
const ANSWERED = -1

function answered (size: number): Outgoing {
  const message = new Outgoing('', false, size)
  message.at = ANSWERED
  return message
}

/** Made into what the app is told when it is read: of thousands that were lost at once as a rule none is. */
function unconfirmed (message: Outgoing, seq: number, pushedAt: number): Unconfirmed {
  let data: string | Bytes | null = null
  return {
    get data () { return data ??= message.data },
    binary: message.binary,
    seq,
    pushedAt
  } as Unconfirmed
}

/** In the place of a message that was not sent after all. */
const NOTHING = answered(0)

export class Outbox {
  bytes = 0

  readonly #wire: Asks
  readonly #limits: OutboxLimits
  /** null: its connection is over, and it counts for nobody. */
  #keeping: Keeping | null
  #list: Array<Outgoing | null> = []
  /** Where the oldest is in the list, and its number less 1. */
  #first = 0
  #before = 0
  /** What came since a receipt was last asked for. */
  #newMessages = 0
  #newBytes = 0

  constructor (wire: Asks, limits: OutboxLimits, keeping: Keeping) {
    this.#wire = wire
    this.#limits = limits
    this.#keeping = keeping
  }

  get count (): number { return this.#list.length - this.#first }

  /** Whether at least half of it is free. */
  get roomy (): boolean {
    return this.bytes <= this.#limits.limit / 2 && this.count <= this.#limits.messages / 2
  }

  /** Whether such a message may be taken. */
  fits (size: number): boolean {
    const { limit, messages } = this.#limits
    return (this.count < messages && this.bytes + size <= limit) || this.roomy
  }

  /** Whether more is taken than allowed while the peer's receipts cannot be seen: a message of any size. */
  get stretches (): boolean {
    const { limit, messages } = this.#limits
    return this.bytes + EACH * this.count <= limit + EACH * messages + MORE
  }

  /** All up to this number are confirmed; and the number of the newest. */
  get confirmed (): number { return this.#before }

  get last (): number { return this.#before + this.count }

  /**
   * Takes a message that was sent.
   * @param seq its number: the next
   * @param toldOf whether its sender is told what becomes of it: then nobody will ask for its payload
   */
  add (message: Outgoing, seq: number, toldOf: boolean): void {
    const { size } = message
    if (this.#list.length === 0) this.#before = seq - 1
    this.#list.push(toldOf ? answered(size) : message.keep())
    this.bytes += size
    this.#keeping?.kept(1, size)
    this.#newBytes += size
    this.#newMessages++
    const { limit, messages } = this.#limits
    if (this.#newMessages < ASK_AFTER && this.#newMessages < messages / 4 && this.#newBytes < limit / 4) return
    this.#newMessages = this.#newBytes = 0
    this.#wire.want(seq)
  }

  /** The message with this number was not sent after all. */
  drop (seq: number): void {
    const at = this.#first + seq - this.#before - 1
    if (at < this.#first || at >= this.#list.length) return
    const { size } = this.#list[at]!
    this.bytes -= size
    this.#keeping?.kept(0, -size)
    this.#list[at] = NOTHING
  }

  /** The peer has all messages up to this one. */
  confirm (seq: number): void {
    const confirmed = Math.min(this.count, seq - this.#before)
    if (confirmed <= 0) return
    const end = this.#first + confirmed
    const before = this.bytes
    for (let i = this.#first; i < end; i++) {
      this.bytes -= this.#list[i]!.size
      this.#list[i] = null
    }
    this.#keeping?.kept(-confirmed, this.bytes - before)
    this.#before += confirmed
    this.#first = end
    // What was confirmed in front is cut off when it is more than what is left: seldom enough.
    if (end < this.count) return
    this.#list = this.#list.slice(end)
    this.#first = 0
  }

  /** The connection is over: what is held from now on is told, and counts no more. */
  end (): void {
    this.#keeping?.kept(-this.count, -this.bytes)
    this.#keeping = null
  }

  /**
   * What is not confirmed, oldest first, but for what nobody asks for.
   * @param now by `performance.now`
   * @param wall the same moment by the wall clock, in ms
   */
  list (now: number, wall: number): Unconfirmed[] {
    const list: Unconfirmed[] = []
    let seq = this.#before
    for (let i = this.#first; i < this.#list.length; i++) {
      const message = this.#list[i]!
      seq++
      if (message.at !== ANSWERED) list.push(unconfirmed(message, seq, Math.round(wall - (now - message.at))))
    }
    return list
  }
}
