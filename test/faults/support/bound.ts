/**
 * The heartbeat's stated bound, and what was measured.
 */
import assert from 'node:assert/strict'
import type { TestContext } from 'node:test'
import type { Remote } from '../../support/remote.js'

/** What a machine with other work may add to a bound, in ms, without any stall. */
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

/** What the machine has taken since: how often the server's loop was away, for how long in sum, and what that adds to a bound; in ms. */
export interface Taken { stalls: number, away: number, added: number }

/**
 * For peers that die now: what is to be added, later, to the bound they had. As stated, time is the
 * time of the server's loop: when a busy machine takes it away, that does not count, and suspects
 * get `allowed` ms anew.
 */
export async function machine (server: Remote, allowed: number): Promise<() => Promise<Taken>> {
  const before = await server.away()
  return async () => {
    const { times, ms } = await server.away()
    const stalls = times - before.times
    const away = Math.round(ms - before.ms)
    return { stalls, away, added: BUSY + away + Math.min(stalls, GRACES) * allowed }
  }
}

/** A check, for later, that peers that die now were all found within the bound, and what the machine added. */
export async function deadline (t: TestContext, server: Remote, bound: number, allowed: number): Promise<(what: string, times: number[]) => Promise<void>> {
  const taken = await machine(server, allowed)
  return async (what, times) => {
    const { stalls, away, added } = await taken()
    report(t, `${what}${stalls > 0 ? `, with ${stalls} stalls of ${away} ms in sum` : ''},`, times, bound)
    const last = Math.max(...times)
    assert.ok(last <= bound + added, `${what}: the last after ${last} ms, the limit is ${bound} ms and ${added} ms for the machine`)
  }
}

/** Says what was measured, for the record: the assertion stands beside it. */
export function report (t: TestContext, what: string, values: number[], bound: number): void {
  const sorted = values.toSorted((a, b) => a - b)
  const at = (part: number): number => Math.round(sorted[Math.floor((sorted.length - 1) * part)] ?? NaN)
  t.diagnostic(`${what} ${at(0)} / ${at(0.5)} / ${at(1)} ms (min / median / max), the bound is ${bound} ms`)
}
