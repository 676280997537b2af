/**
 * Whether the socket is read, and why not.
 * Invariant: it is paused for one of the reasons below and for nothing else, so that it goes on when the last of them is gone:
 * a paused one sees no pong, no FIN, no reset.
 * Knows how much is held, and not what, nor for whom.
 */
import { later, turn } from '../../core/time/loop.js'
import { OVERHEAD } from './held.js'
import { HIGH_WATER, READ_ON_MAX } from './inbox.js'
import type { Line } from './line.js'

/**
 * What may wait for a reader that is stuck, in bytes, before the peer is not looked at any more: every look
 * lets a little in. (Then the kernel finds it dead, when nobody acknowledges the pings: some 15 minutes.)
 */
const PEEK_MAX = 4 * HIGH_WATER

/**
 * How many pings and pongs of one peer are taken in a turn of the loop, and what comes in the same 64 KiB: Node reads 2 MiB of a socket
 * in one, which are 350,000 empty pings, while all others wait.
 */
const SIGNALS_MAX = 5_000

/** Bits, for all may be true at a time. */
export const why = {
  /** Not read: the app has paused it. */
  app: 1,
  /** Not read: the peer sends too much. */
  rate: 2,
  /** Not read: too much is held for a reader. */
  behind: 4,
  /** Not read until the next turn, whatever else is true: all others have theirs first. */
  rest: 8,
  /** Read all the same until as much is held as may be: somebody waits for an answer of the peer. */
  answer: 16,
  /** Read all the same until anything comes: the heartbeat looks whether the peer is there. */
  look: 32
} as const

type Why = typeof why[keyof typeof why]

export interface PausingOwner {
  /** What is held, with what it costs to hold it, in bytes. */
  readonly held: number
  /** The socket is read to its end, though there be a reason not to. */
  readonly over: boolean
  /** As much is held as may be: no answer of the peer will be seen. */
  blinded (): void
}

export class Pausing {
  readonly #line: Pick<Line, 'socket' | 'bare' | 'look'>
  readonly #owner: PausingOwner
  /** Grows whenever the peer may have waited for us: the app stops reading, or takes something at last. */
  excuses = 0
  /** How long it was paused, in all, not counting when the peer had sent too much, in ms. */
  rested = 0
  #pausedAt = NaN
  #why = 0
  /** What pings and pongs came while it was paused for the rate, counted as if they were held, in bytes. */
  #excess = 0
  /** How many came in this turn, and the turn. */
  #signals = 0
  #turn = -1

  constructor (line: Pick<Line, 'socket' | 'bare' | 'look'>, owner: PausingOwner) {
    this.#line = line
    this.#owner = owner
  }

  /** Nothing is read: not even for somebody who waits for an answer. */
  get paused (): boolean { return this.stopped && !(this.is(why.answer) && !this.sated) }

  /** For the rate, and for nothing else. */
  get throttled (): boolean { return this.stops === why.rate }

  /** It has stopped, and would not go on for an answer of the peer either. */
  get blind (): boolean { return this.stopped && this.sated }

  get peeking (): boolean { return this.is(why.look) }

  /** Whoever is to get messages shall not have more for now, though it be read on. */
  get stopped (): boolean { return this.stops !== 0 }

  /** By the app: nobody gets anything of what comes now. */
  get byApp (): boolean { return (this.stops & why.app) !== 0 }

  /** As much is held as may be, or came in pings and pongs. */
  get sated (): boolean { return this.#owner.held >= READ_ON_MAX || this.#excess >= READ_ON_MAX }

  /** Why it has stopped, for as long as that counts. */
  get stops (): number { return this.#owner.over ? 0 : this.#why & (why.app | why.rate | why.behind) }

  is (reason: Why): boolean { return (this.#why & reason) !== 0 }

  because (reason: Why, on: boolean): void {
    if (reason === why.app && on) this.excuses++
    this.#why = on ? this.#why | reason : this.#why & ~reason
    if (reason === why.rate) this.#excess = 0
    this.apply()
  }

  /** Reads on although paused, until anything comes; false if too much has come already. */
  peek (on: boolean): boolean {
    this.because(why.look, on && this.#excess < PEEK_MAX && this.#owner.held < PEEK_MAX)
    this.#line.look(this.peeking)
    return this.peeking
  }

  /** A ping or pong came. Nothing of it is held, but what a rate has shut is open to it no further than to messages. */
  signal (bytes: number): void {
    if (this.is(why.look)) this.peek(false)
    if (this.is(why.rate)) {
      const before = this.sated
      this.#excess += OVERHEAD.bytes + bytes
      this.grown(before)
    }
    const { number } = turn
    if (number !== this.#turn) {
      this.#turn = number
      this.#signals = 0
    }
    if (++this.#signals !== SIGNALS_MAX) return
    this.because(why.rest, true)
    later(() => { this.because(why.rest, false) })
  }

  /** More is held. @param sated whether as much as may be was before */
  grown (sated: boolean): void {
    if (sated || !this.sated) return
    this.apply()
    this.#owner.blinded()
  }

  /** Less is held. */
  shrunk (): void {
    if (this.is(why.behind)) this.excuses++
    if (this.is(why.behind) && this.#owner.held < HIGH_WATER / 2) this.because(why.behind, false)
    else if (this.is(why.answer)) this.apply()
  }

  apply (): void {
    const pause = this.is(why.rest) || (this.paused && !this.peeking)
    this.#rests(pause && this.stops !== why.rate)
    const { socket, bare } = this.#line
    if (pause === socket.isPaused) return
    if (pause) bare.pause(socket)
    else bare.resume(socket)
  }

  #rests (on: boolean): void {
    if (on !== Number.isNaN(this.#pausedAt)) return
    const now = performance.now()
    if (!on) this.rested += now - this.#pausedAt
    this.#pausedAt = on ? now : NaN
  }
}
