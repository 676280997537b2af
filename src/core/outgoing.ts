/**
 * A message on its way out: checked and measured once, however many get it.
 * Knows nothing of wires; a wire may leave here what it has made of it, for the others.
 */
import { FST_ERR_LIFELINE_INVALID_DATA } from './errors.js'
import { describe, toPayload } from './payload.js'
import type { Payload, PushOptions } from './payload.js'

/** When this tick began, by `performance.now`, in whole ms; -1 until somebody asks. The clock costs as much as a message. */
let began = -1
const forget = (): void => { began = -1 }

function moment (): number {
  if (began === -1) {
    began = Math.round(performance.now())
    process.nextTick(forget)
  }
  return began
}

/** What is kept of a message until it has arrived: small, for there may be thousands. */
export class Kept {
  /** null if nobody will ask for it. */
  readonly payload: Payload | null
  /** In bytes, and 1 more, so that zero has a sign; negative: binary. */
  readonly signed: number
  /** In which tick it was pushed: by `performance.now`, in whole ms. */
  readonly at = moment()

  constructor ({ payload, binary, size }: Outgoing, answered: boolean) {
    this.payload = answered ? null : payload
    this.signed = binary ? -size - 1 : size + 1
  }

  get size (): number { return Math.abs(this.signed) - 1 }

  get binary (): boolean { return this.signed < 0 }
}

export class Outgoing {
  readonly payload: Payload
  readonly binary: boolean
  /** In bytes, without headers. */
  readonly size: number
  /** For many: it leaves at the end of this turn of the event loop, together with what else they all get. */
  readonly shared: boolean
  /** As WebSocket frames; null until one was needed. */
  frames: Buffer | readonly Buffer[] | null = null
  #kept: Kept | null = null

  constructor (payload: Payload, binary: boolean, shared: boolean) {
    this.payload = payload
    this.binary = binary
    this.size = typeof payload === 'string' ? Buffer.byteLength(payload) : payload.length
    this.shared = shared
  }

  /** The same for all who get it. */
  get kept (): Kept { return this.#kept ??= new Kept(this, false) }
}

/**
 * What the app wants to send, as a message. Whoever pushes goes through here.
 * @throws FST_ERR_LIFELINE_INVALID_DATA for what is no message, or for options that cannot be read
 */
export function toOutgoing (data: unknown, options: PushOptions | undefined, shared: boolean): Outgoing {
  const payload = toPayload(data)
  return new Outgoing(payload, isBinary(payload, options), shared)
}

function isBinary (payload: Payload, options: PushOptions | undefined): boolean {
  try {
    return options?.binary ?? typeof payload !== 'string'
  } catch (error) {
    throw new FST_ERR_LIFELINE_INVALID_DATA(`its options: ${describe(error)}`)
  }
}
