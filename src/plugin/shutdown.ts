/**
 * What `fastify.close()` means for connections: left alone while the app's own preClose hooks may say goodbye to them, then told with
 * 1012, given time to take and confirm what had been pushed by then, and ended in any case.
 * Invariant: once begun it settles within shutdown.timeout + closeTimeout, whatever the peers do.
 */
import type { Server } from 'node:net'
import { nextTurn } from '../core/time/loop.js'
import type { Awaited } from '../life/awaited.js'
import { closeCode } from '../protocol/close-codes.js'
import type { Named } from '../life/journal.js'
import type { Life } from '../life/life.js'

/** How often those that still have something to send are looked at, and whether the server still listens, in ms. */
const STEP = 20

/** Whose end is not reported so long after its deadline is not waited for any more, in ms. */
const LAST = 100

/** When those who are sent away shall come back, in ms: not before `after`, and spread over `within` from then. */
export interface Reconnect { readonly after: number, readonly within: number }

export interface ShutdownOptions {
  /** Over how long the closing is spread, in ms. */
  readonly window: number
  /** How long a connection may take to send what is buffered, and the peer to confirm what matters, in ms. */
  readonly timeout: number
  readonly reconnect: Reconnect
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
  #stopWaiting: (() => void) | null = null
  #announced = false
  #settled: Promise<void> | null = null

  constructor (options: ShutdownOptions, lives: () => Array<Life<Named>>) {
    this.#options = options
    this.#lives = lives
  }

  /** Nobody is to come any more. */
  get begun (): boolean { return this.#announced || this.#done !== null }

  /**
   * Fastify runs the preClose hooks, of which ours that closes comes last. It begins without that where a hook has failed, for Fastify
   * skips those behind it: what can be seen then is that the server stops listening. And after `timeout`: a hook may wait for ever.
   */
  announce (server: Server): void {
    if (this.begun) return
    this.#announced = true
    this.#await(server, () => { this.run() })
  }

  /** Whoever registered @fastify/websocket has its preClose close all sockets: they are ours to close, if the server stops listening. */
  claim (server: Server): void {
    if (this.begun) return
    for (const life of this.#lives()) life.transport.claim()
    this.#await(server, () => { if (!server.listening) this.run() })
  }

  /** Begins it, or joins the one that has begun. */
  run (): Promise<void> {
    this.#stopWaiting?.()
    return this.#done ??= this.#close(this.#lives())
  }

  /**
   * The same, for one of Fastify's hooks: it fails those that take longer than its pluginTimeout. What is left then is awaited in
   * onClose, which has none.
   * @param limit in ms; 0 or undefined: none
   */
  async runWithin (limit: number | undefined, awaited: Awaited): Promise<void> {
    const done = this.run().then(() => this.settled(awaited))
    if (limit === undefined || limit === 0) return done
    let timer: NodeJS.Timeout | undefined
    const enough = new Promise<void>((resolve) => { timer = setTimeout(resolve, limit * 0.9) })
    await Promise.race([done, enough])
    clearTimeout(timer)
  }

  /** Waits for what handlers of the end have promised: they are called a turn later. Once for as long as `timeout` at most. */
  settled (awaited: Awaited): Promise<void> {
    return this.#settled ??= nextTurn().then(() => awaited.settled(this.#options.timeout))
  }

  /** @param ready called once, unless it begins before */
  #await (server: Server, ready: () => void): void {
    this.#stopWaiting?.()
    const end = (): void => {
      this.#stopWaiting?.()
      ready()
    }
    const listened = server.listening
    const timer = setInterval(() => { if (listened && !server.listening) end() }, STEP)
    const limit = setTimeout(end, this.#options.timeout)
    this.#stopWaiting = () => {
      this.#stopWaiting = null
      clearInterval(timer)
      clearTimeout(limit)
    }
  }

  async #close (lives: Array<Life<Named>>): Promise<void> {
    const { window, timeout, reconnect, closeTimeout } = this.#options
    const start = performance.now()
    // In the order of their closing, so that those who come back are spread over all of both times, and no two come at once.
    const waiting = new Map(lives.map((life, index) => [life, {
      at: start + window * index / lives.length,
      // What is pushed from now on is not waited for: a busy connection would never end.
      last: life.drain(),
      retry: reconnect.after + reconnect.within * (index + Math.random()) / lives.length
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
