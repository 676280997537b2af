/**
 * What a server puts on the wire (RFC 6455 §5.2): frames without a mask, header and payload in one
 * Buffer. The payload is copied: what the app does to its bytes later is its own affair.
 */
import { viewOf } from '../../core/bytes.js'
import { encodingOf } from '../../core/outgoing.js'
import type { Outgoing } from '../../core/outgoing.js'

export const opcode = { continuation: 0, text: 1, binary: 2, ping: 9, pong: 10 } as const

const FIN = 0x80

/** What a message that waits by itself costs beside its bytes, in bytes. It counts as much, or empty ones would have no bound. */
export const EACH = 128

/**
 * What the socket is given at a time, in bytes of payload. A longer message is cut into fragments of that
 * size, so that pings can go in between.
 */
export const HAND_OVER = 64 * 1024

/** The longest header, in bytes. */
export const HEADER_MAX = 10

/** What leaves together takes no more than that, in bytes: a fragment with its header fits. */
export const BATCH_MAX = HAND_OVER + HEADER_MAX

/** How long the header of a frame is, in bytes. */
export const headerOf = (size: number): number => size < 126 ? 2 : size < 65536 ? 4 : HEADER_MAX

/** How many messages end with this frame: one, or none if another fragment follows. */
export const ends = (frame: Buffer): number => frame[0]! >> 7

/**
 * Writes one frame there, and gives back where it ends.
 * @param size of the payload, in bytes
 */
export function write (target: Buffer, at: number, payload: string | Uint8Array, size: number, code: number, fin: boolean): number {
  target[at++] = fin ? code | FIN : code
  if (size < 126) {
    target[at++] = size
  } else if (size < 65536) {
    target[at++] = 126
    target[at++] = size >> 8
    target[at++] = size & 255
  } else {
    target[at++] = 127
    at = target.writeUIntBE(0, at, 4)
    at = target.writeUIntBE(size, at, 4)
  }
  if (typeof payload !== 'string') target.set(payload, at)
  else target.write(payload, at, size, encodingOf(payload, size))
  return at + size
}

/** One frame by itself. */
export function encode (payload: string | Uint8Array, size: number, code: number, fin: boolean): Buffer {
  const frame = Buffer.allocUnsafe(headerOf(size) + size)
  write(frame, 0, payload, size, code, fin)
  return frame
}

/** A message as one frame, or as fragments if it is long. */
export function framesOf ({ content: payload, binary, size }: Outgoing): Buffer | readonly Buffer[] {
  const code = binary ? opcode.binary : opcode.text
  if (size <= HAND_OVER) return encode(payload, size, code, true)
  const bytes = typeof payload === 'string' ? Buffer.from(payload) : viewOf(payload)
  const fragments: Buffer[] = []
  for (let from = 0; from < size; from += HAND_OVER) {
    const part = bytes.subarray(from, from + HAND_OVER)
    fragments.push(encode(part, part.length, from === 0 ? code : opcode.continuation, from + part.length === size))
  }
  return fragments
}
