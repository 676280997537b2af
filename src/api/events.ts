/**
 * The events of a lifeline, and an emitter whose listeners cannot harm anything else. Who listens for an event that does not exist, or listens no more, is told.
 */
import { EventEmitter } from 'node:events'
import type { FastifyRequest } from 'fastify'
import { FST_ERR_LIFELINE_ARGUMENT } from '../core/errors.js'
import type { Awaited } from '../life/awaited.js'
import { call } from './call.js'
import type { Connection } from './connection.js'
import type { LifeEvents } from '../life/journal.js'

/** The events of `fastify.lifeline`, with what listeners are given. */
export interface LifelineEvents extends Omit<LifeEvents<Connection>, 'open'> {
  /** A connection was adopted; its route handler is about to run. Do not keep the request: it lives no longer than its handler. */
  open: [connection: Connection, request: FastifyRequest]
}

/** Those of one route: its `config.lifeline.on`. */
export type RouteListeners = { [K in keyof LifelineEvents]?: (...args: LifelineEvents[K]) => unknown }

/** The events that there are. */
export const eventNames = ['open', 'join', 'leave', 'close', 'full', 'drain', 'drop', 'error'] as const satisfies ReadonlyArray<keyof LifelineEvents>

/** Those of Node.js itself. */
type Meta = 'newListener' | 'removeListener'
type Name = keyof LifelineEvents | Meta | symbol
type Listener<E extends Name> = E extends keyof LifelineEvents
  ? (...args: LifelineEvents[E]) => void
  : E extends Meta ? (event: string | symbol, listener: (...args: any[]) => void) => void : (...args: any[]) => void

const known = new Set<string>([...eventNames, 'newListener', 'removeListener'])

/** @throws FST_ERR_LIFELINE_ARGUMENT for an event that does not exist. A symbol is somebody's own. */
function check (event: unknown): any {
  if (typeof event === 'symbol' || known.has(event as string)) return event
  const given = typeof event === 'string' ? JSON.stringify(event) : `one of type ${typeof event}`
  throw new FST_ERR_LIFELINE_ARGUMENT(`a lifeline has no event ${given}; its events are: ${eventNames.join(', ')}`)
}

export class Events extends EventEmitter<LifelineEvents> {
  readonly #threw: (event: string, error: unknown) => void
  readonly #awaited: Awaited

  /** Made by the lifeline. @internal */
  constructor (threw: (event: string, error: unknown) => void, awaited: Awaited) {
    super()
    this.#threw = threw
    this.#awaited = awaited
  }

  /** @throws FST_ERR_LIFELINE_ARGUMENT for an event that does not exist */
  override on<E extends Name> (event: E, listener: Listener<E>): this { return super.on(check(event), listener as never) }
  /** @throws FST_ERR_LIFELINE_ARGUMENT for an event that does not exist */
  override addListener<E extends Name> (event: E, listener: Listener<E>): this { return super.addListener(check(event), listener as never) }
  /** @throws FST_ERR_LIFELINE_ARGUMENT for an event that does not exist */
  override once<E extends Name> (event: E, listener: Listener<E>): this { return super.once(check(event), listener as never) }
  /** @throws FST_ERR_LIFELINE_ARGUMENT for an event that does not exist */
  override prependListener<E extends Name> (event: E, listener: Listener<E>): this { return super.prependListener(check(event), listener as never) }
  /** @throws FST_ERR_LIFELINE_ARGUMENT for an event that does not exist */
  override off<E extends Name> (event: E, listener: Listener<E>): this { return super.off(check(event), listener as never) }
  /** @throws FST_ERR_LIFELINE_ARGUMENT for an event that does not exist */
  override removeListener<E extends Name> (event: E, listener: Listener<E>): this { return super.removeListener(check(event), listener as never) }
  /** @throws FST_ERR_LIFELINE_ARGUMENT for an event that does not exist */
  override removeAllListeners (event?: Name): this { return event === undefined ? super.removeAllListeners() : super.removeAllListeners(check(event)) }
  /** @throws FST_ERR_LIFELINE_ARGUMENT for an event that does not exist */
  override prependOnceListener<E extends Name> (event: E, listener: Listener<E>): this { return super.prependOnceListener(check(event), listener as never) }

  /** Calls every listener, whatever the one before it did; what one throws or rejects is logged. */
  override emit (event: any, ...args: any[]): boolean {
    if (this.listenerCount(event) === 0) return false
    const threw = (error: unknown): void => { this.#threw(event, error) }
    for (const listener of this.rawListeners(event)) {
      const done = call(listener, this, args, threw)
      if (event === 'close') this.#awaited.add(done)
    }
    return true
  }
}
