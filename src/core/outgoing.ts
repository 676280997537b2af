/**
 * A message on its way out: checked and measured once, however many get it.
 * Knows nothing of wires; a wire may leave here what it has made of it, for the others.
 */
import { FST_ERR_LIFELINE_INVALID_DATA } from './errors.js'
import { describe, toPayload } from './payload.js'
import type { Payload, PushOptions } from './payload.js'

export class Outgoing {
  readonly payload: Payload
  readonly binary: boolean
  /** In bytes, without headers. */
  readonly size: number
  /** For many: it leaves at the end of this turn of the event loop, together with what else they all get. */
  readonly shared: boolean
  /** As WebSocket frames; null until one was needed. */
  frames: Buffer | readonly Buffer[] | null = null
  #at = -1

  constructor (payload: Payload, binary: boolean, shared: boolean) {
    this.payload = payload
    this.binary = binary
    this.size = typeof payload === 'string' ? Buffer.byteLength(payload) : payload.length
    this.shared = shared
  }

  /** When it was first asked for this: by the clock of `performance.now`, in whole ms. Read once, however many get the message. */
  get at (): number {
    if (this.#at === -1) this.#at = Math.round(performance.now())
    return this.#at
  }
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
