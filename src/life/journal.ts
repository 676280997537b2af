/**
 * What follows when something happens: it is counted, logged and told, in that order and in this one place.
 * Invariant: what is counted is told, and what is told is counted.
 */
import type { HeartbeatJournal } from '../core/heartbeat.js'
import type { Limited } from '../core/limited.js'
import type { Outgoing } from '../core/outgoing.js'
import type { PushResult } from '../core/payload.js'
import type { Outcome } from '../core/receipts.js'
import { Cuts } from '../observe/cuts.js'
import type { Log, Logger } from '../observe/log.js'
import type { Tally } from '../observe/tally.js'
import type { CloseInfo } from './close-info.js'

/** Whoever has a number. */
export interface Named { readonly fd: number }

export interface Drop {
  /**
   * `unread`: they came for a route without a reader, or were not taken before this side closed.
   * `full`: they were pushed while more than `backpressure.limit` waited, or, with receipts, was unconfirmed.
   */
  reason: 'unread' | 'full'
  /** How many, and their bytes together, without headers. */
  messages: number
  bytes: number
  /** `full` alone: the message that was not taken, as it would have gone out: text as a string (JSON, if an object was pushed), bytes as a Buffer. */
  data?: string | Buffer
  /** `full` alone: whether it would have gone out as a binary message. */
  binary?: boolean
}

/** The events of connections. @typeParam T what the app holds of each */
export interface LifeEvents<T> {
  /** A connection was adopted; its route handler is about to run. */
  open: [connection: T]
  /** It is over. */
  close: [connection: T, info: CloseInfo]
  /** A push did not fit (once, until `drain`). */
  full: [connection: T]
  /** No more than `backpressure.low` waits for it again. */
  drain: [connection: T]
  /** Messages of the peer, or for it, were let go. */
  drop: [connection: T | undefined, drop: Drop]
  /** The app's code failed: the connection was closed with 1011; or a call had to be refused. Without listeners it does not throw. */
  error: [connection: T | undefined, error: unknown]
}

/** Who is told. */
export interface Audience<T> {
  tell<K extends keyof LifeEvents<T>> (event: K, ...args: LifeEvents<T>[K]): void
  /** Whether anybody listens. */
  listens (event: keyof LifeEvents<T>): boolean
}

export class Journal<T extends Named> implements HeartbeatJournal {
  readonly #tally: Tally
  readonly #log: Log
  readonly #audience: Audience<T>
  readonly #cuts = new Cuts()

  constructor (tally: Tally, log: Log, audience: Audience<T>) {
    this.#tally = tally
    this.#log = log
    this.#audience = audience
  }

  // Connections.

  /** @param logger of the request that was upgraded; null: the server's */
  opened (subject: T, logger: Logger | null): void {
    this.#tally.opened++
    this.#log.opened(subject.fd, logger)
    this.#audience.tell('open', subject)
  }

  /**
   * @param idle how long nothing had passed, in ms; NaN if unknown
   * @param interval of its heartbeat, in ms; undefined: it has none
   */
  closed (subject: T, logger: Logger | null, info: CloseInfo, idle: number, interval: number | undefined): void {
    this.#tally.closed[info.cause]++
    if (info.cause === 'reset' && this.#cuts.note(idle)) this.#log.cut(idle, interval)
    this.#log.closed(logger, info)
    this.#audience.tell('close', subject, info)
  }

  /** The app's code failed; `first`: for the first time on this connection. */
  failed (subject: T, logger: Logger | null, error: unknown, first: boolean): void {
    if (!first) {
      this.#log.failedAgain(subject.fd, logger, error)
      return
    }
    this.#tally.errors++
    this.#log.failed(subject.fd, logger, error)
    this.#audience.tell('error', subject, error)
  }

  /** The app made a call that had to be mended or refused. */
  misused (subject: T | undefined, error: Error): void {
    this.#tally.errors++
    this.#log.misused(error, subject?.fd)
    this.#audience.tell('error', subject, error)
  }

  // Messages.

  pushed (result: PushResult): void { this.#tally.pushes[result]++ }
  broadcast (): void { this.#tally.broadcasts++ }

  /** What became of a message whose sender waited to know. */
  delivered (outcome: Outcome): void { this.#tally.deliveries[outcome]++ }

  /** A first message did not fit; and enough has gone for it to fit again. */
  full (subject: T): void { this.#audience.tell('full', subject) }
  drained (subject: T): void { this.#audience.tell('drain', subject) }

  /**
   * A message for the peer did not fit. Its bytes may still be the app's, to change or to transfer: so this comes before the app is told
   * of anything. @returns what is to be told; null: nobody listens
   */
  refused (message: Outgoing): Drop | null {
    this.#tally.dropped.full++
    if (!this.#audience.listens('drop')) return null
    const { data, binary, size } = message
    return { reason: 'full', messages: 1, bytes: size, data, binary }
  }

  refusal (subject: T, drop: Drop): void { this.#audience.tell('drop', subject, drop) }

  /** Messages of the peer were let go, for nobody took them. */
  dropped (subject: T, messages: number, bytes: number): void {
    this.#tally.dropped.unread += messages
    this.#audience.tell('drop', subject, { reason: 'unread', messages, bytes })
  }

  /** One more message of a peer was let go, without a word. */
  ignored (): void { this.#tally.dropped.unread++ }

  // Limits and upgrades.

  /** A peer went past a limit. */
  exceeded (limit: Limited): void { this.#tally.limited[limit]++ }

  /** Nobody was let in, for a limit. @param why null: the log has a line of it already */
  turnedAway (limit: Limited, why: string | null): void {
    this.exceeded(limit)
    this.#log.refused(limit, why)
  }

  /** An upgrade became no connection. */
  upgradeRefused (): void { this.#tally.upgrades.refused++ }

  /** Nobody had decided it in time. */
  upgradeTimedOut (): void { this.#tally.upgrades.timedOut++ }

  // The heartbeat.

  pinged (): void { this.#tally.heartbeat.pings++ }
  foundDead (): void { this.#tally.heartbeat.lost++ }
}
