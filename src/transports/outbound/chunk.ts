/**
 * Messages that leave together, for one stream alone: written one behind the other into a Buffer that grows,
 * so that a small one costs no Buffer of its own.
 */
import { ownBytes } from '../../core/bytes.js'
import { PART_MAX } from './encoding.js'
import type { Content, Encoding } from './encoding.js'

const FIRST = 1024

export class Chunk {
  /** A Buffer of full size that nobody uses: as a rule the kernel takes all at once, and one serves everybody in turn. */
  static #spare: Buffer | null = null

  length = 0
  /** Of messages that the app itself sent, payload bytes. */
  appBytes = 0
  #bytes: Buffer
  /** Those of the app's who are to know when it has left. */
  #called: Array<(error?: Error) => void> | null = null

  /** @param brief whether it will be handed over soon: then it may have the spare Buffer until it is */
  constructor (brief: boolean) {
    const spare = brief ? Chunk.#spare : null
    if (spare !== null) Chunk.#spare = null
    this.#bytes = spare ?? Buffer.allocUnsafe(FIRST)
  }

  /** A message in one part, of which it is known how long that is. */
  message (encoding: Encoding, message: Content, length: number): void {
    const end = this.length + length
    if (end > this.#bytes.length) this.#grow(end)
    this.length = encoding.write(this.#bytes, this.length, message)
  }

  /** Whether somebody is to know when it has left. */
  get called (): boolean { return this.#called !== null }

  /** The last message is one that the app itself sends. */
  own (size: number, done: (error?: Error) => void): void {
    this.appBytes += size
    ;(this.#called ??= []).push(done)
  }

  /** It has been taken, or never will be. Told once, and never before the call that sent it has returned. */
  end (error?: Error): void {
    const called = this.#called
    this.#called = null
    if (called !== null) for (const done of called) process.nextTick(done, error)
  }

  /** Parts that are made already. */
  parts (bytes: Buffer): void {
    const end = this.length + bytes.length
    if (end > this.#bytes.length) this.#grow(end)
    this.#bytes.set(bytes, this.length)
    this.length = end
  }

  /** All of them. Nothing is added any more. */
  join (): Buffer {
    return this.#bytes.subarray(0, this.length)
  }

  /** It is to wait: it keeps no more than it needs. */
  trim (): void {
    if (2 * this.length < this.#bytes.length) this.#bytes = ownBytes(this.#bytes.subarray(0, this.length))
  }

  /** Nobody needs its bytes any more. */
  free (): void {
    if (this.#bytes.length === PART_MAX) Chunk.#spare = this.#bytes
  }

  #grow (end: number): void {
    const bytes = Buffer.allocUnsafe(end > PART_MAX / 4 ? PART_MAX : Math.max(end, 4 * this.#bytes.length))
    bytes.set(this.#bytes.subarray(0, this.length))
    this.#bytes = bytes
  }
}
