/**
 * Frames that leave together, for one socket alone: written one behind the other into a Buffer that grows,
 * so that a small message costs no Buffer of its own.
 */
import { ownBytes } from '../../core/bytes.js'
import type { Outgoing } from '../../core/outgoing.js'
import { BATCH_MAX, headerOf, opcode, write } from './frame.js'

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

  /** A message as one frame. */
  message ({ content: payload, binary, size }: Pick<Outgoing, 'content' | 'binary' | 'size'>): void {
    const end = this.length + headerOf(size) + size
    if (end > this.#bytes.length) this.#grow(end)
    this.length = write(this.#bytes, this.length, payload, size, binary ? opcode.binary : opcode.text, true)
  }

  /** Whether somebody is to know when it has left. */
  get called (): boolean { return this.#called !== null }

  /** A message that the app itself sends. */
  own (content: Buffer, binary: boolean, done: (error?: Error) => void): void {
    this.message({ content, binary, size: content.length })
    this.appBytes += content.length
    ;(this.#called ??= []).push(done)
  }

  /** It has been taken, or never will be. Told once, and never before the call that sent it has returned. */
  end (error?: Error): void {
    const called = this.#called
    this.#called = null
    if (called !== null) for (const done of called) process.nextTick(done, error)
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

  /** It is to wait: it keeps no more than it needs. */
  trim (): void {
    if (2 * this.length < this.#bytes.length) this.#bytes = ownBytes(this.#bytes.subarray(0, this.length))
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
