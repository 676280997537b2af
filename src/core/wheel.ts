/**
 * One timer for everything that waits: a wheel of slots that turns by one slot a firing.
 * Invariant: time is counted in turns. A stalled loop or a suspended process makes one
 * late turn, never a burst of them, so nothing that waits comes due because we were away.
 * (A turn that is late by less than a stall is made up for, so that busy hours lose no time. Who cannot bear
 * even that asks how late turns were.)
 * The timer runs while anything waits and never keeps the process alive by itself.
 */

const SLOTS = 512
const MASK = SLOTS - 1

/** How many late turns are remembered. */
const LATE_MAX = 32

/** Something that waits in the wheel, in one place at a time. A base class, so that waiting allocates nothing. */
export abstract class Entry {
  /** The turn at which it is due; the wheel's own. */
  turn = 0
  next: Entry | null = null
  prev: Entry | null = null

  /** Called in the turn it asked for; it has left the wheel by then and may wait again. */
  abstract due (): void

  /** A turn is so many from now on: what it has kept as a number of turns is to be multiplied. */
  refined (_times: number): void {}
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
  readonly #lost: number
  readonly #stall: number
  /** How many turns there have been. */
  turn = 0
  /** How many turns came late by more than a stall. */
  stalls = 0

  readonly #slots = Array.from({ length: SLOTS }, () => new List())
  readonly #due = new List()
  readonly #now: () => number
  #timer: NodeJS.Timeout | null = null
  /** When the next turn should come, and when its timer is due: what is made up for comes as soon as it can. */
  #nextAt = 0
  #dueAt = 0
  #waiting = 0
  #firing = false
  /** Turns that came late, the newest last, each by less than the one before it: those that were followed by a later one tell nothing more. */
  readonly #late: Array<{ turn: number, readonly by: number }> = []

  /**
   * @param slot length of a slot, in ms
   * @param now a monotonic clock, in ms
   * @param lost how late a turn must be for the time to be lost and not made up for, in ms; at least a slot
   * @param stall how late it must be to count as a stall, in ms
   */
  constructor (slot: number, now: () => number = () => performance.now(), lost: number = slot, stall: number = lost) {
    this.#slot = slot
    this.#lost = lost
    this.#stall = stall
    this.#now = now
  }

  /** The length of a slot, in ms. */
  get slot (): number { return this.#slot }

  /**
   * Makes the slots as short as that, at the least. While something waits, each slot becomes so many whole ones that
   * what waits comes due when it would have.
   */
  refine (slot: number): void {
    if (slot >= this.#slot) return
    if (this.#waiting === 0) this.#slot = slot
    else this.#divide(Math.ceil(this.#slot / slot))
  }

  /** Whether a turn after that one came late by more than so many ms. */
  wasLate (turn: number, by: number): boolean {
    for (const late of this.#late) if (late.turn > turn) return late.by > by
    return false
  }

  #divide (times: number): void {
    const entries: Entry[] = []
    for (const list of [...this.#slots, this.#due]) {
      for (let entry = list.next; entry !== list; entry = entry.next!) entries.push(entry)
    }
    this.#slot /= times
    this.turn *= times
    for (const late of this.#late) late.turn *= times
    for (const entry of entries) {
      const turn = entry.turn * times
      entry.refined(times)
      if (turn <= this.turn) continue
      this.cancel(entry)
      this.wait(entry, turn - this.turn)
    }
    // Those of the shorter turns that would have been by now have been: nothing was due in them.
    const began = this.#nextAt - this.#slot * times
    const passed = Math.min(times - 1, Math.max(0, Math.floor((this.#now() - began) / this.#slot)))
    this.turn += passed
    this.#nextAt = began + this.#slot * (passed + 1)
    if (this.#timer === null) return
    this.#halt()
    this.#arm(Math.max(1, this.#nextAt - this.#now()))
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
    this.#dueAt = this.#now() + delay
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

  #noteLate (turn: number, by: number): void {
    const late = this.#late
    while (late.length > 0 && late.at(-1)!.by <= by) late.pop()
    if (late.length === LATE_MAX) late.shift()
    late.push({ turn, by })
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
    const late = now - this.#dueAt
    if (late > this.#slot) this.#noteLate(turn, late)
    if (late > this.#stall) this.stalls++
    if (now - this.#nextAt > this.#lost) this.#nextAt = now
    this.#nextAt += this.#slot
    this.#collect(turn)
    // One at a time off the list: what one of them does may cancel another.
    for (let entry = this.#due.next; entry !== this.#due; entry = this.#due.next) {
      this.cancel(entry)
      entry.due()
    }
  }
}
