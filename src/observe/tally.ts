/**
 * The counters of one server, as plain numbers. Whoever does a thing counts it here.
 */
import { causes } from '../core/causes.js'
import type { Cause } from '../core/causes.js'
import { Histogram } from '../core/histogram.js'
import { limited } from '../core/limited.js'
import type { Limited } from '../core/limited.js'
import { outcomes } from '../core/receipts.js'
import type { Outcome } from '../core/receipts.js'

export class Tally {
  opened = 0
  readonly closed = Object.fromEntries(Object.keys(causes).map((cause) => [cause, 0])) as Record<Cause, number>
  /** Upgrades that ended without a connection, and those of them that nobody decided in time. */
  readonly upgrades = { refused: 0, timedOut: 0 }
  readonly pushes = { sent: 0, buffered: 0, full: 0, gone: 0, invalid: 0 }
  /** By outcome. */
  readonly deliveries = Object.fromEntries(outcomes.map((outcome) => [outcome, 0])) as Record<Outcome, number>
  broadcasts = 0
  /** Of all broadcasts: who got one, and who was full. */
  readonly recipients = { reached: 0, full: 0 }
  /** Whole messages each way, and their payload. */
  readonly messages = { in: 0, out: 0 }
  readonly bytes = { in: 0, out: 0 }
  /** What all connections together keep until it is confirmed, now. */
  readonly unconfirmed = { messages: 0, bytes: 0 }
  /** Of pings that were answered. */
  readonly roundTrips = new Histogram()
  /** Heartbeat pings sent, and peers found dead. */
  readonly heartbeat = { pings: 0, lost: 0 }
  /** Messages that came and nobody took, and those that were not taken for a peer that is too slow. */
  readonly dropped = { unread: 0, full: 0 }
  /** Messages of peers that did not parse, or did not fit the schema of their route. */
  invalid = 0
  /** How often each limit was applied. */
  readonly limited = Object.fromEntries(limited.map((limit) => [limit, 0])) as Record<Limited, number>
  /** Errors of the app's: in handlers, listeners and calls. */
  errors = 0
}
