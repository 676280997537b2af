/**
 * How a connection ended, as the app is told.
 */
import type { Cause } from '../core/causes.js'
import type { Unconfirmed } from '../core/outbox.js'

/** How and why a connection ended. */
export interface CloseInfo {
  /** Its number in this process: nobody's any more. */
  readonly fd: number
  /** Its name. */
  readonly id: string
  /** The close code that went over the wire first; 1005: a close frame without a code; 1006: none. */
  readonly code: number
  /** The reason that came or went with the code; empty if there was none. */
  readonly reason: string
  /** Why it ended: see the table of causes. */
  readonly cause: Cause
  /** Wall clock, ms since the epoch. */
  readonly openedAt: number
  /** Wall clock, ms since the epoch. */
  readonly closedAt: number
  /** Those that it was in until then. */
  readonly groups: readonly string[]
  /**
   * With receipts on: the messages that the peer never confirmed, oldest first, to be sent another way; some of them
   * may have arrived. Without those that a `deliver` has answered for. Else empty.
   */
  readonly unconfirmed: readonly Unconfirmed[]
}
