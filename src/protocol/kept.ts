/**
 * What an endpoint has sent, or is about to send, and the peer's app has not been said to have taken.
 * Invariant: numbers go up by one, from the first message of the session; only a count of the peer's takes anything away.
 */

interface Entry<M> {
  readonly message: M
  /** In bytes. */
  readonly size: number
  /** Its sender has been told what has become of it. */
  answered: boolean
}

export class Kept<M> {
  /** The last number that was confirmed. */
  base = 0
  /** Of all that is kept. */
  bytes = 0
  #entries: Array<Entry<M> | undefined> = []
  /** Where the oldest is. */
  #first = 0

  get length (): number { return this.#entries.length - this.#first }
  /** The last number that was given. */
  get last (): number { return this.base + this.length }

  /** @returns its number */
  add (message: M, size: number): number {
    this.#entries.push({ message, size, answered: false })
    this.bytes += size
    return this.last
  }

  /** The message with this number, while it is kept. */
  at (seq: number): M | undefined { return this.#entry(seq)?.message }
  /** Its size in bytes; 0 if it is not kept. */
  sizeOf (seq: number): number { return this.#entry(seq)?.size ?? 0 }

  /** Nobody need be told any more what has become of this one. It is kept all the same: the peer has not got it yet. */
  answered (seq: number): void {
    const entry = this.#entry(seq)
    if (entry !== undefined) entry.answered = true
  }

  /** Those of whom nobody has been told yet what has become of them. */
  get unanswered (): M[] { return (this.#entries.slice(this.#first) as Array<Entry<M>>).filter(({ answered }) => !answered).map(({ message }) => message) }

  /** The peer's app has taken all up to this number; there are as many. @param into they are added to this list, in order */
  confirm (count: number, into?: M[]): void {
    while (this.base < count) {
      const { message, size } = this.#entries[this.#first]!
      this.#entries[this.#first++] = undefined
      this.bytes -= size
      this.base++
      into?.push(message)
    }
    // What was confirmed in front is cut off when it is more than what is left: seldom enough.
    if (this.#first > this.#entries.length / 2) {
      this.#entries = this.#entries.slice(this.#first)
      this.#first = 0
    }
  }

  #entry (seq: number): Entry<M> | undefined { return seq > this.base ? this.#entries[this.#first + seq - this.base - 1] : undefined }
}
