/**
 * What came from the peer and was not taken yet, in order.
 * Invariant: a message leaves it once: taken, or cleared away and told to whoever clears. What stays beyond its turn is kept as
 * small as it can be (see `Held`).
 * Decides nothing: who may take, and how much may be held, is the matter of `Reading`.
 */
import { Queue } from '../../core/queue.js'
import { turn } from '../../core/time/loop.js'
import type { TurnEnd } from '../../core/time/loop.js'
import { Held } from './held.js'
import type { RawMessage } from './held.js'

/** Held for a route that has no reader yet, in bytes. Past it the route counts as push-only. */
export const HELD_MAX = 64 * 1024

/** Held for a reader that has fallen behind, in bytes; reading pauses past it and goes on below half of it. */
export const HIGH_WATER = 256 * 1024

/**
 * Held at most, in bytes, when reading goes on all the same because somebody waits for an answer of the peer: that stands
 * behind all that the kernels of both ends hold (on one machine some 6 MiB). Over it comes what was under way: one message, or 64 KiB.
 */
export const READ_ON_MAX = 8 * 1024 * 1024

export class Inbox implements TurnEnd {
  #queue: Array<Held | null> = []
  /** Where the oldest is in the queue. */
  #first = 0
  #bytes = 0
  #consumed = 0
  /** How many came in this turn, and are still as they came. */
  #fresh = 0
  /** How many will have been taken when the last has been that stood before the mark. */
  #mark = 0
  /** When each of the last so many may be taken, in whole ms; null: none ever had to wait. */
  #times: Queue<number> | null = null
  /** The last of them. */
  #latest = 0

  get empty (): boolean { return this.#first === this.#queue.length }

  /** What is held, with what it costs to hold it. */
  get bytes (): number { return this.#bytes }

  /** How many messages were taken. */
  get consumed (): number { return this.#consumed }

  /** Whether the next one stands before the mark. */
  get beforeMark (): boolean { return this.#consumed < this.#mark }

  /** The next one has had its time. */
  get ripe (): boolean { return this.#queue.length - this.#first > (this.#times?.length ?? 0) }

  /** @param time when it may be taken, monotonic in ms; whoever comes behind it waits as well. 0: at once */
  add (message: RawMessage, time: number = 0): void {
    const behind = (this.#times?.length ?? 0) > 0
    if (time > 0 || behind) (this.#times ??= new Queue()).push(this.#latest = Math.max(Math.ceil(time), behind ? this.#latest : 0))
    const held = new Held(message)
    this.#queue.push(held)
    this.#bytes += held.cost
    // Whoever keeps up takes it before this turn ends.
    if (this.#fresh++ === 0) turn.add(this)
  }

  /** Sets the mark behind all that is held now. */
  mark (): void {
    this.#mark = this.#consumed + this.#queue.length - this.#first
  }

  /** The time of those has come that have had to wait until now. @returns when that of the next comes; Infinity: none waits */
  ripen (now: number): number {
    const times = this.#times
    if (times === null) return Infinity
    while (times.first !== undefined && times.first <= now) times.shift()
    return times.first ?? Infinity
  }

  /** The next message, whether its time has come or not; undefined if none is held. */
  take (): Held | undefined {
    if (this.empty) return undefined
    if (!this.ripe) this.#times!.shift()
    const held = this.#queue[this.#first]!
    this.#queue[this.#first++] = null
    // What was taken in front is cut off when it is more than what is left: seldom enough.
    if (this.#first > this.#queue.length / 2) {
      this.#queue = this.#queue.slice(this.#first)
      this.#first = 0
    }
    this.#consumed++
    this.#bytes -= held.cost
    return held
  }

  /** Lets go of all. @returns what of it nobody has had; `bytes` without what it cost to hold */
  clear (): { messages: number, bytes: number } {
    const unheard = this.#queue.filter((held): held is Held => held?.heard === false)
    this.#queue = []
    this.#times = null
    this.#first = this.#bytes = 0
    this.#mark = this.#consumed
    return { messages: unheard.length, bytes: unheard.reduce((sum, { size }) => sum + size, 0) }
  }

  turnEnded (): void {
    const queue = this.#queue
    for (let i = Math.max(this.#first, queue.length - this.#fresh); i < queue.length; i++) queue[i]!.keep()
    this.#fresh = 0
  }
}
