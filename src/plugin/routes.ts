/**
 * What happens to routes: `config.lifeline` is checked when the route is declared, and WebSocket
 * handlers are supervised: their end is noticed, and what they throw is told.
 */
import type { FastifyRequest, RouteOptions } from 'fastify'
import type WebSocket from 'ws'
import { lifeOf } from '../api/connection.js'
import type { Connection } from '../api/connection.js'
import type { Life } from '../api/life.js'
import { kConnection } from '../api/lifeline.js'
import { readRouteOptions } from './options.js'
import type { RouteSettings } from './options.js'

type Handler = (this: unknown, socket: WebSocket, request: FastifyRequest) => unknown

export class Routes {
  readonly #settings: RouteSettings
  // Keyed by the app's own object: Fastify copies the config around it.
  readonly #perRoute = new WeakMap<object, RouteSettings>()

  constructor (settings: RouteSettings) {
    this.#settings = settings
  }

  /** An onRoute hook. @throws FST_ERR_LIFELINE_OPTION */
  read (route: RouteOptions): RouteSettings {
    const options = route.config?.lifeline
    if (options === undefined) return this.#settings
    const settings = readRouteOptions(options, route.url, this.#settings)
    this.#perRoute.set(options, settings)
    return settings
  }

  settingsOf (request: FastifyRequest | undefined): RouteSettings {
    const options = request?.routeOptions.config.lifeline
    return options === undefined ? this.#settings : this.#perRoute.get(options) ?? this.#settings
  }
}

/**
 * An onRoute hook. The handlers of WebSocket routes are wrapped: their transport is told when they have
 * returned, and what they awaited has settled; and what they throw is ours to tell.
 * @param starts called with the socket before the handler is
 */
export function watchHandlers (starts: (socket: WebSocket) => void): (route: RouteOptions) => void {
  const watched = (handler: Handler): Handler => {
    if (typeof handler !== 'function') return handler
    return function (socket, request) {
      const connection = request[kConnection]
      if (connection === null) return handler.call(this, socket, request)
      starts(socket)
      // One promise, for a lazy thenable runs each time it is asked.
      watch(lifeOf(connection), (async () => handler.call(this, socket, request))())
    }
  }
  return (route) => {
    if (route.wsHandler !== undefined) route.wsHandler = watched(route.wsHandler as Handler) as typeof route.wsHandler
    if (route.websocket === true) route.handler = watched(route.handler as unknown as Handler) as unknown as typeof route.handler
  }
}

// By itself, so that it holds nothing of the request.
function watch (life: Life<Connection>, handled: Promise<unknown>): void {
  handled.then(
    () => { life.transport.settled() },
    (error: unknown) => {
      life.transport.settled()
      life.failed(error)
    })
}
