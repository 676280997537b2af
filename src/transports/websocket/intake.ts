/**
 * How much one peer may send: messages, bytes and pings by the second.
 * Invariant: what is over a rate is never lost. Each message has its time, when it fits; until all have had theirs reading pauses. Or the
 * connection is closed. Of pings that come too fast the last is answered (RFC 6455 §5.5.3), later. What is over a rate already is only
 * counted: it comes by the hundred thousand, and must cost less than what it came in.
 */
import { Bucket } from '../../core/bucket.js'
import type { Rates } from '../../core/limited.js'
import { Deadline } from '../../core/time/deadline.js'
import { tick } from '../../core/time/loop.js'
import type { Wheel } from '../../core/time/wheel.js'
import { LastPing } from './last-ping.js'

/** The reading side. */
export interface IntakeGate {
  /** Stops reading, or goes on. */
  throttle (on: boolean): void
  /** Hands out what has had to wait until now. @param now monotonic, in ms @returns when the next may go; Infinity: none waits */
  release (now: number): number
  /** How long nothing was read, in all, though the peer had sent no more than it may, in ms. */
  readonly rested: number
}

/** What the transport does for it. */
export interface IntakeOwner {
  /** Answers a ping. */
  answer (payload: Buffer): void
  /** A limit was applied; and that shall be the end. */
  exceeded (limit: 'messageRate' | 'byteRate' | 'pongRate', fatal: boolean): void
}

/** Whether messages are held against a rate. */
export const isMetered = ({ messageRate, byteRate }: Rates): boolean => messageRate < Infinity || byteRate < Infinity

export class Intake {
  readonly #rates: Rates
  readonly #wheel: Wheel
  readonly #gate: IntakeGate
  readonly #owner: IntakeOwner
  readonly #messages: Bucket | null
  readonly #bytes: Bucket | null
  /** There is a next to be handed out, or something to be made up for: reading has paused. */
  #pause: Deadline | null = null
  /** When all that has come will have been made up for, monotonic in ms. */
  #until = 0
  #pongs: Bucket | null = null
  /** The last ping that was not answered yet. */
  readonly #unanswered = new LastPing()
  #answer: Deadline | null = null
  #ended = false
  readonly #loop: { readonly away: number }
  /** How long nothing could be read, in all, when that was last looked at, in ms. */
  #missed: number

  constructor ({ rates, wheel, loop }: { readonly rates: Rates, readonly wheel: Wheel, readonly loop: { readonly away: number } }, gate: IntakeGate, owner: IntakeOwner) {
    const { messageRate, byteRate, payload } = rates
    this.#rates = rates
    this.#wheel = wheel
    this.#gate = gate
    this.#owner = owner
    this.#loop = loop
    this.#missed = loop.away + gate.rested
    const now = performance.now()
    this.#messages = messageRate === Infinity ? null : new Bucket(messageRate, messageRate, now)
    this.#bytes = byteRate === Infinity ? null : new Bucket(byteRate, Math.max(byteRate, payload), now)
  }

  /**
   * A message came, or a control frame that nobody asked for.
   * @returns when the message may be handed out, monotonic in ms; 0: now
   */
  took (bytes: number): number {
    if (this.#ended) return 0
    const waiting = this.#pause?.waiting === true
    const now = waiting ? tick.at : performance.now()
    // Who is paused for it loses nothing; who is closed would.
    const missed = this.#rates.policy === 'close' ? this.#loop.away + this.#gate.rested - this.#missed : 0
    if (missed > 0) {
      this.#missed += missed
      this.#messages?.missed(missed, now)
      this.#bytes?.missed(missed, now)
    }
    const tooMany = this.#messages?.take(1, now) ?? 0
    const tooMuch = this.#bytes?.take(bytes, now) ?? 0
    const wait = Math.max(tooMany, tooMuch)
    if (wait === 0) return 0
    this.#until = now + wait
    if (waiting) return this.#until
    const limit = tooMany >= tooMuch ? 'messageRate' : 'byteRate'
    if (this.#rates.policy === 'close') {
      this.end()
      this.#owner.exceeded(limit, true)
      return 0
    }
    this.#pause ??= new Deadline(this.#wheel, this.#goOn)
    this.#pause.in(wait)
    this.#owner.exceeded(limit, false)
    this.#gate.throttle(true)
    return this.#until
  }

  pinged (payload: Buffer): void {
    if (this.#ended) return
    const { pongRate } = this.#rates
    if (pongRate === Infinity) {
      this.#owner.answer(payload)
      return
    }
    if (this.#unanswered.waits) {
      this.#owner.exceeded('pongRate', false)
      this.#unanswered.keep(payload)
      return
    }
    const now = performance.now()
    this.#pongs ??= new Bucket(pongRate, pongRate, now)
    const wait = this.#pongs.wait(now)
    if (wait === 0) {
      this.#pongs.take(1, now)
      this.#owner.answer(payload)
      return
    }
    this.#owner.exceeded('pongRate', false)
    this.#unanswered.keep(payload)
    this.#answer ??= new Deadline(this.#wheel, this.#answerLast)
    this.#answer.in(wait)
  }

  /** Nothing more is to come. */
  end (): void {
    this.#ended = true
    this.#unanswered.drop()
    this.#pause?.cancel()
    this.#answer?.cancel()
  }

  readonly #goOn = (): void => {
    const now = performance.now()
    const next = this.#gate.release(now)
    // Whoever got something may have ended it.
    if (this.#ended) return
    const at = Math.min(next, this.#until > now ? this.#until : Infinity)
    if (at < Infinity) this.#pause!.in(at - now)
    else this.#gate.throttle(false)
  }

  readonly #answerLast = (): void => {
    const payload = this.#unanswered.take()!
    this.#pongs!.take(1, performance.now())
    this.#owner.answer(payload)
  }
}
