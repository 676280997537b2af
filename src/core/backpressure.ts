/**
 * What may wait for slow peers: for one, and for all of them together.
 * Invariant: the sum over all is what waits for each of them: when somebody asks, where nothing bounds it; else as it was when that was
 * last told to have changed. It is kept within the total.
 * Knows nothing of sockets: it is told whenever what waits for one has changed.
 */

/** How much may wait for one connection, in bytes, and what happens to what does not fit. */
export interface Limits {
  readonly limit: number
  readonly low: number
  readonly policy: 'drop' | 'close'
  /** How long nothing may move while something waits, in ms. */
  readonly stallTimeout: number
}

/** Somebody for whom bytes wait. */
export interface Consumer {
  readonly bufferedBytes: number
  /** What of that is in the sum: the budget's own, to do with as it likes. 0 to begin with. */
  counted: number
  /** Gives up all that waits, and takes no more. */
  shed (): void
}

/** Of a consumer that is not in the sum, for it is read when somebody asks. */
const STALE = -1
/** So many of them at the most: a place in a set for each connection would cost more than its sum is worth. */
const STALE_MAX = 1_024

/** The sum of what waits for all, and who gives way when it is too much. */
export class Budget {
  readonly #total: number
  readonly #consumers: () => Iterable<Consumer>
  /** Without a bound nobody needs the sum with each message: these are looked at when it is asked for. */
  readonly #stale = new Set<Consumer>()
  #bytes = 0
  #shedding = false

  /**
   * @param total in bytes; Infinity for no bound
   * @param consumers all for whom anything may wait: gone through only when it is too much
   */
  constructor (total: number, consumers: () => Iterable<Consumer>) {
    this.#total = total
    this.#consumers = consumers
  }

  /** Bytes that wait for all consumers together. */
  get bytes (): number {
    let waiting = 0
    // (To ask what waits may be to call a class of the app's.)
    for (const consumer of [...this.#stale]) {
      const now = consumer.bufferedBytes
      // It may be over by now.
      if (consumer.counted !== STALE) continue
      // Not all that is taken is told at once: while anything waits it is asked for each time.
      if (now === 0) this.#settle(consumer, 0)
      else waiting += now
    }
    return this.#bytes + waiting
  }

  /** From now on its share is in the sum. */
  #settle (consumer: Consumer, bytes: number): void {
    this.#stale.delete(consumer)
    this.#bytes += bytes
    consumer.counted = bytes
  }

  /** There are too many of them. */
  #settleAll (): void {
    for (const consumer of [...this.#stale]) {
      const now = consumer.bufferedBytes
      if (consumer.counted === STALE) this.#settle(consumer, now)
    }
  }

  /** What waits for this one has changed. Past the total, the largest give way until it is kept again. */
  update (consumer: Consumer): void {
    // As a rule it is that already: so much of it, and no more, costs each message nothing.
    if (consumer.counted !== STALE) this.#update(consumer)
  }

  #update (consumer: Consumer): void {
    if (this.#total === Infinity) {
      if (consumer.counted === consumer.bufferedBytes) return
      this.#bytes -= consumer.counted
      consumer.counted = STALE
      if (this.#stale.add(consumer).size >= STALE_MAX) this.#settleAll()
      return
    }
    this.#count(consumer)
    if (this.#bytes > this.#total && !this.#shedding) this.#shed()
  }

  #count (consumer: Consumer): void {
    const now = consumer.bufferedBytes
    this.#bytes += now - consumer.counted
    consumer.counted = now
  }

  /** Nothing waits for this one any more. */
  forget (consumer: Consumer): void {
    if (consumer.counted === STALE) this.#stale.delete(consumer)
    else this.#bytes -= consumer.counted
    consumer.counted = 0
  }

  #shed (): void {
    this.#shedding = true
    try {
      while (this.#bytes > this.#total) {
        const largest = this.#largest()
        if (largest === null) break
        this.forget(largest)
        largest.shed()
      }
    } finally {
      this.#shedding = false
    }
  }

  #largest (): Consumer | null {
    let largest: Consumer | null = null
    let most = 0
    for (const consumer of this.#consumers()) {
      if (consumer.counted <= most) continue
      largest = consumer
      most = consumer.counted
    }
    return largest
  }
}
