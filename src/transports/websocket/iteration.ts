/**
 * What `messages()` gives: the loop of one reader at a time, and how it waits.
 * Invariant: calls of `next` that overlap are answered in their order, each message once; and a loop that awaits nothing else
 * lets the event loop turn.
 * Knows nothing of sockets, nor of what is held: its source says what may be had now.
 */
import { FST_ERR_LIFELINE_ALREADY_READING } from '../../core/errors.js'
import { nextTurn } from '../../core/time/loop.js'
import type { Message } from '../transport.js'
import type { Held } from './held.js'
import { HIGH_WATER } from './inbox.js'

/** Where the messages come from. */
export interface Source {
  /** The next one, if the reader may have one now. */
  next (): Held | undefined
  /** If there is none now, there will be none. */
  readonly over: boolean
  /** The reader has left. */
  left (): void
}

export class Iteration {
  readonly #source: Source
  /** The one reader: null if there is none, else what wakes it. */
  #reader: { wake: (() => void) | null } | null = null
  /** What readers have had since one last let the loop turn, in bytes. */
  #given = 0

  constructor (source: Source) {
    this.#source = source
  }

  /** Whether there is a reader. */
  get reading (): boolean { return this.#reader !== null }

  /** There may be something for a reader that waits, or nothing any more. */
  wake (): void {
    this.#reader?.wake?.()
  }

  /** @throws FST_ERR_LIFELINE_ALREADY_READING */
  messages (): AsyncIterableIterator<Message> {
    if (this.#reader !== null) throw new FST_ERR_LIFELINE_ALREADY_READING()
    const reader: { wake: (() => void) | null } = { wake: null }
    this.#reader = reader
    const stop = (): void => {
      if (this.#reader !== reader) return
      this.#reader = null
      reader.wake?.()
      this.#source.left()
    }
    const next = async (): Promise<IteratorResult<Message>> => {
      while (this.#reader === reader) {
        // There may be megabytes: a loop that awaits nothing else must not take them all in one turn.
        if (this.#given > HIGH_WATER) {
          await nextTurn()
          this.#given = 0
          continue
        }
        const held = this.#source.next()
        if (held !== undefined) {
          this.#given += held.cost
          return { done: false, value: await held.toMessage() }
        }
        if (this.#source.over) break
        await new Promise<void>((resolve) => { reader.wake = resolve })
        reader.wake = null
      }
      stop()
      return { done: true, value: undefined }
    }
    // Calls that overlap are answered in their order, as an async generator would.
    let last: Promise<unknown> = Promise.resolve()
    return {
      next: () => (last = last.then(next)) as Promise<IteratorResult<Message>>,
      return: async () => {
        stop()
        return { done: true, value: undefined }
      },
      [Symbol.asyncIterator] () { return this }
    }
  }
}
