/**
 * Whether the line is still there: a server of ours says something every beat, and answers when it is asked.
 */
import { world } from './world.js'

/** A server that was asked has so long to say anything, in ms. */
const ANSWERS = 2_000

export interface WatchOwner {
  /** Asks the server to say something. */
  ask (why: string): void
  /** It has said nothing. */
  silent (): void
}

export class Watch {
  readonly #owner: WatchOwner
  #heardAt = 0
  #quiet = Infinity
  #timer: unknown

  constructor (owner: WatchOwner) { this.#owner = owner }

  heard (): void { this.#heardAt = Date.now() }

  /** @param beat how often something comes, in ms */
  start (beat: number): void {
    this.#quiet = 1.5 * beat
    this.heard()
    this.#again()
  }

  /** Is it there? @param why somebody wants to know */
  ask (why: string): void {
    const askedAt = Date.now()
    this.stop()
    this.#owner.ask(why)
    this.#timer = world.setTimeout(() => {
      if (this.#heardAt < askedAt) this.#owner.silent()
      else this.#again()
    }, ANSWERS)
  }

  stop (): void { world.clearTimeout(this.#timer) }

  #again (): void {
    this.stop()
    const left = this.#heardAt + this.#quiet - Date.now()
    // A clock that was set back lets it wait no longer than once.
    if (left > 0) this.#timer = world.setTimeout(() => { this.#again() }, Math.min(left, this.#quiet))
    else this.ask('silence')
  }
}
