/**
 * A connection at one moment, as plain data: a copy, which may be logged, sent and kept.
 * Knows nothing of what it is read from.
 */

/** What a connection is at one moment, as plain data. */
export interface ConnectionInfo {
  /** Its number in this process. */
  fd: number
  /** Its name, safe in a URL. */
  id: string
  /** What carries it. */
  transport: 'websocket'
  /** `closing`: a close frame has passed, or the socket is ending. */
  state: 'open' | 'closing' | 'closed'
  /** The peer's address; behind proxies by Fastify's `trustProxy`. */
  remoteAddress: string
  /** The pattern of its route. */
  route: string
  /** The groups that it is in. */
  groups: string[]
  /** Wall clock, ms since the epoch. */
  openedAt: number
  /** When the peer was last known to live: wall clock, ms since the epoch. */
  lastSeenAt: number
  /** ms, smoothed; null before the first answered ping. */
  roundTrip: number | null
  /** Bytes that wait to be handed to the operating system. */
  bufferedBytes: number
  /** With receipts on: how many messages the peer is not known to have, and their bytes. Else zero. */
  unconfirmed: { count: number, bytes: number }
  /** What the option `serializeData` makes of the app's data; without it, nothing. */
  data?: unknown
}

/** What it is now. */
export function infoOf ({ fd, id, transport, state, remoteAddress, route, groups, openedAt, lastSeenAt, roundTrip, bufferedBytes, unconfirmed }: Omit<ConnectionInfo, 'groups'> & { groups: Iterable<string> }): ConnectionInfo {
  return { fd, id, transport, state, remoteAddress, route, groups: [...groups], openedAt, lastSeenAt, roundTrip, bufferedBytes, unconfirmed }
}
