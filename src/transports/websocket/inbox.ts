/**
 * What came from the peer and was not taken yet, in order.
 * Invariant: a message is held, handed to exactly one reader, or counted as dropped; the memory
 * that a silent app and a talkative peer can take together is bounded.
 * Knows nothing of sockets: it says when to pause, through its gate.
 */
import { FST_ERR_LIFELINE_ALREADY_READING } from '../../core/errors.js'
import { nextTurn } from '../../core/time/loop.js'
import type { Message } from '../transport.js'
import { Held } from './held.js'
import type { RawMessage } from './held.js'
import { turn } from '../../core/time/loop.js'
import type { TurnEnd } from '../../core/time/loop.js'

/** Held for a route that has no reader yet, in bytes. Past it the route counts as push-only. */
export const HELD_MAX = 64 * 1024

/** Held for a reader that has fallen behind, in bytes; reading pauses past it and goes on below half of it. */
export const HIGH_WATER = 256 * 1024

/**
 * Held at most, in bytes, when reading goes on all the same because somebody waits for an answer of the peer: that stands
 * behind all that the kernels of both ends hold (on one machine some 6 MiB). Over it comes what was under way: one message, or 64 KiB.
 */
export const READ_ON_MAX = 8 * 1024 * 1024

export interface Gate {
  /** Stop, or go on, reading from the peer. */
  hold (on: boolean): void
  /** As much is held as may be; or no longer. */
  sated (on: boolean): void
  /** Whether somebody beside our own reader is to get messages: a listener of the socket, or whoever has it resumed. */
  expected (): boolean
  /** The reader has left. */
  left (): void
  /** So many messages, of so many bytes together, were let go. */
  dropped (messages: number, bytes: number): void
  /** One more was, of those for whom nobody waits any more. */
  ignored (): void
}

export class Inbox implements TurnEnd {
  /** How many messages were taken. */
  consumed = 0
  readonly #gate: Gate
  #queue: Array<Held | null> = []
  /** Where the oldest is in the queue. */
  #first = 0
  #bytes = 0
  /** How many came in this turn, and are still as they came. */
  #fresh = 0
  /** What the reader has had since it last let the loop turn, in bytes. */
  #given = 0
  #ended = false
  /** How many the reader may still have; those that came while it is held are not for now. */
  #free = Infinity
  #full = false
  /** The one reader: null if there is none, else what wakes it. */
  #reader: { wake: (() => void) | null } | null = null
  /** The app may still attach a reader: its handler has not settled. */
  #awaited = true
  #pushOnly = false

  constructor (gate: Gate) {
    this.#gate = gate
  }

  get empty (): boolean { return this.#first === this.#queue.length }

  /** What is held, with what it costs to hold it. */
  get bytes (): number { return this.#bytes }

  /** Whether as much is held as may be. */
  get sated (): boolean { return this.#bytes >= READ_ON_MAX }

  get reading (): boolean { return this.#reader !== null }

  add (message: RawMessage): void {
    if (this.#pushOnly && this.#unwanted) {
      this.#gate.ignored()
      return
    }
    const held = new Held(message)
    this.#queue.push(held)
    const before = this.sated
    this.#bytes += held.cost
    // Whoever keeps up takes it before this turn ends.
    if (this.#fresh++ === 0) turn.add(this)
    this.#reader?.wake?.()
    this.bound()
    if (this.sated && !before) this.#gate.sated(true)
  }

  turnEnded (): void {
    const queue = this.#queue
    for (let i = Math.max(this.#first, queue.length - this.#fresh); i < queue.length; i++) queue[i]!.keep()
    this.#fresh = 0
  }

  /** The handler has settled, or is at work for too long: who has not attached a reader by now may have none to attach. */
  settled (): void {
    this.#awaited = false
    this.bound()
  }

  /** The next message; undefined if none is held. */
  take (): Held | undefined {
    if (this.empty) return undefined
    const held = this.#queue[this.#first]!
    this.#queue[this.#first++] = null
    // What was taken in front is cut off when it is more than what is left: seldom enough.
    if (this.#first > this.#queue.length / 2) {
      this.#queue = this.#queue.slice(this.#first)
      this.#first = 0
    }
    this.consumed++
    this.#free--
    this.#release(held.cost)
    if (this.#full && this.#bytes < HIGH_WATER / 2) this.#hold(false)
    return held
  }

  /** While on, the reader gets nothing of what comes: the app has paused, or the peer sends too much. What had come by then it gets. */
  hold (on: boolean): void {
    if (on && this.#free === Infinity) this.#free = this.#queue.length - this.#first
    if (on) return
    this.#free = Infinity
    this.#reader?.wake?.()
  }

  /** Whatever is held is of no use any more. */
  discard (): void {
    const unheard = this.#queue.filter((held): held is Held => held?.heard === false)
    this.#queue = []
    this.#first = 0
    this.#release(this.#bytes)
    if (this.#full) this.#hold(false)
    if (unheard.length > 0) this.#gate.dropped(unheard.length, unheard.reduce((sum, { size }) => sum + size, 0))
  }

  /** Nobody gets anything more, and nothing of it was let go: it is the peer's to send again. */
  shut (): void {
    this.#queue = []
    this.#first = this.#fresh = 0
    this.#release(this.#bytes)
    if (this.#full) this.#hold(false)
    this.end()
  }

  /** No more will come; what is held can still be read. */
  end (): void {
    this.#ended = true
    this.hold(false)
  }

  messages (): AsyncIterableIterator<Message> {
    if (this.#reader !== null) throw new FST_ERR_LIFELINE_ALREADY_READING()
    const reader: { wake: (() => void) | null } = { wake: null }
    this.#reader = reader
    this.#pushOnly = false
    const stop = (): void => {
      if (this.#reader !== reader) return
      this.#reader = null
      reader.wake?.()
      this.bound()
      this.#gate.left()
    }
    const next = async (): Promise<IteratorResult<Message>> => {
      while (this.#reader === reader) {
        // There may be megabytes: a loop that awaits nothing else must not take them all in one turn.
        if (this.#given > HIGH_WATER) {
          await nextTurn()
          this.#given = 0
          continue
        }
        const held = this.#free > 0 ? this.take() : undefined
        if (held !== undefined) {
          this.#given += held.cost
          return { done: false, value: await held.toMessage() }
        }
        if (this.#ended) break
        await new Promise<void>((resolve) => { reader.wake = resolve })
        reader.wake = null
      }
      stop()
      return { done: true, value: undefined }
    }
    // Calls that overlap are answered in their order, as an async generator would.
    let last: Promise<unknown> = Promise.resolve()
    return {
      next: () => (last = last.then(next)) as Promise<IteratorResult<Message>>,
      return: async () => {
        stop()
        return { done: true, value: undefined }
      },
      [Symbol.asyncIterator] () { return this }
    }
  }

  get #unwanted (): boolean { return this.#reader === null && !this.#gate.expected() }

  /** Lets go what nobody will want, or asks for a rest, if too much is held. */
  bound (): void {
    if (!this.#awaited && this.#bytes > HELD_MAX && this.#unwanted) {
      this.#pushOnly = true
      this.discard()
      return
    }
    const high = this.#reader === null ? HELD_MAX : HIGH_WATER
    if (!this.#full && this.#bytes > high) this.#hold(true)
  }

  #release (bytes: number): void {
    const before = this.sated
    this.#bytes -= bytes
    if (before && !this.sated) this.#gate.sated(false)
  }

  #hold (on: boolean): void {
    this.#full = on
    this.#gate.hold(on)
  }
}
