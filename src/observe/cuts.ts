/**
 * Notices an intermediary that cuts idle connections: many are reset after the same time without traffic.
 * Invariant: a time is told once, and what is remembered is bounded.
 */

/** Of how many resets the idle time is remembered, and how many of them must be alike. */
const RECENT = 50
const MANY = 10

/** How much alike: within 2 %, and what a busy machine is late by, in ms. What was told is not told again for a time near it. */
const NEAR = { share: 0.02, late: 100 }
const TOLD = { share: 0.1, late: 500 }

/** No intermediary is that impatient, in ms. */
const SHORTEST = 1000

const near = (a: number, b: number, { share, late }: typeof NEAR): boolean => Math.abs(a - b) <= Math.max(share * b, late)

export class Cuts {
  readonly #recent: number[] = []
  readonly #told: number[] = []

  /**
   * A connection was reset after it had been idle for so many ms (NaN: it was not).
   * True if that makes many of the same time, for the first time.
   */
  note (idle: number): boolean {
    if (!(idle >= SHORTEST)) return false
    if (this.#recent.length === RECENT) this.#recent.shift()
    this.#recent.push(idle)
    const alike = this.#recent.filter((one) => near(one, idle, NEAR)).length
    if (alike < MANY || this.#told.some((one) => near(one, idle, TOLD))) return false
    if (this.#told.length === RECENT) this.#told.shift()
    this.#told.push(idle)
    return true
  }
}
