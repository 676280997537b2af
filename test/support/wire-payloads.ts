/**
 * Payloads of every kind that can be sent, each named by a few words that a failure can print, and the
 * bytes that have to arrive.
 */
import { createCipheriv } from 'node:crypto'
import fc from 'fast-check'

export type Shape = 'string' | 'Buffer' | 'Uint8Array' | 'Uint16Array' | 'DataView' | 'ArrayBuffer' | 'SharedArrayBuffer' | 'Blob'

export type Payload = {
  as: Shape
  /** This text again and again, up to `length` bytes; null: noise. A string is always text. */
  of: string | null
  length: number
} | { as: 'json', value: unknown }

export interface Made {
  data: unknown
  /** What has to arrive. */
  bytes: Buffer
  /** It may be sent as text. */
  text: boolean
}

/** Noise that is the same in each run, cannot be compressed and is no text. */
const noise = createCipheriv('aes-128-ctr', Buffer.alloc(16), Buffer.alloc(16)).update(Buffer.alloc(256 * 1024))

/** Exactly so many bytes of UTF-8, which the text, whatever it is, fills. */
function fill (unit: string, length: number): string {
  const size = Buffer.byteLength(unit)
  let text = size === 0 ? '' : unit.repeat(Math.floor(length / size))
  // Halves of surrogate pairs that meet are longer apart than together.
  if (Buffer.byteLength(text) > length) text = ''
  return text + 'x'.repeat(length - Buffer.byteLength(text))
}

/** A view of these bytes in the middle of a larger buffer. */
function inside (bytes: Buffer, offset: number): [ArrayBuffer, number, number] {
  const around = new Uint8Array(bytes.length + offset + 7).fill(0xee)
  around.set(bytes, offset)
  return [around.buffer, offset, bytes.length]
}

export function make (payload: Payload): Made {
  if (payload.as === 'json') {
    const { value } = payload
    return { data: value, bytes: Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)), text: true }
  }
  const { as, of, length } = payload
  if (as === 'string') {
    const data = fill(of ?? '', length)
    return { data, bytes: Buffer.from(data), text: true }
  }
  const size = as === 'Uint16Array' ? length & ~1 : length
  const bytes = of === null ? noise.subarray(0, size) : Buffer.from(fill(of, size))
  return { data: shape(as, bytes), bytes: Buffer.from(bytes), text: of !== null }
}

function shape (as: Exclude<Shape, 'string'>, bytes: Buffer): unknown {
  switch (as) {
    case 'Buffer': return Buffer.from(bytes)
    case 'Uint8Array': return new Uint8Array(...inside(bytes, 5))
    case 'DataView': return new DataView(...inside(bytes, 3))
    case 'Uint16Array': {
      const [buffer, offset, length] = inside(Buffer.concat([bytes, Buffer.alloc(1)]), 2)
      return new Uint16Array(buffer.slice(0, offset + length + 7 & ~1), offset, length >> 1)
    }
    case 'ArrayBuffer': return new Uint8Array(bytes).buffer
    case 'SharedArrayBuffer': {
      const shared = new SharedArrayBuffer(bytes.length)
      new Uint8Array(shared).set(bytes)
      return shared
    }
    case 'Blob': {
      const half = bytes.length >> 1
      return new Blob([new Uint8Array(bytes.subarray(0, half)), new Uint8Array(bytes.subarray(half))])
    }
  }
}

// Where the header of a frame, or the way that a message takes, changes; else small, so that a run is quick.
const length = fc.oneof(
  { weight: 8, arbitrary: fc.nat(40) },
  { weight: 4, arbitrary: fc.constantFrom(0, 124, 125, 126, 127, 128) },
  { weight: 2, arbitrary: fc.constantFrom(65_535, 65_536, 65_537) },
  { weight: 1, arbitrary: fc.constantFrom(70_000, 200_000) }
)

const unit = fc.oneof(
  fc.string({ unit: 'binary', minLength: 1, maxLength: 6 }),
  // Single code units: halves of pairs among them.
  fc.array(fc.oneof(fc.nat(0xffff), fc.integer({ min: 0xd800, max: 0xdfff })), { minLength: 1, maxLength: 6 }).map((units) => String.fromCharCode(...units)),
  fc.constantFrom('a', 'é', '€', '🎈', '\u0000', '\ud83c')
)

const pushable = fc.constantFrom<Shape>('string', 'string', 'Buffer', 'Buffer', 'Uint8Array', 'Uint16Array', 'DataView', 'ArrayBuffer', 'SharedArrayBuffer')

const shaped = (as: fc.Arbitrary<Shape>): fc.Arbitrary<Payload> => fc.record({ as, of: fc.option<string>(unit), length })

/** What a push or a broadcast takes. */
export const payloads: fc.Arbitrary<Payload> = fc.oneof(
  { weight: 9, arbitrary: shaped(pushable) },
  { weight: 1, arbitrary: fc.record({ as: fc.constant('json' as const), value: fc.jsonValue() }) }
)

/** What `socket.send` takes. */
export const sendables: fc.Arbitrary<Payload> = shaped(fc.oneof({ weight: 4, arbitrary: pushable }, { weight: 1, arbitrary: fc.constant<Shape>('Blob') }))

/** A few words of text, or so many bytes of noise; for tests by example. */
export const text = (of: string, length: number = Buffer.byteLength(of)): Payload => ({ as: 'string', of, length })
export const bytes = (length: number, as: Shape = 'Buffer'): Payload => ({ as, of: null, length })
