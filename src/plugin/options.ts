/**
 * The options of the plugin and of its routes: names, defaults, and how they are read. What breaks a rule throws
 * at registration, with the option's name, the rule and the value.
 */
import { types } from 'node:util'
import type { WebsocketPluginOptions } from '@fastify/websocket'
import type { Connection, ConnectionData } from '../api/connection.js'
import type { RouteListeners } from '../api/events.js'
import { FST_ERR_LIFELINE_OPTION } from '../core/errors.js'
import type { Limits } from '../core/backpressure.js'
import type { Cadence } from '../core/peer.js'
import type { OutboxLimits } from '../core/outbox.js'
import type { Rates } from '../core/limited.js'
import type { OnInvalid } from '../core/parser.js'
import type { Message } from '../transports/transport.js'
import { check, take } from './checking.js'
import type { Elsewhere } from './checking.js'
import { readMessageRule, whereOf } from './messages.js'
import type { MessageRule } from './messages.js'
import { readOrigins } from './origins.js'
import type { OriginRule, Origins } from './origins.js'
import type { Reconnect } from './shutdown.js'
import { pluginSchema, routeSchema, theirsSchema, validatePlugin, validateRoute, validateTheirs } from './schemas.js'

/** When a silent peer is asked, and when it is taken for dead. */
export interface HeartbeatOptions {
  /** A silent peer is pinged after at most this long (and no sooner than half of it), in ms. Keep it below the idle timeout of every proxy on the way (nginx: 60 s). @default 20_000 */
  interval?: number
  /** How long a pinged peer then has to answer before it is terminated, in ms. @default 10_000 */
  timeout?: number
}

/** What may be unconfirmed for one connection; past it a push says `full`, or by `backpressure.policy` the connection is closed. */
export interface ReceiptOptions {
  /** In bytes. While no more than half of it is unconfirmed, a message of any size is taken. @default 1_048_576 */
  limit?: number
  /** How many messages. @default 10_000 */
  messages?: number
}

/** What one connection may send. */
export interface RateOptions {
  /** How many messages a peer may send per second, on the average, and at once; its pings count as well. @default Infinity: off */
  messageRate?: number
  /** How many bytes of messages a peer may send per second, on the average; at once as many, or one message of `payload`. @default Infinity: off */
  byteRate?: number
  /** What becomes of a peer that sends more: `pause`: each message is handed out when it fits, and until all have been nothing more is read; `close`: the connection is closed with 1008. @default 'pause' */
  policy?: 'pause' | 'close'
  /** How long a peer may take to send its first message, in ms; then the connection is closed with 1008. @default Infinity: off */
  firstMessage?: number
  /** How many pings of a peer are answered per second, and at once; of those that come faster the last is, later. @default 100 */
  pongRate?: number
}

/** What can be set at registration: times in ms, sizes in bytes. What breaks a rule throws `FST_ERR_LIFELINE_OPTION`. */
export interface LifelineOptions {
  /** The heartbeat, or false for none. A dead peer is found within interval + timeout and a slot of at most 250 ms; see `stallTimeout`. @default { interval: 20_000, timeout: 10_000 } */
  heartbeat?: HeartbeatOptions | false
  /** What may wait for slow peers, and what happens past that. */
  backpressure?: {
    /** How much may wait for one connection, in bytes. A message larger than that by itself is taken while no more than `low` waits. @default 1_048_576 */
    limit?: number
    /** When so little waits again, `drained()` resolves and `drain` is emitted, in bytes. @default 262_144, or a quarter of the limit */
    low?: number
    /** What becomes of a message past the limit: `drop`: it is not taken, the push says `full`; `close`: what waits is dropped, and the connection is closed with 1013. @default 'drop' */
    policy?: 'drop' | 'close'
    /** How much may wait for all connections together, in bytes; past it the largest are terminated. @default Infinity: off */
    total?: number
    /**
     * How long a peer that lives may take nothing while bytes wait for it, in ms; then it is terminated (cause `stalled`). Also what a
     * silent peer has, instead of `timeout`, while more is on its way to it than a line of 32 kbit/s carries in that time (at most 64 KiB).
     * @default 30_000
     */
    stallTimeout?: number
  }
  /** How long a peer has to answer our close frame, in ms; what was pushed before has `stallTimeout` to leave first. Then it is terminated. @default 5_000 */
  closeTimeout?: number
  /** How long the app's hooks may take to decide on an upgrade, in ms. After it the client gets a 503. @default 10_000 */
  upgradeTimeout?: number
  /** What `fastify.close()` does with connections. */
  shutdown?: {
    /** Over how long `fastify.close()` spreads the closing of connections, in ms. @default 0 */
    window?: number
    /** How long `fastify.close()` waits for what is buffered to leave before it closes anyway, in ms. @default 10_000 */
    timeout?: number
    /**
     * When those who were closed shall come back: the close reason (`retry: 4213`) gives each client another delay. With 0 and 0 no
     * reason is given.
     */
    reconnect?: {
      /** Not sooner, in ms: how long it takes until another server is there for them. @default 0 */
      after?: number
      /** And within so long from then, in ms. Of `maxAge` likewise, but at once. @default 5_000 */
      within?: number
    }
  }
  /** What peers may do. */
  limits?: RateOptions & {
    /** The largest message that a peer may send, in bytes; a larger one is refused with close code 1009. At most what a string can hold (`MAX_STRING_LENGTH` of node:buffer, some 512 MiB). @default 1_048_576 */
    payload?: number
    /** How many connections there may be; a further upgrade gets a 503, with Retry-After. @default Infinity: off */
    connections?: number
    /** How many of them one client address may have (an IPv6 network of 64 bits); a further upgrade gets a 429. What is no address counts as one with all others that are none. Behind proxies by Fastify's `trustProxy`. @default Infinity: off */
    perAddress?: number
  }
  /**
   * Whose pages may open a connection: an origin (`https://app.example.com`), a RegExp, a list of these, or a function of the header and the request.
   * A further upgrade gets a 403. Who sends no Origin is no browser, and is let in, unless a function says otherwise. @default false: any
   */
  origins?: Origins | false
  /**
   * Whether messages are kept until the peer has confirmed them, by its pongs, so that `CloseInfo.unconfirmed` tells which it
   * never did. `deliver` works without. @default false
   */
  receipts?: boolean | ReceiptOptions
  /**
   * Whether a message of more than 64 KiB leaves in fragments of so many bytes, with pings in between. `false`, for clients that take no
   * fragments: each message is one frame, whatever its size, and leaves by itself, through ws, which costs more. @default true
   */
  fragments?: boolean
  /** How long a connection may last, in ms: it is closed with 1012, at a random time in the last fifth of it, so that new nodes get their share. @default Infinity: off */
  maxAge?: number
  /** What of the data that the app keeps on a connection is shown in `connection.info()`, `list`, `members`: called with it, gives plain data. @default nothing is */
  serializeData?: (data: ConnectionData) => unknown
  /** Passed on to @fastify/websocket, which we register (unless the app has done so before us). Its handlers are called from ours. @default {} */
  websocket?: WebsocketPluginOptions
}

/** What a route may set in `config: { lifeline: … }`. */
export interface LifelineRouteOptions {
  /** For this route; false for none. Members left out are the plugin's. */
  heartbeat?: HeartbeatOptions | false
  /** For this route. Members left out are the plugin's. */
  limits?: RateOptions
  /** For this route, instead of the plugin's. */
  origins?: Origins | false
  /** For this route. Members left out are the plugin's, or its defaults. */
  receipts?: boolean | ReceiptOptions
  /** For this route, instead of the plugin's; in ms. */
  fragments?: boolean
  /** For this route, instead of the plugin's, in ms. */
  maxAge?: number
  /**
   * What a message of the client must fit: a schema as for a body, compiled by the `validatorCompiler` of the route (ajv, if the app sets none).
   * Readers get its `value`; what does not parse or fit closes the connection with 1007. The `message` listeners of the socket get everything, as it came.
   * @default none: messages are as they come
   */
  message?: object
  /** How messages are parsed: each is one JSON text. @default 'json' with `message`; else none */
  codec?: 'json'
  /**
   * Called with what does not parse or fit, instead of closing: the connection stays, and reading waits for the promise that it returns. What it
   * throws ends the connection with 1011.
   * @default none
   */
  onInvalid?: OnInvalid<Connection, Message>
  /** Listeners for the events of `fastify.lifeline` that hear of connections of this route alone; after those of all. @default none */
  on?: RouteListeners
}

export const defaults = {
  heartbeat: { interval: 20_000, timeout: 10_000 },
  backpressure: { limit: 1_048_576, low: 262_144, policy: 'drop', stallTimeout: 30_000, total: Infinity },
  closeTimeout: 5_000,
  upgradeTimeout: 10_000,
  shutdown: { window: 0, timeout: 10_000, reconnect: { after: 0, within: 5_000 } },
  limits: { payload: 1_048_576, connections: Infinity, perAddress: Infinity, messageRate: Infinity, byteRate: Infinity, policy: 'pause', firstMessage: Infinity, pongRate: 100 },
  origins: false,
  receipts: { limit: 1_048_576, messages: 10_000 },
  fragments: true,
  maxAge: Infinity,
  websocket: {}
} as const

/** What may be different on each route. */
export interface RouteSettings {
  /** null: no heartbeat. */
  readonly heartbeat: Cadence | null
  readonly limits: Rates & { readonly firstMessage: number }
  /** null: any. */
  readonly origins: OriginRule | null
  /** null: off. */
  readonly receipts: OutboxLimits | null
  readonly fragments: boolean
  readonly maxAge: number
  readonly on: RouteListeners | null
  /** null: messages are as they come. */
  readonly message: MessageRule | null
}

/** The options, whole. */
export interface Settings extends RouteSettings {
  readonly backpressure: Limits & { readonly stallTimeout: number, readonly total: number }
  readonly closeTimeout: number
  readonly upgradeTimeout: number
  readonly shutdown: { readonly window: number, readonly timeout: number, readonly reconnect: Reconnect }
  readonly limits: RouteSettings['limits'] & { readonly connections: number, readonly perAddress: number }
  readonly serializeData: ((data: unknown) => unknown) | null
  readonly websocket: WebsocketPluginOptions
}

const ofPlugin: Elsewhere = { schema: pluginSchema, said: 'cannot be set for a route: set it where the plugin is registered' }
const ofRoute: Elsewhere = { schema: routeSchema, said: 'is set for a route: config: { lifeline: … }' }

/** Fastify's own options of `register`, which reach every plugin, are none of ours. */
const registering = new Set(['prefix', 'logLevel', 'logSerializers'])

/** The options as they are given, in a copy. @throws FST_ERR_LIFELINE_OPTION for what cannot be read */
export function takeOptions (given: LifelineOptions): LifelineOptions {
  // Of an async function that Fastify asks for them: it would have no options that can be seen.
  if (types.isPromise(given)) throw new FST_ERR_LIFELINE_OPTION('the options must be an object (received a Promise: await it first)')
  return take(given, pluginSchema, '', registering) as LifelineOptions
}

/** @throws FST_ERR_LIFELINE_OPTION */
export function readOptions (given: LifelineOptions): Settings {
  const options = takeOptions(given)
  check(validatePlugin, options, '', ofRoute)
  const { reconnect, ...going } = options.shutdown ?? {}
  const shutdown: Settings['shutdown'] = { ...over<Settings['shutdown']>(defaults.shutdown, going), reconnect: over<Reconnect>(defaults.shutdown.reconnect, reconnect) }
  if (shutdown.window > shutdown.timeout) {
    throw new FST_ERR_LIFELINE_OPTION(`option "shutdown.window" must be <= shutdown.timeout, which is ${shutdown.timeout} (received ${shutdown.window})`)
  }
  const { payload } = options.limits ?? {}
  const { maxPayload } = (options.websocket?.options ?? {}) as { maxPayload?: number }
  if (payload !== undefined && maxPayload !== undefined && maxPayload !== payload) {
    throw new FST_ERR_LIFELINE_OPTION(`option "limits.payload" must be the same as websocket.options.maxPayload, which is ${maxPayload}, or one of both be left out (received ${payload})`)
  }
  return {
    heartbeat: readCadence(options.heartbeat, defaults.heartbeat),
    backpressure: readBackpressure(options.backpressure),
    closeTimeout: options.closeTimeout ?? defaults.closeTimeout,
    upgradeTimeout: options.upgradeTimeout ?? defaults.upgradeTimeout,
    shutdown,
    limits: over<Settings['limits']>(defaults.limits, options.limits),
    origins: readOrigins(options.origins),
    receipts: readReceipts(options.receipts, null),
    fragments: options.fragments ?? defaults.fragments,
    maxAge: options.maxAge ?? defaults.maxAge,
    on: null,
    message: null,
    serializeData: options.serializeData as Settings['serializeData'] ?? null,
    websocket: options.websocket ?? defaults.websocket
  }
}

/**
 * The settings of a route: the plugin's, where the route does not say otherwise.
 * @throws FST_ERR_LIFELINE_OPTION
 */
export function readRouteOptions (given: unknown, path: string, settings: RouteSettings): RouteSettings {
  const where = whereOf(path)
  const options = take(given, routeSchema, where)
  check(validateRoute, options, where, ofPlugin)
  const { heartbeat, limits, origins, receipts, fragments, maxAge, on } = options as LifelineRouteOptions
  return {
    heartbeat: readCadence(heartbeat, settings.heartbeat),
    limits: over<RouteSettings['limits']>(settings.limits, limits),
    origins: origins === undefined ? settings.origins : readOrigins(origins),
    receipts: readReceipts(receipts, settings.receipts),
    fragments: fragments ?? settings.fragments,
    maxAge: maxAge ?? settings.maxAge,
    on: on ?? settings.on,
    message: readMessageRule(options as LifelineRouteOptions, where, settings.message)
  }
}

/** Those of a server that the app has made by itself. @throws FST_ERR_LIFELINE_OPTION for what ws has taken, and we cannot */
export function checkServerOptions (given: unknown): void {
  const where = 'as the app has registered @fastify/websocket: '
  if (given === undefined) throw new FST_ERR_LIFELINE_OPTION(`${where}"websocketServer" of the instance is not its server`)
  check(validateTheirs, take(given, theirsSchema, where), where, ofRoute)
}

function readBackpressure (options: LifelineOptions['backpressure']): Settings['backpressure'] {
  const settings = over<Settings['backpressure']>(defaults.backpressure, options)
  if (options?.low === undefined) return { ...settings, low: Math.floor(settings.limit / 4) }
  if (settings.low <= settings.limit) return settings
  throw new FST_ERR_LIFELINE_OPTION(`option "backpressure.low" must be <= backpressure.limit, which is ${settings.limit} (received ${settings.low})`)
}

function readCadence (options: HeartbeatOptions | false | undefined, base: Cadence | null): Cadence | null {
  if (options === false) return null
  if (options === undefined) return base
  return over<Cadence>(base ?? defaults.heartbeat, options)
}

function readReceipts (options: boolean | ReceiptOptions | undefined, base: OutboxLimits | null): OutboxLimits | null {
  if (options === false) return null
  if (options === undefined) return base
  return over<OutboxLimits>(base ?? defaults.receipts, options === true ? {} : options)
}

/** A member that is undefined is one that was left out. */
function over<T extends object> (base: T, options: { [K in keyof T]?: T[K] | undefined } | undefined): T {
  const given = Object.entries(options ?? {}).filter(([, value]) => value !== undefined)
  return { ...base, ...Object.fromEntries(given) }
}
