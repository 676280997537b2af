/**
 * What all connections of one server share.
 */
import type { Budget, Limits } from '../core/backpressure.js'
import type { Groups } from '../core/groups.js'
import type { Heartbeat } from '../core/heartbeat.js'
import type { Registry } from '../core/registry.js'
import type { Wheel } from '../core/time/wheel.js'
import type { Awaited } from './awaited.js'
import type { Journal, Named } from './journal.js'

/** @typeParam T what the app holds of each */
export interface House<T extends Named> {
  readonly wheel: Wheel
  readonly registry: Registry<T>
  readonly heartbeat: Heartbeat
  readonly groups: Groups<T>
  readonly budget: Budget
  readonly limits: Limits
  /** How long a closing handshake may take, in ms. */
  readonly closeTimeout: number
  readonly journal: Journal<T>
  /** What listeners for the end of connections have promised. */
  readonly awaited: Awaited
  /** What the app shows of the data that it keeps on a connection; null: nothing. */
  readonly serializeData: ((data: unknown) => unknown) | null
}
