/**
 * A message on its way out: checked and measured once, however many get it. It is small, for there may be
 * thousands that are kept until they have arrived.
 * Invariant: what is kept for longer than the push is a copy: the app may use its bytes again at once.
 * Knows nothing of wires; a wire may leave here what it has made of one for many, for the others.
 */
import { constants, isUtf8 } from 'node:buffer'
import { latin1Of, ownBytes, textOf } from './bytes.js'
import type { Bytes } from './bytes.js'
import { FST_ERR_LIFELINE_INVALID_DATA } from './errors.js'
import { describe, toPayload } from './payload.js'
import type { Payload, PushOptions } from './payload.js'
import { tick } from './time/loop.js'

/** The moment of a message whose bytes are still the app's, and of one that is not kept, but whose bytes are not. */
const LENT = 0
const OWNED = -2

/** Bytes as few as that are kept as a string of as many characters: a Buffer by itself costs 200 more. */
const FEW = 256

export class Outgoing {
  /** In which tick it began to be kept: by `performance.now`, in whole ms. */
  at: number
  #content: Payload
  /** Size and kind in one: the size and 1 more, so that zero has a sign; negative: binary. */
  readonly #signed: number

  /** @param own whether its bytes are nobody else's */
  constructor (payload: Payload, binary: boolean, size: number, own: boolean = typeof payload === 'string') {
    this.#content = payload
    this.#signed = binary ? -size - 1 : size + 1
    this.at = own ? OWNED : LENT
  }

  /** In bytes, without headers. */
  get size (): number { return Math.abs(this.#signed) - 1 }

  get binary (): boolean { return this.#signed < 0 }

  /** Bytes, or a string that stands for them: of as many characters as bytes in latin1, else in UTF-8. */
  get content (): Payload { return this.#content }

  /** As ws is given it: a string, or bytes, which may be those of a text. */
  get payload (): Payload {
    const content = this.#content
    return this.binary && typeof content === 'string' ? Buffer.from(content, encodingOf(content, this.size)) : content
  }

  /** As an app is told of it: text as a string, bytes as a Buffer that is nobody else's: it may change them, or give them away. */
  get data (): string | Bytes {
    const content = this.#content
    if (typeof content === 'string') return this.binary ? Buffer.from(content, encodingOf(content, this.size)) : content
    return this.binary ? ownBytes(content) : textOf(content)
  }

  /** From now on the app may do with its bytes what it likes. */
  own (): this {
    if (this.at !== LENT) return this
    const bytes = this.#content as Buffer
    this.#content = this.size <= FEW && this.binary ? latin1Of(bytes) : ownBytes(bytes)
    this.at = OWNED
    return this
  }

  /** It is kept from now on, until it has arrived. */
  keep (): Outgoing {
    this.own()
    this.at = Math.round(tick.at)
    return this
  }
}

/** Of a string that stands for so many bytes. (Where it is ASCII, both are the same, and latin1 is twice as fast.) */
export const encodingOf = (content: string, size: number): 'latin1' | 'utf8' => content.length === size ? 'latin1' : 'utf8'

/** The bytes of a message on one kind of wire: in several parts, or in one. */
export type Parts = Buffer | readonly Buffer[]

/** What one kind of wire has made of it, and others before. */
interface Made {
  readonly by: object
  readonly parts: Parts
  readonly before: Made | null
}

/** A message for many. It leaves at the end of this turn of the event loop, together with what else they all get. */
export class Shared extends Outgoing {
  #made: Made | null = null
  #kept: Outgoing | null = null

  /** Its bytes as this encoding makes them: once, and the same for all. */
  partsBy (encoding: { partsOf (message: Outgoing): Parts }): Parts {
    for (let made = this.#made; made !== null; made = made.before) if (made.by === encoding) return made.parts
    const parts = encoding.partsOf(this)
    this.#made = { by: encoding, parts, before: this.#made }
    return parts
  }

  /** The same for all who keep it, and without its parts. */
  override keep (): Outgoing {
    return this.#kept ??= new Outgoing(this.own().content, this.binary, this.size, true).keep()
  }
}

function measure (payload: Payload, binary: boolean): number {
  if (typeof payload === 'string') return Buffer.byteLength(payload)
  if (binary) return payload.length
  // Whoever is told of it is told a string, and so are its readers.
  if (payload.length > constants.MAX_STRING_LENGTH) throw new FST_ERR_LIFELINE_INVALID_DATA(`a text of ${payload.length} bytes is longer than a string can be, which is ${constants.MAX_STRING_LENGTH}`)
  // It would end the connection: whoever reads a text that is none has to close (RFC 6455 §8.1).
  if (!isUtf8(payload)) throw new FST_ERR_LIFELINE_INVALID_DATA('it is to be text, but its bytes are not UTF-8')
  return payload.length
}

/**
 * What the app wants to send to one, as a message. Whoever pushes goes through here, or through `toShared`.
 * @throws FST_ERR_LIFELINE_INVALID_DATA for what is no message, or for options that cannot be read
 */
export function toOutgoing (data: unknown, options: PushOptions | undefined): Outgoing {
  // Before its bytes are looked at: a getter may do with them what it likes.
  const chosen = binaryOf(options)
  const payload = toPayload(data)
  const binary = chosen ?? typeof payload !== 'string'
  return new Outgoing(payload, binary, measure(payload, binary))
}

/**
 * What the app wants to send to many.
 * @throws FST_ERR_LIFELINE_INVALID_DATA as `toOutgoing`
 */
export function toShared (data: unknown, options: PushOptions | undefined): Shared {
  const chosen = binaryOf(options)
  const payload = toPayload(data)
  const binary = chosen ?? typeof payload !== 'string'
  return new Shared(payload, binary, measure(payload, binary))
}

/** undefined: by what it is. */
function binaryOf (options: PushOptions | undefined): boolean | undefined {
  if (options === undefined) return undefined
  let binary: unknown
  try {
    ({ binary } = options)
  } catch (error) {
    throw new FST_ERR_LIFELINE_INVALID_DATA(`its options: ${describe(error)}`)
  }
  if (binary !== undefined && typeof binary !== 'boolean') throw new FST_ERR_LIFELINE_INVALID_DATA(`its options: binary is true or false, not of type ${typeof binary}`)
  return binary
}
