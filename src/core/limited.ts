/**
 * What a peer can go past.
 */

/** The limits, by the names of the options. */
export const limited = ['origins', 'connections', 'perAddress', 'payload', 'messageRate', 'byteRate', 'firstMessage', 'pongRate'] as const

/** A limit that a peer can go past, by the name of its option. */
export type Limited = typeof limited[number]

/** How much one peer may send. */
export interface Rates {
  /** Per second; Infinity: any number. */
  readonly messageRate: number
  readonly byteRate: number
  readonly pongRate: number
  /** The largest message that may come, in bytes: by itself it is never over the rate. */
  readonly payload: number
  readonly policy: 'pause' | 'close'
}
