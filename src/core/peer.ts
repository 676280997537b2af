/**
 * What the heartbeat has to do with: a few methods of whoever is watched, and how often.
 */

/** What the heartbeat sees of what carries a connection. */
export interface Wire {
  /** Nothing is ever heard of this peer, as behind an event stream: it is kept open, and its silence says nothing. */
  readonly deaf: boolean
  /** Grows whenever anything is heard from the peer. */
  heard (): number
  /** Grows whenever something that waited has been taken; and with whatever says that the peer may have waited for us. */
  advance (): number
  /** Bytes that the peer has to take in before it can answer anything. */
  span (): number
  /**
   * Bytes that were written and wait for the peer to make room. What waits for us, to be compressed, is not the peer's fault; nor is
   * anything while the app has stopped reading.
   */
  waiting (): number
  /** We do not listen to the peer, or are not done with what came before. */
  readonly paused: boolean
  /** Sends a ping whose answer nobody awaits, if there is room for one more. @returns its number; if none was sent, -1 less the number of the newest */
  beat (): number
  /** When this ping was written, monotonic in ms; NaN while it waits here; -Infinity if it is not open any more. */
  beatenAt (ping: number): number
  /** Reads on, although paused, until something is heard: the only way to judge a paused peer. False if too much waits already, or reading would not go on. */
  peek (on: boolean): boolean
}

/** And of the connection. */
export interface Peer {
  readonly wire: Wire
  /** Whether the app asked that this peer is never declared lost. */
  readonly protected: boolean
  /** The peer is gone. */
  lost (): void
  /** The peer lives, but has taken nothing for too long. */
  stalled (): void
}

export interface Cadence {
  /** How long a peer may be silent before it is asked, in ms. */
  readonly interval: number
  /** How long it then has to answer, in ms. */
  readonly timeout: number
}
