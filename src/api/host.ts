/**
 * What follows when something happens to a connection: it is counted, logged and told, in that order.
 */
import type { Log } from '../observe/log.js'
import type { Budget, Limits } from '../core/backpressure.js'
import { Cuts } from '../core/cuts.js'
import type { Groups } from '../core/groups.js'
import type { Heartbeat } from '../core/heartbeat.js'
import type { Outgoing } from '../core/outgoing.js'
import type { PushResult } from '../core/payload.js'
import type { Outcome } from '../core/receipts.js'
import type { Registry } from '../core/registry.js'
import type { Limited, Tally } from '../core/tally.js'
import type { Wheel } from '../core/wheel.js'
import type { Connection } from './connection.js'
import type { LifelineEvents } from './events.js'
import type { About, CloseInfo, LifeHost } from './about.js'

/** What is shared by all connections of one server. */
export interface HostParts {
  readonly wheel: Wheel
  readonly registry: Registry<Connection>
  readonly heartbeat: Heartbeat
  readonly groups: Groups<Connection>
  readonly budget: Budget
  readonly limits: Limits
  readonly closeTimeout: number
  readonly tally: Tally
  readonly log: Log
}

export interface Tell {
  <K extends keyof LifelineEvents> (event: K, ...args: LifelineEvents[K]): void
}

export class Host implements LifeHost<Connection> {
  readonly wheel: Wheel
  readonly registry: Registry<Connection>
  readonly heartbeat: Heartbeat
  readonly groups: Groups<Connection>
  readonly budget: Budget
  readonly limits: Limits
  readonly closeTimeout: number
  readonly #tally: Tally
  readonly #log: Log
  readonly #tell: Tell
  readonly #listened: (event: keyof LifelineEvents) => boolean
  readonly #cuts = new Cuts()

  constructor ({ wheel, registry, heartbeat, groups, budget, limits, closeTimeout, tally, log }: HostParts, tell: Tell, listened: (event: keyof LifelineEvents) => boolean) {
    this.wheel = wheel
    this.registry = registry
    this.heartbeat = heartbeat
    this.groups = groups
    this.budget = budget
    this.limits = limits
    this.closeTimeout = closeTimeout
    this.#tally = tally
    this.#log = log
    this.#tell = tell
    this.#listened = listened
  }

  opened (connection: Connection, about: About): void {
    this.#tally.opened++
    this.#log.opened(about)
    this.#tell('open', connection)
  }

  failed (connection: Connection, about: About, error: unknown, first: boolean): void {
    if (!first) {
      this.#log.failedAgain(about, error)
      return
    }
    this.#tally.errors++
    this.#log.failed(about, error)
    this.#tell('error', connection, error)
  }

  misused (connection: Connection | undefined, error: Error): void {
    this.#tally.errors++
    this.#log.misused(error, connection?.fd)
    this.#tell('error', connection, error)
  }

  pushed (result: PushResult): void {
    this.#tally.pushes[result]++
  }

  dropped (connection: Connection, messages: number, bytes: number): void {
    this.#tally.dropped.unread += messages
    this.#tell('drop', connection, { reason: 'unread', messages, bytes })
  }

  refused (connection: Connection, message: Outgoing): void {
    this.#tally.dropped.full++
    if (!this.#listened('drop')) return
    // Whoever listens may keep it, and the app's bytes are still the app's.
    const { payload, binary, size } = message.own()
    this.#tell('drop', connection, { reason: 'full', messages: 1, bytes: size, data: payload, binary })
  }

  delivered (outcome: Outcome): void {
    this.#tally.deliveries[outcome]++
  }

  ignored (): void {
    this.#tally.dropped.unread++
  }

  exceeded (limit: Limited): void {
    this.#tally.limited[limit]++
  }

  full (connection: Connection): void {
    this.#tell('full', connection)
  }

  drained (connection: Connection): void {
    this.#tell('drain', connection)
  }

  closed (connection: Connection, about: About, info: CloseInfo, idle: number): void {
    this.#tally.closed[info.cause]++
    if (info.cause === 'reset' && this.#cuts.note(idle)) this.#log.cut(idle, about.cadence?.interval)
    this.#log.closed(about, info)
    this.#tell('close', connection, info)
  }
}
