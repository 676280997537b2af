/**
 * How an app reads a session: by the wire that it has, one message after the other over all of them.
 * Invariant: the reader of a wire gets its first message when the app is done with the last one of the wire before.
 */
import type { Message, Reader } from '../transports/transport.js'
import type { Attached } from './attached.js'

/** Who keeps the turn. */
export interface Turns {
  readonly received: number
  mayTake (run: object): boolean
  works (run: object): void
  settled (run: object): void
}

export class SessionReader implements Reader {
  readonly #turns: Turns
  readonly #at: () => Attached
  /** Those that wait until the app is done with an earlier message. */
  readonly #waiting = new Set<() => void>()

  constructor (turns: Turns, at: () => Attached) {
    this.#turns = turns
    this.#at = at
  }

  get #reader (): Reader { return this.#at().carrier.reader }

  get paused (): boolean { return this.#reader.paused }
  get throttled (): boolean { return this.#reader.throttled }
  get blind (): boolean { return this.#reader.blind }
  get consumed (): number { return this.#turns.received }
  get spoken (): boolean { return this.#reader.spoken }
  closing (): void { this.#reader.closing() }
  mute (): void { this.#reader.mute() }
  pause (): void { this.#reader.pause() }
  resume (): void { this.#reader.resume() }
  /** It always is. */
  readOn (): void {}
  shut (): void { this.#reader.shut() }
  settled (): void {
    this.#reader.settled()
    this.#turns.settled(this.#at())
    this.wake()
  }

  messages (one?: boolean): AsyncIterableIterator<Message> {
    const at = this.#at()
    const inner = at.carrier.reader.messages(one)
    const done = (): void => {
      this.#turns.settled(at)
      this.wake()
    }
    // Calls that overlap are answered in their order.
    let last: Promise<unknown> = Promise.resolve()
    const next = async (): Promise<IteratorResult<Message>> => {
      // Who asks for the next is done with the last.
      done()
      // Whose wire has gone waits for nothing any more.
      while (this.#at() === at && !this.#turns.mayTake(at)) await new Promise<void>((resolve) => { this.#waiting.add(resolve) })
      if (this.#at() === at) this.#turns.works(at)
      const result = await inner.next()
      if (result.done === true) done()
      return result
    }
    return {
      next: () => (last = last.then(next)) as Promise<IteratorResult<Message>>,
      return: async () => {
        // Who takes one alone works at it from now on: until the next is asked for, or the handler has settled.
        if (one !== true) done()
        return await inner.return!()
      },
      [Symbol.asyncIterator] () { return this }
    }
  }

  /** There is another wire, or it is over. */
  wake (): void {
    const waiting = [...this.#waiting]
    this.#waiting.clear()
    for (const resolve of waiting) resolve()
  }
}
