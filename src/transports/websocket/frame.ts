/**
 * What a server puts on the wire (RFC 6455 §5.2): frames without a mask, header and payload in one
 * Buffer. The payload is copied: what the app does to its bytes later is its own affair.
 */
import { viewOf } from '../../core/bytes.js'
import { encodingOf } from '../../core/outgoing.js'
import type { Parts } from '../../core/outgoing.js'
import { Batches } from '../outbound/batch.js'
import { HAND_OVER, HEADER_MAX } from '../outbound/encoding.js'
import type { Content, Encoding } from '../outbound/encoding.js'

export const opcode = { continuation: 0, text: 1, binary: 2, ping: 9, pong: 10 } as const

const FIN = 0x80

/** How long the header of a frame is, in bytes. */
export const headerOf = (size: number): number => size < 126 ? 2 : size < 65536 ? 4 : HEADER_MAX

/**
 * Writes one frame there, and gives back where it ends.
 * @param size of the payload, in bytes
 */
export function writeFrame (target: Buffer, at: number, payload: string | Uint8Array, size: number, code: number, fin: boolean): number {
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
  writeFrame(frame, 0, payload, size, code, fin)
  return frame
}

/** A message as one frame, or as fragments if it is long. */
export function framesOf ({ content: payload, binary, size }: Content): Parts {
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

/** Messages as frames; a long one as fragments. */
export const frames: Encoding = {
  batches: new Batches(),
  lengthOf: ({ size }) => headerOf(size) + size,
  write: (target, at, { content, binary, size }) => writeFrame(target, at, content, size, binary ? opcode.binary : opcode.text, true),
  partsOf: framesOf
}
