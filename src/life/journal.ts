/**
 * What follows when something happens: it is counted, logged and told, in that order and in this one place.
 * Invariant: what is counted is told, and what is told is counted; nobody is told of anything while a broadcast is under way, or
 * others are being told: what a listener sends, or causes, would overtake it.
 */
import type { Bytes } from '../core/bytes.js'
import type { HeartbeatJournal } from '../core/heartbeat.js'
import type { Limited } from '../core/limited.js'
import type { Keeping } from '../core/outbox.js'
import type { Outgoing } from '../core/outgoing.js'
import type { PushResult } from '../core/payload.js'
import type { Outcome } from '../core/receipts.js'
import { later } from '../core/time/loop.js'
import { Cuts } from '../observe/cuts.js'
import type { Log, Logger } from '../observe/log.js'
import type { Tally } from '../observe/tally.js'
import type { CloseInfo } from './close-info.js'

/** Whoever has a number. */
export interface Named { readonly fd: number }

/** Messages that were let go. */
export interface Drop {
  /**
   * `unread`: they came for a route without a reader, or were not taken before this side closed.
   * `full`: they were pushed while more than `backpressure.limit` waited, or, with receipts, was unconfirmed.
   */
  reason: 'unread' | 'full'
  /** How many. */
  messages: number
  /** Their bytes together, without headers. */
  bytes: number
  /** `full` alone: the message that was not taken, as it would have gone out: text as a string (JSON, if an object was pushed), bytes as a Buffer. */
  data?: string | Bytes
  /** `full` alone: whether it would have gone out as a binary message. */
  binary?: boolean
}

/** The events of connections. @typeParam T what the app holds of each */
export interface LifeEvents<T> {
  /** A connection was adopted; its route handler is about to run. Do not keep the request: it lives no longer than its handler. */
  open: [connection: T, request: unknown]
  /** It has become a member of a group. */
  join: [connection: T, group: string]
  /** It is a member no more, because it left or is over (then before `close`). */
  leave: [connection: T, group: string]
  /** It is over. What a listener returns is waited for by `fastify.close()`, for `shutdown.timeout` at most. */
  close: [connection: T, info: CloseInfo]
  /** A push did not fit (once, until `drain`). */
  full: [connection: T]
  /** No more than `backpressure.low` waits for it again. */
  drain: [connection: T]
  /** Messages of the peer, or for it, were let go. */
  drop: [connection: T | undefined, drop: Drop]
  /** The app's code failed: the connection was closed with 1011; or a call had to be refused. Without listeners it does not throw. */
  error: [connection: T | undefined, error: unknown]
}

/** Who is told. */
export interface Audience<T> {
  tell<K extends keyof LifeEvents<T>> (event: K, ...args: LifeEvents<T>[K]): void
  /** Whether anybody listens to what happens to this one. */
  listens (event: keyof LifeEvents<T>, subject: T): boolean
}

interface Telling<T> {
  readonly subject: T | undefined
  readonly tell: () => void
}

export class Journal<T extends Named> implements HeartbeatJournal, Keeping {
  readonly #tally: Tally
  readonly #log: Log
  readonly #audience: Audience<T>
  readonly #cuts = new Cuts()
  /** What is told when the broadcast that is under way has reached all, or when those who are being told have been; null: neither is. */
  #held: Array<Telling<T>> | null = null
  /** What listeners caused while they were told: for the next turn of the loop. */
  #caused: Array<Telling<T>> = []
  readonly #causedOf = new Set<T | undefined>()

  constructor (tally: Tally, log: Log, audience: Audience<T>) {
    this.#tally = tally
    this.#log = log
    this.#audience = audience
  }

  #tell<K extends keyof LifeEvents<T>> (event: K, ...args: LifeEvents<T>[K]): void {
    this.#inTurn({ subject: args[0], tell: () => { this.#audience.tell(event, ...args) } })
  }

  #inTurn (telling: Telling<T>): void {
    if (this.#held !== null) this.#held.push(telling)
    // Of one connection nothing overtakes anything; others do not wait for it.
    else if (this.#waits(telling)) this.#cause(telling)
    // What one listener causes comes behind what the others have still to be told.
    else this.together(telling.tell)
  }

  /** Whether something is to be told of the same connection before. */
  #waits ({ subject }: Telling<T>): boolean { return this.#causedOf.has(subject) }

  #cause (telling: Telling<T>): void { this.#causedOf.add(this.#caused[this.#caused.push(telling) - 1]!.subject) }

  /** @param logger of the request that was upgraded; null: the server's */
  opened (subject: T, logger: Logger | null, request: unknown): void {
    this.#tally.opened++
    this.#log.opened(subject.fd, logger)
    this.#tell('open', subject, request)
  }

  joined (subject: T, group: string): void { this.#tell('join', subject, group) }
  left (subject: T, group: string): void { this.#tell('leave', subject, group) }

  /**
   * @param idle how long nothing had passed, in ms; NaN if unknown
   * @param interval of its heartbeat, in ms; undefined: it has none
   */
  closed (subject: T, logger: Logger | null, info: CloseInfo, idle: number, interval: number | undefined): void {
    this.#tally.closed[info.cause]++
    if (info.cause === 'reset' && this.#cuts.note(idle)) this.#log.cut(idle, interval)
    this.#log.closed(logger, info)
    this.#tell('close', subject, info)
  }

  /** The app's code failed; `first`: for the first time on this connection. */
  failed (subject: T, logger: Logger | null, error: unknown, first: boolean): void {
    if (!first) {
      this.#log.failedAgain(subject.fd, logger, error)
      return
    }
    this.#tally.errors++
    this.#log.failed(subject.fd, logger, error)
    this.#tell('error', subject, error)
  }

  /** The app made a call that had to be mended or refused. */
  misused (subject: T | undefined, error: Error): void {
    this.#tally.errors++
    this.#log.misused(error, subject?.fd)
    this.#tell('error', subject, error)
  }

  /** @param bytes of its message */
  pushed (result: PushResult, bytes = 0): void {
    this.#tally.pushes[result]++
    if (result === 'sent' || result === 'buffered') this.#took(1, bytes)
  }

  #took (messages: number, bytes: number): void {
    this.#tally.messages.out += messages
    this.#tally.bytes.out += bytes
  }

  /** One has come from a peer, whoever gets it. */
  came (bytes: number): void {
    this.#tally.messages.in++
    this.#tally.bytes.in += bytes
  }

  /** @param send sends it to all; what happens meanwhile is told, in its order, when that has returned */
  broadcast (send: () => void): void {
    this.#tally.broadcasts++
    this.together(send)
  }

  /** To how many it went, and how many were full. @param bytes of it */
  reached (count: number, full: number, bytes: number): void {
    this.#took(count, count * bytes)
    this.#tally.recipients.reached += count
    this.#tally.recipients.full += full
  }

  /** So much more is kept until it is confirmed; less, if negative. */
  kept (messages: number, bytes: number): void {
    this.#tally.unconfirmed.messages += messages
    this.#tally.unconfirmed.bytes += bytes
  }

  /** A ping was answered. @param roundTrip in ms */
  answered (roundTrip: number): void { this.#tally.roundTrips.observe(roundTrip) }

  /** What happens meanwhile is told, in its order, when that has returned. */
  together (act: () => void): void {
    // What the app does within that is part of it.
    if (this.#held !== null) {
      act()
      return
    }
    this.#held = []
    try {
      act()
    } finally {
      this.#tellHeld()
    }
  }

  /**
   * What listeners cause while they are told comes behind it, in a later turn of the loop: one that pushes again what was refused
   * must not keep it from turning.
   */
  #tellHeld (): void {
    const held = this.#held!
    const caused: Array<Telling<T>> = []
    try {
      for (const telling of held) {
        this.#held = caused
        if (this.#waits(telling)) this.#cause(telling)
        else telling.tell()
      }
    } finally {
      this.#held = null
      if (this.#caused.length === 0 && caused.length > 0) later(() => { this.#tellCaused() })
      for (const telling of caused) this.#cause(telling)
    }
  }

  #tellCaused (): void {
    this.#held = this.#caused
    this.#caused = []
    this.#causedOf.clear()
    this.#tellHeld()
  }

  /** What became of a message whose sender waited to know. */
  delivered (outcome: Outcome): void { this.#tally.deliveries[outcome]++ }

  /** A first message did not fit; and enough has gone for it to fit again. */
  full (subject: T): void { this.#tell('full', subject) }
  drained (subject: T): void { this.#tell('drain', subject) }

  /**
   * A message for the peer did not fit. Its bytes may still be the app's, to change or to transfer: so this comes before the app is told
   * of anything. @param policy what else comes of it: `drop`: nothing @returns it, to be told of, and nobody else's; null: nobody listens
   */
  refused (subject: T, message: Outgoing, policy: 'drop' | 'close'): Outgoing | null {
    this.#tally.dropped.full++
    if (policy === 'drop') this.#log.warned('full', subject.fd)
    return this.#audience.listens('drop', subject) ? message.own() : null
  }

  refusal (subject: T, message: Outgoing): void {
    this.#inTurn({
      subject,
      tell: () => {
        // Not sooner, for it is a copy, and a broadcast may be refused by thousands.
        const { data, binary, size } = message
        this.#audience.tell('drop', subject, { reason: 'full', messages: 1, bytes: size, data, binary })
      }
    })
  }

  /** Messages of the peer were let go, for nobody took them. */
  dropped (subject: T, messages: number, bytes: number): void {
    this.#tally.dropped.unread += messages
    this.#tell('drop', subject, { reason: 'unread', messages, bytes })
  }

  /** So many more messages of a peer were let go, without a word. */
  ignored (messages = 1): void { this.#tally.dropped.unread += messages }

  /** One did not parse, or did not fit. @param why in words */
  invalid (subject: T, logger: Logger | null, why: string): void {
    this.#tally.invalid++
    this.#log.invalid(subject.fd, logger, why)
  }

  // Limits and upgrades.

  /** A peer went past a limit. @param subject null: it has become no connection */
  exceeded (limit: Limited, subject: T | null): void {
    this.#tally.limited[limit]++
    if (limit === 'payload' && subject !== null) this.#log.warned('payload', subject.fd)
  }

  /** A client's address is none that can be counted by. @param example such a one */
  unreadable (example: string): void { this.#log.warned('address', null, example) }

  /** Nobody was let in, for a limit. @param why null: the log has a line of it already */
  turnedAway (limit: Limited, why: string | null): void {
    this.exceeded(limit, null)
    this.#log.refused(limit, why)
  }

  /** A WebSocket was opened on a route that takes none. */
  misplaced (route: string): void {
    this.#log.refused('route', `the route ${route} takes no WebSocket. If it should, declare it with \`websocket: true\`, after the registration of the plugin (await it)`, { route })
  }

  /** An upgrade became no connection. */
  upgradeRefused (): void { this.#tally.upgrades.refused++ }

  /** Nobody had decided it in time. */
  upgradeTimedOut (): void { this.#tally.upgrades.timedOut++ }

  pinged (): void { this.#tally.heartbeat.pings++ }
  foundDead (): void { this.#tally.heartbeat.lost++ }
}
