/**
 * The frames of RFC 6455 as a client reads and writes them: a reader that forgives a server nothing,
 * and a writer that can also be wrong on purpose.
 * Written from the RFC: shares nothing with ws, nor with src.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { constants, inflateRawSync } from 'node:zlib'

export const opcode = { continuation: 0x0, text: 0x1, binary: 0x2, close: 0x8, ping: 0x9, pong: 0xa } as const

/** A message, put together, or a control frame. */
export interface Incoming {
  kind: 'text' | 'binary' | 'ping' | 'pong' | 'close'
  data: Buffer
  /** How many frames it came in. */
  frames: number
}

interface Frame {
  fin: boolean
  /** The three reserved bits, as a number. */
  rsv: number
  code: number
  payload: Buffer
  /** With its header. */
  size: number
}

const control = { [opcode.close]: 'close', [opcode.ping]: 'ping', [opcode.pong]: 'pong' } as const

const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

function isText (bytes: Buffer): boolean {
  try {
    strict.decode(bytes)
    return true
  } catch {
    return false
  }
}

/** The frame that begins there; or how many bytes there must be to tell more. */
function frameAt (bytes: Buffer, at: number): Frame | number {
  const there = bytes.length - at
  if (there < 2) return 2
  const [first, second] = [bytes[at]!, bytes[at + 1]!]
  assert.equal(second & 0x80, 0, 'a server does not mask')
  let length = second & 0x7f
  let header = 2
  if (length === 126) {
    header = 4
    if (there < header) return header
    length = bytes.readUInt16BE(at + 2)
    assert.ok(length > 125, `${length} written with 16 bits`)
  } else if (length === 127) {
    header = 10
    if (there < header) return header
    const wide = bytes.readBigUInt64BE(at + 2)
    assert.ok(wide > 0xffff && wide <= Number.MAX_SAFE_INTEGER, `${wide} written with 64 bits`)
    length = Number(wide)
  }
  const size = header + length
  if (there < size) return size
  return { fin: (first & 0x80) !== 0, rsv: first >> 4 & 7, code: first & 0x0f, payload: bytes.subarray(at + header, at + size), size }
}

/** Of a compressed message whose compressor begins anew (RFC 7692 §7.2.2). */
const inflate = (bytes: Buffer): Buffer =>
  inflateRawSync(Buffer.concat([bytes, Buffer.from([0, 0, 0xff, 0xff])]), { finishFlush: constants.Z_SYNC_FLUSH })

/** Takes in what a server sends, in whatever pieces. */
export class FrameReader {
  readonly #deflate: boolean
  #chunks: Buffer[] = []
  #length = 0
  #needs = 2
  #message: { kind: 'text' | 'binary', compressed: boolean, parts: Buffer[] } | null = null
  #closed = false

  /** @param deflate whether permessage-deflate was negotiated, with server_no_context_takeover */
  constructor (deflate = false) {
    this.#deflate = deflate
  }

  /** What ends in the middle, if the stream ends here. */
  get torn (): 'frame' | 'message' | null {
    if (this.#length > 0) return 'frame'
    return this.#message === null ? null : 'message'
  }

  /** What is complete now. Throws at the first thing that a server may not send. */
  read (chunk: Buffer): Incoming[] {
    this.#chunks.push(chunk)
    this.#length += chunk.length
    const complete: Incoming[] = []
    if (this.#length < this.#needs) return complete
    const bytes = Buffer.concat(this.#chunks)
    let at = 0
    for (;;) {
      assert.ok(!this.#closed || at === bytes.length, 'something follows the close frame')
      const frame = frameAt(bytes, at)
      if (typeof frame === 'number') {
        this.#needs = frame
        break
      }
      at += frame.size
      const incoming = frame.code >= opcode.close ? this.#control(frame) : this.#data(frame)
      if (incoming !== null) complete.push(incoming)
    }
    this.#chunks = [bytes.subarray(at)]
    this.#length = bytes.length - at
    return complete
  }

  #control ({ fin, rsv, code, payload }: Frame): Incoming {
    assert.equal(rsv, 0, `reserved bits of a control frame are set: ${rsv}`)
    assert.ok(code in control, `opcode ${code} is reserved`)
    assert.ok(fin, 'a control frame in fragments')
    assert.ok(payload.length <= 125, `a control frame of ${payload.length} bytes`)
    const kind = control[code as keyof typeof control]
    if (kind === 'close') {
      this.#closed = true
      if (payload.length > 0) {
        assert.ok(payload.length > 1, 'half a close code')
        const code = payload.readUInt16BE(0)
        const known = (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014)
        assert.ok(known || (code >= 3000 && code <= 4999), `${code} may not be sent`)
        assert.ok(isText(payload.subarray(2)), 'the reason is no UTF-8')
      }
    }
    return { kind, data: payload, frames: 1 }
  }

  #data ({ fin, rsv, code, payload }: Frame): Incoming | null {
    const compressed = this.#deflate && rsv === 4 && code !== opcode.continuation
    assert.ok(rsv === 0 || compressed, `reserved bits are set: ${rsv}`)
    if (code === opcode.continuation) {
      assert.ok(this.#message !== null, 'nothing to continue')
    } else {
      assert.ok(code === opcode.text || code === opcode.binary, `opcode ${code} is reserved`)
      assert.ok(this.#message === null, 'a message begins within another')
      this.#message = { kind: code === opcode.text ? 'text' : 'binary', compressed, parts: [] }
    }
    this.#message.parts.push(payload)
    if (!fin) return null
    const { kind, parts } = this.#message
    const whole = Buffer.concat(parts)
    const data = this.#message.compressed ? inflate(whole) : whole
    this.#message = null
    assert.ok(kind === 'binary' || isText(data), 'a text that is no UTF-8')
    return { kind, data, frames: parts.length }
  }
}

export interface Wrongs {
  fin?: boolean
  /** The three reserved bits, as a number. */
  rsv?: number
}

/** A masked frame. */
export function frame (code: number, payload: string | Buffer = '', { fin = true, rsv = 0 }: Wrongs = {}): Buffer {
  const data = Buffer.from(payload)
  const wide = data.length > 0xffff ? 8 : data.length > 125 ? 2 : 0
  const header = Buffer.alloc(2 + wide)
  header[0] = (fin ? 0x80 : 0) | rsv << 4 | code
  header[1] = 0x80 | (wide === 8 ? 127 : wide === 2 ? 126 : data.length)
  if (wide === 8) header.writeBigUInt64BE(BigInt(data.length), 2)
  else if (wide === 2) header.writeUInt16BE(data.length, 2)
  const mask = randomBytes(4)
  for (let i = 0; i < data.length; i++) data[i]! ^= mask[i & 3]!
  return Buffer.concat([header, mask, data])
}

/** A close frame. The code may be any number of 16 bits, or none. */
export function closeFrame (code?: number, reason: string | Buffer = ''): Buffer {
  if (code === undefined) return frame(opcode.close)
  const head = Buffer.alloc(2)
  head.writeUInt16BE(code)
  return frame(opcode.close, Buffer.concat([head, Buffer.from(reason)]))
}
