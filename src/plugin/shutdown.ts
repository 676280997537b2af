/**
 * What `fastify.close()` means for connections: told with 1012, given time to take and
 * confirm what had been pushed by then, and ended in any case.
 * Invariant: it settles within shutdown.timeout + closeTimeout, whatever the peers do.
 */
import { closeCode } from '../protocol/close-codes.js'
import type { Named } from '../life/journal.js'
import type { Life } from '../life/life.js'

/** How often those that still have something to send are looked at, in ms. */
const STEP = 20

/** Whose end is not reported so long after its deadline is not waited for any more, in ms. */
const LAST = 100

export interface ShutdownOptions {
  /** Over how long the closing is spread, in ms. */
  readonly window: number
  /** How long a connection may take to send what is buffered, and the peer to confirm what matters, in ms. */
  readonly timeout: number
  /** Over how long the clients are told to come back, in ms; 0: they are told nothing. */
  readonly reconnect: number
  /** How long a peer may then take to answer the close frame, in ms. */
  readonly closeTimeout: number
}

interface Closing {
  /** When it is ended. */
  readonly deadline: number
  /** How long its end is waited for then; Infinity: it was not ended yet. */
  until: number
}

export class Shutdown {
  readonly #options: ShutdownOptions
  readonly #lives: () => Array<Life<Named>>
  #done: Promise<void> | null = null

  constructor (options: ShutdownOptions, lives: () => Array<Life<Named>>) {
    this.#options = options
    this.#lives = lives
  }

  get begun (): boolean { return this.#done !== null }

  /** Begins it, or joins the one that has begun. */
  run (): Promise<void> {
    return this.#done ??= this.#close(this.#lives())
  }

  async #close (lives: Array<Life<Named>>): Promise<void> {
    const { window, timeout, reconnect, closeTimeout } = this.#options
    const start = performance.now()
    // In the order of their closing, so that those who come back are spread over all of both times, and no two come at once.
    const waiting = new Map(lives.map((life, index) => [life, {
      at: start + window * index / lives.length,
      // What is pushed from now on is not waited for: a busy connection would never end.
      last: life.drain(),
      retry: reconnect * (index + Math.random()) / lives.length
    }]))
    const closing = new Map<Life<Named>, Closing>()
    while (waiting.size + closing.size > 0) {
      const now = performance.now()
      for (const [life, { at, last, retry }] of waiting) {
        if (life.info === null && (now < at || (life.outstandingUpTo(last) && now < start + timeout))) continue
        waiting.delete(life)
        closing.set(life, { deadline: Math.min(now, start + timeout) + (life.transport.traits.remote ? closeTimeout : 0), until: Infinity })
        life.close({ code: closeCode.serviceRestart, reason: '', retryAfter: retry }, 'shutdown')
      }
      for (const [life, its] of closing) {
        if (life.info !== null || now >= its.until) {
          closing.delete(life)
        } else if (its.until === Infinity && now >= its.deadline - STEP) {
          // A step early, so that its end is reported in time. However late we are: nobody is left behind that was not ended.
          its.until = Math.max(now, its.deadline) + LAST
          life.terminate('shutdown')
        }
      }
      if (waiting.size + closing.size > 0) await new Promise((resolve) => { setTimeout(resolve, STEP) })
    }
  }
}
