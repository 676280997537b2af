/**
 * How fine the wheels of a server are. One has all that waits for long: by the shortest heartbeat that any of its routes has. The other
 * has what waits for its turn under a rate, and stands still while nothing does.
 * Invariant: a wheel only ever becomes finer.
 */
import type { Cadence } from '../core/peer.js'
import { Wheel } from '../core/time/wheel.js'
import { defaults } from './options.js'

// A slot of the wheel, in ms: fine enough to spread pings; coarse enough to cost nothing, and not
// to take a garbage collection for a stalled loop.
const SLOT_MIN = 50
const SLOT_MAX = 250

// Of a loop that was away for longer than that the time is lost: it is not made up for.
const LOST = 2_500

// Fine enough for what is handed out evenly to look even. What was late is made up for, or it would be fewer than fit; of a long
// absence, not all of it.
const SLOT_OF_RATES = 10
const LOST_OF_RATES = 1_000

/** For what peers send faster than a rate allows. */
export const wheelForRates = (): Wheel => new Wheel(SLOT_OF_RATES, undefined, LOST_OF_RATES)

/** @param cadence null: no heartbeat, unless a route has one */
export function wheelFor (cadence: Cadence | null): Wheel {
  const wheel = new Wheel(SLOT_MAX, undefined, LOST, Math.min(LOST, (cadence ?? defaults.heartbeat).timeout / 4))
  refine(wheel, cadence)
  return wheel
}

/** Makes the wheel fine enough for this heartbeat. */
export function refine (wheel: Wheel, cadence: Cadence | null): void {
  if (cadence === null) return
  const shortest = Math.max(1, Math.floor(Math.min(cadence.interval / 2, cadence.timeout)))
  wheel.refine(Math.min(SLOT_MAX, shortest, Math.max(SLOT_MIN, Math.floor(shortest / 40))))
}
