/**
 * The life of one connection, from adoption to CloseInfo: what a transport reports, what the
 * heartbeat asks, what the app may not touch.
 * Invariant: it ends once, with one cause; after its end nothing is written and nothing is held.
 * Knows its subject (the app's Connection) only as something to hand on.
 */
import { clampReason, closeCode, isSendable } from '../core/causes.js'
import type { Cause } from '../core/causes.js'
import { FST_ERR_LIFELINE_INVALID_CLOSE } from '../core/errors.js'
import type { Budget, Consumer, Limits } from '../core/backpressure.js'
import type { Groups } from '../core/groups.js'
import type { Cadence, Heartbeat, Peer, Pulse } from '../core/heartbeat.js'
import type { Outgoing } from '../core/outgoing.js'
import type { PushResult } from '../core/payload.js'
import type { Registry } from '../core/registry.js'
import { Deadline } from '../core/deadline.js'
import { Expiry } from '../core/expiry.js'
import type { Limited } from '../core/tally.js'
import type { Wheel } from '../core/wheel.js'
import type { Transport, TransportEnd, TransportOwner } from '../transports/transport.js'

/** How and why a connection ended. */
export interface CloseInfo {
  readonly fd: number
  readonly id: string
  /** The close code that went over the wire first; 1005: a close frame without a code; 1006: none. */
  readonly code: number
  readonly reason: string
  readonly cause: Cause
  /** Wall clock, ms since the epoch. */
  readonly openedAt: number
  readonly closedAt: number
}

/** What is known of a connection when it opens. */
export interface About {
  readonly fd: number
  readonly remoteAddress: string
  /** Of the request that was upgraded; for log lines. */
  readonly reqId: string
  /** null: no heartbeat on this route. */
  readonly cadence: Cadence | null
  /** The app's own handler of errors, if it has one. */
  readonly onError: ((error: unknown) => void) | null
}

/** Who counts, logs and tells of what happens to the connections of one server. */
export interface LifeHost<T extends object> {
  readonly wheel: Wheel
  readonly registry: Registry<T>
  readonly heartbeat: Heartbeat
  readonly groups: Groups<T>
  readonly budget: Budget
  readonly limits: Limits
  opened (subject: T, about: About): void
  /** The app's code failed; `first`: for the first time on this connection. */
  failed (subject: T, about: About, error: unknown, first: boolean): void
  /** The app made a call that had to be mended or refused. */
  misused (subject: T, error: Error): void
  pushed (result: PushResult): void
  /** Messages of the peer (`unread`), or for it (`full`), were let go. */
  dropped (subject: T, reason: 'unread' | 'full', messages: number, bytes: number): void
  /** One more message of a peer was let go, without a word. */
  ignored (): void
  /** A peer went past a limit. */
  exceeded (limit: Limited): void
  /** A first message did not fit; and enough has gone for it to fit again. */
  full (subject: T): void
  drained (subject: T): void
  /** @param idle how long nothing had passed, in ms; NaN if unknown */
  closed (subject: T, about: About, info: CloseInfo, idle: number): void
}

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

  /** Sends a message; 'gone' if there is nobody, 'full' if too much waits. */
  send (message: Outgoing): 'sent' | 'buffered' | 'full' | 'gone' {
    const { transport } = this
    if (!transport.open) return 'gone'
    const { limit, low } = this.#host.limits
    const waiting = transport.bufferedBytes
    // While no more than `low` waits any message is taken: who awaits `drained` does not do so in vain.
    if (waiting > low && waiting + message.size > limit) return this.#refuse(message)
    if (transport.send(message)) return 'sent'
    this.#host.budget.update(this)
    return this.#shed ? 'full' : 'buffered'
  }

  #refuse (message: Outgoing): 'full' {
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
    if (this.info !== null || this.bufferedBytes <= this.#host.limits.low) callback()
    else (this.#whenDrained ??= []).push(callback)
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
    if (this.bufferedBytes > this.#host.limits.low) return
    if (this.#full) {
      this.#full = false
      if (this.transport.open) this.#host.drained(this.#subject)
    }
    this.#drained()
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
      closedAt: Date.now()
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
