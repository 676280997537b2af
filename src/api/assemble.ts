/**
 * Puts a lifeline together: what its connections share, who counts and tells, and what the app holds of it.
 */
import { Budget } from '../core/backpressure.js'
import type { Limits } from '../core/backpressure.js'
import { Groups } from '../core/groups.js'
import { Heartbeat } from '../core/heartbeat.js'
import { Registry } from '../core/registry.js'
import type { Wheel } from '../core/time/wheel.js'
import type { House } from '../life/house.js'
import { Journal } from '../life/journal.js'
import type { Log } from '../observe/log.js'
import { Tally } from '../observe/tally.js'
import type { Connection } from './connection.js'
import { Lifeline } from './lifeline.js'

export interface AssembleOptions {
  readonly wheel: Wheel
  readonly log: Log
  readonly limits: Limits
  /** Bytes that may wait for all connections together. */
  readonly total: number
  /** How long a closing handshake may take, in ms. */
  readonly closeTimeout: number
  /** Of the heartbeat, in ms: for `sweep` where it is switched off, and the bound. */
  readonly timeout: number
  readonly bound: () => number
}

export function assemble ({ wheel, log, limits, total, closeTimeout, timeout, bound }: AssembleOptions): { lifeline: Lifeline, house: House<Connection> } {
  const tally = new Tally()
  const journal = new Journal<Connection>(tally, log, {
    tell: (event, ...args) => { lifeline.emit(event, ...args) },
    listens: (event) => lifeline.listenerCount(event) > 0
  })
  const house: House<Connection> = {
    wheel,
    registry: new Registry<Connection>(),
    heartbeat: new Heartbeat(wheel, { stallTimeout: limits.stallTimeout, closeTimeout }, journal),
    groups: new Groups<Connection>(),
    budget: new Budget(total),
    limits,
    closeTimeout,
    journal
  }
  const lifeline: Lifeline = new Lifeline({ house, tally, log, timeout, get bound () { return bound() } })
  return { lifeline, house }
}
