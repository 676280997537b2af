/**
 * Finds by number what a Map finds too, in half the time: every `exists` and every push begin here.
 * Invariant: at most half of the places are taken, so that a search ends soon, also for what is not there.
 * Open addressing; numbers that follow each other are spread by the golden ratio (Knuth, TAOCP 6.4).
 */

const LEAST = 64
const GOLDEN = 0x9E3779B1

export class FdIndex<T extends object> {
  /** 0: nothing there. */
  #keys = new Float64Array(LEAST)
  #values: Array<T | undefined> = new Array(LEAST).fill(undefined)
  #mask = LEAST - 1
  #shift = 26
  #size = 0

  /** Takes anything. */
  get (fd: unknown): T | undefined {
    if (typeof fd !== 'number') return undefined
    const keys = this.#keys
    const mask = this.#mask
    let at = Math.imul(fd, GOLDEN) >>> this.#shift
    while (keys[at] !== fd) {
      if (keys[at] === 0) return undefined
      at = (at + 1) & mask
    }
    return this.#values[at]
  }

  /** @param fd a number that is not there yet, and not 0 */
  add (fd: number, value: T): void {
    if (++this.#size > this.#keys.length / 2) this.#resize(this.#keys.length * 2)
    this.#put(fd, value)
  }

  remove (fd: number): void {
    let at = this.#home(fd)
    while (this.#keys[at] !== fd) {
      if (this.#keys[at] === 0) return
      at = (at + 1) & this.#mask
    }
    this.#size--
    // What follows without a gap may have been pushed on by it, and moves back.
    for (let next = (at + 1) & this.#mask; this.#keys[next] !== 0; next = (next + 1) & this.#mask) {
      const distance = (next - this.#home(this.#keys[next]!)) & this.#mask
      if (distance < ((next - at) & this.#mask)) continue
      this.#keys[at] = this.#keys[next]!
      this.#values[at] = this.#values[next]
      at = next
    }
    this.#keys[at] = 0
    this.#values[at] = undefined
    if (this.#keys.length > LEAST && this.#size < this.#keys.length / 8) this.#resize(this.#keys.length / 2)
  }

  #home (fd: number): number {
    return Math.imul(fd, GOLDEN) >>> this.#shift
  }

  #put (fd: number, value: T): void {
    let at = this.#home(fd)
    while (this.#keys[at] !== 0) at = (at + 1) & this.#mask
    this.#keys[at] = fd
    this.#values[at] = value
  }

  #resize (length: number): void {
    const keys = this.#keys
    const values = this.#values
    this.#keys = new Float64Array(length)
    this.#values = new Array(length).fill(undefined)
    this.#mask = length - 1
    this.#shift = 32 - Math.log2(length)
    for (let at = 0; at < keys.length; at++) {
      if (keys[at] !== 0) this.#put(keys[at]!, values[at]!)
    }
  }
}
