/**
 * What is known of the arrival of one connection's messages, and who waits to know.
 * Invariant: `delivered` is said of nothing that a receipt does not cover, `gone` of nothing that was handed over, and
 * every wait ends: by a receipt, its timeout, its signal, or the end of the connection.
 * Knows nothing of pings: a wire numbers its messages from 1, and says up to which one they have arrived.
 */
import { FST_ERR_LIFELINE_ARGUMENT } from './errors.js'
import type { Asks, Outbox, Undelivered } from './outbox.js'
import type { PushOptions } from './payload.js'

export const outcomes = ['delivered', 'gone', 'full', 'invalid', 'timeout', 'unconfirmed'] as const

/**
 * What became of a message. Certain: `delivered`: the peer has it; `gone`, `full`, `invalid`: it was not sent, as of a push.
 * Uncertain: `timeout`, and `unconfirmed` (the connection ended after it was sent): it may have arrived, or yet arrive.
 */
export type Outcome = typeof outcomes[number]

export interface Delivery {
  readonly outcome: Outcome
  /** Of the ping that brought the receipt, in ms; with `delivered` alone. */
  readonly roundTrip?: number
}

export interface DeliverOptions extends PushOptions {
  /** How long to wait for the receipt, in ms. @default 10_000 */
  timeout?: number
  /** Ends the wait: the promise is rejected with its reason. What was sent may have arrived. */
  signal?: AbortSignal
}

const TIMEOUT = 10_000
const TIMEOUT_MAX = 2_147_483_647

/** How long somebody waits. */
export interface Patience {
  /** In ms. */
  readonly timeout: number
  readonly signal: AbortSignal | undefined
}

/** @throws FST_ERR_LIFELINE_ARGUMENT for a timeout that is none, or a signal that is none */
export function checkDeliver ({ timeout = TIMEOUT, signal }: DeliverOptions): Patience {
  if (typeof timeout !== 'number' || !(timeout >= 0 && timeout <= TIMEOUT_MAX)) throw new FST_ERR_LIFELINE_ARGUMENT(`deliver: timeout is a number of ms up to ${TIMEOUT_MAX}`)
  if (signal !== undefined && !(signal instanceof AbortSignal)) throw new FST_ERR_LIFELINE_ARGUMENT('deliver: signal is an AbortSignal')
  return { timeout, signal }
}

/** A wire that numbers what it takes. */
export interface Numbered extends Asks {
  /** The number of the last message that it was given. */
  readonly accepted: number
  /** Of the last that has left for the peer, all of it. */
  readonly handed: number
}

/** Somebody who waits for one message. */
interface Waiting {
  readonly seq: number
  readonly settle: (delivery: Delivery) => void
}

export class Receipts {
  readonly #wire: Numbered
  /** null: only those that somebody waits for matter. */
  readonly #outbox: Outbox | null
  /** In the order of their numbers. */
  readonly #waiting = new Set<Waiting>()
  #over = false

  constructor (wire: Numbered, outbox: Outbox | null) {
    this.#wire = wire
    this.#outbox = outbox
  }

  /** Messages that are kept until they are confirmed, and their bytes. */
  get unconfirmed (): { count: number, bytes: number } {
    return { count: this.#outbox?.count ?? 0, bytes: this.#outbox?.bytes ?? 0 }
  }

  /** Whether a receipt would tell anybody anything. */
  get outstanding (): boolean { return this.#waiting.size > 0 || (this.#outbox?.count ?? 0) > 0 }

  /** Whether no more than half of what may be unconfirmed is. */
  get roomy (): boolean { return this.#outbox === null || this.#outbox.roomy }

  /** Asks for a receipt of all that was sent. */
  ask (): void {
    this.#wire.want(this.#wire.accepted)
  }

  /** Waits until the peer has the last message that the wire was given. Rejects by the signal alone. */
  wait (timeout: number, signal: AbortSignal | undefined): Promise<Delivery> {
    const seq = this.#wire.accepted
    if (this.#over) return Promise.resolve(this.#lost(seq))
    return new Promise((resolve, reject) => {
      const aborted = (): void => {
        release()
        const { reason } = signal!
        reject(reason)
      }
      // After a stall a timer fires before queued input is read: a receipt that is there counts.
      const late = (): void => { setImmediate(() => { if (this.#waiting.has(waiting)) waiting.settle({ outcome: 'timeout' }) }) }
      const timer = setTimeout(late, timeout)
      const release = (): void => {
        clearTimeout(timer)
        this.#waiting.delete(waiting)
        signal?.removeEventListener('abort', aborted)
      }
      const waiting: Waiting = {
        seq,
        settle: (delivery) => {
          release()
          resolve(delivery)
        }
      }
      this.#waiting.add(waiting)
      signal?.addEventListener('abort', aborted)
      this.ask()
    })
  }

  /** The peer has all messages up to this one. @param roundTrip in ms */
  received (seq: number, roundTrip: number): void {
    this.#outbox?.confirm(seq)
    for (const waiting of this.#waiting) {
      if (waiting.seq > seq) break
      waiting.settle({ outcome: 'delivered', roundTrip })
    }
  }

  /** The connection is over. @returns what was never confirmed, but for what somebody waited for: they are told themselves */
  end (): Undelivered[] {
    this.#over = true
    for (const waiting of this.#waiting) waiting.settle(this.#lost(waiting.seq))
    return this.#outbox?.list(performance.now(), Date.now()) ?? []
  }

  #lost (seq: number): Delivery {
    return { outcome: seq > this.#wire.handed ? 'gone' : 'unconfirmed' }
  }
}
