/**
 * A clock for code that keeps time: node:test's mock timers, and a monotonic clock that goes with them.
 * Nothing here knows what is tested.
 */
import type { TestContext } from 'node:test'

export class Clock {
  ms = 0
  readonly #t: TestContext

  constructor (t: TestContext) {
    this.#t = t
    t.mock.timers.enable({ apis: ['setTimeout', 'setImmediate'] })
  }

  readonly now = (): number => this.ms

  /** Lets time pass; timers fire on time as long as none is due within a step. */
  pass (ms: number, step = 10): void {
    for (let left = ms; left > 0;) {
      // To the next multiple of a step, so that timers which are armed in steps fire on time.
      const part = Math.min(left, step - this.ms % step)
      this.ms += part
      left -= part
      this.#t.mock.timers.tick(part)
    }
  }

  /** The process was stopped, or the loop stalled: all of it is one late moment. */
  stall (ms: number): void {
    this.ms += ms
    this.#t.mock.timers.tick(ms)
  }
}
