/**
 * The life of one connection, from adoption to CloseInfo: what a transport reports, what the
 * heartbeat asks, what the app may not touch.
 * Invariant: it ends once, with one cause; after its end nothing is written and nothing is held.
 * Knows its subject (the app's Connection) only as something to hand on.
 */
import { clampReason, closeCode, isSendable } from '../core/causes.js'
import type { Cause } from '../core/causes.js'
import { FST_ERR_LIFELINE_INVALID_CLOSE } from '../core/errors.js'
import type { Consumer } from '../core/backpressure.js'
import type { Peer, Pulse } from '../core/heartbeat.js'
import type { Outgoing } from '../core/outgoing.js'
import type { PushResult } from '../core/payload.js'
import { Deadline } from '../core/deadline.js'
import { Expiry } from '../core/expiry.js'
import { Outbox } from '../core/outbox.js'
import type { Undelivered } from '../core/outbox.js'
import { Receipts } from '../core/receipts.js'
import type { Delivery, Patience } from '../core/receipts.js'
import type { Limited } from '../core/tally.js'
import type { Transport, TransportEnd, TransportOwner } from '../transports/transport.js'
import type { About, CloseInfo, LifeHost } from './about.js'

const NONE: readonly Undelivered[] = Object.freeze([])

export class Life<T extends object> implements Peer, TransportOwner, Consumer {
  readonly about: About
  readonly transport: Transport
  readonly openedAt = Date.now()
  /** How it ended; null while it has not. */
  info: CloseInfo | null = null
  protected = false

  readonly #host: LifeHost<T>
  readonly #subject: T
  readonly #pulse: Pulse
  #id: string | undefined
  #expiry: Expiry | null = null
  /** null without receipts. */
  readonly #outbox: Outbox | null
  /** null while nobody asks what has arrived. */
  #receipts: Receipts | null
  #cause: Cause | null = null
  #failed = false
  #full = false
  #shed = false
  #whenDrained: Array<() => void> | null = null
  #whenOver: Array<() => void> | null = null

  constructor (host: LifeHost<T>, transport: Transport, about: About, subject: T) {
    this.#host = host
    this.#subject = subject
    this.about = about
    this.transport = transport
    this.#outbox = about.receipts === null ? null : new Outbox(transport, about.receipts)
    this.#receipts = this.#outbox === null ? null : new Receipts(transport, this.#outbox)
    this.#pulse = host.heartbeat.watch(this, about.cadence)
    host.registry.add(about.fd, subject)
  }

  /** Tells the world. Apart from the constructor, for the subject is not whole before its end. */
  begin (): void {
    this.#host.opened(this.#subject, this.about)
  }

  get pulse (): Pulse { return this.#pulse }

  get state (): 'open' | 'closing' | 'closed' {
    if (this.info !== null) return 'closed'
    return this.transport.open ? 'open' : 'closing'
  }

  get id (): string {
    return this.#id ??= this.#host.registry.name(this.info === null ? this.#subject : undefined)
  }

  /** Wall clock, in ms. Exact to half the heartbeat's interval. */
  get lastSeenAt (): number {
    return Math.round(Date.now() - (performance.now() - this.#pulse.seenAt))
  }

  get bufferedBytes (): number { return this.transport.bufferedBytes }

  /** Sends a message; 'gone' if there is nobody, 'full' if too much waits. @param answered whether its sender waits to know what becomes of it */
  send (message: Outgoing, answered = false): 'sent' | 'buffered' | 'full' | 'gone' {
    const { transport } = this
    if (!transport.open) return 'gone'
    const { limit, low } = this.#host.limits
    const waiting = transport.bufferedBytes
    // While no more than `low` waits any message is taken: who awaits `drained` does not do so in vain.
    if (waiting > low && waiting + message.size > limit) return this.#refuse(message)
    if (this.#outbox !== null && !this.#outbox.take(message, answered)) return this.#refuse(message)
    if (transport.send(message)) return 'sent'
    this.#host.budget.update(this)
    return this.#shed ? 'full' : 'buffered'
  }

  /** Sends a message, and waits until the peer has it. Rejects by the signal alone. */
  async deliver (message: Outgoing, { timeout, signal }: Patience): Promise<Delivery> {
    const receipts = this.#receipts ??= new Receipts(this.transport, null)
    const result = this.send(message, true)
    this.pushed(result)
    // Who was shed for it is about to end, and says then what became of it.
    if (result === 'gone' || (result === 'full' && !this.#shed)) return this.#delivered({ outcome: result })
    return this.#delivered(await receipts.wait(timeout, signal))
  }

  /** A message was not even sent. */
  notDelivered (outcome: 'gone' | 'invalid'): Delivery {
    this.pushed(outcome)
    return this.#delivered({ outcome })
  }

  #delivered (delivery: Delivery): Delivery {
    this.#host.delivered(delivery.outcome)
    return delivery
  }

  /** Messages that are kept until they are confirmed, and their bytes. */
  get unconfirmed (): { count: number, bytes: number } { return this.#receipts?.unconfirmed ?? { count: 0, bytes: 0 } }

  /** Whether anything is to be waited for before it is closed: what was not sent, and what somebody wants to know to have arrived. */
  get outstanding (): boolean { return this.bufferedBytes > 0 || (this.transport.remote && this.#receipts?.outstanding === true) }

  /** Asks for a receipt of all that was sent. */
  askReceipt (): void {
    if (this.#receipts?.outstanding === true) this.#receipts.ask()
  }

  /** Whether there is room for what a producer has next. */
  get #roomy (): boolean { return this.bufferedBytes <= this.#host.limits.low && this.#receipts?.roomy !== false }

  #refuse (message: Outgoing): 'full' {
    this.askReceipt()
    if (!this.#full) {
      this.#full = true
      this.#host.full(this.#subject)
    }
    this.#host.dropped(this.#subject, 'full', 1, message.size)
    if (this.#host.limits.policy === 'close') this.#end(closeCode.tryAgainLater, '', 'backpressure', true)
    return 'full'
  }

  /** Calls back when no more than `low` waits, or it is over; at once if it is so. */
  whenDrained (callback: () => void): void {
    if (this.info !== null || this.#roomy) {
      callback()
      return
    }
    this.askReceipt()
    ;(this.#whenDrained ??= []).push(callback)
  }

  #drained (): void {
    const callbacks = this.#whenDrained
    this.#whenDrained = null
    if (callbacks !== null) for (const callback of callbacks) callback()
  }

  pushed (result: PushResult): void {
    this.#host.pushed(result)
  }

  get groups (): ReadonlySet<string> { return this.#host.groups.groupsOf(this.#subject) }

  join (group: string): void {
    if (this.info === null) this.#host.groups.join(this.#subject, group)
  }

  leave (group: string): void {
    this.#host.groups.leave(this.#subject, group)
  }

  /** Starts the closing handshake, for this cause; a code or reason that may not be sent is replaced and reported. */
  close (code: number, reason: string, cause: Cause): void {
    if (this.info !== null) return
    const sendable = isSendable(code)
    const text = typeof reason === 'string' ? clampReason(reason) : ''
    if (!sendable || text !== reason) {
      const wrong = sendable
        ? `a close reason is a string of at most 123 bytes (RFC 6455 §5.5): "${text}" was sent`
        : `${typeof code === 'number' ? code : `a ${typeof code}`} is no close code that may be sent (RFC 6455 §7.4): ${closeCode.normal} was sent`
      this.#host.misused(this.#subject, new FST_ERR_LIFELINE_INVALID_CLOSE(wrong))
    }
    this.#end(sendable ? code : closeCode.normal, text, cause, false)
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
    const deadline = new Deadline(this.#host.wheel, callback)
    deadline.in(ms)
    this.whenOver(() => { deadline.cancel() })
    return deadline
  }

  terminate (cause: Cause): void {
    if (this.info !== null) return
    if (this.transport.open) this.#cause ??= cause
    this.transport.terminate()
  }

  misused (error: Error): void {
    this.#host.misused(this.#subject, error)
  }

  /** Calls back when it is over; at once if it is. */
  whenOver (callback: () => void): void {
    if (this.info !== null) callback()
    else (this.#whenOver ??= []).push(callback)
  }

  // As the transport sees it.

  failed (error: unknown): void {
    const first = !this.#failed && !(this.info !== null && isNewsOfTheEnd(error))
    if (first) this.#failed = true
    this.#host.failed(this.#subject, this.about, error, first)
    if (first) this.about.onError?.(error)
    if (this.transport.open) this.close(closeCode.internalError, '', 'handler')
  }

  dropped (messages: number, bytes: number): void {
    this.#host.dropped(this.#subject, 'unread', messages, bytes)
  }

  ignored (): void { this.#host.ignored() }

  exceeded (limit: Limited, fatal: boolean): void {
    this.#host.exceeded(limit)
    if (fatal) this.#end(closeCode.policyViolation, `past limits.${limit}`, 'limit', false)
  }

  flushed (): void {
    if (this.info !== null || this.#shed) return
    this.#host.budget.update(this)
    if (!this.#roomy) return
    if (this.#full) {
      this.#full = false
      if (this.transport.open) this.#host.drained(this.#subject)
    }
    this.#drained()
  }

  received (seq: number, roundTrip: number): void {
    if (this.#receipts === null) return
    this.#receipts.received(seq, roundTrip)
    this.flushed()
  }

  ended (end: TransportEnd): void {
    this.#host.heartbeat.forget(this.#pulse)
    this.#host.registry.remove(this.about.fd, this.#id)
    this.#host.groups.leaveAll(this.#subject)
    this.#host.budget.forget(this)
    this.#expiry?.cancel()
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
    this.#drained()
    const callbacks = this.#whenOver
    this.#whenOver = null
    if (callbacks !== null) for (const callback of callbacks) callback()
    this.#host.closed(this.#subject, this.about, info, end.idle)
  }

  // As the heartbeat sees it.

  heard (): number { return this.transport.heard() }

  advance (): number { return this.transport.advance() }

  backlog (): number { return this.transport.backlog() }

  span (): number { return this.transport.span() }

  waiting (): boolean { return this.bufferedBytes > 0 }

  phase (): 'reading' | 'paused' | 'closing' {
    const { transport } = this
    if (!transport.open) return 'closing'
    return transport.paused && !transport.peeking ? 'paused' : 'reading'
  }

  ask (): void { this.transport.beat() }

  peek (on: boolean): boolean { return this.transport.peek(on) }

  lost (): void {
    this.terminate('heartbeat')
  }

  stalled (): void {
    this.terminate('stalled')
  }

  // As the budget sees it.

  shed (): void {
    this.#shed = true
    this.terminate('backpressure')
  }
}

/** The end of the connection, come back through what the app awaited (our `signal`, a pipeline): no failure of the app's. */
function isNewsOfTheEnd (error: unknown): boolean {
  try {
    const { name, code } = (error ?? {}) as { name?: unknown, code?: unknown }
    return name === 'AbortError' || code === 'ERR_STREAM_PREMATURE_CLOSE'
  } catch {
    return false
  }
}
