/**
 * A set among many, as a view: it says who is in the set now, also of one that does not exist yet, or again.
 * Invariant: nothing can be changed through it, and it keeps no set alive: each question looks the set up by its name.
 */
import { inspect } from 'node:util'
import type { InspectOptions } from 'node:util'

const EMPTY: ReadonlySet<never> = new Set<never>()

/** A set that is looked up anew with each question, and cannot be changed through this. */
export class LiveSet<K, T> implements ReadonlySet<T> {
  readonly #sets: ReadonlyMap<K, ReadonlySet<T>>
  readonly #name: K

  /** @internal */
  constructor (sets: ReadonlyMap<K, ReadonlySet<T>>, name: K) {
    this.#sets = sets
    this.#name = name
  }

  get #now (): ReadonlySet<T> { return this.#sets.get(this.#name) ?? EMPTY }

  /** How many are in it now. */
  get size (): number { return this.#now.size }
  /** Whether this one is in it now. */
  has (value: T): boolean { return this.#now.has(value) }
  keys (): SetIterator<T> { return this.#now.keys() }
  values (): SetIterator<T> { return this.#now.values() }
  entries (): SetIterator<[T, T]> { return this.#now.entries() }
  [Symbol.iterator] (): SetIterator<T> { return this.#now.values() }

  /** Calls back with each that is in it, as a Set does. */
  forEach (callback: (value: T, key: T, set: ReadonlySet<T>) => void, thisArg?: unknown): void {
    this.#now.forEach((value) => { Reflect.apply(callback, thisArg, [value, value, this]) })
  }

  [inspect.custom] (_depth: number, options: InspectOptions): string { return inspect(new Set(this), options) }
}

// What newer versions of JavaScript give to sets (`union`, `isSubsetOf`, …) their types promise of a ReadonlySet too.
const changes = new Set(['add', 'delete', 'clear'])
const ofSets = Set.prototype as unknown as Record<string, (...args: unknown[]) => unknown>
for (const name of Object.getOwnPropertyNames(ofSets)) {
  if (changes.has(name) || Object.hasOwn(LiveSet.prototype, name)) continue
  Object.defineProperty(LiveSet.prototype, name, {
    value (this: LiveSet<unknown, unknown>, ...args: unknown[]) { return ofSets[name]!.apply(new Set(this), args) },
    configurable: true,
    writable: true
  })
}
