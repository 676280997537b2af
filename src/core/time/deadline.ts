/**
 * Something that is to happen once, after a time, in the wheel: exact to a slot, and cheap to put off.
 * Invariant: it does not happen before what has come by then was read. (After a stall a timer fires before queued input is.)
 */
import { Entry } from './wheel.js'
import type { Wheel } from './wheel.js'

export class Deadline extends Entry {
  readonly #wheel: Wheel
  readonly #callback: () => void
  #late: NodeJS.Immediate | null = null

  constructor (wheel: Wheel, callback: () => void) {
    super()
    this.#wheel = wheel
    this.#callback = callback
  }

  get waiting (): boolean { return this.next !== null || this.#late !== null }

  /** In so many ms from now, and no sooner, whatever was said before. */
  after (ms: number): void { this.in(ms + this.#wheel.width) }

  /** In so many ms from now, or up to a slot sooner (the one that is now may be nearly over), whatever was said before. */
  in (ms: number): void {
    this.cancel()
    this.#wheel.wait(this, this.#wheel.slots(ms) + this.#wheel.lag)
  }

  cancel (): void {
    if (this.#late !== null) clearImmediate(this.#late)
    this.#late = null
    this.#wheel.cancel(this)
  }

  override due (): void {
    const { slot } = this.#wheel
    if (!this.#wheel.wasLate(slot - 1, 0)) {
      this.#callback()
      return
    }
    this.#late = setImmediate(() => {
      this.#late = null
      this.#callback()
    })
  }
}
