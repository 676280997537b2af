/**
 * Who is here: fd -> connection, and the numbering of both fd and id.
 * Invariant: an fd is given once in the life of the process, whatever ends in between.
 * Knows nothing of what a connection is.
 */
import { randomBytes, randomInt } from 'node:crypto'
import { FdIndex } from './fd-index.js'

// One count for all servers of the process, from a random multiple of a million:
// a number kept across a restart finds nobody instead of a stranger.
let lastFd = randomInt(0, 1000) * 1_000_000

/** The next number of this process. */
export const nextFd = (): number => ++lastFd

export class Registry<T extends object> {
  /** In the order of their fd. */
  readonly #all = new Map<number, T>()
  readonly #byFd = new FdIndex<T>()
  readonly #byId = new Map<string, T>()
  readonly #node = randomBytes(6).toString('base64url')

  get size (): number { return this.#all.size }

  /** Takes anything. */
  get (fd: unknown): T | undefined {
    return this.#byFd.get(fd)
  }

  /** Finds only those whose id was asked for: a name nobody has heard cannot be called. */
  byId (id: string): T | undefined {
    return this.#byId.get(id)
  }

  add (fd: number, connection: T): void {
    this.#all.set(fd, connection)
    this.#byFd.add(fd, connection)
  }

  /**
   * Makes the id of a connection: the node's name and a random part, safe in a URL.
   * One that is over gets a name as well, but is not found by it.
   */
  name (connection: T | undefined): string {
    const id = `${this.#node}.${randomBytes(12).toString('base64url')}`
    if (connection !== undefined) this.#byId.set(id, connection)
    return id
  }

  remove (fd: number, id: string | undefined): void {
    this.#all.delete(fd)
    this.#byFd.remove(fd)
    if (id !== undefined) this.#byId.delete(id)
  }

  /** In the order of their fd. */
  values (): MapIterator<T> {
    return this.#all.values()
  }

  entries (): MapIterator<[number, T]> {
    return this.#all.entries()
  }
}
