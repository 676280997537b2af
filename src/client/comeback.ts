/**
 * Whether to come back when a wire is gone, and when.
 * Invariant: waits grow until a wire has been of use; a final code, a veto and a number of attempts are obeyed.
 */
import { nextOf } from '../protocol/close-codes.js'
import type { CloseEvent } from './attempt.js'
import { backoff, toldBy } from './backoff.js'

/** A wire that has lived for so long, or has brought a message, has been of use, in ms. */
export const STABLE = 10_000

export interface ComebackSettings {
  readonly minDelay: number
  readonly maxDelay: number
  readonly maxRetries: number
  readonly shouldReconnect?: ((event: CloseEvent) => boolean) | undefined
}

export class Comeback {
  /** How many attempts have failed in a row. */
  attempts = 0
  readonly #settings: ComebackSettings
  /** It was told to come with fresh credentials, and has. */
  #fresh = false

  constructor (settings: ComebackSettings) { this.#settings = settings }

  /** The wire is of use. */
  progress (): void {
    this.attempts = 0
    this.#fresh = false
  }

  /** @param atOnce whatever was said @returns in how many ms; null: it stays away */
  after (event: CloseEvent, atOnce: boolean): number | null {
    const { minDelay: min, maxDelay: max, maxRetries, shouldReconnect } = this.#settings
    const next = nextOf(event.code)
    if (next === 'final' || (next === 'fresh' && this.#fresh) || shouldReconnect?.(event) === false || this.attempts >= maxRetries) return null
    this.#fresh ||= next === 'fresh'
    const wait = toldBy(event.reason) ?? backoff(this.attempts, { min, max })
    this.attempts++
    return atOnce ? 0 : wait
  }
}
