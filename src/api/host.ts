/**
 * What follows when something happens to a connection: it is counted, logged and told, in that order.
 */
import type { Log } from '../observe/log.js'
import type { Heartbeat } from '../core/heartbeat.js'
import type { PushResult } from '../core/payload.js'
import type { Registry } from '../core/registry.js'
import type { Tally } from '../core/tally.js'
import type { Connection } from './connection.js'
import type { LifelineEvents } from './events.js'
import type { About, CloseInfo, LifeHost } from './life.js'

export interface Tell {
  <K extends keyof LifelineEvents> (event: K, ...args: LifelineEvents[K]): void
}

export class Host implements LifeHost<Connection> {
  readonly registry: Registry<Connection>
  readonly heartbeat: Heartbeat
  readonly #tally: Tally
  readonly #log: Log
  readonly #tell: Tell

  constructor (registry: Registry<Connection>, heartbeat: Heartbeat, tally: Tally, log: Log, tell: Tell) {
    this.registry = registry
    this.heartbeat = heartbeat
    this.#tally = tally
    this.#log = log
    this.#tell = tell
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
    this.#tally.dropped += messages
    this.#tell('drop', connection, { reason: 'unread', messages, bytes })
  }

  closed (connection: Connection, about: About, info: CloseInfo): void {
    this.#tally.closed[info.cause]++
    this.#log.closed(about, info)
    this.#tell('close', connection, info)
  }
}
