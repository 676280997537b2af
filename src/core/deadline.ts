/**
 * Something that is to happen once, after a time, in the wheel: exact to a slot, and cheap to put off.
 */
import { Entry } from './wheel.js'
import type { Wheel } from './wheel.js'

export class Deadline extends Entry {
  readonly #wheel: Wheel
  readonly #callback: () => void

  constructor (wheel: Wheel, callback: () => void) {
    super()
    this.#wheel = wheel
    this.#callback = callback
  }

  get waiting (): boolean { return this.next !== null }

  /** In so many ms from now, whatever was said before. */
  in (ms: number): void {
    this.#wheel.wait(this, this.#wheel.turns(ms))
  }

  cancel (): void {
    this.#wheel.cancel(this)
  }

  override due (): void {
    this.#callback()
  }
}
