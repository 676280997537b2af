/**
 * What can be pushed, and as which bytes: strings and JSON as text, bytes as binary.
 * Bytes are viewed, never copied.
 */
import { types } from 'node:util'
import { viewOf } from './bytes.js'
import { FST_ERR_LIFELINE_INVALID_DATA } from './errors.js'

/** A message on its way out: text as a string, bytes as a view. */
export type Payload = string | Buffer

/**
 * What became of a push. `sent`: handed to the operating system. `buffered`: taken, and waits for the
 * peer to make room. `full`: not taken, for too much waits already. `gone`: nobody there. `invalid`: no message, or no fd; reported as an `error` event.
 */
export type PushResult = 'sent' | 'buffered' | 'full' | 'gone' | 'invalid'

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
 * @throws FST_ERR_LIFELINE_INVALID_DATA for what has no JSON, and for what becomes an empty object by mistake (a Promise, a Blob)
 */
export function toPayload (data: unknown): Payload {
  if (typeof data === 'string') return data
  let mistake: string
  try {
    if (ArrayBuffer.isView(data)) return isTrue(data) && data.length > 0 ? data : viewOf(data)
    if (types.isAnyArrayBuffer(data)) return viewOf(new Uint8Array(data))
    if (types.isPromise(data)) {
      mistake = 'it is a Promise: await it first'
    } else if (data instanceof Blob) {
      mistake = 'it is a Blob: await its arrayBuffer() first'
    } else {
      const text = JSON.stringify(data)
      if (text !== undefined) return text
      mistake = `${typeof data} has no JSON`
    }
  } catch (error) {
    const reason = new FST_ERR_LIFELINE_INVALID_DATA(describe(error))
    if (types.isNativeError(error)) reason.cause = error
    throw reason
  }
  throw new FST_ERR_LIFELINE_INVALID_DATA(mistake)
}

/** Whatever was thrown (a getter, a toJSON, a proxy may throw anything) as words; does not throw itself. */
export function describe (error: unknown): string {
  try {
    return error instanceof Error ? `${error.name}: ${error.message}` : String(error)
  } catch {
    return 'it cannot be read'
  }
}
