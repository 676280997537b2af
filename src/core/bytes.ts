/**
 * Bytes that are kept for longer than a call.
 * Invariant: they are nobody else's to change, and keep nothing alive but themselves. (A view of a network chunk keeps
 * all of its 64 KiB, and one of Node's pool 8 KiB.)
 */

/** A copy of exactly their size. */
export function ownBytes (bytes: Uint8Array): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length)
  copy.set(bytes)
  return copy
}
