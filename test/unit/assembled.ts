/**
 * A lifeline as the plugin assembles it, without a server.
 */
import { assemble } from '../../src/api/assemble.js'
import type { Connection } from '../../src/api/connection.js'
import type { Lifeline } from '../../src/api/lifeline.js'
import type { Limits } from '../../src/core/backpressure.js'
import { Wheel } from '../../src/core/time/wheel.js'
import type { House } from '../../src/life/house.js'
import type { Call } from '../../src/life/run.js'
import { Log } from '../../src/observe/log.js'

export const silent = { debug () {}, info () {}, warn () {}, error () {} }

/** A request that nothing is known of. */
export const call: Call = { remoteAddress: '', route: '/', params: null, on: null, logger: null, cadence: null, parser: null, onError: null }

export function assembled (limits: Partial<Limits> = {}, total = Infinity, wheel = new Wheel(1000)): { lifeline: Lifeline, house: House<Connection> } {
  return assemble({
    wheel,
    log: new Log(silent),
    limits: { limit: 1_048_576, low: 262_144, policy: 'drop', stallTimeout: 1000, ...limits },
    total,
    closeTimeout: 1000,
    timeout: 1000,
    beats: () => true,
    bound: () => 1000,
    plain: () => null,
    serializeData: null
  })
}
