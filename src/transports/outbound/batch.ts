/**
 * Parts that leave together, for many streams at once.
 * Invariant: a batch never changes. Streams that were given the same parts in the same order in one turn
 * hold the same batch, so it is joined once, however many they are.
 */
import { turn } from '../../core/time/loop.js'
import type { TurnEnd } from '../../core/time/loop.js'

/** A part that is not joined costs some 200 bytes beside its own: so many may wait in one batch. */
const APART_MAX = 256

/** Where those of one encoding begin. */
export class Batches implements TurnEnd {
  #first: Batch | null = null
  /** Those that know a next. */
  readonly #linked: Batch[] = []

  /** The batch that begins with this part. */
  of (part: Buffer): Batch {
    if (this.#first !== null && this.#first.part === part) return this.#first
    this.note(null)
    return this.#first = new Batch(this, null, part)
  }

  /** Until the end of the turn this one knows a next, or is the first (null). */
  note (batch: Batch | null): void {
    if (this.#first === null && this.#linked.length === 0) turn.add(this)
    if (batch !== null) this.#linked.push(batch)
  }

  /** Nobody gets the same any more: who keeps a batch shall not keep what others got after it. */
  turnEnded (): void {
    this.#first = null
    for (const batch of this.#linked) batch.forget()
    this.#linked.length = 0
  }
}

export class Batch {
  readonly part: Buffer
  /** Of all its parts together. */
  readonly bytes: number
  readonly #all: Batches
  /** What goes before the part; null if nothing does, or all is joined. */
  #before: Batch | null
  #joined: Buffer | null
  /** How many parts are not joined. */
  #apart: number
  /** Where all go from here who get the same part now; until the end of the turn. */
  #next: Batch | null = null

  constructor (all: Batches, before: Batch | null, part: Buffer) {
    this.part = part
    this.bytes = before === null ? part.length : before.bytes + part.length
    this.#all = all
    this.#before = before
    this.#joined = before === null ? part : null
    this.#apart = before === null ? 0 : before.#apart + 1
  }

  /** This batch and one more part. */
  with (part: Buffer): Batch {
    if (this.#next !== null && this.#next.part === part) return this.#next
    this.#all.note(this)
    if (this.#apart >= APART_MAX) this.join()
    return this.#next = new Batch(this.#all, this, part)
  }

  /** All its parts in one Buffer. */
  join (): Buffer {
    if (this.#joined !== null) return this.#joined
    const joined = Buffer.allocUnsafe(this.bytes)
    let end = this.bytes
    let batch: Batch = this
    while (batch.#joined === null) {
      end -= batch.part.length
      joined.set(batch.part, end)
      batch = batch.#before!
    }
    joined.set(batch.#joined, 0)
    this.#before = null
    this.#apart = 0
    return this.#joined = joined
  }

  /** The turn has ended. */
  forget (): void { this.#next = null }
}
