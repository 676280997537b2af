/**
 * How often something took how long.
 * Invariant: to observe allocates nothing, and costs a few comparisons; the sum of `counts` is `count`.
 */

/** Upper bounds in ms, each with what is equal to it: what a network and an event loop take. */
const BUCKETS = [1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000] as const

/** A histogram as plain data. */
export interface Distribution {
  /** The upper bounds of the buckets, in ms. */
  buckets: number[]
  /** How many fell into each: above the bound before it, and at most its own. One more than there are bounds: the last is what was above them all. */
  counts: number[]
  /** All together, in ms. */
  sum: number
  /** How many there were. */
  count: number
}

export class Histogram {
  readonly #counts: number[] = Array.from({ length: BUCKETS.length + 1 }, () => 0)
  #sum = 0
  #count = 0

  /** @param ms what is less than nothing, as of a timer that came early, is nothing */
  observe (ms: number): void {
    let bucket = 0
    while (bucket < BUCKETS.length && ms > BUCKETS[bucket]!) bucket++
    this.#counts[bucket]!++
    this.#count++
    if (ms > 0) this.#sum += ms
  }

  /** A copy. */
  read (): Distribution {
    return { buckets: [...BUCKETS], counts: [...this.#counts], sum: this.#sum, count: this.#count }
  }
}
