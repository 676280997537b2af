/**
 * The end of an authorization: a time of the wall clock, which may be put off, and which the clock may jump to.
 */
import { Deadline } from './deadline.js'
import type { Wheel } from './wheel.js'

/** The wall clock can be set: how long it is trusted to go on as it does, in ms. */
const TRUST = 10_000

export class Expiry {
  readonly #over: () => void
  readonly #deadline: Deadline
  #at = Infinity

  constructor (wheel: Wheel, over: () => void) {
    this.#over = over
    this.#deadline = new Deadline(wheel, () => { this.#look() })
  }

  /** @param at ms since the epoch; Infinity: never. Calls back at once if that has passed. */
  at (at: number): void {
    this.#at = at
    this.#deadline.cancel()
    this.#look()
  }

  cancel (): void {
    this.#deadline.cancel()
  }

  #look (): void {
    if (this.#at === Infinity) return
    const left = this.#at - Date.now()
    if (left <= 0) this.#over()
    else this.#deadline.in(Math.min(left, TRUST))
  }
}
