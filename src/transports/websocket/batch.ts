/**
 * Frames that leave together, and the turn of the event loop at whose end they do.
 * Invariant: a batch never changes. Sockets that were given the same frames in the same order hold the
 * same batch, so it is joined once, however many they are.
 */

/** What the end of a turn is for. */
export interface TurnEnd {
  turnEnded (): void
}

export class Batch {
  readonly frame: Buffer
  /** Of all its frames together. */
  readonly bytes: number
  /** What goes before the frame; null if nothing does, or all is joined. */
  #before: Batch | null
  #joined: Buffer | null
  /** The batch that a socket comes to from here with the message that all get now. */
  #next: Batch | null = null

  constructor (before: Batch | null, frame: Buffer) {
    this.frame = frame
    this.bytes = before === null ? frame.length : before.bytes + frame.length
    this.#before = before
    this.#joined = before === null ? frame : null
  }

  /** This batch and one more frame. */
  with (frame: Buffer): Batch {
    return new Batch(this, frame)
  }

  /** The same, where many sockets come from here with the same frame: they all get the same batch. */
  withShared (frame: Buffer): Batch {
    if (this.#next !== null && this.#next.frame === frame) return this.#next
    turn.linked(this)
    return this.#next = new Batch(this, frame)
  }

  /** The turn is over: nobody comes from here with the same frame any more. */
  unlink (): void {
    this.#next = null
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
}

/** One turn of the event loop, for all sockets of the process. */
class Turn {
  #members: TurnEnd[] = []
  #linked: Batch[] = []
  #first: Batch | null = null
  #armed = false

  /** The batch that begins with a frame that many get. */
  first (frame: Buffer): Batch {
    if (this.#first !== null && this.#first.frame === frame) return this.#first
    this.#arm()
    return this.#first = new Batch(null, frame)
  }

  linked (batch: Batch): void {
    this.#linked.push(batch)
    this.#arm()
  }

  /** It is told when the turn is over. */
  add (member: TurnEnd): void {
    this.#members.push(member)
    this.#arm()
  }

  #arm (): void {
    if (this.#armed) return
    this.#armed = true
    setImmediate(this.#end)
  }

  readonly #end = (): void => {
    this.#armed = false
    this.#first = null
    for (const batch of this.#linked) batch.unlink()
    this.#linked.length = 0
    const members = this.#members
    this.#members = []
    for (const member of members) member.turnEnded()
  }
}

export const turn = new Turn()
