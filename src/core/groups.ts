/**
 * Named sets of members: who is in a group, and in which groups somebody is.
 * Invariant: a group exists while it has a member, and nothing is kept of a member that has left all.
 * Knows nothing of what a member is.
 */
import { FST_ERR_LIFELINE_ARGUMENT } from './errors.js'
import { LiveSet } from './live-set.js'

const NONE: readonly string[] = Object.freeze([])

/** @throws FST_ERR_LIFELINE_ARGUMENT for what is no group's name */
export function groupName (name: unknown): string {
  if (typeof name === 'string' && name !== '') return name
  throw new FST_ERR_LIFELINE_ARGUMENT(`a group is named by a string that is not empty, not by ${name === '' ? 'an empty one' : typeof name}`)
}

export class Groups<T extends object> {
  readonly #members = new Map<string, Set<T>>()
  readonly #groups = new Map<T, Set<string>>()

  /** How many groups there are. */
  get size (): number { return this.#members.size }

  /** Who is in which, now. */
  get byName (): ReadonlyMap<string, ReadonlySet<T>> { return this.#members }

  /** Live, also while there is none. */
  groupsOf (member: T): ReadonlySet<string> { return new LiveSet(this.#groups, member) }

  /** Who is in it now. */
  list (group: string): T[] { return [...this.#members.get(group) ?? []] }

  has (member: T, group: string): boolean { return this.#members.get(group)?.has(member) === true }

  /** @returns false if it was in it already */
  join (member: T, group: string): boolean {
    if (this.has(member, group)) return false
    add(this.#members, group, member)
    add(this.#groups, member, group)
    return true
  }

  /** @returns false if it was not in it */
  leave (member: T, group: string): boolean {
    if (!this.has(member, group)) return false
    remove(this.#members, group, member)
    remove(this.#groups, member, group)
    return true
  }

  /** @returns those that it was in, in the order in which it came */
  leaveAll (member: T): readonly string[] {
    const groups = this.#groups.get(member)
    if (groups === undefined) return NONE
    for (const group of groups) remove(this.#members, group, member)
    this.#groups.delete(member)
    return [...groups]
  }
}

function add<K, V> (sets: Map<K, Set<V>>, key: K, value: V): void {
  const set = sets.get(key)
  if (set === undefined) sets.set(key, new Set([value]))
  else set.add(value)
}

function remove<K, V> (sets: Map<K, Set<V>>, key: K, value: V): void {
  const set = sets.get(key)
  if (set === undefined || !set.delete(value)) return
  if (set.size === 0) sets.delete(key)
}
