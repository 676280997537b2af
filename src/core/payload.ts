/**
 * What can be pushed, and as which bytes: strings and JSON as text, bytes as binary.
 * Bytes are viewed, never copied.
 */
import { types } from 'node:util'
import { isBlob, viewOf } from './bytes.js'
import { FST_ERR_LIFELINE_INVALID_DATA } from './errors.js'

/** A message on its way out: text as a string, bytes as a view. */
export type Payload = string | Buffer

/**
 * What became of a push. `sent`: handed to the operating system. `buffered`: taken, and waits for the
 * peer to make room, unless its connection gives way at once (`backpressure.total`). `full`: not taken, for too much waits already. `gone`: nobody there. `invalid`: no message, or no fd; reported as an `error` event.
 */
export type PushResult = 'sent' | 'buffered' | 'full' | 'gone' | 'invalid'

/** How a message goes out. */
export interface PushOptions {
  /** Send bytes as text (false), or a string as binary (true). @default true for bytes, false for all else */
  binary?: boolean
}

/** The names of PushOptions. */
export const pushOptions: ReadonlySet<string> = new Set(['binary'])

/** A Buffer as Node.js makes them: none that only looks like one, or has a length of its own. (Whoever cuts one views it anew.) */
const isTrue = (view: ArrayBufferView): view is Buffer => Object.getPrototypeOf(view) === Buffer.prototype && !Object.hasOwn(view, 'length')

/**
 * A string, a Buffer, typed array, DataView or ArrayBuffer, or anything `JSON.stringify` takes.
 * @throws FST_ERR_LIFELINE_INVALID_DATA for what has no JSON, and for what keeps nothing of itself in it (a Promise, a query, a Map, a stream, an Error)
 */
export function toPayload (data: unknown): Payload {
  if (typeof data === 'string') return data
  let mistake: string
  try {
    if (ArrayBuffer.isView(data)) return isTrue(data) && data.length > 0 ? data : viewOf(data)
    if (types.isAnyArrayBuffer(data)) return viewOf(new Uint8Array(data))
    const wrong = typeof data === 'object' && data !== null ? mistakeOf(data) : null
    const text = wrong === null ? JSON.stringify(data) : undefined
    if (text !== undefined) return text
    mistake = wrong ?? `${typeof data} has no JSON`
  } catch (error) {
    const reason = new FST_ERR_LIFELINE_INVALID_DATA(describe(error))
    if (types.isNativeError(error)) reason.cause = error
    throw reason
  }
  throw new FST_ERR_LIFELINE_INVALID_DATA(mistake)
}

/** Why an object's JSON would hold little or nothing of it; null: it is data. @throws what the object's own code throws */
function mistakeOf (data: any): string | null {
  if (typeof data.then === 'function' || types.isPromise(data)) return 'it is a Promise, or a query that has not run: await it first'
  if (isBlob(data)) return 'it is a Blob: await its arrayBuffer() first'
  if (typeof data.toJSON === 'function' || Array.isArray(data) || types.isBoxedPrimitive(data)) return null
  const prototype = Object.getPrototypeOf(data)
  // As `{}` makes them, in any realm, or without a prototype.
  if (prototype === null || Object.getPrototypeOf(prototype) === null) return null
  const name = String(data.constructor?.name ?? 'an object')
  if (types.isNativeError(data) || data instanceof Error) return `it is an Error (${name}), which has no JSON: push what the peer may know of it`
  if (Symbol.iterator in data || Symbol.asyncIterator in data) return `it is a ${name}: read it into an array or an object first`
  return Object.keys(data).length > 0 ? null : `it is a ${name}, of which JSON keeps nothing`
}

/** Whatever was thrown (a getter, a toJSON, a proxy may throw anything) as words; does not throw itself. */
export function describe (error: unknown): string {
  try {
    return error instanceof Error ? `${error.name}: ${error.message}` : String(error)
  } catch {
    return 'it cannot be read'
  }
}
