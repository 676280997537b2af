/**
 * What an app may give to its socket, by the rules of ws, and what its listeners may give back.
 */
import { types } from 'node:util'
import { ownBytes } from '../../core/bytes.js'

/** Cheap, not exact: the length of a string is in characters. */
export const roughSize = (data: any): number => data?.length ?? data?.byteLength ?? data?.size ?? 0

/** The bytes of a whole message that is sent without more ado, as a copy; null for all else. */
export function toWhole (data: any, options: any): Buffer | null {
  if (options != null && (('fin' in options && !options.fin) || options.mask)) return null
  if (typeof data === 'string') return Buffer.from(data)
  if (ArrayBuffer.isView(data)) return ownBytes(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
  return types.isAnyArrayBuffer(data) ? ownBytes(new Uint8Array(data)) : null
}

/** By the rules of ws: a Blob may come from another realm. */
export const isBlob = (data: any): boolean =>
  typeof data === 'object' && data !== null && /^(Blob|File)$/.test(data[Symbol.toStringTag]) && typeof data.arrayBuffer === 'function'

export const isThenable = (value: unknown): value is PromiseLike<unknown> =>
  typeof (value as PromiseLike<unknown> | null | undefined)?.then === 'function'
