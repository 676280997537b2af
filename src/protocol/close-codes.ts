/**
 * The close codes of a WebSocket as data: what each is called, why this server sends it, and what a client is to do about it.
 * Server and client read the same table. docs/causes.md is compared with it by a test.
 * Source: RFC 6455 §7.4 and the IANA WebSocket Close Code registry.
 */

/** Close codes that a server or client of ours sends or reports by itself. */
export const closeCode = {
  normal: 1000,
  goingAway: 1001,
  protocolError: 1002,
  unsupportedData: 1003,
  noStatus: 1005,
  abnormal: 1006,
  invalidPayload: 1007,
  policyViolation: 1008,
  tooBig: 1009,
  mandatoryExtension: 1010,
  internalError: 1011,
  serviceRestart: 1012,
  tryAgainLater: 1013,
  badGateway: 1014,
  unauthorized: 4401
} as const

export type CloseCodeName = keyof typeof closeCode

/** What a client is to do: `final`: stay away; `back`: come back, after a delay; `fresh`: come back once, with fresh credentials. */
export type Next = 'final' | 'back' | 'fresh'

export interface CloseCodeRow {
  /** Why this server sends it, or reports it; null: it does not by itself. */
  readonly cause: string | null
  readonly next: Next
  /** In words, for people. */
  readonly advice: string
}

export const closeCodes: Readonly<Record<CloseCodeName, CloseCodeRow>> = {
  normal: { cause: 'server', next: 'final', advice: 'stay away: the app is done with this client' },
  goingAway: { cause: null, next: 'back', advice: 'come back, with backoff' },
  protocolError: { cause: 'protocol', next: 'final', advice: 'stay away: the client, or something on the way, is broken' },
  unsupportedData: { cause: null, next: 'final', advice: 'stay away: it cannot take such data' },
  noStatus: { cause: null, next: 'back', advice: 'come back, with backoff' },
  abnormal: { cause: 'reset', next: 'back', advice: 'come back, with backoff' },
  invalidPayload: { cause: 'invalid', next: 'final', advice: 'stay away: the same would be refused again' },
  policyViolation: { cause: 'limit', next: 'final', advice: 'stay away: the same would happen again' },
  mandatoryExtension: { cause: null, next: 'final', advice: 'stay away: an extension is missing' },
  tooBig: { cause: 'limit', next: 'back', advice: 'come back, and do not send that message again' },
  internalError: { cause: 'handler', next: 'back', advice: 'come back, with backoff: the same request may fail again' },
  serviceRestart: { cause: 'shutdown', next: 'back', advice: 'come back, after the delay that the reason names' },
  tryAgainLater: { cause: 'backpressure', next: 'back', advice: 'come back, with backoff; ask for less, or read faster' },
  badGateway: { cause: null, next: 'back', advice: 'come back, with backoff' },
  unauthorized: { cause: 'expired', next: 'fresh', advice: 'get fresh credentials, then come back' }
}

const byCode = new Map<number, CloseCodeName>(Object.entries(closeCode).map(([name, code]) => [code, name as CloseCodeName]))

/** What a client is to do about any code that may come. Of an app's own codes 3000 to 3499 say "come back", and 3500 to 4999 "stay away". */
export function nextOf (code: number): Next {
  const name = byCode.get(code)
  if (name !== undefined) return closeCodes[name].next
  return code >= 3500 && code <= 4999 ? 'final' : 'back'
}

/** Whether an endpoint may put this code into a close frame (RFC 6455 §7.4.1-2). */
export const isSendable = (code: number): boolean =>
  Number.isInteger(code) &&
  ((code >= 3000 && code <= 4999) || (code >= 1000 && code <= 1014 && code !== 1004 && code !== 1005 && code !== 1006))
