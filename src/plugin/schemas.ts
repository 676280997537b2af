/**
 * The rules that options are held to, as schemas.
 * Invariant: an option that is not in them does not exist. Knows no defaults, and reads nothing.
 */
import { constants } from 'node:buffer'
import type { EventEmitter } from 'node:events'
import { Ajv } from 'ajv'
import type { SchemaObject } from 'ajv'
import type WebSocket from 'ws'
import { eventNames } from '../api/events.js'
import { superviseClass } from '../transports/websocket/supervise.js'
import { isOrigins } from './origins.js'

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
  else: { ...object({ interval: ms, timeout: ms }), rule: 'must be false or an object' }
}
const TRUE_FALSE_OBJECT = 'must be true, false or an object'

// What it would only warn of, on the app's console, is a fault of ours.
const ajv = new Ajv({ verbose: true, strictTypes: true, strictTuples: true })
/** What ws takes as a limit: it reads anything else as none. */
const wsLimit = orOff({ type: 'integer', minimum: 0, maximum: PAYLOAD_MAX })
const keyword = (name: string, holds: (value: unknown) => boolean): unknown =>
  ajv.addKeyword({ keyword: name, schemaType: 'boolean', validate: (_: boolean, value: unknown) => readable(() => holds(value)), errors: false })
// Of an object that may be something else as well: what is said of what is neither.
ajv.addKeyword('rule')
keyword('function', (value) => typeof value === 'function')
keyword('origins', isOrigins)
keyword('server', (value) => value === null || typeof (value as EventEmitter).prependListener === 'function')
keyword('sockets', canSupervise)
keyword('absent', () => false)
// What it is only its compiler knows: an object, or a function that is one.
keyword('schema', (value) => (typeof value === 'object' && value !== null && !Array.isArray(value)) || typeof value === 'function')

const rates = { messageRate: orOff(rate), byteRate: orOff(rate), pongRate: orOff(rate), firstMessage: orOff(ms), policy: { enum: ['pause', 'close'] } }
const receipts: SchemaObject = {
  if: { type: 'boolean' },
  else: { ...object({ limit: bytes, messages: count }), rule: TRUE_FALSE_OBJECT }
}

const perRoute = { heartbeat, receipts, fragments: { type: 'boolean' }, origins: { origins: true }, maxAge: orOff(ms) }
/** Listeners, by event. */
const on = object(Object.fromEntries(eventNames.map((name) => [name, { function: true }])))

/** Of ws's options those that are read here; what it reads past us is its own to refuse. */
const ofWs = { maxPayload: wsLimit, maxFragments: wsLimit, maxBufferedChunks: wsLimit, closeTimeout: ms, autoPong: { type: 'boolean' }, WebSocket: { sockets: true } }
/** What zlib reads of it again for each connection. */
const perMessageDeflate: SchemaObject = {
  if: { type: 'boolean' },
  else: { rule: TRUE_FALSE_OBJECT, type: 'object', properties: { zlibDeflateOptions: { type: 'object', properties: {} }, zlibInflateOptions: { type: 'object', properties: {} } } }
}
/** All that it knows: a getter of a class can be seen by its name alone. */
const wsSchema = {
  type: 'object',
  properties: {
    ...Object.fromEntries(['allowSynchronousEvents', 'backlog', 'clientTracking', 'handleProtocols', 'host', 'maxPendingAutoPongs', 'path', 'skipUTF8Validation', 'verifyClient'].map((name) => [name, {}])),
    ...ofWs,
    perMessageDeflate,
    server: { server: true },
    noServer: { absent: true },
    port: { absent: true }
  }
}
/** Where the app has given them to @fastify/websocket itself, ws has filled them in. */
export const theirsSchema = { type: 'object', properties: ofWs, required: ['WebSocket'] }

export const pluginSchema = object({
  ...perRoute,
  backpressure: object({ limit: bytes, low: { type: 'integer', minimum: 0 }, policy: { enum: ['drop', 'close'] }, stallTimeout: ms, total: orOff(bytes) }),
  closeTimeout: ms,
  upgradeTimeout: ms,
  serializeData: { function: true },
  shutdown: object({ window: msOrNone, timeout: msOrNone, reconnect: object({ after: msOrNone, within: msOrNone }) }),
  limits: object({ ...rates, payload: { ...bytes, maximum: PAYLOAD_MAX }, connections: orOff(count), perAddress: orOff(count) }),
  websocket: object({
    options: wsSchema,
    errorHandler: { function: true },
    preClose: { function: true }
  })
})

export const routeSchema = object({ ...perRoute, limits: object(rates), message: { schema: true }, codec: { enum: ['json'] }, onInvalid: { function: true }, on })

export const validatePlugin = ajv.compile(pluginSchema)
export const validateRoute = ajv.compile(routeSchema)
export const validateTheirs = ajv.compile(theirsSchema)

/** What cannot be read holds nothing: a proxy that was revoked, say. */
function readable (holds: () => boolean): boolean {
  try {
    return holds()
  } catch {
    return false
  }
}

function canSupervise (given: unknown): boolean {
  try {
    superviseClass(given as typeof WebSocket)
    return true
  } catch {
    return false
  }
}
