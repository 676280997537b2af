/**
 * What an app may give to its socket, by the rules of ws, and what its listeners may give back.
 */
import { types } from 'node:util'
import { ownBytes, viewOf } from '../../core/bytes.js'

export interface SendOptions { readonly binary: boolean, readonly fin: boolean, readonly mask?: unknown }

const TEXT: SendOptions = { binary: false, fin: true }
const BINARY: SendOptions = { binary: true, fin: true }

/** As ws reads them: own members alone, of whatever was given. */
export function readOptions (data: any, options: any): SendOptions {
  if (options == null) return typeof data === 'string' ? TEXT : BINARY
  const { binary, fin, mask } = { binary: typeof data !== 'string', fin: true, mask: false, ...options }
  return { binary: Boolean(binary), fin: Boolean(fin), mask }
}

/** A string that may have more bytes than that is measured: up to there its length, in characters, does. */
const SURE = 16 * 1024

/** Cheap, not exact. */
export const roughSize = (data: any): number =>
  typeof data === 'string' && data.length > SURE ? Buffer.byteLength(data) : data?.length ?? data?.byteLength ?? data?.size ?? 0

/** The bytes of a whole message that is sent without more ado, as a copy; null for all else. */
export function toWhole (data: any, { fin, mask }: SendOptions): Buffer | null {
  if (!fin || mask) return null
  if (typeof data === 'string') return Buffer.from(data)
  if (ArrayBuffer.isView(data)) return ownBytes(viewOf(data))
  return types.isAnyArrayBuffer(data) ? ownBytes(new Uint8Array(data)) : null
}

/**
 * Whether an event of the wire carries what ws gives it. An app may emit one itself, with anything: that is for its listeners
 * alone. Takes anything, and does not throw.
 */
export function isOfWire (event: string | symbol, data: any): boolean {
  if (event !== 'message' && event !== 'ping' && event !== 'pong') return true
  if (ArrayBuffer.isView(data)) return true
  if (event !== 'message') return false
  try {
    // ws makes it of the class of this realm: what only looks like one is the app's.
    return types.isAnyArrayBuffer(data) || (Array.isArray(data) ? data.every(ArrayBuffer.isView) : data instanceof Blob)
  } catch {
    return false
  }
}
