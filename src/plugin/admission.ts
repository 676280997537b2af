/**
 * Who is let in: pages of the right origin, and no more connections than there is room for. Asked before the app's
 * handlers, and before those of its hooks that come later.
 * Invariant: whoever was let in counts until it has become no connection after all, or its connection is over; only a check that
 * was made, and said yes, lets anybody in.
 * Knows nothing of what will carry the connection.
 */
import type { FastifyRequest } from 'fastify'
import { subscriberOf } from '../core/address.js'
import { FST_ERR_LIFELINE_ADDRESS, FST_ERR_LIFELINE_ORIGINS } from '../core/errors.js'
import { describe } from '../core/payload.js'
import { someTime } from '../protocol/retry.js'
import type { Limited } from '../core/limited.js'
import type { OriginRule } from './origins.js'

type Reason = Extract<Limited, 'origins' | 'connections' | 'perAddress'>

/** What is said to who is refused, where that depends on what was asked for. */
interface Refusals {
  readonly origins: string
  readonly unknown: string
}

const answers: Record<Reason | 'unknown', { status: number, error: string }> = {
  origins: { status: 403, error: 'Forbidden' },
  connections: { status: 503, error: 'Service Unavailable' },
  perAddress: { status: 429, error: 'Too Many Requests' },
  unknown: { status: 500, error: 'Internal Server Error' }
}

/** What those have in common whose address says nothing: they are one client. */
const NOBODY = 'unknown'

const full = { connections: 'Too many connections', perAddress: 'Too many connections from this address' }

/** A header is the peer's to choose: so much of it goes into the log. */
const LOGGED = 200

export interface AdmissionOptions {
  /** How many connections at a time, in all and of one address; Infinity: any number. */
  readonly connections: number
  readonly perAddress: number
  /** Over how long those who are sent away are told to come back, in ms. */
  readonly reconnect: number
  /** @throws if nobody can say */
  readonly ruleOf: (request: FastifyRequest) => OriginRule | null
  /** The app's own code failed, or gave what it should not. */
  readonly onError: (error: Error) => void
}

/** What a client holds that was let in. */
export interface Place {
  /** Its address, read once for all; empty: it has none. */
  readonly ip: string
  /** Must be called when it is over; null: it does not count. */
  readonly leave: (() => void) | null
}

/** What a client is answered by that is refused: a reply of Fastify's, or what stands for one. */
export interface Answer {
  code (status: number): unknown
  header (name: string, value: number): unknown
  send (body: object): unknown
}

/** Who asks for a connection, and how it may go on. */
export interface Applicant {
  readonly request: FastifyRequest
  readonly reply: Answer
  /** The page that it comes from; undefined: it names none. */
  readonly origin: string | undefined
  readonly refusals: Refusals
  /** Whether somebody still waits for what is decided: the client may have left, or the time been up. */
  waits (): boolean
  /** It is let in. */
  enter (place: Place): void
  /** The hooks behind ours may run. */
  proceed (): void
}

/** Who counts, and writes it down. */
export interface AdmissionJournal {
  /** @param example such an address */
  unreadable (example: string): void
  /** @param why null: the log has a line of it already */
  turnedAway (limit: Limited, why: string | null): void
}

export class Admission {
  readonly #options: AdmissionOptions
  readonly #journal: AdmissionJournal
  readonly #perAddress = new Map<string, number>()
  #inside = 0

  constructor (options: AdmissionOptions, journal: AdmissionJournal) {
    this.#options = options
    this.#journal = journal
  }

  /**
   * Asks about a client, and answers it if it is refused. What cannot be found out refuses it: a check that
   * fails lets nobody in.
   */
  ask (applicant: Applicant): void {
    const { request } = applicant
    let said: unknown
    let rule: OriginRule | null
    try {
      rule = this.#options.ruleOf(request)
    } catch (error) {
      this.#options.onError(error as Error)
      this.#refuse('unknown', applicant)
      return
    }
    if (rule === null) {
      this.admit(applicant)
      return
    }
    try {
      said = rule(applicant.origin, request)
    } catch (error) {
      this.#failed(applicant, 'threw', error)
      return
    }
    if (typeof said === 'boolean') {
      this.#judge(applicant, said)
      return
    }
    // Asks a thenable once, whatever it does; what it says after the first time is not heard.
    new Promise((resolve) => { resolve(said) }).then(
      (said: unknown) => { this.#judge(applicant, said) },
      (error: unknown) => { this.#failed(applicant, 'was rejected', error) })
  }

  /** Gives it a place, if there is one, whatever page it comes from. */
  admit (applicant: Applicant): void {
    const { request } = applicant
    // Also where nobody counts by it: after the answer there is no way left to refuse.
    let ip: string | null
    try {
      ip = ipOf(request)
    } catch (error) {
      const failure = new FST_ERR_LIFELINE_ADDRESS(describe(error))
      failure.cause = error
      this.#options.onError(failure)
      this.#refuse('unknown', applicant)
      return
    }
    const address = ip === null || this.#options.perAddress === Infinity ? null : this.#clientOf(ip, applicant)
    const reason = this.#full(address)
    if (reason !== null) {
      this.#refuse(reason, applicant, false, address === NOBODY ? `clients whose address cannot be read, such as ${unreadable(ip!)}` : ip)
      return
    }
    // Nothing comes between the count and the place that is taken.
    if (!applicant.waits()) return
    applicant.enter({ ip: ip ?? '', leave: this.#enter(address) })
    applicant.proceed()
  }

  #clientOf (ip: string, applicant: Applicant): string {
    const subscriber = subscriberOf(ip)
    // Who has left has no address any more.
    if (subscriber === null && applicant.waits()) this.#journal.unreadable(unreadable(ip))
    return subscriber ?? NOBODY
  }

  #judge (applicant: Applicant, said: unknown): void {
    if (said === true) this.admit(applicant)
    else if (said === false) this.#refuse('origins', applicant)
    else this.#unsure(applicant, new FST_ERR_LIFELINE_ORIGINS(`must say true or false, and said ${show(said)}`))
  }

  #failed (applicant: Applicant, how: string, reason: unknown): void {
    const error = new FST_ERR_LIFELINE_ORIGINS(`${how}: ${describe(reason)}`)
    error.cause = reason
    this.#unsure(applicant, error)
  }

  #unsure (applicant: Applicant, error: Error): void {
    this.#options.onError(error)
    this.#refuse('origins', applicant, true)
  }

  #full (address: string | null): Reason | null {
    const { connections, perAddress } = this.#options
    if (this.#inside >= connections) return 'connections'
    return address !== null && (this.#perAddress.get(address) ?? 0) >= perAddress ? 'perAddress' : null
  }

  #enter (address: string | null): (() => void) | null {
    const { connections, perAddress } = this.#options
    if (connections === Infinity && perAddress === Infinity) return null
    this.#inside++
    if (address !== null) this.#perAddress.set(address, (this.#perAddress.get(address) ?? 0) + 1)
    let inside = true
    return () => {
      if (!inside) return
      inside = false
      this.#inside--
      if (address === null) return
      const left = this.#perAddress.get(address)! - 1
      if (left === 0) this.#perAddress.delete(address)
      else this.#perAddress.set(address, left)
    }
  }

  /** @param said whether the log has a line of it already @param whose whom it concerns */
  #refuse (reason: Reason | 'unknown', applicant: Applicant, said = false, whose: string | null = null): void {
    if (!applicant.waits()) return
    const { reply, refusals } = applicant
    const { status, error } = answers[reason]
    const message = { ...full, ...refusals }[reason]
    if (reason !== 'unknown') {
      this.#journal.turnedAway(reason, said ? null : this.#explain(reason, applicant, whose))
    }
    reply.code(status)
    if (reason === 'connections' || reason === 'perAddress') reply.header('retry-after', Math.ceil(someTime(Math.max(1000, this.#options.reconnect)) / 1000))
    reply.send({ statusCode: status, error, message })
  }

  #explain (reason: Reason, { request, origin }: Applicant, whose: string | null): string {
    switch (reason) {
      case 'origins': return `the origin ${origin === undefined ? null : quote(origin)} is none of those in \`origins\``
      case 'connections': return `limits.connections, ${this.#options.connections}, is reached`
      case 'perAddress': {
        // Without trustProxy all clients of a proxy have its address. (With it there is `ips`, and reading that asks the app once more.)
        const proxy = !('ips' in request) && request.headers['x-forwarded-for'] !== undefined
        const hint = proxy ? '. It comes through a proxy: set trustProxy of Fastify, or all its clients count as one' : ''
        return `limits.perAddress, ${this.#options.perAddress}, is reached for ${whose}${hint}`
      }
    }
  }
}

/** null: it has none, for it was injected. Behind a Unix socket nobody has one of their own: they are one. */
function ipOf (request: FastifyRequest): string | null {
  // With trustProxy the `ip` of an injected request throws.
  if (request.raw.socket == null) return null
  return request.ip || ''
}

const unreadable = (ip: string): string => ip === '' ? 'none at all, as on a Unix socket' : quote(ip)
const quote = (written: string): string => JSON.stringify(written.slice(0, LOGGED))

function show (value: unknown): string {
  return value === null || value === undefined ? String(value) : `a value of type ${typeof value}`
}
