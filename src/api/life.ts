/**
 * The life of one connection, from adoption to CloseInfo: what a transport reports, what the
 * heartbeat asks, what the app may not touch.
 * Invariant: it ends once, with one cause; after its end nothing is written and nothing is held.
 * Knows its subject (the app's Connection) only as something to hand on.
 */
import { closeCode, sayable } from '../core/causes.js'
import type { Cause } from '../core/causes.js'
import { FST_ERR_LIFELINE_INVALID_CLOSE } from '../core/errors.js'
import type { Consumer } from '../core/backpressure.js'
import type { Pulse } from '../core/heartbeat.js'
import type { Peer } from '../core/peer.js'
import type { Outgoing } from '../core/outgoing.js'
import type { PushResult } from '../core/payload.js'
import { Deadline } from '../core/deadline.js'
import { Expiry } from '../core/expiry.js'
import { nextTurn } from '../core/later.js'
import { Outbox } from '../core/outbox.js'
import type { Undelivered } from '../core/outbox.js'
import { Receipts } from '../core/receipts.js'
import type { Delivery, Patience } from '../core/receipts.js'
import type { Limited } from '../core/tally.js'
import type { Transport, TransportEnd, TransportOwner } from '../transports/transport.js'
import type { About, CloseInfo, LifeHost } from './about.js'
import { add, end as finish, remove } from './endings.js'
import type { Ending, Endings } from './endings.js'
import { errorOf, isNewsOfTheEnd } from './news.js'
import { Waits } from './waits.js'
import type { Awaited } from './waits.js'

/** A receipt is asked for so long after a push at the latest, in ms. */
const ASK_WITHIN = 500

/** No number: the outbox is full. */
const REFUSED = 0

const NONE: readonly Undelivered[] = Object.freeze([])

export class Life<T extends object> implements Peer, TransportOwner, Consumer, Awaited {
  readonly about: About
  readonly transport: Transport
  readonly openedAt = Date.now()
  /** How it ended; null while it has not. */
  info: CloseInfo | null = null
  protected = false

  readonly #host: LifeHost<T>
  readonly #subject: T
  readonly pulse: Pulse
  #id: string | undefined
  #expiry: Expiry | null = null
  /** null without receipts. */
  readonly #outbox: Outbox | null
  /** null while nobody asks what has arrived. */
  #receipts: Receipts | null
  /** The number of the last message, and of the last that was not sent after all. */
  #seq = 0
  #unsent = 0
  /** With receipts: when the next is asked for, at the latest. */
  readonly #ask: Deadline | null
  #closing: Deadline | null = null
  #cause: Cause | null = null
  #failed = false
  #full = false
  #shed = false
  /** null until somebody waits. */
  #waits: Waits | null = null
  /** What hangs on it. */
  #endings: Endings = null

  constructor (host: LifeHost<T>, transport: Transport, about: About, subject: T) {
    this.#host = host
    this.#subject = subject
    this.about = about
    this.transport = transport
    this.#outbox = about.receipts === null ? null : new Outbox(transport, about.receipts)
    this.#receipts = this.#outbox === null ? null : new Receipts(transport, this.#outbox)
    this.#ask = this.#outbox === null ? null : new Deadline(host.wheel, () => { this.askReceipt() })
    this.pulse = host.heartbeat.watch(this, about.cadence)
    host.registry.add(about.fd, subject)
  }

  /** Tells the world. Apart from the constructor, for the subject is not whole before its end. */
  begin (): void { this.#host.opened(this.#subject, this.about) }

  get state (): 'open' | 'closing' | 'closed' { return this.info !== null ? 'closed' : this.transport.open ? 'open' : 'closing' }

  get id (): string { return this.#id ??= this.#host.registry.name(this.info === null ? this.#subject : undefined) }

  /** Wall clock, in ms. Exact to half the heartbeat's interval. */
  get lastSeenAt (): number { return Math.round(Date.now() - (performance.now() - this.pulse.seenAt)) }

  get bufferedBytes (): number { return this.transport.bufferedBytes }

  /** Sends a message; 'gone' if there is nobody, 'full' if too much waits, 'invalid' if a class of the app's refused it. @param answered whether its sender waits to know what becomes of it */
  send (message: Outgoing, answered = false): PushResult {
    const { transport } = this
    if (!transport.open) return 'gone'
    const { limit, low } = this.#host.limits
    const waiting = transport.bufferedBytes
    // While no more than `low` waits any message is taken: who awaits `drained` does not do so in vain.
    if (waiting > low && waiting + message.size > limit) return this.#refuse(message)
    const seq = this.#outbox === null ? ++this.#seq : this.#number(message, this.#outbox, answered)
    if (seq === REFUSED) return this.#refuse(message)
    if (transport.send(message, seq)) return 'sent'
    if (this.#unsent === seq) return 'invalid'
    this.#host.budget.update(this)
    return this.#shed ? 'full' : 'buffered'
  }

  /** With receipts a message is kept before it is sent. By itself: the way of those without is short. */
  #number (message: Outgoing, outbox: Outbox, answered: boolean): number {
    if (!outbox.fits(message.size) && !(this.#waiting.lenient && outbox.stretches)) return REFUSED
    outbox.add(message, ++this.#seq, answered)
    if (!this.#ask!.waiting) this.#ask!.in(ASK_WITHIN)
    return this.#seq
  }

  /** Sends a message, and waits until the peer has it. Rejects by the signal alone. */
  async deliver (message: Outgoing, { timeout, signal }: Patience): Promise<Delivery> {
    const receipts = this.#receipts ??= new Receipts(this.transport, null)
    const seq = this.#seq + 1
    const result = this.send(message, true)
    this.pushed(result)
    // Who was shed for it is about to end, and says then what became of it.
    if (result === 'gone' || result === 'invalid' || (result === 'full' && !this.#shed)) {
      await nextTurn()
      return this.#delivered({ outcome: result })
    }
    return this.#delivered(await this.#waiting.forAnswer(receipts.wait(seq, timeout, signal)))
  }

  /** A message was not even sent. */
  async notDelivered (outcome: 'gone' | 'invalid'): Promise<Delivery> {
    this.pushed(outcome)
    await nextTurn()
    return this.#delivered({ outcome })
  }

  #delivered (delivery: Delivery): Delivery {
    this.#host.delivered(delivery.outcome)
    return delivery
  }

  get unconfirmed (): { count: number, bytes: number } { return this.#receipts?.unconfirmed ?? { count: 0, bytes: 0 } }

  /** The shutdown has begun: it waits for what there is, and closes then. @returns the number of the last message */
  drain (): number {
    this.transport.claim()
    this.askReceipt()
    if (this.transport.remote && this.#receipts?.outstanding === true) this.#waiting.forAnswers()
    return this.#seq
  }

  /**
   * Whether anything up to this message is to be waited for before it is closed: what was not sent, and what somebody wants to know
   * to have arrived, if that can be known.
   */
  outstandingUpTo (seq: number): boolean {
    const { transport } = this
    if (!transport.left(seq)) return true
    return transport.remote && !transport.blind && this.#receipts?.outstandingUpTo(seq) === true
  }

  /** Asks for a receipt of all that was sent. */
  askReceipt (): void { if (this.#receipts?.outstanding === true) this.transport.want(this.#seq) }

  get #waiting (): Waits { return this.#waits ??= new Waits(this, this.#host.wheel, this.#host.limits) }

  get over (): boolean { return this.info !== null }
  get full (): boolean { return this.#full }
  get flowing (): boolean { return this.bufferedBytes <= this.#host.limits.low }
  get confirmed (): boolean { return this.#receipts?.roomy !== false }
  get stretches (): boolean { return this.#receipts?.stretches !== false }

  #refuse (message: Outgoing): 'full' {
    this.askReceipt()
    if (!this.#full) {
      this.#full = true
      this.#host.full(this.#subject)
    }
    if (!this.confirmed) this.#waiting.changed()
    this.#host.refused(this.#subject, message)
    if (this.#host.limits.policy === 'close') this.#end(closeCode.tryAgainLater, '', 'backpressure', true)
    return 'full'
  }

  /** Calls back when there is room for what a producer has next, or it is over; at once if it is so. @returns what takes that back */
  whenRoomy (callback: () => void): () => void { return this.#waiting.forRoom(callback) }

  /** The round trip of a ping in ms; Infinity if it is over first, NaN if the answer will not be seen. */
  ping (): Promise<number> { return this.#waiting.ping() }
  pushed (result: PushResult): void { this.#host.pushed(result) }
  get groups (): ReadonlySet<string> { return this.#host.groups.groupsOf(this.#subject) }

  join (group: string): void { if (this.info === null) this.#host.groups.join(this.#subject, group) }

  leave (group: string): void { this.#host.groups.leave(this.#subject, group) }

  /** Starts the closing handshake, for this cause; a code or reason that may not be sent is replaced and reported. */
  close (code: number, reason: string, cause: Cause): void {
    if (this.info !== null) return
    const said = sayable(code, reason)
    if (said.wrong !== null) this.#host.misused(this.#subject, new FST_ERR_LIFELINE_INVALID_CLOSE(said.wrong))
    this.#end(said.code, said.reason, cause, false)
  }

  #end (code: number, reason: string, cause: Cause, dropped: boolean): void {
    // Who began the closing names the cause, not who joins in.
    if (this.transport.close(code, reason, dropped)) this.#cause ??= cause
    this.flushed()
  }

  /** Closes it when the wall clock says so. @param at ms since the epoch; Infinity: never */
  expire (at: number): void {
    if (this.info !== null) return
    this.#expiry ??= new Expiry(this.#host.wheel, () => { this.close(closeCode.unauthorized, 'the authorization has expired', 'expired') })
    this.#expiry.at(at)
  }

  /** Calls back in so many ms, if it is not over by then. @returns what it can be put off by */
  after (ms: number, callback: () => void): Deadline {
    // It may be put off by its own callback.
    const deadline: Deadline = new Deadline(this.#host.wheel, () => {
      callback()
      if (!deadline.waiting) this.release(deadline)
    })
    this.hang(deadline, ms)
    return deadline
  }

  /** It comes in so many ms, and not when it is over. */
  hang (deadline: Deadline, ms: number): void {
    if (this.info !== null) return
    this.#endings = add(this.#endings, deadline)
    deadline.in(ms)
  }

  /** It has come, or is not wanted any more. */
  release (ending: Ending): void { this.#endings = remove(this.#endings, ending) }

  terminate (cause: Cause): void {
    if (this.info !== null) return
    if (this.transport.open) this.#cause ??= cause
    this.transport.terminate()
  }

  misused (error: Error): void { this.#host.misused(this.#subject, error) }

  /** Calls back when it is over; at once if it is. @returns what takes that back */
  whenOver (callback: () => void): () => void {
    if (this.info !== null) {
      callback()
      return () => {}
    }
    this.#endings = add(this.#endings, callback)
    return () => { this.release(callback) }
  }

  // As the transport sees it.

  failed (error: unknown): void {
    const first = !this.#failed && !(this.info !== null && isNewsOfTheEnd(error))
    if (first) this.#failed = true
    this.#host.failed(this.#subject, this.about, error, first)
    if (first) this.about.onError?.(error)
    if (this.transport.open) this.close(closeCode.internalError, '', 'handler')
  }

  dropped (messages: number, bytes: number): void { this.#host.dropped(this.#subject, messages, bytes) }
  ignored (): void { this.#host.ignored() }
  queued (): void { if (this.info === null) this.#host.budget.update(this) }

  exceeded (limit: Limited, fatal: boolean): void {
    this.#host.exceeded(limit)
    if (fatal) this.#end(closeCode.policyViolation, `past limits.${limit}`, 'limit', false)
  }

  flushed (): void {
    if (this.info !== null || this.#shed) return
    this.#host.budget.update(this)
    if (this.#full && this.#waiting.admits()) {
      this.#full = false
      if (this.transport.open) this.#host.drained(this.#subject)
    }
    this.#waits?.changed()
  }

  unsent (seq: number, error: unknown): void {
    this.#unsent = seq
    this.#receipts?.unsent(seq)
    this.misused(errorOf(error))
  }

  /** The closing has begun, by whoever: it has an end. (Not a moment sooner: a slot may be nearly over when it begins.) */
  closing (): void {
    if (this.info !== null || this.#closing !== null) return
    this.#closing = this.after(this.#host.closeTimeout + this.#host.wheel.slot, () => {
      // A close that was kept for later may have been taken back.
      if (!this.transport.open) this.terminate('heartbeat')
      else this.#closing = null
    })
  }

  received (seq: number, roundTrip: number): void {
    if (this.#receipts === null) return
    this.#receipts.received(seq, roundTrip)
    this.flushed()
  }

  ended (end: TransportEnd): void {
    this.#host.heartbeat.forget(this.pulse)
    this.#host.registry.remove(this.about.fd, this.#id)
    this.#host.groups.leaveAll(this.#subject)
    this.#host.budget.forget(this)
    this.#expiry?.cancel()
    this.#ask?.cancel()
    // The info is what makes it over, and the id must not be entered in the registry any more.
    const info: { -readonly [K in keyof CloseInfo]: CloseInfo[K] } = {
      fd: this.about.fd,
      id: '',
      code: end.code,
      reason: end.reason,
      cause: this.#cause ?? end.cause,
      openedAt: this.openedAt,
      closedAt: Date.now(),
      undelivered: this.#receipts?.end() ?? NONE
    }
    this.info = info
    info.id = this.id
    this.#waits?.changed()
    const endings = this.#endings
    this.#endings = null
    finish(endings)
    this.#host.closed(this.#subject, this.about, info, end.idle)
  }

  // As the heartbeat sees it.

  get wire (): Transport { return this.transport }
  lost (): void { this.terminate('heartbeat') }
  stalled (): void { this.terminate('stalled') }

  // As the budget sees it.

  shed (): void {
    this.#shed = true
    this.terminate('backpressure')
  }
}
