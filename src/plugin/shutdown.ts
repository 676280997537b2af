/**
 * What `fastify.close()` means for connections: told with 1012, given time to take and
 * confirm what had been pushed by then, and ended in any case.
 * Invariant: it settles within drain.timeout + closeTimeout, whatever the peers do.
 */
import { closeCode } from '../core/causes.js'
import { retryReason } from '../core/retry.js'
import type { Life } from '../api/life.js'

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

export class Shutdown {
  readonly #options: ShutdownOptions
  readonly #lives: () => Array<Life<object>>
  #done: Promise<void> | null = null

  constructor (options: ShutdownOptions, lives: () => Array<Life<object>>) {
    this.#options = options
    this.#lives = lives
  }

  get begun (): boolean { return this.#done !== null }

  /** Begins it, or joins the one that has begun. */
  run (): Promise<void> {
    return this.#done ??= this.#drain(this.#lives())
  }

  async #drain (lives: Array<Life<object>>): Promise<void> {
    const { window, timeout, reconnect, closeTimeout } = this.#options
    const start = performance.now()
    // In the order of their closing, so that those who come back are spread over all of both times, and no two come at once.
    const waiting = new Map(lives.map((life, index) => [life, {
      at: start + window * index / lives.length,
      // What is pushed from now on is not waited for: a busy connection would never end.
      last: life.drain(),
      retry: reconnect * (index + Math.random()) / lives.length
    }]))
    const closing = new Map<Life<object>, number>()
    while (waiting.size + closing.size > 0) {
      const now = performance.now()
      for (const [life, { at, last, retry }] of waiting) {
        if (life.info === null && (now < at || (life.outstandingUpTo(last) && now < start + timeout))) continue
        waiting.delete(life)
        closing.set(life, Math.min(now, start + timeout) + (life.transport.remote ? closeTimeout : 0))
        life.close(closeCode.serviceRestart, retryReason(retry), 'shutdown')
      }
      for (const [life, deadline] of closing) {
        // A step early, so that its end is reported in time.
        if (life.info !== null || now >= deadline + LAST) closing.delete(life)
        else if (now >= deadline - STEP) life.terminate('shutdown')
      }
      if (waiting.size + closing.size > 0) await new Promise((resolve) => { setTimeout(resolve, STEP) })
    }
  }
}
