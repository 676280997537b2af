/**
 * A clock for code that keeps time: node:test's mock timers, and a monotonic clock that goes with them.
 * Immediates are ours: those of Node 20's mock timers take the timer that arms one for it, and run it again.
 */
import type { TestContext } from 'node:test'

type Immediates = Map<object, () => void>

const mocked = new WeakMap<TestContext, Immediates>()

function mockImmediates (t: TestContext): Immediates {
  const armed: Immediates = new Map()
  t.mock.method(globalThis, 'setImmediate', ((callback: () => void) => {
    const key = {}
    armed.set(key, callback)
    return key
  }) as never)
  t.mock.method(globalThis, 'clearImmediate', ((key: object) => { armed.delete(key) }) as never)
  mocked.set(t, armed)
  return armed
}

export class Clock {
  ms = 0
  /** What happens between the timers and the immediates of one moment: the poll phase, where input is read. */
  poll: () => void = () => {}
  readonly #t: TestContext
  readonly #immediates: Immediates

  /** A test may make one after the other: each begins at 0 with nothing armed. */
  constructor (t: TestContext) {
    this.#t = t
    this.#immediates = mocked.get(t) ?? mockImmediates(t)
    this.#immediates.clear()
    t.mock.timers.reset()
    t.mock.timers.enable({ apis: ['setTimeout'] })
  }

  readonly now = (): number => this.ms

  /** Lets time pass; timers fire on time as long as they are due at multiples of a step. */
  pass (ms: number, step = 10): void {
    for (let left = ms; left > 0;) {
      const part = Math.min(left, step - this.ms % step)
      left -= part
      this.stall(part)
    }
  }

  /** The process was stopped, or the loop stalled: all of it is one late moment. */
  stall (ms: number): void {
    this.ms += ms
    this.#t.mock.timers.tick(ms)
    this.poll()
    for (const [key, callback] of [...this.#immediates]) {
      this.#immediates.delete(key)
      callback()
    }
  }
}
