/**
 * Frames that leave together, for many sockets at once.
 * Invariant: a batch never changes. Sockets that were given the same frames in the same order in one turn
 * hold the same batch, so it is joined once, however many they are.
 */
import { turn } from '../../core/time/loop.js'

export class Batch {
  readonly frame: Buffer
  /** Of all its frames together. */
  readonly bytes: number
  /** What goes before the frame; null if nothing does, or all is joined. */
  #before: Batch | null
  #joined: Buffer | null
  /** Where all go from here who get the same frame now; until the end of the turn. */
  #next: Batch | null = null

  private constructor (before: Batch | null, frame: Buffer) {
    this.frame = frame
    this.bytes = before === null ? frame.length : before.bytes + frame.length
    this.#before = before
    this.#joined = before === null ? frame : null
  }

  /** The batch that begins with this frame. */
  static of (frame: Buffer): Batch {
    if (Batch.#first !== null && Batch.#first.frame === frame) return Batch.#first
    Batch.#note(null)
    return Batch.#first = new Batch(null, frame)
  }

  /** This batch and one more frame. */
  with (frame: Buffer): Batch {
    if (this.#next !== null && this.#next.frame === frame) return this.#next
    Batch.#note(this)
    return this.#next = new Batch(this, frame)
  }

  /** All its frames in one Buffer. */
  join (): Buffer {
    if (this.#joined !== null) return this.#joined
    const joined = Buffer.allocUnsafe(this.bytes)
    let end = this.bytes
    let batch: Batch = this
    while (batch.#joined === null) {
      end -= batch.frame.length
      joined.set(batch.frame, end)
      batch = batch.#before!
    }
    joined.set(batch.#joined, 0)
    this.#before = null
    return this.#joined = joined
  }

  static #first: Batch | null = null
  /** Those that know a next. */
  static readonly #linked: Batch[] = []

  static #note (batch: Batch | null): void {
    if (Batch.#first === null && Batch.#linked.length === 0) turn.add(Batch)
    if (batch !== null) Batch.#linked.push(batch)
  }

  /** Nobody gets the same any more: who keeps a batch shall not keep what others got after it. */
  static turnEnded (): void {
    Batch.#first = null
    for (const batch of Batch.#linked) batch.#next = null
    Batch.#linked.length = 0
  }
}
