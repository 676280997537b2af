/**
 * The heartbeat's stated bound, and what was measured.
 */
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import type { Remote } from '../../support/remote.js'

/** What a busy machine may add to a bound, in ms. */
export const BUSY = 1000

/** The longest that a slot of the wheel may be, in ms. */
const SLOT_MAX = 250

/** The bound that the server states, which may be more than interval + timeout by no more than a slot. */
export async function boundOf (server: Remote, { interval, timeout }: { interval: number, timeout: number }): Promise<number> {
  const bound = await server.bound()
  assert.ok(bound >= interval + timeout && bound <= interval + timeout + SLOT_MAX, `the bound is ${bound} ms`)
  return bound
}

/** How often a suspect gets a full timeout anew because the server's loop stalled. */
const GRACES = 3

const stallsOf = async (server: Remote): Promise<number> => (await server.stats()).heartbeat.stalls

/**
 * For peers that die now: a check, for later, that all were found within the bound. As stated, a stall
 * of the server's own loop (which a busy machine makes too) gives them `allowed` ms anew.
 */
export async function deadline (t: TestContext, server: Remote, bound: number, allowed: number): Promise<(what: string, times: number[]) => Promise<void>> {
  const before = await stallsOf(server)
  return async (what, times) => {
    const stalls = await stallsOf(server) - before
    report(t, `${what}${stalls > 0 ? `, with ${stalls} stalls` : ''},`, times, bound)
    const limit = bound + Math.min(stalls, GRACES) * allowed + BUSY
    assert.ok(Math.max(...times) <= limit, `${what}: the last after ${Math.max(...times)} ms, the limit is ${limit} ms`)
  }
}

/** Says what was measured, for the record: the assertion stands beside it. */
export function report (t: TestContext, what: string, values: number[], bound: number): void {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (part: number): number => Math.round(sorted[Math.floor((sorted.length - 1) * part)] ?? NaN)
  t.diagnostic(`${what} ${at(0)} / ${at(0.5)} / ${at(1)} ms (min / median / max), the bound is ${bound} ms`)
}
