/**
 * The events of a lifeline, and an emitter whose listeners cannot harm anything else.
 */
import { EventEmitter } from 'node:events'
import { isThenable } from '../core/arguments.js'
import type { Connection } from './connection.js'
import type { LifeEvents } from '../life/journal.js'

export interface LifelineEvents extends LifeEvents<Connection> {}

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
