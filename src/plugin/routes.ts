/**
 * What happens to routes: `config.lifeline` is checked when the route is declared, and the end of
 * a WebSocket handler is noticed.
 */
import type { FastifyRequest, RouteOptions } from 'fastify'
import { lifeOf } from '../api/connection.js'
import { kConnection } from '../api/lifeline.js'
import type { Cadence } from '../core/heartbeat.js'
import { readRouteOptions } from './options.js'
import type { Settings } from './options.js'

type Handler = (this: unknown, socket: unknown, request: FastifyRequest) => unknown

export class Routes {
  readonly #settings: Settings
  // Keyed by the app's own object: Fastify copies the config around it.
  readonly #cadences = new WeakMap<object, Cadence | null>()

  constructor (settings: Settings) {
    this.#settings = settings
  }

  /** An onRoute hook. @throws FST_ERR_LIFELINE_OPTION */
  read (route: RouteOptions): Cadence | null {
    const options = route.config?.lifeline
    if (options === undefined) return this.#settings.heartbeat
    const cadence = readRouteOptions(options, route.url, this.#settings)
    this.#cadences.set(options, cadence)
    return cadence
  }

  cadenceOf = (request: FastifyRequest | undefined): Cadence | null => {
    const options = request?.routeOptions.config.lifeline
    return options === undefined ? this.#settings.heartbeat : this.#cadences.get(options) ?? null
  }
}

/** An onRoute hook: has the transport told when the handler has returned, and what it awaited has settled. */
export function watchHandler (route: RouteOptions): void {
  if (route.wsHandler !== undefined) route.wsHandler = watched(route.wsHandler as Handler) as typeof route.wsHandler
  if (route.websocket === true) route.handler = watched(route.handler as unknown as Handler) as unknown as typeof route.handler
}

function watched (handler: Handler): Handler {
  if (typeof handler !== 'function') return handler
  return function (socket, request) {
    const connection = request[kConnection]
    const settled = (): void => { if (connection !== null) lifeOf(connection).transport.settled() }
    // One promise for us and for @fastify/websocket: a lazy thenable runs each time it is asked.
    const result = (async () => handler.call(this, socket, request))()
    result.then(settled, settled)
    return result
  }
}
