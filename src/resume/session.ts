/**
 * The transport of a connection that can come back: it outlives its wires. What its peer has not taken is kept, and sent again on the next.
 * Invariant: messages leave in their order, and no wire is given one that the client has said it has; it ends once; without a wire it is
 * open, and takes messages as long as there is room.
 * The rules are those of `protocol/server-session.ts`; here they are put under a connection and over its wires.
 */
import type { Outgoing } from '../core/outgoing.js'
import type { Wire } from '../core/peer.js'
import { Deadline } from '../core/time/deadline.js'
import type { Wheel } from '../core/time/wheel.js'
import { closeCode } from '../protocol/close-codes.js'
import type { Frame, Reason } from '../protocol/frames.js'
import { ServerSession } from '../protocol/server-session.js'
import type { ServerOwner, Terms } from '../protocol/server-session.js'
import type { Index, Minting } from '../protocol/tokens.js'
import type { Asker, Carrier, Said, Traits, Transport, TransportEnd, TransportOwner } from '../transports/transport.js'
import { SessionAsker } from './asker.js'
import { Attached } from './attached.js'
import type { RunOfWire } from './attached.js'
import { SessionReader } from './reader.js'

const traits: Traits = { kind: 'websocket', remote: true, confirms: 'itself', binary: true }

/** What a message costs beside its bytes, in bytes. */
const EACH = 128

/** What was taken is told after so long at the latest, in ms. */
const OWES = 1_000

/** Why it has ended, where the session itself has ended it. */
const faults: Readonly<Record<number, TransportEnd['cause']>> = { [closeCode.protocolError]: 'protocol', [closeCode.policyViolation]: 'limit' }

/** Who comes back: the hash of the token, and how much the client has taken. */
export interface Returning { readonly hash: string, readonly received: number }

export interface SessionSettings {
  readonly terms: Terms
  /** null: nobody can come back to it. */
  readonly minting: Minting | null
  readonly index: Index
  readonly wheel: Wheel
  /** How long the closing handshake of a wire that was replaced may take, in ms. */
  readonly closeTimeout: number
}

export class Session implements Transport, ServerOwner {
  readonly traits = traits
  readonly reader: SessionReader
  readonly asker: SessionAsker
  open = true
  begun = 0
  readonly #settings: SessionSettings
  readonly #protocol: ServerSession<Outgoing>
  readonly #tells: Deadline
  #owner!: TransportOwner
  /** The wire that it has, or had last. */
  #at!: Attached
  #owes = false
  #over = false
  /** That of the wire that is going. */
  #end: TransportEnd | null = null
  /** See `left`: of which message and wire it was asked last, and what had been given to that by then. */
  #mark: { readonly seq: number, readonly at: Attached, readonly given: number } | null = null

  constructor (settings: SessionSettings) {
    const { terms, minting, index, wheel } = settings
    this.#settings = settings
    this.#protocol = new ServerSession(terms, minting, index, this)
    this.#tells = new Deadline(wheel, () => {
      this.#owes = false
      this.#protocol.tell()
      if (this.attached) this.#tells.in(terms.beat)
    })
    this.reader = new SessionReader(this.#protocol, () => this.#at)
    this.asker = new SessionAsker(this)
  }

  /** From now on the owner is told of all that happens. Before the first wire. */
  start (owner: TransportOwner): void { this.#owner = owner }

  /** Whether who has taken so many can be given all the rest. */
  reaches (received: number): boolean { return this.open && this.#protocol.reaches(received) }

  get attached (): boolean { return this.#protocol.attached }

  /**
   * A wire is there. The one before, if there is one, is shut first, and replaced.
   * @param run makes the run of the handler for it, or gives it, when what the client has missed is on its way
   * @returns who is to be told of all that happens on the wire
   */
  attach (carrier: Carrier, run: () => RunOfWire, protocol: string, returning: Returning | null, reason?: Reason): TransportOwner {
    const { wheel, closeTimeout, terms } = this.#settings
    const at = new Attached(carrier, this, wheel, closeTimeout)
    this.#at = at
    at.listen()
    this.#protocol.attach(at, protocol, returning, reason)
    at.run = run()
    // What the wire before was owed stands in the hello.
    this.#owes = false
    this.#tells.in(terms.beat)
    this.asker.attached()
    this.reader.wake()
    this.#owner.flushed()
    return at
  }

  // As the connection sees it.

  get wire (): Wire { return this.#at.carrier.wire }
  get fault (): Error | null { return this.#at.carrier.fault }

  get bufferedBytes (): number {
    if (this.#over) return 0
    return this.#protocol.waiting + (this.attached ? this.#at.carrier.bufferedBytes : 0)
  }

  fits (size: number): boolean { return this.heldBytes + size <= this.#settings.terms.limit || this.roomy }
  get roomy (): boolean { return this.heldBytes <= this.#settings.terms.limit / 2 }

  /** What it holds until the client has it, with what it costs to hold it, in bytes. */
  get heldBytes (): number {
    const { bytes, length } = this.#protocol.kept
    return bytes + EACH * length
  }

  send (message: Outgoing, seq: number): boolean {
    this.begun = seq
    // It may be sent again, when the app has long used its bytes for something else.
    this.#protocol.push(message.own(), message.size)
    return this.attached && this.bufferedBytes === 0
  }

  left (seq: number): boolean {
    if (this.#over || this.#protocol.kept.base >= seq) return true
    if (!this.attached || this.#protocol.handed < seq) return false
    const at = this.#at
    if (this.#mark === null || this.#mark.seq !== seq || this.#mark.at !== at) this.#mark = { seq, at, given: at.given }
    return at.carrier.left(this.#mark.given)
  }

  claim (): void { this.#at.carrier.claim() }

  close (said: Said, dropped: boolean): boolean {
    if (!this.open) return false
    this.open = false
    this.#protocol.retire()
    if (this.attached) {
      if (!dropped) this.#protocol.pump(true)
      this.#at.carrier.close(said, dropped)
    } else {
      this.#finish({ code: said.code, reason: said.reason, cause: 'server', idle: NaN })
    }
    return true
  }

  terminate (): void {
    this.open = false
    this.#protocol.retire()
    if (this.attached) this.#at.carrier.terminate()
    else this.#finish({ code: closeCode.abnormal, reason: '', cause: 'server', idle: NaN })
  }

  /** Its time without a wire is up. */
  expire (): void {
    if (!this.attached) this.#protocol.end(closeCode.abnormal)
  }

  // As its wires see it.

  get owner (): TransportOwner { return this.#owner }
  has (wire: Attached): boolean { return this.#protocol.has(wire) }
  heard (wire: Attached, frame: Frame | 'message', size: number): boolean { return this.#protocol.heard(wire, frame, size) }
  took (wire: Attached): void { this.#protocol.took(wire) }

  flushed (wire: Attached): void {
    if (!this.has(wire)) return
    this.#protocol.pump()
    this.#owner.flushed()
  }

  lost (wire: Attached, end: TransportEnd): void {
    if (!this.has(wire)) return
    this.#tells.cancel()
    this.#owes = false
    // What the app itself does to the socket is meant for the connection.
    if (end.cause === 'server') this.#protocol.retire()
    this.#end = end
    this.#protocol.lost(wire, end.cause === 'reset' ? closeCode.abnormal : end.code)
    this.#end = null
    if (this.#over) return
    this.#owner.detached(end)
    // All that is kept waits now.
    this.#owner.queued()
  }

  // As whoever asks sees it.

  get wireAsker (): Asker | null { return this.attached ? this.#at.carrier.asker : null }
  ask (): void { this.#protocol.tell(true) }

  // As the protocol sees it.

  confirmed (seq: number): void {
    this.#owner.received(seq, this.asker.answered())
    this.#owner.flushed()
  }

  owes (): void {
    if (this.#owes) return
    this.#owes = true
    this.#tells.in(Math.min(OWES, this.#settings.terms.beat))
  }

  /** By its wire, by its own word, or because its time is up. */
  ended (code: number): void { this.#finish(this.#end ?? { code, reason: '', cause: faults[code] ?? 'reset', idle: NaN }) }

  #finish (end: TransportEnd): void {
    if (this.#over) return
    this.#over = true
    this.open = false
    this.#tells.cancel()
    this.#protocol.end(closeCode.abnormal)
    this.reader.wake()
    this.#owner.ended(end)
  }
}
