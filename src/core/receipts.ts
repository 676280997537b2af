/**
 * What is known of the arrival of one connection's messages, and who waits to know.
 * Invariant: `delivered` is said of nothing that a receipt does not cover, `gone` of nothing that was handed over, and
 * every wait ends: by a receipt, its timeout, its signal, or the end of the connection.
 * Knows nothing of pings: messages are numbered from 1, and a wire says up to which one they have arrived.
 */
import { isAborted, onAbort, reasonOf } from './aborts.js'
import { attempt, readOptions } from './arguments.js'
import { FST_ERR_LIFELINE_ARGUMENT } from './errors.js'
import type { Asks, Outbox, Unconfirmed } from './outbox.js'
import type { PushOptions } from './payload.js'

export const outcomes = ['delivered', 'gone', 'full', 'invalid', 'timeout', 'unconfirmed'] as const

/**
 * What became of a message. Certain: `delivered`: the peer has it; `gone`, `full`, `invalid`: it was not sent, as of a push.
 * Uncertain: `timeout`, and `unconfirmed` (the connection ended after it was sent): it may have arrived, or yet arrive.
 */
export type Outcome = typeof outcomes[number]

/** What is known of the arrival of a message. */
export type Delivery = {
  /** What became of it. */
  readonly outcome: 'delivered'
  /** Of the ping that brought the receipt, in ms. */
  readonly roundTrip: number
} | {
  readonly outcome: Exclude<Outcome, 'delivered'>
  readonly roundTrip?: never
}

/** How a message goes out, and how long its receipt is waited for. */
export interface DeliverOptions extends PushOptions {
  /** How long to wait for the receipt, in ms. @default 10_000 */
  timeout?: number
  /** Ends the wait: the promise is rejected with its reason. What was sent may have arrived. @default none */
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

const waitOptions = ['timeout', 'signal']
const deliverOptions = new Set([...waitOptions, 'binary'])

/** @throws FST_ERR_LIFELINE_ARGUMENT for an option that does not exist, a timeout that is none, or a signal that is none */
export function checkDeliver (options: DeliverOptions): Patience {
  const { timeout = TIMEOUT, signal } = readOptions('deliver', options, deliverOptions, waitOptions)
  if (typeof timeout !== 'number' || !(timeout >= 0 && timeout <= TIMEOUT_MAX)) throw new FST_ERR_LIFELINE_ARGUMENT(`deliver: timeout is a number of ms up to ${TIMEOUT_MAX}`)
  // What only looks like one, by its prototype, throws when it is asked.
  if (signal !== undefined && !attempt('deliver: signal', () => signal instanceof AbortSignal && typeof isAborted(signal) === 'boolean')) throw new FST_ERR_LIFELINE_ARGUMENT('deliver: signal is an AbortSignal')
  return { timeout, signal }
}

/** A wire that knows how far it has come. */
export interface Handing extends Asks {
  /** The number of the last message of which anything may have left for the peer. */
  readonly begun: number
}

/** Somebody who waits for one message. */
interface Waiting {
  readonly seq: number
  readonly settle: (delivery: Delivery) => void
}

export class Receipts {
  readonly #wire: Handing
  /** null: only those that somebody waits for matter. */
  readonly #outbox: Outbox | null
  /** In the order of their numbers. */
  readonly #waiting = new Set<Waiting>()
  #over = false

  constructor (wire: Handing, outbox: Outbox | null) {
    this.#wire = wire
    this.#outbox = outbox
  }

  /** Messages that are kept until they are confirmed, and their bytes. */
  get unconfirmed (): { count: number, bytes: number } {
    return { count: this.#outbox?.count ?? 0, bytes: this.#outbox?.bytes ?? 0 }
  }

  /** Whether a receipt would tell anybody anything. */
  get outstanding (): boolean { return this.#waiting.size > 0 || (this.#outbox?.count ?? 0) > 0 }

  /** Whether a receipt up to this message would. */
  outstandingUpTo (seq: number): boolean {
    for (const waiting of this.#waiting) if (waiting.seq <= seq) return true
    return this.#outbox !== null && this.#outbox.confirmed < Math.min(seq, this.#outbox.last)
  }

  /** Whether more is kept than that, for a peer that is not heard. */
  get stretches (): boolean { return this.#outbox?.stretches !== false }

  /** Whether no more than half of what may be unconfirmed is. */
  get roomy (): boolean { return this.#outbox === null || this.#outbox.roomy }

  /** Waits until the peer has this message. Rejects by the signal alone. */
  wait (seq: number, timeout: number, signal: AbortSignal | undefined): Promise<Delivery> {
    if (this.#over) return Promise.resolve(this.#lost(seq))
    return new Promise((resolve, reject) => {
      const aborted = (): void => {
        release()
        reject(reasonOf(signal!))
      }
      // First: where that fails nothing is left behind.
      const unlisten = signal && onAbort(signal, aborted)
      // After a stall a timer fires before queued input is read: a receipt that is there counts.
      const late = (): void => { setImmediate(() => { if (this.#waiting.has(waiting)) waiting.settle({ outcome: 'timeout' }) }) }
      const timer = setTimeout(late, timeout)
      const release = (): void => {
        clearTimeout(timer)
        this.#waiting.delete(waiting)
        unlisten?.()
      }
      const waiting: Waiting = {
        seq,
        settle: (delivery) => {
          release()
          resolve(delivery)
        }
      }
      this.#waiting.add(waiting)
      this.#wire.want(seq)
      // What the app did when it was told of the push may have been that.
      if (signal !== undefined && isAborted(signal)) aborted()
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

  /** All messages up to this one were handed over, and no receipt of them can come. */
  unconfirmable (seq: number): void {
    for (const waiting of this.#waiting) {
      if (waiting.seq > seq) break
      waiting.settle({ outcome: 'unconfirmed' })
    }
  }

  /** This message was not sent after all. */
  unsent (seq: number): void {
    this.#outbox?.drop(seq)
    for (const waiting of this.#waiting) if (waiting.seq === seq) waiting.settle({ outcome: 'invalid' })
  }

  /** The connection is over. @returns what was never confirmed, but for what somebody waited for: they are told themselves */
  end (): Unconfirmed[] {
    this.#over = true
    for (const waiting of this.#waiting) waiting.settle(this.#lost(waiting.seq))
    this.#outbox?.end()
    return this.#outbox?.list(performance.now(), Date.now()) ?? []
  }

  #lost (seq: number): Delivery {
    return { outcome: seq > this.#wire.begun ? 'gone' : 'unconfirmed' }
  }
}
