/**
 * Bytes that are kept for longer than a call.
 * Invariant: they are nobody else's to change, and keep nothing alive but themselves. (A view of a network chunk keeps
 * all of its 64 KiB, and one of Node's pool 8 KiB.)
 */
import { types } from 'node:util'

/** A copy of exactly their size. */
export function ownBytes (bytes: Uint8Array): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length)
  copy.set(bytes)
  return copy
}

type Part = 'buffer' | 'byteOffset' | 'byteLength'
const getters = (prototype: object): Record<Part, (this: unknown) => never> => {
  const of = (name: Part): ((this: unknown) => never) => Object.getOwnPropertyDescriptor(prototype, name)!.get as (this: unknown) => never
  return { buffer: of('buffer'), byteOffset: of('byteOffset'), byteLength: of('byteLength') }
}
const ofArray = getters(Object.getPrototypeOf(Uint8Array.prototype))
const ofView = getters(DataView.prototype)

/** What it truly views, whatever its own members say. */
export function viewOf (view: ArrayBufferView): Buffer {
  const { buffer, byteOffset, byteLength } = types.isDataView(view) ? ofView : ofArray
  return Buffer.from(buffer.call(view) as ArrayBuffer, byteOffset.call(view), byteLength.call(view))
}

/** As text, whatever its own members say. */
export const textOf = (bytes: Buffer): string => Buffer.prototype.toString.call(bytes, 'utf8')

/** As a string of one-byte characters, whatever its own members say. */
export const latin1Of = (bytes: Buffer): string => Buffer.prototype.toString.call(bytes, 'latin1')
