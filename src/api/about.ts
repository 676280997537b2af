/**
 * What is known of a connection at its beginning and at its end, and who is told of what comes in between.
 */
import type { Budget, Limits } from '../core/backpressure.js'
import type { Cause } from '../core/causes.js'
import type { Groups } from '../core/groups.js'
import type { Heartbeat } from '../core/heartbeat.js'
import type { Cadence } from '../core/peer.js'
import type { OutboxLimits, Undelivered } from '../core/outbox.js'
import type { Outgoing } from '../core/outgoing.js'
import type { PushResult } from '../core/payload.js'
import type { Outcome } from '../core/receipts.js'
import type { Registry } from '../core/registry.js'
import type { Limited } from '../core/tally.js'
import type { Wheel } from '../core/wheel.js'

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

/** What is known of a connection when it opens. */
export interface About {
  readonly fd: number
  readonly remoteAddress: string
  /** Of the request that was upgraded; for log lines. */
  readonly reqId: string
  /** null: no heartbeat on this route. */
  readonly cadence: Cadence | null
  /** What is kept until it is confirmed; null: nothing is. */
  readonly receipts: OutboxLimits | null
  /** The app's own handler of errors, if it has one. */
  readonly onError: ((error: unknown) => void) | null
}

/** Who counts, logs and tells of what happens to the connections of one server. */
export interface LifeHost<T extends object> {
  readonly wheel: Wheel
  readonly registry: Registry<T>
  readonly heartbeat: Heartbeat
  readonly groups: Groups<T>
  readonly budget: Budget
  readonly limits: Limits
  /** How long a closing handshake may take, in ms. */
  readonly closeTimeout: number
  opened (subject: T, about: About): void
  /** The app's code failed; `first`: for the first time on this connection. */
  failed (subject: T, about: About, error: unknown, first: boolean): void
  /** The app made a call that had to be mended or refused. */
  misused (subject: T, error: Error): void
  pushed (result: PushResult): void
  /** Messages of the peer were let go, for nobody took them. */
  dropped (subject: T, messages: number, bytes: number): void
  /** A message for the peer did not fit. */
  refused (subject: T, message: Outgoing): void
  /** What became of a message whose sender waited to know. */
  delivered (outcome: Outcome): void
  /** One more message of a peer was let go, without a word. */
  ignored (): void
  /** A peer went past a limit. */
  exceeded (limit: Limited): void
  /** A first message did not fit; and enough has gone for it to fit again. */
  full (subject: T): void
  drained (subject: T): void
  /** @param idle how long nothing had passed, in ms; NaN if unknown */
  closed (subject: T, about: About, info: CloseInfo, idle: number): void
}
