/**
 * What is counted, and what is now, as plain data.
 * Invariant: a copy, and as quick to make for ten thousand connections as for one.
 */
import type { Distribution } from '../core/histogram.js'
import type { House } from '../life/house.js'
import type { Tally } from '../observe/tally.js'
import type { Connection } from './connection.js'

/** The counters of one server, and what is now. */
export interface Stats {
  /** How many are open or closing now. */
  connections: number
  /** How many have been opened since registration, as all counters here. */
  opened: number
  /** How many have ended, by cause. */
  closed: Tally['closed']
  /** How many upgrades became no connection (`refused`), and how many of them were not decided in time (`timedOut`). */
  upgrades: { refused: number, timedOut: number }
  /** By result; those of broadcasts are not counted. */
  pushes: Tally['pushes']
  /** By outcome; those that a signal ended are not counted. */
  deliveries: Tally['deliveries']
  /** How many broadcasts there were, to all and to groups. */
  broadcasts: number
  /** Of all broadcasts: to how many they went, and how many did not get one, for too much waited for them. */
  recipients: Tally['recipients']
  /** Whole messages: those that peers sent, and those that were pushed, or broadcast, to each. (What the app sends on a socket itself is not counted.) */
  messages: Tally['messages']
  /** Their bytes, without headers, before compression. */
  bytes: Tally['bytes']
  /** With receipts on: what is not known to have arrived, now, over all connections. */
  unconfirmed: Tally['unconfirmed']
  /** How many pings were sent, how many peers found dead (`lost`), and how many slots of the wheel came late because the loop stalled (`stalls`). */
  heartbeat: { pings: number, lost: number, stalls: number }
  /** Messages of peers that nobody took, and pushes that a full connection did not take. */
  dropped: Tally['dropped']
  /** How many messages of peers did not parse, or did not fit the schema of their route, whether their connection was closed for it or not. */
  invalid: number
  /** Bytes that wait to be handed to the operating system, over all connections. */
  bufferedBytes: number
  /** Round trips of the pings that were answered, in ms. */
  roundTrips: Distribution
  /** How late the slots of the wheel came, in ms: what the event loop is held up by. */
  lateness: Distribution
  /** How many groups have a member. */
  groups: number
  /**
   * How often each limit was applied: upgrades refused (`origins`, `connections`, `perAddress`), connections closed
   * (`payload`, `firstMessage`), those paused or closed (`messageRate`, `byteRate`), pings not answered at once (`pongRate`).
   */
  limited: Tally['limited']
  /** How many errors of the app's there were: in handlers, in listeners, in calls. */
  errors: number
}

/** @param connections how many there are */
export function statsOf (tally: Tally, house: House<Connection>, connections: number): Stats {
  const { opened, closed, upgrades, pushes, deliveries, broadcasts, recipients, messages, bytes, unconfirmed, heartbeat, dropped, invalid, roundTrips, limited, errors } = tally
  const { wheel, budget, groups } = house
  return {
    connections,
    opened,
    closed: { ...closed },
    upgrades: { ...upgrades },
    pushes: { ...pushes },
    deliveries: { ...deliveries },
    broadcasts,
    recipients: { ...recipients },
    messages: { ...messages },
    bytes: { ...bytes },
    unconfirmed: { ...unconfirmed },
    heartbeat: { ...heartbeat, stalls: wheel.stalls },
    dropped: { ...dropped },
    invalid,
    limited: { ...limited },
    bufferedBytes: budget.bytes,
    roundTrips: roundTrips.read(),
    lateness: wheel.lateness.read(),
    groups: groups.size,
    errors
  }
}
