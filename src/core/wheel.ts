/**
 * One timer for everything that waits: a wheel of slots that turns by one slot a firing.
 * Invariant: time is counted in turns. A stalled loop or a suspended process makes one
 * late turn, never a burst of them, so nothing that waits comes due because we were away.
 * (A turn that is late by less than a stall is made up for, so that busy hours lose no time.)
 * The timer runs while anything waits and never keeps the process alive by itself.
 */

const SLOTS = 512
const MASK = SLOTS - 1

/** Something that waits in the wheel, in one place at a time. A base class, so that waiting allocates nothing. */
export abstract class Entry {
  /** The turn at which it is due; the wheel's own. */
  turn = 0
  next: Entry | null = null
  prev: Entry | null = null

  /** Called in the turn it asked for; it has left the wheel by then and may wait again. */
  abstract due (): void
}

class List extends Entry {
  override next: Entry = this
  override prev: Entry = this
  due (): void {}
}

function append (list: List, entry: Entry): void {
  entry.prev = list.prev
  entry.next = list
  list.prev.next = entry
  list.prev = entry
}

export class Wheel {
  #slot: number
  #stall: number
  /** How many turns there have been. */
  turn = 0
  /** The last turn that came late by more than a stall; 0 if none did. */
  lateTurn = 0
  /** How many turns came late by more than a stall. */
  stalls = 0

  readonly #slots = Array.from({ length: SLOTS }, () => new List())
  readonly #due = new List()
  readonly #now: () => number
  #timer: NodeJS.Timeout | null = null
  #nextAt = 0
  #waiting = 0
  #firing = false

  /**
   * @param slot length of a slot, in ms
   * @param stall how late a turn must be to count as a stall, in ms; at least a slot
   * @param now a monotonic clock, in ms
   */
  constructor (slot: number, now: () => number = () => performance.now(), stall: number = slot) {
    this.#slot = slot
    this.#stall = stall
    this.#now = now
  }

  /** The length of a slot, in ms. */
  get slot (): number { return this.#slot }

  /** Makes the slots, and what counts as a stall, as short as that, at the least; while nothing waits. */
  refine (slot: number, stall: number = slot): void {
    if (this.#waiting > 0) return
    this.#slot = Math.min(this.#slot, slot)
    this.#stall = Math.max(this.#slot, Math.min(this.#stall, stall))
  }

  get running (): boolean { return this.#timer !== null || this.#firing }

  /** Turns that last at least so many ms. */
  turns (ms: number): number {
    return Math.max(1, Math.ceil(ms / this.#slot))
  }

  /** Lets the entry wait for that many turns (at least one); moves it if it waits already. */
  wait (entry: Entry, turns: number): void {
    this.cancel(entry)
    entry.turn = this.turn + turns
    append(this.#slots[entry.turn & MASK]!, entry)
    this.#waiting++
    if (this.#timer === null && !this.#firing) this.#start()
  }

  cancel (entry: Entry): void {
    if (entry.next === null) return
    entry.prev!.next = entry.next
    entry.next.prev = entry.prev
    entry.next = entry.prev = null
    this.#waiting--
  }

  /** Forgets all that waits. */
  stop (): void {
    for (const list of [...this.#slots, this.#due]) {
      while (list.next !== list) this.cancel(list.next)
    }
    this.#halt()
  }

  #start (): void {
    this.#nextAt = this.#now() + this.#slot
    this.#arm(this.#slot)
  }

  #arm (delay: number): void {
    this.#timer = setTimeout(this.#fire, delay)
    this.#timer.unref()
  }

  #halt (): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
  }

  #collect (turn: number): void {
    const slot = this.#slots[turn & MASK]!
    let entry: Entry = slot.next
    while (entry !== slot) {
      const following = entry.next!
      if (entry.turn <= turn) {
        entry.prev!.next = following
        following.prev = entry.prev
        append(this.#due, entry)
      }
      entry = following
    }
  }

  readonly #fire = (): void => {
    this.#timer = null
    this.#firing = true
    try {
      this.#turnOnce()
    } finally {
      this.#firing = false
      if (this.#waiting > 0) this.#arm(Math.max(1, this.#nextAt - this.#now()))
    }
  }

  #turnOnce (): void {
    const turn = ++this.turn
    const now = this.#now()
    if (now - this.#nextAt > this.#stall) {
      this.lateTurn = turn
      this.stalls++
      this.#nextAt = now
    }
    this.#nextAt += this.#slot
    this.#collect(turn)
    // One at a time off the list: what one of them does may cancel another.
    for (let entry = this.#due.next; entry !== this.#due; entry = this.#due.next) {
      this.cancel(entry)
      entry.due()
    }
  }
}
