/**
 * How a connection ended, as the app is told.
 */
import type { Cause } from '../core/causes.js'
import type { Undelivered } from '../core/outbox.js'

/** How and why a connection ended. */
export interface CloseInfo {
  readonly fd: number
  readonly id: string
  /** The close code that went over the wire first; 1005: a close frame without a code; 1006: none. */
  readonly code: number
  readonly reason: string
  readonly cause: Cause
  /** Wall clock, ms since the epoch. */
  readonly openedAt: number
  readonly closedAt: number
  /**
   * With receipts on: the messages that the peer never confirmed, oldest first, to be sent another way; some of them
   * may have arrived. Without those that a `deliver` has answered for. Else empty.
   */
  readonly undelivered: readonly Undelivered[]
}
