/**
 * What a connection sends: each message its number, and room or none; who waits for room, or to know what has arrived.
 * Invariant: a message that was taken has the next number, and goes to the transport at once; one that finds no room has none.
 */
import type { Consumer } from '../core/backpressure.js'
import type { Cause } from '../core/causes.js'
import { FST_ERR_LIFELINE_INVALID_DATA } from '../core/errors.js'
import type { OutboxLimits } from '../core/outbox.js'
import type { Outgoing } from '../core/outgoing.js'
import type { PushResult } from '../core/payload.js'
import type { Delivery, Patience } from '../core/receipts.js'
import { nextTurn } from '../core/time/loop.js'
import { closeCode } from '../protocol/close-codes.js'
import type { Said, Transport } from '../transports/transport.js'
import { Deliveries } from './deliveries.js'
import type { House } from './house.js'
import type { Named } from './journal.js'
import { errorOf } from './news.js'
import { Waits } from './waits.js'
import type { Awaited } from './waits.js'

export abstract class Sender<T extends Named> implements Awaited, Consumer {
  readonly transport: Transport
  /** null while nothing is kept, and nobody waits for a receipt. */
  deliveries: Deliveries | null
  counted = 0

  protected readonly house: House<T>
  protected readonly subject: T
  /** null until somebody waits. */
  protected waits: Waits | null = null
  /** The number of the last message, and of the last that was not sent after all. */
  #seq = 0
  #unsent = 0
  #shed = false

  constructor (house: House<T>, transport: Transport, subject: T, receipts: OutboxLimits | null) {
    this.house = house
    this.transport = transport
    this.subject = subject
    this.deliveries = receipts === null ? null : new Deliveries(transport, receipts, house)
  }

  abstract readonly over: boolean
  protected abstract end (said: Said, cause: Cause, dropped: boolean): void
  abstract terminate (cause: Cause): void

  /** Sends a message; 'gone' if there is nobody, 'full' if too much waits, 'invalid' if it cannot be carried. @param answered whether its sender waits to know what becomes of it */
  send (message: Outgoing, answered = false): PushResult { return this.offer(message, answered) ?? this.#refuse(message) }

  /** The same, but where too much waits: null, and nothing has happened. For who waits for room himself. */
  offer (message: Outgoing, answered = false): PushResult | null {
    const { transport } = this
    if (!transport.open) return 'gone'
    if (message.binary && !transport.traits.binary) return this.#unfit()
    const { limit, low } = this.house.limits
    const waiting = transport.bufferedBytes
    // While no more than `low` waits any message is taken: who awaits `drained` does not do so in vain.
    if ((waiting > low && waiting + message.size > limit) || !transport.fits(message.size)) return null
    const seq = this.#seq + 1
    const { deliveries } = this
    if (deliveries !== null && !deliveries.take(message, seq, answered, false) && !(this.#waiting.lenient && deliveries.take(message, seq, answered, true))) return null
    this.#seq = seq
    const sent = transport.send(message, seq)
    if (this.#unsent === seq) return 'invalid'
    if (sent) return 'sent'
    this.queued()
    return 'buffered'
  }

  #unfit (): 'invalid' {
    this.misused(new FST_ERR_LIFELINE_INVALID_DATA('this transport carries no binary messages'))
    return 'invalid'
  }

  #refuse (message: Outgoing): 'full' {
    const { journal } = this.house
    const waits = this.#waiting
    const refused = journal.refused(this.subject, message, this.house.limits.policy)
    this.deliveries?.ask()
    const first = !waits.full
    waits.full = true
    if (this.deliveries?.roomy === false) waits.heed()
    if (first || refused !== null) {
      journal.together(() => {
        if (first) journal.full(this.subject)
        if (refused !== null) journal.refusal(this.subject, refused)
      })
    }
    if (this.house.limits.policy === 'close') this.end({ code: closeCode.tryAgainLater, reason: '' }, 'backpressure', true)
    return 'full'
  }

  /** Sends a message, and waits until the peer has it. Rejects by the signal alone. */
  async deliver (message: Outgoing, patience: Patience): Promise<Delivery> {
    const deliveries = this.deliveries ??= new Deliveries(this.transport, null, this.house)
    const seq = this.#seq + 1
    const result = this.send(message, true)
    this.pushed(result, message.size)
    if (result === 'gone' || result === 'invalid' || result === 'full') {
      await nextTurn()
      return this.#delivered({ outcome: result })
    }
    return this.#delivered(await this.#waiting.forAnswer(deliveries.wait(seq, patience)))
  }

  /** A message was not even sent. */
  async notDelivered (outcome: 'gone' | 'invalid'): Promise<Delivery> {
    this.pushed(outcome)
    await nextTurn()
    return this.#delivered({ outcome })
  }

  #delivered (delivery: Delivery): Delivery {
    this.house.journal.delivered(delivery.outcome)
    return delivery
  }

  /** A push has had this result. (Not counted where it happens, for a broadcast is many of them.) @param bytes of its message */
  pushed (result: PushResult, bytes = 0): void { this.house.journal.pushed(result, bytes) }

  get unconfirmed (): { count: number, bytes: number } { return this.deliveries?.unconfirmed ?? { count: 0, bytes: 0 } }

  /** The shutdown has begun: it waits for what there is, and closes then. @returns the number of the last message */
  drain (): number {
    this.transport.claim()
    this.deliveries?.ask()
    if (this.transport.traits.remote && this.deliveries?.outstanding === true) this.#waiting.forAnswers()
    return this.#seq
  }

  /**
   * Whether anything up to this message is to be waited for before it is closed: what was not sent, and what somebody wants to know
   * to have arrived, if that can be known.
   */
  outstandingUpTo (seq: number): boolean {
    const { transport } = this
    if (!transport.left(seq)) return true
    return transport.traits.remote && transport.reader?.blind !== true && this.deliveries?.outstandingUpTo(seq) === true
  }

  get #waiting (): Waits { return this.waits ??= new Waits(this, this.house.wheel, this.house.limits) }

  /** Calls back when there is room for what a producer has next, or it is over; at once if it is so. @returns what takes that back */
  whenRoomy (callback: () => void): () => void { return this.#waiting.forRoom(callback) }

  /** The round trip of a ping in ms; Infinity if it is over first, NaN if the answer will not be seen. */
  ping (): Promise<number> { return this.#waiting.ping() }

  misused (error: Error): void { this.house.journal.misused(this.subject, error) }

  // As the transport sees it.

  queued (): void {
    if (!this.over) this.house.budget.update(this)
  }

  flushed (): void {
    if (this.over || this.#shed) return
    this.queued()
    this.deliveries?.handedOver()
    const { waits } = this
    if (waits === null) return
    if (waits.full && waits.admits()) {
      waits.full = false
      if (this.transport.open) this.house.journal.drained(this.subject)
    }
    waits.changed()
  }

  unsent (seq: number, error: unknown): void {
    this.deliveries?.unsent(seq)
    this.misused(errorOf(error))
    // Last, for the app may push when it is told, and that may fail as well.
    this.#unsent = seq
  }

  received (seq: number, roundTrip: number): void {
    // It may be known without having been asked for.
    if (!Number.isNaN(roundTrip)) this.house.journal.answered(roundTrip)
    if (this.deliveries === null) return
    this.deliveries.received(seq, roundTrip)
    this.flushed()
  }

  // As those who wait, and the budget, see it.

  get bufferedBytes (): number { return this.transport.bufferedBytes }
  stalled (): void { this.terminate('stalled') }

  shed (): void {
    this.#shed = true
    this.terminate('backpressure')
  }
}
