/**
 * A message of the peer that is held for a reader.
 * Invariant: what is kept beyond its turn of the event loop costs at most twice its bytes and a constant: text is a string
 * by then, and bytes are no view of the 64 KiB that they came with.
 */
import { constants } from 'node:buffer'
import { types } from 'node:util'
import type { Bytes } from '../../core/bytes.js'
import type { Message, Screen } from '../transport.js'

/** What ws emits for bytes, by the `binaryType` of the socket; text is a Buffer always. */
export type RawData = Buffer | ArrayBuffer | Buffer[] | Blob

/** As ws emits it. */
export interface RawMessage {
  readonly data: RawData
  /** Bytes, not text. */
  readonly binary: boolean
  /** The listeners have had it already: it is held for a reader. */
  readonly heard?: boolean
}

/** What one costs beside its bytes, measured: the object, its place in a list, and a string or an ArrayBuffer. */
export const OVERHEAD = { text: 96, bytes: 168 } as const

/** In the place of a character that is none: what ws did not check, because it was told not to. */
const REPLACED = '\ufffd'

export function bytesOf (data: RawData): number {
  if (Array.isArray(data)) return data.reduce((sum, part) => sum + part.length, 0)
  return isBlob(data) ? data.size : data.byteLength
}

// By what it is not: it may be of another realm, and any other kind is known for certain.
function isBlob (data: RawData | string): data is Blob {
  return typeof data === 'object' && !ArrayBuffer.isView(data) && !types.isAnyArrayBuffer(data) && !Array.isArray(data)
}

/** The bytes; a Blob gives them only later. What ws reads, it reads into memory of its own. */
function toBuffer (data: Exclude<RawData, Blob> | string): Bytes {
  if (typeof data === 'string') return Buffer.from(data)
  if (Array.isArray(data)) return Buffer.concat(data)
  return ArrayBuffer.isView(data) ? data as Bytes : Buffer.from(data)
}

/** An ArrayBuffer, for a Buffer costs a hundred bytes more. */
function own (bytes: Buffer): Buffer | ArrayBuffer {
  const { buffer, byteOffset, length } = bytes
  if (2 * length >= buffer.byteLength) return bytes
  return buffer.slice(byteOffset, byteOffset + length) as ArrayBuffer
}

/** What of a message is the app's, on a wire of a session; null: nothing. */
export function seenBy (screen: Screen, data: RawData, binary: boolean): RawData | null {
  // Text is a Buffer always.
  if (!binary) return screen.text(data as Bytes)
  return screen.binary(bytesOf(data)) ? data : null
}

export class Held {
  readonly binary: boolean
  readonly heard: boolean
  /** In bytes. */
  readonly size: number
  #data: RawData | string

  constructor ({ data, binary, heard = false }: RawMessage) {
    this.#data = data
    this.binary = binary
    this.heard = heard
    this.size = bytesOf(data)
  }

  /** What it counts for. */
  get cost (): number { return this.size + (this.binary ? OVERHEAD.bytes : OVERHEAD.text) }

  /** It stays for longer than this turn. */
  keep (): void {
    const data = this.#data
    if (typeof data === 'string' || types.isAnyArrayBuffer(data)) return
    if (isBlob(data)) {
      Promise.resolve().then(() => data.arrayBuffer()).then((bytes) => { this.#data = bytes }, () => {})
      return
    }
    const bytes = toBuffer(data)
    // What no string can hold its reader will be told of, and nobody else.
    const text = this.binary || bytes.length > constants.MAX_STRING_LENGTH ? REPLACED : bytes.toString()
    this.#data = text.includes(REPLACED) ? own(bytes) : text
  }

  /** As our own reader gets it. */
  async toMessage (): Promise<Message> {
    const data = this.#data
    if (!this.binary && typeof data === 'string') return { data, binary: false }
    const bytes = toBuffer(isBlob(data) ? await data.arrayBuffer() : data)
    return this.binary ? { data: bytes, binary: true } : { data: bytes.toString(), binary: false }
  }

  /** As listeners get it, who may have set `binaryType` after it came. */
  toRaw (binaryType: string): RawData {
    const data = this.#data
    if (isBlob(data)) return data
    const bytes = toBuffer(data)
    if (!this.binary) return bytes
    switch (binaryType) {
      case 'arraybuffer': return new Uint8Array(bytes).buffer
      case 'fragments': return [bytes]
      case 'blob': return new Blob([new Uint8Array(bytes)])
      default: return bytes
    }
  }
}
