/**
 * The options of the plugin and of its routes: names, defaults, rules. What breaks a rule throws
 * at registration, with the option's name, the rule and the value.
 * Invariant: an option that is not in the schema does not exist.
 */
import { constants } from 'node:buffer'
import type { WebsocketPluginOptions } from '@fastify/websocket'
import { Ajv } from 'ajv'
import type { SchemaObject } from 'ajv'
import { FST_ERR_LIFELINE_OPTION } from '../core/errors.js'
import type { Limits } from '../core/backpressure.js'
import type { Cadence } from '../core/peer.js'
import type { OutboxLimits } from '../core/outbox.js'
import type { Rates } from '../transports/websocket/intake.js'
import { check, take } from './checking.js'
import { isOrigins, readOrigins } from './origins.js'
import type { OriginRule, Origins } from './origins.js'

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
  /** How many messages a peer may send per second, on the average, and at once; its pings count as well. What came in the same 64 KiB is taken too, and made up for. @default Infinity: off */
  messageRate?: number
  /** How many bytes of messages a peer may send per second, on the average; at once as many, or one message of `payload`. @default Infinity: off */
  byteRate?: number
  /** What becomes of a peer that sends more: `pause`: it is read no further until it fits; `close`: the connection is closed with 1008. @default 'pause' */
  policy?: 'pause' | 'close'
  /** How long a peer may take to send its first message, in ms; then the connection is closed with 1008. @default Infinity: off */
  firstMessage?: number
  /** How many pings of a peer are answered per second, and at once; of those that come faster the last is, later. @default 100 */
  pongRate?: number
}

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
  /** How long a peer has to answer our close frame before it is terminated, in ms. @default 5_000 */
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
     * Over how long those who were closed shall come back, in ms: the close reason (`retry: 4213`) gives each client another delay.
     * Of `maxAge` likewise. 0: no reason is given. @default 5_000
     */
    reconnect?: number
  }
  /** What peers may do. */
  limits?: RateOptions & {
    /** The largest message that a peer may send, in bytes; a larger one is refused with close code 1009. At most what a string can hold (`MAX_STRING_LENGTH` of node:buffer, some 512 MiB). @default 1_048_576 */
    payload?: number
    /** How many connections there may be; a further upgrade gets a 503, with Retry-After. @default Infinity: off */
    connections?: number
    /** How many of them one client address may have (an IPv6 network of 64 bits); a further upgrade gets a 429. Behind proxies by Fastify's `trustProxy`. @default Infinity: off */
    perAddress?: number
  }
  /**
   * Whose pages may open a connection: an origin (`https://app.example.com`), a RegExp, a list of these, or a function of the header and the request.
   * A further upgrade gets a 403. Who sends no Origin is no browser, and is let in, unless a function says otherwise. @default false: any
   */
  origins?: Origins | false
  /**
   * Whether messages are kept until the peer has confirmed them, by its pongs, so that `CloseInfo.undelivered` tells which it
   * never did. `deliver` works without. @default false
   */
  receipts?: boolean | ReceiptOptions
  /** How long a connection may last, in ms: it is closed with 1012, at a random time in the last fifth of it, so that new nodes get their share. @default Infinity: off */
  maxAge?: number
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
  /** For this route, instead of the plugin's. */
  maxAge?: number
}

export const defaults = {
  heartbeat: { interval: 20_000, timeout: 10_000 },
  backpressure: { limit: 1_048_576, low: 262_144, policy: 'drop', stallTimeout: 30_000, total: Infinity },
  closeTimeout: 5_000,
  upgradeTimeout: 10_000,
  shutdown: { window: 0, timeout: 10_000, reconnect: 5_000 },
  limits: { payload: 1_048_576, connections: Infinity, perAddress: Infinity, messageRate: Infinity, byteRate: Infinity, policy: 'pause', firstMessage: Infinity, pongRate: 100 },
  origins: false,
  receipts: { limit: 1_048_576, messages: 10_000 },
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
  readonly maxAge: number
}

/** The options, whole. */
export interface Settings extends RouteSettings {
  readonly backpressure: Limits & { readonly stallTimeout: number, readonly total: number }
  readonly closeTimeout: number
  readonly upgradeTimeout: number
  readonly shutdown: { readonly window: number, readonly timeout: number, readonly reconnect: number }
  readonly limits: RouteSettings['limits'] & { readonly connections: number, readonly perAddress: number }
  readonly websocket: WebsocketPluginOptions
}

// 2^31-1: Node's timers take no more ms, and ws no larger limit of bytes.
const MAX = 2_147_483_647
/** A text is a string to its reader: none can be longer. In bytes, of which a character has at least one. */
const PAYLOAD_MAX = Math.min(MAX, constants.MAX_STRING_LENGTH)
const ms = { type: 'integer', minimum: 1, maximum: MAX } as const
const count = { type: 'integer', minimum: 1 } as const
const bytes = count
const rate = { type: 'number', exclusiveMinimum: 0 } as const
const msOrNone = { type: 'integer', minimum: 0, maximum: MAX } as const
/** Infinity means off, which to ajv is no number. */
const orOff = (schema: SchemaObject): SchemaObject => ({ anyOf: [schema, { const: Infinity }] })

const object = (properties: Record<string, SchemaObject>): SchemaObject =>
  ({ type: 'object', additionalProperties: false, properties })

const heartbeat: SchemaObject = {
  if: { type: 'boolean' },
  then: { const: false },
  else: object({ interval: ms, timeout: ms })
}

const ajv = new Ajv({ verbose: true })
/** What ws takes as a limit: it reads anything else as none. */
const wsLimit = orOff({ type: 'integer', minimum: 0, maximum: PAYLOAD_MAX })
ajv.addKeyword({ keyword: 'function', schemaType: 'boolean', validate: (_: boolean, value: unknown) => typeof value === 'function', errors: false })
ajv.addKeyword({ keyword: 'origins', schemaType: 'boolean', validate: (_: boolean, value: unknown) => isOrigins(value), errors: false })

const rates = { messageRate: orOff(rate), byteRate: orOff(rate), pongRate: orOff(rate), firstMessage: orOff(ms), policy: { enum: ['pause', 'close'] } }
const receipts: SchemaObject = {
  if: { type: 'boolean' },
  else: object({ limit: bytes, messages: count })
}

const perRoute = { heartbeat, receipts, origins: { origins: true }, maxAge: orOff(ms) }

const pluginSchema = object({
  ...perRoute,
  backpressure: object({ limit: bytes, low: { type: 'integer', minimum: 0 }, policy: { enum: ['drop', 'close'] }, stallTimeout: ms, total: orOff(bytes) }),
  closeTimeout: ms,
  upgradeTimeout: ms,
  shutdown: object({ window: msOrNone, timeout: msOrNone, reconnect: msOrNone }),
  limits: object({ ...rates, payload: { ...bytes, maximum: PAYLOAD_MAX }, connections: orOff(count), perAddress: orOff(count) }),
  websocket: object({
    options: { type: 'object', properties: { maxPayload: wsLimit, maxFragments: wsLimit, maxBufferedChunks: wsLimit } },
    errorHandler: { function: true },
    preClose: { function: true }
  })
})

const routeSchema = object({ ...perRoute, limits: object(rates) })

const validatePlugin = ajv.compile(pluginSchema)
const validateRoute = ajv.compile(routeSchema)

/** Fastify's own options of `register`, which reach every plugin, are none of ours. */
const registering = new Set(['prefix', 'logLevel', 'logSerializers'])

/** The options as they are given, in a copy. @throws FST_ERR_LIFELINE_OPTION for what cannot be read */
export function takeOptions (given: LifelineOptions): LifelineOptions {
  return take(given, pluginSchema, '', registering) as LifelineOptions
}

/** @throws FST_ERR_LIFELINE_OPTION */
export function readOptions (given: LifelineOptions): Settings {
  const options = takeOptions(given)
  check(validatePlugin, options, '')
  const shutdown = over<Settings['shutdown']>(defaults.shutdown, options.shutdown)
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
    maxAge: options.maxAge ?? defaults.maxAge,
    websocket: options.websocket ?? defaults.websocket
  }
}

/** @throws FST_ERR_LIFELINE_OPTION where @fastify/websocket is the app's own: then what is meant for it would be lost on us */
export function refuseWebsocketOptions (settings: Settings): void {
  if (Object.keys(settings.websocket).length === 0) return
  throw new FST_ERR_LIFELINE_OPTION('option "websocket" has no effect where the app registers @fastify/websocket by itself: give it there (received an object)')
}

/**
 * The settings of a route: the plugin's, where the route does not say otherwise.
 * @throws FST_ERR_LIFELINE_OPTION
 */
export function readRouteOptions (given: unknown, path: string, settings: RouteSettings): RouteSettings {
  const where = `route ${path}, config.lifeline: `
  const options = take(given, routeSchema, where)
  check(validateRoute, options, where)
  const { heartbeat, limits, origins, receipts, maxAge } = options as LifelineRouteOptions
  return {
    heartbeat: readCadence(heartbeat, settings.heartbeat),
    limits: over<RouteSettings['limits']>(settings.limits, limits),
    origins: origins === undefined ? settings.origins : readOrigins(origins),
    receipts: readReceipts(receipts, settings.receipts),
    maxAge: maxAge ?? settings.maxAge
  }
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
