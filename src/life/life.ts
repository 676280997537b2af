/**
 * One connection from open to close: identity, groups, cause. It outlives its runs.
 * Invariant: it ends once, with one cause; after its end nothing is written and nothing is held.
 * Knows its subject (the app's Connection) only as something to hand on.
 */
import { isThenable } from '../core/arguments.js'
import { clampReason, sayable } from '../core/causes.js'
import type { Cause } from '../core/causes.js'
import { FST_ERR_LIFELINE_INVALID_CLOSE, FST_ERR_LIFELINE_OPTION } from '../core/errors.js'
import type { Limited } from '../core/limited.js'
import type { OutboxLimits, Unconfirmed } from '../core/outbox.js'
import { Deadline } from '../core/time/deadline.js'
import { Expiry } from '../core/time/expiry.js'
import { closeCode } from '../protocol/close-codes.js'
import type { Said, Transport, TransportEnd, TransportOwner } from '../transports/transport.js'
import type { CloseInfo } from './close-info.js'
import { add, end as finish, remove } from './endings.js'
import type { Ending, Endings } from './endings.js'
import type { House } from './house.js'
import type { Named } from './journal.js'
import { Run } from './run.js'
import type { Call, Living } from './run.js'
import { Sender } from './sender.js'

const NONE: readonly Unconfirmed[] = Object.freeze([])

export class Life<T extends Named> extends Sender<T> implements TransportOwner, Living {
  readonly fd: number
  readonly openedAt = Date.now()
  /** How it ended; null while it has not. */
  info: CloseInfo | null = null
  protected = false
  /** The one that it has now, or had last. */
  run: Run

  #id: string | undefined
  #expiry: Expiry | null = null
  #cause: Cause | null = null
  /** What hangs on it. */
  #endings: Endings = null

  /**
   * @param receipts what is kept until it is confirmed; null: nothing is
   * @param wire that of its first run: another than the transport, where that outlives its wires
   */
  constructor (house: House<T>, transport: Transport, fd: number, receipts: OutboxLimits | null, call: Call, subject: T, wire: Transport = transport) {
    super(house, transport, subject, receipts)
    this.fd = fd
    this.run = new Run(this, house, wire, call)
    house.registry.add(fd, subject)
  }

  /** Tells the world. Apart from the constructor, for the subject is not whole before its end. @param request that has become it, to be told of */
  begin (request: unknown): void { this.house.journal.opened(this.subject, this.run.call.logger, request) }

  /** A transport that outlives its wires has another: from now on that is the one. */
  attach (wire: Transport, call: Call): Run {
    this.run.end()
    return this.run = new Run(this, this.house, wire, call)
  }

  get state (): 'open' | 'closing' | 'closed' { return this.info !== null ? 'closed' : this.transport.open ? 'open' : 'closing' }
  override get over (): boolean { return this.info !== null }
  get id (): string { return this.#id ??= this.house.registry.name(this.info === null ? this.subject : undefined) }

  /** Wall clock, in ms. Exact to half the heartbeat's interval. */
  get lastSeenAt (): number {
    // By another clock than `openedAt`: of two readings of one moment one may come before the other.
    return Math.max(this.openedAt, Math.round(Date.now() - (performance.now() - this.run.pulse.seenAt)))
  }

  /** What the app shows of the data that it keeps on it; undefined: nothing, or that has failed. */
  serialize (data: unknown): unknown {
    try {
      const shown = this.house.serializeData?.(data)
      if (!isThenable(shown)) return shown
      // Its rejection is nobody's then.
      new Promise((resolve) => { resolve(shown) }).catch(() => {})
      throw new FST_ERR_LIFELINE_OPTION('serializeData gave a Promise: it has to answer at once')
    } catch (error) {
      this.misused(error as Error)
      return undefined
    }
  }

  get groups (): ReadonlySet<string> { return this.house.groups.groupsOf(this.subject) }

  join (group: string): void {
    if (this.info === null && this.house.groups.join(this.subject, group)) this.house.journal.joined(this.subject, group)
  }

  leave (group: string): void {
    if (this.house.groups.leave(this.subject, group)) this.house.journal.left(this.subject, group)
  }

  /** Starts the closing handshake, for this cause; a code or reason that may not be sent is replaced and reported. @param reason bytes are text */
  close ({ code, reason, retryAfter = 0 }: Omit<Said, 'reason'> & { readonly reason: string | Uint8Array }, cause: Cause): void {
    if (this.info !== null) return
    const { wrong, ...said } = sayable(code, reason)
    if (wrong !== null) this.misused(new FST_ERR_LIFELINE_INVALID_CLOSE(wrong))
    this.end({ ...said, retryAfter }, cause, false)
  }

  protected override end (said: Said, cause: Cause, dropped: boolean): void {
    // Who began the closing names the cause, not who joins in.
    if (this.transport.close(said, dropped)) {
      this.#cause ??= cause
      this.closing(!dropped)
    }
    this.flushed()
  }

  /** Closes it when the wall clock says so. @param at ms since the epoch; Infinity: never */
  expire (at: number): void {
    if (this.info !== null) return
    this.#expiry ??= new Expiry(this.house.wheel, () => {
      this.close({ code: closeCode.unauthorized, reason: 'the authorization has expired' }, 'expired')
      this.#mute()
    })
    this.#expiry.at(at)
  }

  /** Calls back in so many ms, if it is not over by then. @returns what it can be put off by */
  after (ms: number, callback: () => void): Deadline {
    // It may be put off by its own callback.
    const deadline: Deadline = new Deadline(this.house.wheel, () => {
      callback()
      if (!deadline.waiting) this.#release(deadline)
    })
    if (this.info !== null) return deadline
    this.#endings = add(this.#endings, deadline)
    deadline.after(ms)
    return deadline
  }

  #release (ending: Ending): void { this.#endings = remove(this.#endings, ending) }

  override terminate (cause: Cause): void {
    if (this.info !== null) return
    if (this.transport.open) this.#cause ??= cause
    this.transport.terminate()
    this.queued()
  }

  /** Nobody hears what it says from now on: it has no right to. */
  #mute (): void { this.transport.reader?.mute() }

  /** Readers get no more: not what has come either, though the peer may have left. */
  enough (): void { this.transport.reader?.closing() }

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
    this.house.journal.failed(this.subject, run.call.logger, error, first)
    if (first) run.call.onError?.(error)
    // Whose wire has gone ends nobody else's.
    // Once: what fails because it is closed must not close it again.
    if (first && run === this.run && !run.over && this.transport.open) this.close({ code: closeCode.internalError, reason: '' }, 'handler')
  }

  giveUp (run: Run, cause: Cause): void {
    if (run.transport === this.transport) this.terminate(cause)
    else run.transport.terminate()
  }

  /** What a handler of its end has promised. */
  promised (promise: Promise<void> | null): void { this.house.awaited.add(promise) }

  // As the transport sees it.

  failed (error: unknown): void { this.run.failed(error) }
  closing (takes: boolean): void { this.run.closing(takes) }

  override flushed (): void {
    super.flushed()
    this.run.flushed()
  }

  dropped (messages: number, bytes: number): void {
    // Nobody is told of anything behind the end.
    if (this.info !== null) this.house.journal.ignored(messages)
    else this.house.journal.dropped(this.subject, messages, bytes)
  }

  came (bytes: number): void { this.house.journal.came(bytes) }
  took (): void {}
  ignored (): void { this.house.journal.ignored() }

  exceeded (limit: Limited, fatal: boolean): void {
    this.house.journal.exceeded(limit, this.subject)
    if (!fatal) return
    this.end({ code: closeCode.policyViolation, reason: `past limits.${limit}` }, 'limit', false)
    this.#mute()
  }

  /** A message of the peer did not parse, or did not fit. @param why in words; `fatal`: the connection is closed for it */
  invalid (why: string, fatal: boolean): void {
    this.house.journal.invalid(this.subject, this.run.call.logger, why)
    if (!fatal) return
    this.end({ code: closeCode.invalidPayload, reason: clampReason(why) }, 'invalid', false)
    this.enough()
  }

  detached (_end: TransportEnd): void { this.run.end() }

  /** @param begun false: nobody has heard of it, and nobody will, whatever its transport says later */
  ended (end: TransportEnd, begun = true): void {
    if (this.info !== null) return
    const { run } = this
    const { registry, groups, budget, journal } = this.house
    registry.remove(this.fd, this.#id)
    const left = groups.leaveAll(this.subject)
    budget.forget(this)
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
      groups: left,
      unconfirmed: this.deliveries?.end() ?? NONE
    }
    this.info = info
    info.id = this.id
    run.end()
    // Before those who wait for room: a stream that is written to is over, and its chunk has not left.
    const endings = this.#endings
    this.#endings = null
    finish(endings)
    this.waits?.changed()
    if (!begun) return
    for (const group of left) journal.left(this.subject, group)
    journal.closed(this.subject, run.call.logger, info, end.idle, run.call.cadence?.interval)
  }

  /** What waited has been dropped. */
  get lost (): boolean { return this.#cause === 'backpressure' }
}
