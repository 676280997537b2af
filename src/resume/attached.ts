/**
 * One wire under a session: what the session says leaves by it, and what it tells is told to whom it concerns: the session, the
 * connection, or the run that this wire has.
 * Invariant: a wire that another has replaced reaches its own run, and nobody else.
 */
import type { Bytes } from '../core/bytes.js'
import type { Limited } from '../core/limited.js'
import { Outgoing } from '../core/outgoing.js'
import { Deadline } from '../core/time/deadline.js'
import type { Wheel } from '../core/time/wheel.js'
import { decode } from '../protocol/frames.js'
import type { Frame } from '../protocol/frames.js'
import type { ServerWire } from '../protocol/server-session.js'
import { HAND_OVER } from '../transports/outbound/encoding.js'
import type { Carrier, TransportEnd, TransportOwner } from '../transports/transport.js'
import { escapedBy } from './escaped.js'

/** The run of the handler for this wire. */
export interface RunOfWire {
  failed (error: unknown): void
  closing (takes: boolean): void
}

/** The session, as its wires see it. */
export interface Above {
  readonly owner: TransportOwner
  /** Whether this is the wire that it has. */
  has (wire: Attached): boolean
  /** A frame of the client has come. @returns whether it is a message for the app */
  heard (wire: Attached, frame: Frame | 'message', size: number): boolean
  /** One more of its messages has been taken, or let go. */
  took (wire: Attached): void
  /** There is room again. */
  flushed (wire: Attached): void
  /** It is gone. */
  lost (wire: Attached, end: TransportEnd): void
}

const MARK = 0

/** A count, and what is before it. */
const CONTROL_MAX = 64
const TOO_LONG: Frame = { kind: 'malformed', why: 'a control frame that is too long' }

export class Attached implements ServerWire<Outgoing>, TransportOwner {
  readonly carrier: Carrier
  /** null until it is made. */
  run: RunOfWire | null = null
  readonly #above: Above
  /** Of its closing handshake, where its run does not see to that. */
  readonly #deadline: Deadline
  readonly #closeTimeout: number
  /** The number of the last that was given to the wire, control frames among them. */
  #seq = 0
  /** How many of its messages were for nobody. */
  #letGo = 0

  /** @param closeTimeout in ms */
  constructor (carrier: Carrier, above: Above, wheel: Wheel, closeTimeout: number) {
    this.carrier = carrier
    this.#above = above
    this.#closeTimeout = closeTimeout
    this.#deadline = new Deadline(wheel, () => { carrier.terminate() })
  }

  /** From now on it sees all that comes before anybody else does. */
  listen (): void {
    this.carrier.screen({
      text: (bytes) => this.#text(bytes),
      binary: (size) => this.#above.heard(this, 'message', size)
    })
    // What the client may have on its way is bounded: it is read at any time, so that its word of what it has got is never late.
    this.carrier.reader.readOn(true)
  }

  #text (bytes: Bytes): Bytes | null {
    const size = bytes.length
    if (size === 0 || bytes[0] !== MARK) return this.#above.heard(this, 'message', size) ? bytes : null
    // Without the mark, as the client counts it.
    if (bytes[1] === MARK) return this.#above.heard(this, 'message', size - 1) ? bytes.subarray(1) : null
    // What else it may say is short.
    this.#above.heard(this, size > CONTROL_MAX ? TOO_LONG : decode(bytes.toString()), size)
    return null
  }

  // As the session sees it.

  get roomy (): boolean { return this.carrier.open && this.carrier.bufferedBytes < HAND_OVER }
  get taken (): number { return this.carrier.reader.consumed + this.#letGo }

  tell (text: string): void {
    if (this.carrier.open) this.carrier.send(new Outgoing(text, false, Buffer.byteLength(text)), ++this.#seq)
  }

  send (message: Outgoing): void {
    if (this.carrier.open) this.carrier.send(escapedBy(message), ++this.#seq)
  }

  /** So many frames were given to the wire, in all. */
  get given (): number { return this.#seq }

  shut (): number {
    this.carrier.reader.shut()
    return this.taken
  }

  close (code: number): void {
    this.carrier.close({ code, reason: '' }, true)
    this.#deadline.after(this.#closeTimeout)
  }

  // As the wire sees it.

  failed (error: unknown): void { this.run?.failed(error) }
  queued (): void { if (this.#above.has(this)) this.#above.owner.queued() }
  flushed (): void { this.#above.flushed(this) }
  came (bytes: number): void { this.#above.owner.came(bytes) }

  took (): void { this.#above.took(this) }

  dropped (messages: number, bytes: number): void {
    this.#letGo += messages
    if (!this.#above.has(this)) return
    this.#above.owner.dropped(messages, bytes)
    this.#above.took(this)
  }

  ignored (): void {
    this.#letGo++
    if (!this.#above.has(this)) return
    this.#above.owner.ignored()
    this.#above.took(this)
  }

  exceeded (limit: Limited, fatal: boolean): void { if (this.#above.has(this)) this.#above.owner.exceeded(limit, fatal) }

  /** A class of the app's has failed to send it: by another wire it may. */
  unsent (_seq: number, error: unknown): void {
    this.failed(error)
    this.carrier.terminate()
  }

  closing (takes: boolean): void { this.run?.closing(takes) }
  received (_seq: number, roundTrip: number): void { if (this.#above.has(this)) this.#above.owner.received(0, roundTrip) }
  ended (end: TransportEnd): void {
    this.#deadline.cancel()
    this.#above.lost(this, end)
  }

  detached (): void {}
}
