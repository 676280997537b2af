/**
 * Bytes that are kept for longer than a call.
 * Invariant: they are nobody else's to change, and keep nothing alive but themselves. (A view of a network chunk keeps
 * all of its 64 KiB, and one of Node's pool 8 KiB.)
 */
import { types } from 'node:util'

/**
 * A Buffer over memory that no other thread shares. `fetch`, `Blob` and the like take no other, by the types of the DOM on
 * TypeScript 5.9 and later. (Older types of Node.js have one kind of Buffer, which is this one.)
 */
export type Bytes = ReturnType<typeof Buffer.alloc>

/** A copy of exactly their size. */
export function ownBytes (bytes: Uint8Array): Bytes {
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

/** By the rules of ws: one may come from another realm. @throws what a getter of the app's throws */
export function isBlob (data: any): boolean {
  if (typeof data !== 'object' || data === null) return false
  const tag: unknown = data[Symbol.toStringTag]
  return (tag === 'Blob' || tag === 'File') && typeof data.arrayBuffer === 'function'
}
