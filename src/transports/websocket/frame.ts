/**
 * What a server puts on the wire (RFC 6455 §5.2): frames without a mask, header and payload in one
 * Buffer. The payload is copied: what the app does to its bytes later is its own affair.
 */
import type { Outgoing } from '../../core/outgoing.js'

export const opcode = { continuation: 0, text: 1, binary: 2, ping: 9 } as const

const FIN = 0x80

/**
 * What the socket is given at a time, in bytes of payload. A longer message is cut into fragments of that
 * size, so that pings can go in between.
 */
export const HAND_OVER = 64 * 1024

/** The longest header, in bytes. */
export const HEADER_MAX = 10

/** An empty frame with room for its payload, behind the header. */
function header (first: number, size: number): Buffer {
  if (size < 126) {
    const frame = Buffer.allocUnsafe(size + 2)
    frame[0] = first
    frame[1] = size
    return frame
  }
  if (size < 65536) {
    const frame = Buffer.allocUnsafe(size + 4)
    frame[0] = first
    frame[1] = 126
    frame[2] = size >> 8
    frame[3] = size & 255
    return frame
  }
  const frame = Buffer.allocUnsafe(size + HEADER_MAX)
  frame[0] = first
  frame[1] = 127
  frame.writeUInt32BE(0, 2)
  frame.writeUInt32BE(size, 6)
  return frame
}

/** One frame. Its payload is no longer than HAND_OVER. */
export function encode (payload: string | Uint8Array, size: number, code: number, fin: boolean): Buffer {
  const frame = header(fin ? code | FIN : code, size)
  if (typeof payload !== 'string') frame.set(payload, frame.length - size)
  // As many bytes as characters: all of them ASCII, and that is written twice as fast.
  else if (payload.length === size) frame.write(payload, frame.length - size, 'latin1')
  else frame.write(payload, frame.length - size)
  return frame
}

/** A message as one frame, or as fragments if it is long. Made once, however many get it. */
export function framesOf (message: Outgoing): Buffer | readonly Buffer[] {
  return message.frames ??= toFrames(message)
}

function toFrames ({ payload, binary, size }: Outgoing): Buffer | readonly Buffer[] {
  const code = binary ? opcode.binary : opcode.text
  if (size <= HAND_OVER) return encode(payload, size, code, true)
  const bytes = typeof payload === 'string' ? Buffer.from(payload) : payload
  const fragments: Buffer[] = []
  for (let from = 0; from < size; from += HAND_OVER) {
    const part = bytes.subarray(from, from + HAND_OVER)
    fragments.push(encode(part, part.length, from === 0 ? code : opcode.continuation, from + part.length === size))
  }
  return fragments
}
