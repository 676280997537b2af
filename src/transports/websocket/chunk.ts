/**
 * Frames that leave together, for one socket alone: written one behind the other into a Buffer that grows,
 * so that a small message costs no Buffer of its own.
 */
import type { Outgoing } from '../../core/outgoing.js'
import { BATCH_MAX, headerOf, opcode, write } from './frame.js'

const FIRST = 1024

export class Chunk {
  /** A Buffer of full size that nobody uses: as a rule the kernel takes all at once, and one serves everybody in turn. */
  static #spare: Buffer | null = null

  length = 0
  #bytes: Buffer

  /** @param brief whether it will be handed over soon: then it may have the spare Buffer until it is */
  constructor (brief: boolean) {
    const spare = brief ? Chunk.#spare : null
    if (spare !== null) Chunk.#spare = null
    this.#bytes = spare ?? Buffer.allocUnsafe(FIRST)
  }

  /** A message as one frame. */
  message ({ content: payload, binary, size }: Outgoing): void {
    const end = this.length + headerOf(size) + size
    if (end > this.#bytes.length) this.#grow(end)
    this.length = write(this.#bytes, this.length, payload, size, binary ? opcode.binary : opcode.text, true)
  }

  /** Frames that are made already. */
  frames (bytes: Buffer): void {
    const end = this.length + bytes.length
    if (end > this.#bytes.length) this.#grow(end)
    this.#bytes.set(bytes, this.length)
    this.length = end
  }

  /** All of them. Nothing is added any more. */
  join (): Buffer {
    return this.#bytes.subarray(0, this.length)
  }

  /** Nobody needs its bytes any more. */
  free (): void {
    if (this.#bytes.length === BATCH_MAX) Chunk.#spare = this.#bytes
  }

  #grow (end: number): void {
    const bytes = Buffer.allocUnsafe(end > BATCH_MAX / 4 ? BATCH_MAX : Math.max(end, 4 * this.#bytes.length))
    bytes.set(this.#bytes.subarray(0, this.length))
    this.#bytes = bytes
  }
}
