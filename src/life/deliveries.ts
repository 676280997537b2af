/**
 * What one connection knows of the arrival of its messages: those that are kept until they are confirmed, who waits to know,
 * and when a receipt is asked for.
 * Invariant: a receipt of the last message is asked for at most ASK_WITHIN after it was pushed. Where a transport cannot tell what
 * arrives, nothing is kept, and who waits is told `unconfirmed` when the message is handed over.
 * Knows its transport, and nothing of connections.
 */
import { nextTurn } from '../core/time/loop.js'
import { Outbox } from '../core/outbox.js'
import type { Keeping, OutboxLimits, Unconfirmed } from '../core/outbox.js'
import type { Outgoing } from '../core/outgoing.js'
import { Receipts } from '../core/receipts.js'
import type { Delivery, Handing, Patience } from '../core/receipts.js'
import { Deadline } from '../core/time/deadline.js'
import type { Wheel } from '../core/time/wheel.js'
import type { Transport } from '../transports/transport.js'

/** A receipt is asked for so long after a push at the latest, in ms. */
const ASK_WITHIN = 500

export class Deliveries implements Handing {
  readonly #transport: Transport
  /** null: only those that somebody waits for matter. */
  readonly #outbox: Outbox | null
  readonly #receipts: Receipts
  /** With an outbox: when the next receipt is asked for, at the latest. */
  readonly #ask: Deadline | null
  /** The number of the last message. */
  #last = 0

  /** @param limits how much is kept until it is confirmed; null: nothing is */
  constructor (transport: Transport, limits: OutboxLimits | null, { wheel, journal }: { readonly wheel: Wheel, readonly journal: Keeping }) {
    this.#transport = transport
    // A transport that confirms by itself keeps what it needs for that; one that cannot confirm would never let go.
    const kept = limits !== null && transport.traits.confirms === 'asked' ? limits : null
    this.#outbox = kept === null ? null : new Outbox(this, kept, journal)
    this.#receipts = new Receipts(this, this.#outbox)
    this.#ask = kept === null ? null : new Deadline(wheel, () => { this.ask() })
  }

  /** Messages that are kept until they are confirmed, and their bytes. */
  get unconfirmed (): { count: number, bytes: number } { return this.#receipts.unconfirmed }

  /** Whether a receipt would tell anybody anything. */
  get outstanding (): boolean { return this.#receipts.outstanding }

  /** Whether a receipt up to this message would. */
  outstandingUpTo (seq: number): boolean { return this.#receipts.outstandingUpTo(seq) }

  /** Whether no more than half of what may be unconfirmed is. */
  get roomy (): boolean { return this.#receipts.roomy }

  /** Whether more is kept than that, for a peer that is not heard. */
  get stretches (): boolean { return this.#receipts.stretches }

  /**
   * Takes note of a message that is about to be sent; false if there is no room for it.
   * @param toldOf whether its sender is told what becomes of it
   * @param lenient whether more than allowed is taken, for a peer that is not heard
   */
  take (message: Outgoing, seq: number, toldOf: boolean, lenient: boolean): boolean {
    const outbox = this.#outbox
    if (outbox !== null) {
      if (!outbox.fits(message.size) && !(lenient && outbox.stretches)) return false
      outbox.add(message, seq, toldOf)
      if (!this.#ask!.waiting) this.#ask!.in(ASK_WITHIN)
    }
    this.#last = seq
    return true
  }

  /** Waits until the peer has this message, or all that can be known of it is known. Rejects by the signal alone. */
  async wait (seq: number, { timeout, signal }: Patience): Promise<Delivery> {
    const answer = this.#receipts.wait(seq, timeout, signal)
    if (this.#transport.traits.confirms === 'no') this.handedOver()
    const delivery = await answer
    // What was known at once is told in a later turn all the same.
    if (delivery.outcome === 'unconfirmed') await nextTurn()
    return delivery
  }

  /** Asks for a receipt of all that was sent. */
  ask (): void { if (this.outstanding) this.want(this.#last) }

  /** Something that waited was taken. */
  handedOver (): void {
    if (this.#transport.traits.confirms === 'no') this.#receipts.unconfirmable(this.#transport.begun)
  }

  /** The peer has all messages up to this one. @param roundTrip in ms */
  received (seq: number, roundTrip: number): void { this.#receipts.received(seq, roundTrip) }

  /** This message was not sent after all. */
  unsent (seq: number): void { this.#receipts.unsent(seq) }

  /** The connection is over. @returns what was never confirmed, but for what somebody waited for: they are told themselves */
  end (): Unconfirmed[] {
    this.#ask?.cancel()
    return this.#receipts.end()
  }

  // As the outbox and the receipts see it.

  want (seq: number): void { this.#transport.asker?.want(seq) }
  get begun (): number { return this.#transport.begun }
}
