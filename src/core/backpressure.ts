/**
 * What may wait for slow peers: for one, and for all of them together.
 * Invariant: the sum over all is what each of them last reported, and it is kept within the total.
 * Knows nothing of sockets: it is told how many bytes wait.
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
  /** Gives up all that waits, and takes no more. */
  shed (): void
}

/** The sum of what waits for all, and who gives way when it is too much. */
export class Budget {
  /** Bytes that wait for all consumers together. */
  bytes = 0
  readonly #total: number
  readonly #counted = new Map<Consumer, number>()
  #shedding = false

  /** @param total in bytes; Infinity for no bound */
  constructor (total: number) {
    this.#total = total
  }

  get bounded (): boolean { return this.#total < Infinity }

  /** What waits for this one has changed. Past the total, the largest give way until it is kept again. */
  update (consumer: Consumer): void {
    if (this.#total === Infinity) return
    const now = consumer.bufferedBytes
    const before = this.#counted.get(consumer) ?? 0
    if (now === before) return
    this.bytes += now - before
    if (now === 0) this.#counted.delete(consumer)
    else this.#counted.set(consumer, now)
    if (this.bytes > this.#total && !this.#shedding) this.#shed()
  }

  /** Nothing waits for this one any more. */
  forget (consumer: Consumer): void {
    this.bytes -= this.#counted.get(consumer) ?? 0
    this.#counted.delete(consumer)
  }

  #shed (): void {
    this.#shedding = true
    while (this.bytes > this.#total) {
      const largest = this.#largest()
      if (largest === null) break
      this.forget(largest)
      largest.shed()
    }
    this.#shedding = false
  }

  #largest (): Consumer | null {
    let largest: Consumer | null = null
    let most = 0
    for (const [consumer, bytes] of this.#counted) {
      if (bytes <= most) continue
      largest = consumer
      most = bytes
    }
    return largest
  }
}
