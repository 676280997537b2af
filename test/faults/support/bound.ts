/**
 * The heartbeat's stated bound, as a client of the package can work it out, and what was measured.
 */
import type { TestContext } from 'node:test'

/** What a busy machine may add to a bound, in ms. */
export const BUSY = 1000

/** A slot of the wheel, for a heartbeat that all routes share; in ms. */
export const slotOf = ({ interval, timeout }: { interval: number, timeout: number }): number =>
  Math.min(250, Math.max(10, Math.floor(Math.min(interval / 2, timeout) / 40)))

/** Says what was measured, for the record: the assertion stands beside it. */
export function report (t: TestContext, what: string, values: number[], bound: number): void {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (part: number): number => Math.round(sorted[Math.floor((sorted.length - 1) * part)] ?? NaN)
  t.diagnostic(`${what} ${at(0)} / ${at(0.5)} / ${at(1)} ms (min / median / max), the bound is ${bound} ms`)
}
