/** Time and chance of a model: each history is that of its seed. */

/** mulberry32: small, and good enough to roll dice. */
export class Dice {
  #state: number
  constructor (seed: number) { this.#state = seed >>> 0 }

  /** A whole number from 0 to below `limit`. */
  below (limit: number): number {
    this.#state = (this.#state + 0x6D2B79F5) >>> 0
    let bits = this.#state
    bits = Math.imul(bits ^ (bits >>> 15), bits | 1)
    bits ^= bits + Math.imul(bits ^ (bits >>> 7), bits | 61)
    return Math.floor(((bits ^ (bits >>> 14)) >>> 0) / 2 ** 32 * limit)
  }
}

interface Due { readonly at: number, readonly nth: number, readonly what: () => void }

/** A clock that stands until it is run: what is due comes in order, and at one moment as it was asked for. */
export class Time {
  now = 0
  #nth = 0
  /** A heap: the first is the next. */
  readonly #heap: Due[] = []

  after (ms: number, what: () => void): void { this.at(this.now + ms, what) }

  at (at: number, what: () => void): void {
    const heap = this.#heap
    const due = { at: Math.max(at, this.now), nth: this.#nth++, what }
    let i = heap.length
    heap.push(due)
    while (i > 0) {
      const parent = (i - 1) >> 1
      if (!before(due, heap[parent]!)) break
      heap[i] = heap[parent]!
      i = parent
    }
    heap[i] = due
  }

  /** Until nothing is due, or this moment has come. */
  run (until: number): void {
    for (let next = this.#heap[0]; next !== undefined && next.at <= until; next = this.#heap[0]) {
      this.#shift()
      this.now = next.at
      next.what()
    }
    this.now = until
  }

  #shift (): void {
    const heap = this.#heap
    const last = heap.pop()!
    if (heap.length === 0) return
    let i = 0
    for (;;) {
      let child = 2 * i + 1
      if (child >= heap.length) break
      if (child + 1 < heap.length && before(heap[child + 1]!, heap[child]!)) child++
      if (!before(heap[child]!, last)) break
      heap[i] = heap[child]!
      i = child
    }
    heap[i] = last
  }
}

const before = (one: Due, other: Due): boolean => one.at < other.at || (one.at === other.at && one.nth < other.nth)
