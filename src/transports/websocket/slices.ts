/**
 * A large message that the app itself sends: it leaves as fragments, each made when its turn comes, so that what
 * the peer takes is seen, and pings go in between.
 */
import { HAND_OVER, HEADER_MAX } from '../outbound/encoding.js'
import { encode, opcode } from './frame.js'

/** What the headers of so many bytes in slices take, at the most; in bytes. */
export const headersOf = (bytes: number): number => HEADER_MAX * Math.ceil(bytes / HAND_OVER)

export class Slices {
  readonly #bytes: Buffer
  readonly #binary: boolean
  readonly #done: (error?: Error) => void
  #from = 0
  #over = false

  /** @param bytes nobody else's: the app may change, or transfer, its own while they leave */
  constructor (bytes: Buffer, binary: boolean, done: (error?: Error) => void) {
    this.#bytes = bytes
    this.#binary = binary
    this.#done = done
  }

  /** Of its payload, bytes that were not handed over yet. */
  get bytes (): number { return this.#bytes.length - this.#from }

  /** The next frame. */
  next (): Buffer {
    const from = this.#from
    const part = this.#bytes.subarray(from, from + HAND_OVER)
    this.#from += part.length
    const code = from > 0 ? opcode.continuation : this.#binary ? opcode.binary : opcode.text
    return encode(part, part.length, code, this.bytes === 0)
  }

  /** It has been taken, or never will be. Told once, and never before the call that sent it has returned. */
  end (error?: Error): void {
    if (this.#over) return
    this.#over = true
    process.nextTick(this.#done, error)
  }
}
