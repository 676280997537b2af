/**
 * Those who have no wire and may come back: for how long, and how many.
 * Invariant: each leaves when it comes back, when its time is up, or when it gives way to others: then it is the oldest of whoever has
 * most, so that nobody flushes the others. It costs no timer of its own, whatever happens, and as much with ten thousand as with ten.
 * Knows nothing of sessions but that they can end, and what they hold.
 */
import { Deadline } from '../core/time/deadline.js'
import type { Wheel } from '../core/time/wheel.js'

export interface DetachedLimits {
  /** How many of all. */
  readonly max: number
  /** What they may hold together, in bytes. */
  readonly total: number
  /** How many of one identity. */
  readonly perIdentity: number
}

/** Somebody who may come back. */
export interface Absent {
  /** Whose it is: those of one count together. */
  readonly identity: string
  /** What is held for it, in bytes. */
  readonly heldBytes: number
  /** It is over: nobody comes back to it any more. */
  expire (): void
}

interface Place {
  readonly absent: Absent
  readonly group: Group
  readonly deadline: Deadline
  /** What of its bytes is in the sum. */
  counted: number
}

/** All of one identity, the oldest first. */
interface Group { readonly identity: string, readonly places: Set<Place> }

export class Detached {
  /** What is held for all of them, in bytes. */
  bytes = 0
  readonly #wheel: Wheel
  readonly #limits: DetachedLimits
  readonly #places = new Map<Absent, Place>()
  readonly #groups = new Map<string, Group>()
  /** By how many they are; of those that are as many, those that have been so for the longest come first. */
  readonly #bySize: Array<Set<Group> | undefined> = []

  constructor (wheel: Wheel, limits: DetachedLimits) {
    this.#wheel = wheel
    this.#limits = limits
  }

  get size (): number { return this.#places.size }

  /** It has no wire any more. @param window how long it may come back, in ms */
  add (absent: Absent, window: number): void {
    this.delete(absent)
    let group = this.#groups.get(absent.identity)
    if (group === undefined) this.#groups.set(absent.identity, group = { identity: absent.identity, places: new Set() })
    const place: Place = { absent, group, deadline: new Deadline(this.#wheel, () => { this.#end(place) }), counted: 0 }
    this.#places.set(absent, place)
    this.#resize(group, () => { group.places.add(place) })
    place.deadline.after(window)
    if (group.places.size > this.#limits.perIdentity) this.#end(first(group.places))
    this.update(absent)
  }

  /** What is held for it may have changed. */
  update (absent: Absent): void {
    const place = this.#places.get(absent)
    if (place === undefined) return
    this.bytes += absent.heldBytes - place.counted
    place.counted = absent.heldBytes
    while (this.size > this.#limits.max || (this.bytes > this.#limits.total && this.size > 0)) this.#end(first(first(this.#bySize.at(-1)!).places))
  }

  /** It is back, or over. */
  delete (absent: Absent): void {
    const place = this.#places.get(absent)
    if (place === undefined) return
    place.deadline.cancel()
    this.#places.delete(absent)
    this.bytes -= place.counted
    const { group } = place
    this.#resize(group, () => { group.places.delete(place) })
    if (group.places.size === 0) this.#groups.delete(group.identity)
  }

  #end ({ absent }: Place): void {
    this.delete(absent)
    absent.expire()
  }

  #resize (group: Group, change: () => void): void {
    this.#bySize[group.places.size]?.delete(group)
    change()
    const { size } = group.places
    if (size > 0) (this.#bySize[size] ??= new Set()).add(group)
    while (this.#bySize.length > 0 && !(this.#bySize.at(-1)!?.size > 0)) this.#bySize.pop()
  }
}

function first<T> (set: Set<T>): T {
  const [one] = set
  return one!
}
