/**
 * One timer for everything that waits: a wheel that moves on by one slot a firing, or by as many as it is behind.
 * Invariant: time is counted in slots. A stalled loop or a suspended process makes one
 * late slot, never a burst of them, so nothing that waits comes due because we were away.
 * (What is late by less than a stall is made up for, at once, so that busy hours lose no time however long each turn of the loop is. Who
 * cannot bear even that asks how late slots were: each of those that are made up for is.)
 * The timer runs while anything waits and never keeps the process alive by itself.
 */

import { Histogram } from '../histogram.js'

const SLOTS = 512
const MASK = SLOTS - 1

/** A slot that comes in one firing with another is late, in ms: between the two nothing was read. */
const LEAST = 1e-3

/** How many late slots are remembered. */
const LATE_MAX = 32

/** Something that waits in the wheel, in one place at a time. A base class, so that waiting allocates nothing. */
export abstract class Entry {
  /** The slot in which it is due; the wheel's own. */
  slot = 0
  next: Entry | null = null
  prev: Entry | null = null

  /** Called in the slot it asked for; it has left the wheel by then and may wait again. */
  abstract due (): void

  /** A slot is so many from now on: what it has kept as a number of slots is to be multiplied. */
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
  #width: number
  readonly #lost: number
  readonly #stall: number
  /** The number of the slot that is now: how many there have been. */
  slot = 0
  /** How many slots came late by more than a stall; and how late each came. */
  stalls = 0
  readonly lateness = new Histogram()

  readonly #lists = Array.from({ length: SLOTS }, () => new List())
  readonly #due = new List()
  readonly #now: () => number
  #timer: NodeJS.Timeout | null = null
  /** When the next slot should come, and when its timer is due: what is made up for comes as soon as it can. */
  #nextAt = 0
  #dueAt = 0
  #cameAt = -Infinity
  #readUntil = -Infinity
  #polled: NodeJS.Immediate | null = null
  #waiting = 0
  #firing = false
  #away = 0
  /** Slots that came late, the newest last, each by less than the one before it: those that were followed by a later one tell nothing more. */
  readonly #late: Array<{ slot: number, readonly by: number }> = []

  /**
   * @param width the length of a slot, in ms
   * @param now a monotonic clock, in ms
   * @param lost how late a slot must be for the time to be lost and not made up for, in ms; at least a slot
   * @param stall how late it must be to count as a stall, in ms
   */
  constructor (width: number, now: () => number = () => performance.now(), lost: number = width, stall: number = lost) {
    this.#width = width
    this.#lost = lost
    this.#stall = stall
    this.#now = now
  }

  /** The length of a slot, in ms. */
  get width (): number { return this.#width }

  /**
   * Makes the slots as short as that, at the least. While something waits, each slot becomes so many whole ones that
   * what waits comes due when it would have.
   */
  refine (width: number): void {
    if (width >= this.#width) return
    if (this.#waiting === 0) this.#width = width
    else this.#divide(Math.ceil(this.#width / width))
  }

  /** Whether a slot after that one came late by more than so many ms. */
  wasLate (slot: number, by: number): boolean {
    for (const late of this.#late) if (late.slot > slot) return late.by > by
    return false
  }

  /** How many slots it has to make up: they pass faster than time does. */
  get lag (): number {
    if (!this.running) return 0
    const late = this.#now() - this.#nextAt
    return late > 0 && late <= this.#lost ? Math.ceil(late / this.#width) : 0
  }

  /**
   * How long the loop was away in all, as far as it came back late by more than a slot, in ms: nothing was read meanwhile. What has come may
   * be read before the slot that is late.
   */
  get away (): number {
    const late = this.#timer === null ? 0 : this.#now() - this.#dueAt
    return late > this.#width ? this.#away + late : this.#away
  }

  /** What had come by then has been read, monotonic in ms: when the last slot came behind which the loop has polled. */
  get readUntil (): number { return this.#readUntil }

  #divide (times: number): void {
    const entries: Entry[] = []
    for (const list of [...this.#lists, this.#due]) {
      for (let entry = list.next; entry !== list; entry = entry.next!) entries.push(entry)
    }
    this.#width /= times
    this.slot *= times
    for (const late of this.#late) late.slot *= times
    for (const entry of entries) {
      const slot = entry.slot * times
      entry.refined(times)
      if (slot <= this.slot) continue
      this.cancel(entry)
      this.wait(entry, slot - this.slot)
    }
    // Those of the shorter slots that would have been by now have been: nothing was due in them.
    const began = this.#nextAt - this.#width * times
    const passed = Math.min(times - 1, Math.max(0, Math.floor((this.#now() - began) / this.#width)))
    this.slot += passed
    this.#nextAt = began + this.#width * (passed + 1)
    if (this.#timer === null) return
    this.#halt()
    this.#arm(Math.max(1, this.#nextAt - this.#now()))
  }

  get running (): boolean { return this.#timer !== null || this.#firing }

  /** Slots that last at least so many ms. */
  slots (ms: number): number {
    return Math.max(1, Math.ceil(ms / this.#width))
  }

  /** The slot by which so many ms have passed for certain: the one that is now may be nearly over, and those that are made up for pass faster than time does. */
  slotAfter (ms: number): number { return this.slot + this.lag + this.slots(ms) + 1 }

  /** Lets the entry wait for that many slots (at least one); moves it if it waits already. */
  wait (entry: Entry, slots: number): void {
    this.cancel(entry)
    entry.slot = this.slot + slots
    append(this.#lists[entry.slot & MASK]!, entry)
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
    for (const list of [...this.#lists, this.#due]) {
      while (list.next !== list) this.cancel(list.next)
    }
    this.#halt()
    if (this.#polled !== null) clearImmediate(this.#polled)
    this.#polled = null
  }

  #start (): void {
    this.#nextAt = this.#now() + this.#width
    this.#arm(this.#width)
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

  #collect (slot: number): void {
    const list = this.#lists[slot & MASK]!
    let entry: Entry = list.next
    while (entry !== list) {
      const following = entry.next!
      if (entry.slot <= slot) {
        entry.prev!.next = following
        following.prev = entry.prev
        append(this.#due, entry)
      }
      entry = following
    }
  }

  #noteLate (slot: number, by: number): void {
    const late = this.#late
    while (late.length > 0 && late.at(-1)!.by <= by) late.pop()
    if (late.length === LATE_MAX) late.shift()
    late.push({ slot, by })
  }

  readonly #fire = (): void => {
    this.#timer = null
    this.#firing = true
    const now = this.#now()
    const late = now - this.#dueAt
    this.#cameAt = now
    this.#polled ??= setImmediate(this.#poll)
    this.lateness.observe(late)
    if (late > this.#stall) this.stalls++
    if (late > this.#width) this.#away += late
    try {
      this.#next(now, late > this.#width ? late : 0)
      // One by one, a turn of the loop each, they would never all be made up for where turns are longer than slots.
      // (How long we were away the first of them has told.)
      while (this.#waiting > 0 && this.#nextAt <= now) this.#next(now, LEAST)
    } finally {
      this.#firing = false
      if (this.#waiting > 0) this.#arm(Math.max(1, this.#nextAt - this.#now()))
    }
  }

  /** Immediates come behind the poll phase. (Between two slots there need not be one: a timer that is due by then fires along with others.) */
  readonly #poll = (): void => {
    this.#polled = null
    this.#readUntil = this.#cameAt
  }

  /** @param late by how much it is, in ms; 0: it is not */
  #next (now: number, late: number): void {
    const slot = ++this.slot
    if (late > 0) this.#noteLate(slot, late)
    if (now - this.#nextAt > this.#lost) this.#nextAt = now
    this.#nextAt += this.#width
    this.#collect(slot)
    // One at a time off the list: what one of them does may cancel another.
    for (let entry = this.#due.next; entry !== this.#due; entry = this.#due.next) {
      this.cancel(entry)
      entry.due()
    }
  }
}
