/**
 * A token bucket: how much may come in a second, on the average, and how much at once.
 * Invariant: over any time t no more than burst + rate * t fits.
 * What was taken all the same is owed without a bound: so the rate holds on the average, however much came at once.
 * Time is given, monotonic in ms.
 */

/** How long it may take to read what has come while nothing was read, in ms. */
const BACKLOG = 5_000

export class Bucket {
  /** Per ms. */
  readonly #rate: number
  readonly #burst: number
  #tokens: number
  #at: number
  /** For a time in which nothing could be taken, and until when that may be used. */
  #extra = 0
  #extraUntil = 0

  /**
   * @param rate per second
   * @param burst at once; at least 1
   */
  constructor (rate: number, burst: number, now: number) {
    this.#rate = rate / 1000
    this.#burst = Math.max(1, burst)
    this.#tokens = this.#burst
    this.#at = now
  }

  /** Takes so many, whether they fit or not, and says for how long nothing more fits, in ms; 0 if they did. */
  take (count: number, now: number): number {
    this.#fill(now)
    this.#tokens -= count
    if (this.#tokens < 0 && now < this.#extraUntil) {
      const used = Math.min(this.#extra, -this.#tokens)
      this.#extra -= used
      this.#tokens += used
    }
    return this.#tokens >= 0 ? 0 : -this.#tokens / this.#rate
  }

  /**
   * For so long nothing could be taken that came meanwhile: what fits in that time may be taken as well, beyond the burst, when it comes
   * all at once. @param ms how long
   */
  missed (ms: number, now: number): void {
    this.#extra = (now < this.#extraUntil ? this.#extra : 0) + ms * this.#rate
    this.#extraUntil = now + BACKLOG
  }

  /** How long until one fits, in ms; 0 if it does now. */
  wait (now: number): number {
    this.#fill(now)
    return this.#tokens >= 1 ? 0 : (1 - this.#tokens) / this.#rate
  }

  #fill (now: number): void {
    this.#tokens = Math.min(this.#burst, this.#tokens + (now - this.#at) * this.#rate)
    this.#at = now
  }
}
