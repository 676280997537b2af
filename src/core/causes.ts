/**
 * Why connections end: one table of causes, with the close code that goes with each
 * and what a client should do about it. docs/causes.md is compared with it by a test.
 */
import { types } from 'node:util'
import { closeCode, isSendable } from '../protocol/close-codes.js'
import { viewOf } from './bytes.js'

/** Every cause, with the close code that goes with it (null: there is none, or it varies), what it means, and what a client should do. */
export const causes = {
  client: {
    code: null,
    meaning: 'the client closed the connection cleanly, with a code of its choice',
    client: 'nothing: it left on purpose'
  },
  reset: {
    code: null,
    meaning: 'the connection broke without a close frame (ECONNRESET, EPIPE, a killed process); reported as 1006',
    client: 'reconnect, with backoff'
  },
  heartbeat: {
    code: null,
    meaning: 'the peer was silent for interval + timeout and was terminated; reported as 1006',
    client: 'reconnect, with backoff'
  },
  stalled: {
    code: null,
    meaning: 'the peer lives, but took nothing for stallTimeout while bytes waited for it, and was terminated; reported as 1006',
    client: 'reconnect, with backoff'
  },
  backpressure: {
    code: closeCode.tryAgainLater,
    meaning: 'more waited for the peer than backpressure.limit (policy close), or than backpressure.total over all peers (terminated: reported as 1006)',
    client: 'reconnect, with backoff; ask for less, or read faster'
  },
  handler: {
    code: closeCode.internalError,
    meaning: 'the route handler or one of its listeners threw or rejected',
    client: 'reconnect, with backoff; the same request may fail again'
  },
  protocol: {
    code: null,
    meaning: 'the peer broke RFC 6455; closed with the code that names the breach (1002, 1007, 1008)',
    client: 'do not reconnect: the client, or something on the way, is broken'
  },
  limit: {
    code: null,
    meaning: 'the peer sent a message larger than limits.payload (1009), one in too many fragments (1008), more than limits.messageRate or byteRate under the policy close, or nothing within limits.firstMessage (1008)',
    client: '1009: reconnect, but do not send that message again; 1008: do not reconnect by itself: it would happen again'
  },
  invalid: {
    code: closeCode.invalidPayload,
    meaning: 'the peer sent a message that does not parse, or does not fit the schema of its route, and the route has no onInvalid',
    client: 'do not reconnect by itself: the same message would be refused again'
  },
  expired: {
    code: closeCode.unauthorized,
    meaning: 'the authorization ran out: the time given to connection.expire() has come',
    client: 'get fresh credentials, then reconnect'
  },
  age: {
    code: closeCode.serviceRestart,
    meaning: 'the connection reached maxAge and was shed, so that new nodes get their share',
    client: 'reconnect, after the delay that the close reason names'
  },
  server: {
    code: closeCode.normal,
    meaning: 'the app closed or terminated the connection, with a code of its choice',
    client: 'by the code: 1000 and 3500-4999 are final, on any other reconnect with backoff'
  },
  shutdown: {
    code: closeCode.serviceRestart,
    meaning: 'fastify.close() was called',
    client: 'reconnect, after the delay that the close reason names: every client was told at about the same time, and each another delay'
  }
} as const satisfies Record<string, { code: number | null, meaning: string, client: string }>

/** Why a connection ended. */
export type Cause = keyof typeof causes

/** Causes that are everyday life on the internet: debug level, counted, summed up once a minute. */
export const isChurn = (cause: Cause): boolean => cause !== 'handler'

const REASON_BYTES = 123

/** The reason, cut at a character boundary to the 123 bytes that a control frame has room for (RFC 6455 §5.5). */
export function clampReason (reason: string): string {
  if (reason.length * 3 <= REASON_BYTES || Buffer.byteLength(reason) <= REASON_BYTES) return reason
  const bytes = Buffer.from(reason)
  let end = REASON_BYTES
  // 10xxxxxx continues a character: step back to where one begins.
  while ((bytes[end]! & 0xc0) === 0x80) end--
  return bytes.toString('utf8', 0, end)
}

/**
 * What must not be sent, but is what an app has that passes on how another connection has ended, and what is sent for it: so that
 * its client comes back where the other would.
 */
const passedOn = new Map<unknown, number>([
  [closeCode.noStatus, closeCode.normal],
  [closeCode.abnormal, closeCode.serviceRestart],
  // TLS failed: a client says so, and no server.
  [1015, closeCode.serviceRestart]
])

const isText = (value: unknown): boolean => typeof value === 'string' || types.isUint8Array(value)

/** null: they have been transferred. */
function textOf (bytes: Uint8Array): string | null {
  try {
    return viewOf(bytes).toString()
  } catch {
    return null
  }
}

/** A close code and a reason as they may be sent, and what was wrong with those that were given; null: nothing. */
export function sayable (given: number, said: string | Uint8Array): { code: number, reason: string, wrong: string | null } {
  const code = passedOn.get(given) ?? given
  // As ws gives it to those who hear of a close.
  const reason = types.isUint8Array(said) ? textOf(said) : said
  const text = typeof reason === 'string' ? clampReason(reason) : ''
  if (!isSendable(code)) {
    return { code: closeCode.normal, reason: text, wrong: `${typeof code === 'number' ? code : `what is of type ${typeof code}`} is no close code that may be sent (RFC 6455 §7.4): ${closeCode.normal} was sent${isText(given) ? '; the code comes first, then the reason' : ''}` }
  }
  return { code, reason: text, wrong: text === reason ? null : `a close reason is a string of at most 123 bytes (RFC 6455 §5.5): "${text}" was sent` }
}
