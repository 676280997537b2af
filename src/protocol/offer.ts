/**
 * What a client offers in `Sec-WebSocket-Protocol`: the app's subprotocols, that it speaks this protocol, and, to resume, who it was.
 * Invariant: the app sees its own subprotocols alone; what does not parse is no claim.
 */
import { asCount } from './frames.js'

/** What the server selects. */
export const SPOKEN = 'lifeline.v1'

/** In the place of the app's subprotocols where it has none. */
const NONE = 'lifeline.none'
const CLAIM = /^lifeline\.resume\.([\w-]{1,64})\.([\w-]{43})\.(\d{1,16})$/

/** The right to a session, and where its client stands. */
export interface Claim {
  /** Where the session was last. */
  readonly node: string
  readonly token: string
  /** How many of the server's messages the client's app has taken. */
  readonly received: number
}

export interface Offer {
  /** The app's. */
  readonly protocols: readonly string[]
  /** The client speaks this protocol. */
  readonly speaks: boolean
  /** null: a new session. */
  readonly claim: Claim | null
}

/** @returns the list to open a WebSocket with */
export function offer (protocols: readonly string[], claim: Claim | null): string[] {
  const list = [...(protocols.length === 0 ? [NONE] : protocols), SPOKEN]
  if (claim !== null) list.push(`lifeline.resume.${claim.node}.${claim.token}.${claim.received}`)
  return list
}

/** @param items those of the header, in their order */
export function readOffer (items: Iterable<string>): Offer {
  const protocols: string[] = []
  let speaks = false
  let claim: Claim | null = null
  for (const item of items) {
    if (item === SPOKEN) speaks = true
    else if (item.startsWith('lifeline.resume.')) claim ??= claimOf(item)
    else if (item !== NONE) protocols.push(item)
  }
  return speaks ? { protocols, speaks, claim } : { protocols, speaks, claim: null }
}

function claimOf (item: string): Claim | null {
  const [, node, token, count] = CLAIM.exec(item) ?? []
  const received = asCount(count ?? '')
  return node === undefined || token === undefined || Number.isNaN(received) ? null : { node, token, received }
}
