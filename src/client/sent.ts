/** A message on its way to the server, and who wants to know what has become of it. */
import type { ClientSession } from '../protocol/client-session.js'
import { own, sizeOf, world } from './world.js'

/**
 * What has become of a message: `delivered`: the server's app has taken it; `gone`, `full`: it was not sent; `timeout`, and `unconfirmed`
 * (the session ended, or the server cannot confirm): it may have arrived, or yet arrive.
 */
export type Outcome = 'delivered' | 'gone' | 'full' | 'timeout' | 'unconfirmed'

export interface Sent {
  readonly data: any
  /** null: nobody wants to know. Called once, or more often. */
  readonly settle: ((outcome: Outcome) => void) | null
}

export interface Patience {
  /** In ms. @default 10_000 */
  timeout?: number
  signal?: AbortSignal
}

/** Waits for one message. Rejects by the signal alone. @param send sends it, and says whether it was taken, or why not */
export function delivering (send: (settle: (outcome: Outcome) => void) => Outcome | null, { timeout = 10_000, signal }: Patience): Promise<{ outcome: Outcome }> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted === true) return reject(signal.reason)
    const aborted = (): void => { settled(() => { reject(signal!.reason) }) }
    const settle = (outcome: Outcome): void => { settled(() => { resolve({ outcome }) }) }
    const settled = (how: () => void): void => {
      world.clearTimeout(timer)
      signal?.removeEventListener('abort', aborted)
      how()
    }
    const timer = world.setTimeout(() => { settle('timeout') }, timeout)
    signal?.addEventListener('abort', aborted)
    const refused = send(settle)
    if (refused !== null) settle(refused)
  })
}

/** Keeps a message until it can be sent, or is confirmed: as much as may wait, and one alone of any size. @returns why not; null: it is kept */
export function keep (session: ClientSession<Sent>, data: any, settle: Sent['settle'], { bytes, messages }: { readonly bytes: number, readonly messages: number }): 'full' | null {
  const { kept } = session
  const size = sizeOf(data)
  if (kept.length > 0 && (kept.length >= messages || kept.bytes + size > bytes)) return 'full'
  session.send({ data: own(data), settle }, size)
  return null
}

/** How much that is. */
export const queuedIn = ({ kept: { length, bytes } }: ClientSession<Sent>): { readonly messages: number, readonly bytes: number } => ({ messages: length, bytes })
