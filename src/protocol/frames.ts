/**
 * The frames of a session on a wire. Control frames are text that begins with U+0000; all else is a message of the app's.
 * Invariant: whatever text an app sends comes out as it went in, and none of it is taken for a control frame.
 * PROTOCOL.md is the truth; its samples are decoded by a test.
 */

export const VERSION = 1

/** So many messages at most may be on their way up without a confirmation. */
export const CREDIT_MESSAGES = 1000

const MARK = '\0'

/** What a node may be called, and what a token looks like: they are part of a claim. */
export const NODE = /^[\w-]{1,64}$/
export const TOKEN = /^[\w-]{43}$/

/** Why a hello is no resume. */
export const reasons = ['new', 'unknown', 'expired', 'identity', 'behind', 'unreachable'] as const
export type Reason = typeof reasons[number]

/** The server's first frame on every wire. */
export interface Hello {
  /** Version of the protocol. */
  readonly v: number
  /** Of the connection; it stays the same where the session is resumed. */
  readonly id: string
  /** Where the session lives: part of the next claim. */
  readonly node: string
  /** By which the session is resumed next time; null: it will not be. */
  readonly token: string | null
  readonly resumed: boolean
  /** null where it is resumed. */
  readonly reason: Reason | null
  /** How many of the client's messages the server's app has taken, in this session. */
  readonly received: number
  /** The subprotocol of the app's that the server has chosen; empty: none. */
  readonly protocol: string
  /** How long the session is kept without a wire, in ms. */
  readonly window: number
  /** How much the server keeps until it is confirmed, in bytes: the client confirms after a quarter of it. */
  readonly limit: number
  /** How much the client may have on its way without a confirmation, in bytes. */
  readonly credit: number
  /** The largest message that the server takes, in bytes. */
  readonly payload: number
  /** How often the client hears from the server at least, in ms. */
  readonly beat: number
}

export type Frame =
  | { readonly kind: 'message', readonly text: string }
  | { readonly kind: 'hello', readonly hello: Hello }
  /** The peer's app has taken so many, in all. @property asks whether it wants the same from here, at once */
  | { readonly kind: 'taken', readonly count: number, readonly asks: boolean }
  /** Something was not sent to this client. */
  | { readonly kind: 'gap', readonly reason: string, readonly groups: readonly string[] }
  /** Of a later version. */
  | { readonly kind: 'unknown' }
  | { readonly kind: 'malformed', readonly why: string }

export const hello = (hello: Hello): string => `${MARK}h${JSON.stringify(hello)}`
export const taken = (count: number, asks = false): string => `${MARK}${asks ? 'r' : 'a'}${count}`
export const gap = (reason: string, groups: readonly string[]): string => `${MARK}g${JSON.stringify({ reason, groups })}`

/** A text of the app's as it goes over the wire. */
export const escaped = (text: string): string => text.startsWith(MARK) ? MARK + text : text

const UNKNOWN: Frame = { kind: 'unknown' }

export function decode (text: string): Frame {
  if (!text.startsWith(MARK)) return { kind: 'message', text }
  switch (text[1]) {
    case MARK: return { kind: 'message', text: text.slice(1) }
    case 'a':
    case 'r': return countOf(text.slice(2), text[1] === 'r')
    case 'h': return parsed(text, (value) => ({ kind: 'hello', hello: helloOf(value) }))
    case 'g': return parsed(text, gapOf)
    case undefined: return { kind: 'malformed', why: 'a control frame without a letter' }
    default: return UNKNOWN
  }
}

function countOf (text: string, asks: boolean): Frame {
  const count = asCount(text)
  return Number.isNaN(count) ? { kind: 'malformed', why: 'a count that is no number' } : { kind: 'taken', count, asks }
}

/** A whole number from 0 on, as it is written in one way alone; else NaN. */
export function asCount (text: string): number {
  const count = /^(0|[1-9]\d{0,15})$/.test(text) ? Number(text) : NaN
  return Number.isSafeInteger(count) ? count : NaN
}

function parsed (text: string, of: (value: Record<string, unknown>) => Frame): Frame {
  try {
    return of(JSON.parse(text.slice(2)) as Record<string, unknown>)
  } catch {
    return { kind: 'malformed', why: `a frame ${text[1]} that cannot be read` }
  }
}

/** Throws where anything is not what it has to be; what it does not know it lets be. */
function helloOf (value: Record<string, unknown>): Hello {
  const text = (key: string): string => must(typeof value[key] === 'string', value[key] as string)
  const count = (key: string): number => must(Number.isSafeInteger(value[key]) && value[key] as number >= 0, value[key] as number)
  const resumed = must(typeof value['resumed'] === 'boolean', value['resumed'] as boolean)
  return {
    v: count('v'),
    id: text('id'),
    // As they have to be in a claim.
    node: matching(text('node'), NODE),
    token: value['token'] === null ? null : matching(text('token'), TOKEN),
    resumed,
    // A reason of a later version is a reason as well.
    reason: resumed ? null : reasons.find((reason) => reason === value['reason']) ?? 'unknown',
    received: count('received'),
    protocol: text('protocol'),
    window: count('window'),
    limit: count('limit'),
    credit: count('credit'),
    payload: count('payload'),
    beat: count('beat')
  }
}

function gapOf ({ reason, groups }: Record<string, unknown>): Frame {
  must(Array.isArray(groups) && groups.every((group) => typeof group === 'string'), null)
  return { kind: 'gap', reason: must(typeof reason === 'string', reason as string), groups: groups as string[] }
}

const matching = (text: string, pattern: RegExp): string => must(pattern.test(text), text)

function must<T> (holds: boolean, value: T): T {
  if (!holds) throw new TypeError()
  return value
}
