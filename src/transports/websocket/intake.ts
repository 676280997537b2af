/**
 * How much one peer may send: messages, bytes and pings by the second.
 * Invariant: what is over a rate is never lost. Reading pauses until it fits, or the connection is closed;
 * of pings that come too fast the last is answered (RFC 6455 §5.5.3), later.
 */
import { Bucket } from '../../core/bucket.js'
import { ownBytes } from '../../core/bytes.js'
import { Deadline } from '../../core/deadline.js'
import type { Wheel } from '../../core/wheel.js'

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

export class Intake {
  readonly #rates: Rates
  readonly #wheel: Wheel
  readonly #gate: IntakeGate
  readonly #messages: Bucket | null
  readonly #bytes: Bucket | null
  #resume: Deadline | null = null
  #pongs: Bucket | null = null
  /** The last ping that was not answered yet. */
  #unanswered: Buffer | null = null
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
    if (!this.#resume.waiting) {
      this.#gate.exceeded(limit, false)
      this.#gate.throttle(true)
    }
    this.#resume.in(wait)
  }

  pinged (payload: Buffer): void {
    if (this.#ended) return
    const { pongRate } = this.#rates
    if (pongRate === Infinity) {
      this.#gate.answer(payload)
      return
    }
    const now = performance.now()
    this.#pongs ??= new Bucket(pongRate, pongRate, now)
    const wait = this.#pongs.wait(now)
    if (wait === 0 && this.#unanswered === null) {
      this.#pongs.take(1, now)
      this.#gate.answer(payload)
      return
    }
    this.#gate.exceeded('pongRate', false)
    // A copy: it is a view into all that came with it.
    this.#unanswered = ownBytes(payload)
    if (this.#answer?.waiting === true) return
    this.#answer ??= new Deadline(this.#wheel, this.#answerLast)
    this.#answer.in(wait)
  }

  /** Nothing more is to come. */
  end (): void {
    this.#ended = true
    this.#unanswered = null
    this.#resume?.cancel()
    this.#answer?.cancel()
  }

  readonly #goOn = (): void => {
    const now = performance.now()
    // A turn of the wheel may come early by a part of a slot.
    const wait = Math.max(this.#messages?.take(0, now) ?? 0, this.#bytes?.take(0, now) ?? 0)
    if (wait > 0) this.#resume!.in(wait)
    else this.#gate.throttle(false)
  }

  readonly #answerLast = (): void => {
    const payload = this.#unanswered!
    this.#unanswered = null
    this.#pongs!.take(1, performance.now())
    this.#gate.answer(payload)
  }
}
