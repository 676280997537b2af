/**
 * What happens to routes: `config.lifeline` is read, the parsers of their messages are made, and WebSocket handlers are supervised: their end is noticed,
 * and what they throw is told.
 * Invariant: what a route has declared holds, whatever later hooks do to its config, or it is not served.
 */
import { isDeepStrictEqual } from 'node:util'
import type { FastifyInstance, FastifyRequest, RouteOptions } from 'fastify'
import type WebSocket from 'ws'
import { lifeOf } from '../api/connection.js'
import type { Run } from '../life/run.js'
import { kConnection } from '../api/request.js'
import { FST_ERR_LIFELINE_OPTION } from '../core/errors.js'
import type { Cadence } from '../core/peer.js'
import type { MessageParser } from '../core/parser.js'
import { describe } from '../core/payload.js'
import { wantCompiler } from './messages.js'
import type { Parsers } from './messages.js'
import { readRouteOptions } from './options.js'
import type { RouteSettings } from './options.js'
import { sameOrigins } from './origins.js'

type Handler = (this: unknown, socket: WebSocket, request: FastifyRequest) => unknown

/** A route that was seen when it was declared. */
class Declared {
  /** As it was then. */
  readonly settings: RouteSettings
  readonly takesWebSockets: boolean
  readonly #opens: boolean
  readonly #route: RouteOptions
  readonly #context: FastifyInstance
  readonly #prepared: () => void
  #last: { readonly options: unknown, readonly settings: RouteSettings } | null = null

  constructor (route: RouteOptions, settings: RouteSettings, context: FastifyInstance) {
    this.#route = route
    this.#context = context
    this.settings = settings
    this.takesWebSockets = takesWebSockets(route)
    // Not on the HEAD route beside it.
    this.#opens = this.takesWebSockets && [route.method].flat().includes('GET')
    this.#prepared = settings.message !== null && this.#opens ? wantCompiler(route) : () => {}
  }

  /** What its config holds when all hooks have run, and what comes of it: what a later hook leaves out is as it was declared. */
  last (read: (options: unknown, path: string, base: RouteSettings) => RouteSettings): { readonly options: unknown, readonly settings: RouteSettings } {
    if (this.#last !== null) return this.#last
    const { url, config } = this.#route
    const options = lifelineOf(config, url)
    return this.#last = { options, settings: read(options, url, this.settings) }
  }

  /** What its messages need, when all hooks have run. */
  prepare (read: Parameters<Declared['last']>[0], parsers: Parsers): void {
    const { settings: { message } } = this.last(read)
    if (message !== null && this.#opens) parsers.make(message, this.#route, this.#context)
    this.#prepared()
  }
}

export class Routes {
  readonly #settings: RouteSettings
  readonly #heartbeat: (cadence: Cadence | null) => void
  readonly #parsers: Parsers
  /** By method and URL: several, where constraints (a host, a version) tell them apart. */
  readonly #declared = new Map<string, Declared[]>()
  /** By the config that Fastify has made of a route's, once for all its requests: what is changed in it later changes nothing. */
  readonly #used = new WeakMap<object, { settings: RouteSettings } | { error: unknown }>()

  /** @param heartbeat is told of each that a route may have */
  constructor (settings: RouteSettings, heartbeat: (cadence: Cadence | null) => void, parsers: Parsers) {
    this.#settings = settings
    this.#heartbeat = heartbeat
    this.#parsers = parsers
  }

  /** An onRoute hook. @param context of the route @throws FST_ERR_LIFELINE_OPTION */
  declare (route: RouteOptions, context: FastifyInstance): void {
    if ((route as { lifeline?: unknown }).lifeline !== undefined) {
      throw new FST_ERR_LIFELINE_OPTION(`route ${route.url}: "lifeline" stands beside config, where nobody reads it; write config: { lifeline: … }`)
    }
    const declared = new Declared(route, this.#read(lifelineOf(route.config, route.url), route.url, this.#settings), context)
    for (const method of [route.method].flat()) {
      for (const url of urlsOf(route)) {
        const key = `${method} ${url}`
        const others = this.#declared.get(key)
        if (others === undefined) this.#declared.set(key, [declared])
        else others.push(declared)
      }
    }
  }

  /** An onReady hook: all routes are declared, and other plugins' hooks have done with them what they do. @throws FST_ERR_LIFELINE_OPTION */
  settle (): void {
    for (const routes of this.#declared.values()) for (const route of routes) route.prepare(this.#read, this.#parsers)
  }

  /** The settings of the route that a request was routed to. @throws FST_ERR_LIFELINE_OPTION, each time, if its config says what cannot be */
  settingsOf (request: FastifyRequest): RouteSettings {
    const config: object | undefined = request.routeOptions.config
    if (config === undefined || config === null) return this.#settings
    let used = this.#used.get(config)
    if (used === undefined) {
      try {
        used = { settings: this.#find(request) }
        if (used.settings.message !== null) this.#parsers.makeFor(used.settings.message, request)
      } catch (error) {
        used = { error }
      }
      this.#used.set(config, used)
    }
    if ('error' in used) throw used.error
    return used.settings
  }

  /** Of settings that a request was given before. */
  parserOf ({ message }: RouteSettings): MessageParser | null {
    return message === null ? null : this.#parsers.of(message)
  }

  /** The name of the route that a request was routed to, if it was declared without a word of WebSockets; else null. */
  plainName (request: FastifyRequest): string | null {
    const name = nameOf(request)
    const declared = this.#declared.get(name)
    return declared === undefined || declared.some((route) => route.takesWebSockets) ? null : name
  }

  /** Whether it was declared where nobody has seen it, if it is a route at all. */
  unseen (request: FastifyRequest): boolean {
    return !request.is404 && !this.#declared.has(nameOf(request))
  }

  #find ({ method, routeOptions: { url = '', config } }: FastifyRequest): RouteSettings {
    const options = lifelineOf(config, url)
    const declared = (this.#declared.get(`${method} ${url}`) ?? []).map((route) => route.last(this.#read))
    const same = declared.filter((one) => one.options === options)
    const [first, ...others] = same.length > 0 ? same : declared
    // Declared before this plugin was registered.
    if (first === undefined) return this.#read(options, url, this.#settings)
    if (!others.every(({ settings }) => alike(settings, first.settings))) {
      throw new FST_ERR_LIFELINE_OPTION(`route ${url}, config.lifeline: a hook has put something else in its place, and several routes of this URL had one of their own (received ${typeof options})`)
    }
    const settings = same.length > 0 ? first.settings : this.#read(options, url, first.settings)
    // Where it cannot be told whose they are, the parser is not that of the first, but made for the request: contexts have their own schemas.
    return others.length > 0 && settings.message !== null ? { ...settings, message: { ...settings.message } } : settings
  }

  readonly #read = (options: unknown, path: string, base: RouteSettings): RouteSettings => {
    if (options === undefined) return base
    const settings = readRouteOptions(options, path, base)
    this.#heartbeat(settings.heartbeat)
    return settings
  }
}

/**
 * By what a request may say that it was routed to: what Fastify had made of the route before any hook, though one of before ours has
 * moved it, and what there is of it now.
 */
function urlsOf (route: RouteOptions): Set<string> {
  const { url, path, prefix = '', routePath = '' } = route as RouteOptions & { path?: string, prefix?: string, routePath?: string }
  return new Set([prefix + routePath, path ?? url, url])
}

/** As it was declared: by the same words by which @fastify/websocket takes it for one. */
export const takesWebSockets = ({ websocket, wsHandler }: RouteOptions): boolean => Boolean(websocket) || Boolean(wsHandler)

export const nameOf = ({ method, routeOptions: { url = '' } }: FastifyRequest): string => `${method} ${url}`

/** All but `origins` is data. */
const alike = (one: RouteSettings, other: RouteSettings): boolean =>
  sameOrigins(one.origins, other.origins) && isDeepStrictEqual({ ...one, origins: null }, { ...other, origins: null })

function lifelineOf (config: RouteOptions['config'], path: string): unknown {
  try {
    return config?.lifeline
  } catch (error) {
    throw new FST_ERR_LIFELINE_OPTION(`route ${path}, config.lifeline: cannot be read: ${describe(error)}`)
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
      // One that is over by now could not be adopted.
      if (connection === null) return socket.readyState === socket.OPEN ? handler.call(this, socket, request) : undefined
      starts(socket)
      // One promise, for a lazy thenable runs each time it is asked.
      watch(lifeOf(connection).run, (async () => handler.call(this, socket, request))())
    }
  }
  return (route) => {
    if (route.wsHandler !== undefined) route.wsHandler = watched(route.wsHandler as Handler) as typeof route.wsHandler
    if (route.websocket === true) route.handler = watched(route.handler as unknown as Handler) as unknown as typeof route.handler
  }
}

// By itself, so that it holds nothing of the request.
function watch (run: Run, handled: Promise<unknown>): void {
  handled.then(
    () => { run.settled() },
    (error: unknown) => {
      run.settled()
      run.failed(error)
    })
}
