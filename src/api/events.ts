/**
 * The events of a lifeline, and an emitter whose listeners cannot harm anything else.
 */
import { EventEmitter } from 'node:events'
import { isThenable } from '../core/arguments.js'
import type { Connection } from './connection.js'
import type { CloseInfo } from './about.js'

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

export interface LifelineEvents {
  /** A connection was adopted; its route handler is about to run. */
  open: [connection: Connection]
  /** It is over. */
  close: [connection: Connection, info: CloseInfo]
  /** A push did not fit (once, until `drain`). */
  full: [connection: Connection]
  /** No more than `backpressure.low` waits for it again. */
  drain: [connection: Connection]
  /** Messages of the peer, or for it, were let go. */
  drop: [connection: Connection | undefined, drop: Drop]
  /** The app's code failed: the connection was closed with 1011; or a call had to be refused. Without listeners it does not throw. */
  error: [connection: Connection | undefined, error: unknown]
}

export class Events extends EventEmitter<LifelineEvents> {
  readonly #threw: (event: string, error: unknown) => void

  constructor (threw: (event: string, error: unknown) => void) {
    super()
    this.#threw = threw
  }

  /** Calls every listener, whatever the one before it did; what one throws or rejects is logged. */
  override emit (event: any, ...args: any[]): boolean {
    if (this.listenerCount(event) === 0) return false
    for (const listener of this.rawListeners(event)) {
      try {
        const result: unknown = Reflect.apply(listener, this, args)
        // It may come from another realm, or be no Promise at all.
        if (isThenable(result)) new Promise((resolve) => { resolve(result) }).catch((error: unknown) => { this.#threw(event, error) })
      } catch (error) {
        this.#threw(event, error)
      }
    }
    return true
  }
}
