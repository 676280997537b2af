/**
 * How much one peer may send: messages, bytes and pings by the second.
 * Invariant: what is over a rate is never lost. Reading pauses until it fits, or the connection is closed;
 * of pings that come too fast the last is answered (RFC 6455 §5.5.3), later. What is over a rate already is only counted:
 * it comes by the hundred thousand, and must cost less than what it came in.
 */
import { Bucket } from '../../core/bucket.js'
import { Deadline } from '../../core/time/deadline.js'
import { tick } from '../../core/time/loop.js'
import type { TurnEnd } from '../../core/time/loop.js'
import type { Wheel } from '../../core/time/wheel.js'
import { LastPing } from './last-ping.js'

export interface Rates {
  /** Per second; Infinity: any number. */
  readonly messageRate: number
  readonly byteRate: number
  readonly pongRate: number
  /** The largest message that may come, in bytes: by itself it is never over the rate. */
  readonly payload: number
  readonly policy: 'pause' | 'close'
}

/** What the transport does for it. */
export interface IntakeGate {
  /** Stops reading, or goes on. */
  throttle (on: boolean): void
  /** Answers a ping. */
  answer (payload: Buffer): void
  /** A limit was applied; and that shall be the end. */
  exceeded (limit: 'messageRate' | 'byteRate' | 'pongRate', fatal: boolean): void
}

export class Intake implements TurnEnd {
  readonly #rates: Rates
  readonly #wheel: Wheel
  readonly #gate: IntakeGate
  readonly #messages: Bucket | null
  readonly #bytes: Bucket | null
  #resume: Deadline | null = null
  /** What came in this tick although reading has paused: it was under way, or somebody waits for an answer. */
  #owedMessages = 0
  #owedBytes = 0
  #pongs: Bucket | null = null
  /** The last ping that was not answered yet. */
  readonly #unanswered = new LastPing()
  #answer: Deadline | null = null
  #ended = false

  constructor (rates: Rates, wheel: Wheel, gate: IntakeGate) {
    const { messageRate, byteRate, payload } = rates
    this.#rates = rates
    this.#wheel = wheel
    this.#gate = gate
    const now = performance.now()
    this.#messages = messageRate === Infinity ? null : new Bucket(messageRate, messageRate, now)
    this.#bytes = byteRate === Infinity ? null : new Bucket(byteRate, Math.max(byteRate, payload), now)
  }

  /** Whether anything is to be counted but pings. */
  get metered (): boolean { return this.#messages !== null || this.#bytes !== null }

  /** A message came, or a control frame that nobody asked for. */
  took (bytes: number): void {
    if (this.#ended) return
    if (this.#resume?.waiting === true) {
      this.#owedBytes += bytes
      if (this.#owedMessages++ === 0) tick.add(this)
      return
    }
    const now = performance.now()
    const tooMany = this.#messages?.take(1, now) ?? 0
    const tooMuch = this.#bytes?.take(bytes, now) ?? 0
    const wait = Math.max(tooMany, tooMuch)
    if (wait === 0) return
    const limit = tooMany >= tooMuch ? 'messageRate' : 'byteRate'
    if (this.#rates.policy === 'close') {
      this.end()
      this.#gate.exceeded(limit, true)
      return
    }
    this.#resume ??= new Deadline(this.#wheel, this.#goOn)
    this.#resume.in(wait)
    this.#gate.exceeded(limit, false)
    this.#gate.throttle(true)
  }

  pinged (payload: Buffer): void {
    if (this.#ended) return
    const { pongRate } = this.#rates
    if (pongRate === Infinity) {
      this.#gate.answer(payload)
      return
    }
    if (this.#unanswered.waits) {
      this.#gate.exceeded('pongRate', false)
      this.#unanswered.keep(payload)
      return
    }
    const now = performance.now()
    this.#pongs ??= new Bucket(pongRate, pongRate, now)
    const wait = this.#pongs.wait(now)
    if (wait === 0) {
      this.#pongs.take(1, now)
      this.#gate.answer(payload)
      return
    }
    this.#gate.exceeded('pongRate', false)
    this.#unanswered.keep(payload)
    this.#answer ??= new Deadline(this.#wheel, this.#answerLast)
    this.#answer.in(wait)
  }

  turnEnded (): void {
    this.#settle()
  }

  /** Nothing more is to come. */
  end (): void {
    this.#ended = true
    this.#unanswered.drop()
    this.#resume?.cancel()
    this.#answer?.cancel()
  }

  /** Takes what is owed, and says for how long nothing more fits, in ms. */
  #settle (): number {
    const now = performance.now()
    const wait = Math.max(this.#messages?.take(this.#owedMessages, now) ?? 0, this.#bytes?.take(this.#owedBytes, now) ?? 0)
    this.#owedMessages = this.#owedBytes = 0
    return wait
  }

  readonly #goOn = (): void => {
    // More may have come meanwhile, and a deadline may come early by a part of a slot.
    const wait = this.#settle()
    if (wait > 0) this.#resume!.in(wait)
    else this.#gate.throttle(false)
  }

  readonly #answerLast = (): void => {
    const payload = this.#unanswered.take()!
    this.#pongs!.take(1, performance.now())
    this.#gate.answer(payload)
  }
}
