/**
 * Who asks the client of a session how far it is: for as many as want to know in one turn of the event loop, once.
 */
import { turn } from '../core/time/loop.js'
import type { TurnEnd } from '../core/time/loop.js'
import type { Asker } from '../transports/transport.js'

/** The session, as far as it can be asked. */
export interface Asked {
  /** Of the wire that it has, or had last; null: it cannot be asked. */
  readonly wireAsker: Asker | null
  /** Asks, if there is a wire. */
  ask (): void
}

export class SessionAsker implements Asker, TurnEnd {
  /** When somebody first wanted to know, monotonic in ms; NaN: nobody does. */
  #since = NaN
  #waits = false
  readonly #asked: Asked

  constructor (asked: Asked) { this.#asked = asked }

  get roundTrip (): number { return this.#asked.wireAsker?.roundTrip ?? NaN }

  want (): void {
    if (Number.isNaN(this.#since)) this.#since = performance.now()
    if (this.#waits) return
    this.#waits = true
    turn.add(this)
  }

  turnEnded (): void {
    this.#waits = false
    this.#asked.ask()
  }

  /** It was answered. @returns how long that took, in ms; NaN: nobody had asked */
  answered (): number {
    const took = performance.now() - this.#since
    this.#since = NaN
    return took
  }

  /** There is another wire: who wants to know asks again. */
  attached (): void { if (!Number.isNaN(this.#since)) this.#asked.ask() }

  ping (): Promise<number> { return this.#asked.wireAsker?.ping() ?? Promise.resolve(NaN) }
}
