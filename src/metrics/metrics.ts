/**
 * Every metric: its name, what it says, and where it stands in `stats()`. Names are by the conventions of Prometheus: base units
 * (seconds, bytes), `_total` for what only grows. No label has a value that peers choose, or more values than there are words for it in this package.
 * Knows nothing of registries.
 */
import type { Stats } from '../api/stats.js'
import type { Distribution } from '../core/histogram.js'

interface Named {
  /** Behind the prefix. */
  readonly name: string
  readonly help: string
}

/** One number. */
interface Single extends Named {
  readonly type: 'counter' | 'gauge'
  readonly label: null
  readonly read: (stats: Stats) => number
}

/** One for each value of a label. */
interface Labelled extends Named {
  readonly type: 'counter'
  readonly label: string
  readonly read: (stats: Stats) => Readonly<Record<string, number>>
}

/** In ms, and told in seconds. */
interface Distributed extends Named {
  readonly type: 'histogram'
  readonly label: null
  readonly read: (stats: Stats) => Distribution
}

export type Metric = Single | Labelled | Distributed

const gauge = (name: string, help: string, read: Single['read']): Metric => ({ name, type: 'gauge', label: null, help, read })
const counter = (name: string, help: string, read: Single['read']): Metric => ({ name, type: 'counter', label: null, help, read })
const each = (name: string, label: string, help: string, read: Labelled['read']): Metric => ({ name, type: 'counter', label, help, read })
const histogram = (name: string, help: string, read: Distributed['read']): Metric => ({ name, type: 'histogram', label: null, help, read })

export const metrics: readonly Metric[] = [
  gauge('connections', 'Connections that are open, or closing.', (stats) => stats.connections),
  counter('connections_opened_total', 'Connections that were opened.', (stats) => stats.opened),
  each('connections_closed_total', 'cause', 'Connections that ended, by cause.', (stats) => stats.closed),
  counter('upgrades_refused_total', 'Upgrades that became no connection.', (stats) => stats.upgrades.refused),
  counter('upgrades_timed_out_total', 'Those of them that were not decided in time.', (stats) => stats.upgrades.timedOut),
  each('limits_applied_total', 'limit', 'How often each limit was applied.', (stats) => stats.limited),
  each('messages_total', 'direction', 'Whole messages: that peers sent (in), and that were pushed or broadcast, to each (out).', (stats) => stats.messages),
  each('message_bytes_total', 'direction', 'Their bytes, without headers, before compression.', (stats) => stats.bytes),
  each('dropped_messages_total', 'reason', 'Messages of peers that nobody took (unread), and for peers for whom too much waited (full).', (stats) => stats.dropped),
  counter('invalid_messages_total', 'Messages of peers that did not parse, or did not fit the schema of their route.', (stats) => stats.invalid),
  each('pushes_total', 'result', 'Pushes, by result; those of broadcasts are not counted.', (stats) => stats.pushes),
  each('deliveries_total', 'outcome', 'Deliveries that were waited for, by outcome.', (stats) => stats.deliveries),
  counter('broadcasts_total', 'Broadcasts.', (stats) => stats.broadcasts),
  each('broadcast_recipients_total', 'result', 'Of all broadcasts: who got one (reached), and for whom too much waited (full).', (stats) => stats.recipients),
  gauge('buffered_bytes', 'Bytes that wait to be handed to the operating system, over all connections.', (stats) => stats.bufferedBytes),
  gauge('unconfirmed_messages', 'With receipts on: messages that are not known to have arrived, over all connections.', (stats) => stats.unconfirmed.messages),
  gauge('unconfirmed_bytes', 'Their bytes.', (stats) => stats.unconfirmed.bytes),
  gauge('groups', 'Groups that have a member.', (stats) => stats.groups),
  counter('heartbeat_pings_total', 'Pings of the heartbeat.', (stats) => stats.heartbeat.pings),
  counter('heartbeat_lost_total', 'Peers that the heartbeat found dead.', (stats) => stats.heartbeat.lost),
  counter('heartbeat_stalls_total', 'How often the event loop was held up for too long to judge anybody.', (stats) => stats.heartbeat.stalls),
  histogram('round_trip_seconds', 'Round trips of the pings that were answered.', (stats) => stats.roundTrips),
  histogram('loop_lateness_seconds', 'How late the event loop comes to what is due.', (stats) => stats.lateness),
  counter('errors_total', 'Errors of the app: in handlers, in listeners, in calls.', (stats) => stats.errors)
]
