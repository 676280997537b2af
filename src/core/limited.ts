/**
 * What a peer can go past.
 */

/** The limits, by the names of the options. */
export const limited = ['origins', 'connections', 'perAddress', 'payload', 'messageRate', 'byteRate', 'firstMessage', 'pongRate'] as const

export type Limited = typeof limited[number]
