/**
 * One connection from open to close: identity, groups, numbering, cause. It outlives its runs.
 * Invariant: it ends once, with one cause; after its end nothing is written and nothing is held.
 * Knows its subject (the app's Connection) only as something to hand on.
 */
import { sayable } from '../core/causes.js'
import type { Cause } from '../core/causes.js'
import { FST_ERR_LIFELINE_INVALID_CLOSE, FST_ERR_LIFELINE_INVALID_DATA } from '../core/errors.js'
import type { Limited } from '../core/limited.js'
import type { OutboxLimits, Undelivered } from '../core/outbox.js'
import type { Outgoing } from '../core/outgoing.js'
import type { PushResult } from '../core/payload.js'
import type { Delivery, Patience } from '../core/receipts.js'
import { Deadline } from '../core/time/deadline.js'
import { Expiry } from '../core/time/expiry.js'
import { nextTurn } from '../core/time/loop.js'
import { closeCode } from '../protocol/close-codes.js'
import type { Said, Transport, TransportEnd, TransportOwner } from '../transports/transport.js'
import type { CloseInfo } from './close-info.js'
import { Deliveries } from './deliveries.js'
import { add, end as finish, remove } from './endings.js'
import type { Ending, Endings } from './endings.js'
import type { House } from './house.js'
import type { Named } from './journal.js'
import { errorOf } from './news.js'
import { Run } from './run.js'
import type { Call, Living } from './run.js'
import { Waits } from './waits.js'
import type { Awaited } from './waits.js'

const NONE: readonly Undelivered[] = Object.freeze([])

export class Life<T extends Named> implements TransportOwner, Living, Awaited {
  readonly fd: number
  readonly transport: Transport
  readonly openedAt = Date.now()
  /** How it ended; null while it has not. */
  info: CloseInfo | null = null
  protected = false
  /** The one that it has now, or had last. */
  run: Run
  /** null while nothing is kept, and nobody waits for a receipt. */
  deliveries: Deliveries | null

  readonly #house: House<T>
  readonly #subject: T
  #id: string | undefined
  #expiry: Expiry | null = null
  /** The number of the last message, and of the last that was not sent after all. */
  #seq = 0
  #unsent = 0
  #cause: Cause | null = null
  #shed = false
  /** null until somebody waits. */
  #waits: Waits | null = null
  /** What hangs on it. */
  #endings: Endings = null

  /**
   * @param receipts what is kept until it is confirmed; null: nothing is
   * @param wire that of its first run: another than the transport, where that outlives its wires
   */
  constructor (house: House<T>, transport: Transport, fd: number, receipts: OutboxLimits | null, call: Call, subject: T, wire: Transport = transport) {
    this.#house = house
    this.#subject = subject
    this.fd = fd
    this.transport = transport
    this.deliveries = receipts === null ? null : new Deliveries(transport, receipts, house.wheel)
    this.run = new Run(this, house, wire, call)
    house.registry.add(fd, subject)
  }

  /** Tells the world. Apart from the constructor, for the subject is not whole before its end. */
  begin (): void { this.#house.journal.opened(this.#subject, this.run.call.logger) }

  /** A transport that outlives its wires has another: from now on that is the one. */
  attach (wire: Transport, call: Call): Run {
    this.run.end()
    return this.run = new Run(this, this.#house, wire, call)
  }

  get state (): 'open' | 'closing' | 'closed' { return this.info !== null ? 'closed' : this.transport.open ? 'open' : 'closing' }

  get over (): boolean { return this.info !== null }

  get id (): string { return this.#id ??= this.#house.registry.name(this.info === null ? this.#subject : undefined) }

  /** Wall clock, in ms. Exact to half the heartbeat's interval. */
  get lastSeenAt (): number { return Math.round(Date.now() - (performance.now() - this.run.pulse.seenAt)) }

  /** Sends a message; 'gone' if there is nobody, 'full' if too much waits, 'invalid' if it cannot be carried. @param answered whether its sender waits to know what becomes of it */
  send (message: Outgoing, answered = false): PushResult { return this.offer(message, answered) ?? this.#refuse(message) }

  /** The same, but where too much waits: null, and nothing has happened. For who waits for room himself. */
  offer (message: Outgoing, answered = false): PushResult | null {
    const { transport } = this
    if (!transport.open) return 'gone'
    if (message.binary && !transport.traits.binary) return this.#unfit()
    const { limit, low } = this.#house.limits
    const waiting = transport.bufferedBytes
    // While no more than `low` waits any message is taken: who awaits `drained` does not do so in vain.
    if (waiting > low && waiting + message.size > limit) return null
    const seq = this.#seq + 1
    const { deliveries } = this
    if (deliveries !== null && !deliveries.take(message, seq, answered, false) && !(this.#waiting.lenient && deliveries.take(message, seq, answered, true))) return null
    this.#seq = seq
    const sent = transport.send(message, seq)
    if (this.#unsent === seq) return 'invalid'
    if (sent) return 'sent'
    this.queued()
    return this.#shed ? 'full' : 'buffered'
  }

  #unfit (): 'invalid' {
    this.misused(new FST_ERR_LIFELINE_INVALID_DATA('this transport carries no binary messages'))
    return 'invalid'
  }

  /** Sends a message, and waits until the peer has it. Rejects by the signal alone. */
  async deliver (message: Outgoing, patience: Patience): Promise<Delivery> {
    const deliveries = this.deliveries ??= new Deliveries(this.transport, null, this.#house.wheel)
    const seq = this.#seq + 1
    const result = this.send(message, true)
    this.pushed(result)
    // Who was shed for it is about to end, and says then what became of it.
    if (result === 'gone' || result === 'invalid' || (result === 'full' && !this.#shed)) {
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
    this.#house.journal.delivered(delivery.outcome)
    return delivery
  }

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

  get #waiting (): Waits { return this.#waits ??= new Waits(this, this.#house.wheel, this.#house.limits) }

  #refuse (message: Outgoing): 'full' {
    const { journal } = this.#house
    const waits = this.#waiting
    const drop = journal.refused(message)
    this.deliveries?.ask()
    if (!waits.full) {
      waits.full = true
      journal.full(this.#subject)
    }
    if (this.deliveries?.roomy === false) waits.changed()
    if (drop !== null) journal.refusal(this.#subject, drop)
    if (this.#house.limits.policy === 'close') this.#end({ code: closeCode.tryAgainLater, reason: '' }, 'backpressure', true)
    return 'full'
  }

  /** Calls back when there is room for what a producer has next, or it is over; at once if it is so. @returns what takes that back */
  whenRoomy (callback: () => void): () => void { return this.#waiting.forRoom(callback) }

  /** The round trip of a ping in ms; Infinity if it is over first, NaN if the answer will not be seen. */
  ping (): Promise<number> { return this.#waiting.ping() }

  pushed (result: PushResult): void { this.#house.journal.pushed(result) }

  get groups (): ReadonlySet<string> { return this.#house.groups.groupsOf(this.#subject) }

  join (group: string): void { if (this.info === null) this.#house.groups.join(this.#subject, group) }

  leave (group: string): void { this.#house.groups.leave(this.#subject, group) }

  /** Starts the closing handshake, for this cause; a code or reason that may not be sent is replaced and reported. */
  close ({ code, reason, retryAfter = 0 }: Said, cause: Cause): void {
    if (this.info !== null) return
    const { wrong, ...said } = sayable(code, reason)
    if (wrong !== null) this.misused(new FST_ERR_LIFELINE_INVALID_CLOSE(wrong))
    this.#end({ ...said, retryAfter }, cause, false)
  }

  #end (said: Said, cause: Cause, dropped: boolean): void {
    // Who began the closing names the cause, not who joins in.
    if (this.transport.close(said, dropped)) this.#cause ??= cause
    this.flushed()
  }

  /** Closes it when the wall clock says so. @param at ms since the epoch; Infinity: never */
  expire (at: number): void {
    if (this.info !== null) return
    this.#expiry ??= new Expiry(this.#house.wheel, () => { this.close({ code: closeCode.unauthorized, reason: 'the authorization has expired' }, 'expired') })
    this.#expiry.at(at)
  }

  /** Calls back in so many ms, if it is not over by then. @returns what it can be put off by */
  after (ms: number, callback: () => void): Deadline {
    // It may be put off by its own callback.
    const deadline: Deadline = new Deadline(this.#house.wheel, () => {
      callback()
      if (!deadline.waiting) this.#release(deadline)
    })
    if (this.info !== null) return deadline
    this.#endings = add(this.#endings, deadline)
    deadline.in(ms)
    return deadline
  }

  #release (ending: Ending): void { this.#endings = remove(this.#endings, ending) }

  terminate (cause: Cause): void {
    if (this.info !== null) return
    if (this.transport.open) this.#cause ??= cause
    this.transport.terminate()
  }

  misused (error: Error): void { this.#house.journal.misused(this.#subject, error) }

  /** Calls back when it is over; at once if it is. @returns what takes that back */
  whenOver (callback: () => void): () => void {
    if (this.info !== null) {
      callback()
      return () => {}
    }
    this.#endings = add(this.#endings, callback)
    return () => { this.#release(callback) }
  }

  // As its runs see it.

  runFailed (run: Run, error: unknown, first: boolean): void {
    this.#house.journal.failed(this.#subject, run.call.logger, error, first)
    if (first) run.call.onError?.(error)
    // Whose wire has gone ends nobody else's.
    if (run === this.run && this.transport.open) this.close({ code: closeCode.internalError, reason: '' }, 'handler')
  }

  giveUp (run: Run, cause: Cause): void {
    if (run.transport === this.transport) this.terminate(cause)
    else run.transport.terminate()
  }

  // As the transport sees it.

  failed (error: unknown): void { this.run.failed(error) }
  closing (): void { this.run.closing() }
  dropped (messages: number, bytes: number): void { this.#house.journal.dropped(this.#subject, messages, bytes) }
  ignored (): void { this.#house.journal.ignored() }

  queued (): void {
    const { budget } = this.#house
    if (budget.bounded && this.info === null) budget.update(this.#waiting)
  }

  exceeded (limit: Limited, fatal: boolean): void {
    this.#house.journal.exceeded(limit)
    if (fatal) this.#end({ code: closeCode.policyViolation, reason: `past limits.${limit}` }, 'limit', false)
  }

  flushed (): void {
    if (this.info !== null || this.#shed) return
    this.queued()
    this.deliveries?.handedOver()
    const waits = this.#waits
    if (waits === null) return
    if (waits.full && waits.admits()) {
      waits.full = false
      if (this.transport.open) this.#house.journal.drained(this.#subject)
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
    if (this.deliveries === null) return
    this.deliveries.received(seq, roundTrip)
    this.flushed()
  }

  ended (end: TransportEnd): void {
    const { registry, groups, budget, journal } = this.#house
    const { run } = this
    registry.remove(this.fd, this.#id)
    groups.leaveAll(this.#subject)
    if (this.#waits !== null) budget.forget(this.#waits)
    this.#expiry?.cancel()
    // The info is what makes it over, and the id must not be entered in the registry any more.
    const info: { -readonly [K in keyof CloseInfo]: CloseInfo[K] } = {
      fd: this.fd,
      id: '',
      code: end.code,
      reason: end.reason,
      cause: this.#cause ?? end.cause,
      openedAt: this.openedAt,
      closedAt: Date.now(),
      undelivered: this.deliveries?.end() ?? NONE
    }
    this.info = info
    info.id = this.id
    run.end()
    this.#waits?.changed()
    const endings = this.#endings
    this.#endings = null
    finish(endings)
    journal.closed(this.#subject, run.call.logger, info, end.idle, run.call.cadence?.interval)
  }

  // As those who wait see it.

  stalled (): void { this.terminate('stalled') }

  shed (): void {
    this.#shed = true
    this.terminate('backpressure')
  }
}
