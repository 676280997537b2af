/**
 * Who is let in: pages of the right origin, and no more connections than there is room for. Asked before the app's
 * handlers, and before those of its hooks that come later.
 * Invariant: whoever was let in counts until its upgrade has failed, or its connection is over.
 */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { subscriberOf } from '../core/address.js'
import { someTime } from '../core/retry.js'
import type { Limited, Tally } from '../core/tally.js'
import type { Log } from '../observe/log.js'
import type { OriginRule } from './origins.js'

type Reason = Extract<Limited, 'origins' | 'connections' | 'perAddress'>

const refusals: Record<Reason, { status: number, error: string, message: string }> = {
  origins: { status: 403, error: 'Forbidden', message: 'This origin may not open a WebSocket here' },
  connections: { status: 503, error: 'Service Unavailable', message: 'Too many connections' },
  perAddress: { status: 429, error: 'Too Many Requests', message: 'Too many connections from this address' }
}

/** A header is the peer's to choose: so much of it goes into the log. */
const LOGGED = 200

export interface AdmissionOptions {
  /** How many connections at a time, in all and of one address; Infinity: any number. */
  readonly connections: number
  readonly perAddress: number
  /** Over how long those who are sent away are told to come back, in ms. */
  readonly reconnect: number
  readonly ruleOf: (request: FastifyRequest) => OriginRule | null
}

export class Admission {
  readonly #options: AdmissionOptions
  readonly #tally: Tally
  readonly #log: Log
  readonly #perAddress = new Map<string, number>()
  #inside = 0

  constructor (options: AdmissionOptions, tally: Tally, log: Log) {
    this.#options = options
    this.#tally = tally
    this.#log = log
  }

  /**
   * Asks about an upgrade, and answers it if it is refused.
   * @param enter is given what must be called when it is over; null if it does not count
   * @param done as of a hook
   */
  ask (request: FastifyRequest, reply: FastifyReply, enter: (leave: (() => void) | null) => void, done: (error?: Error) => void): void {
    const decide = (allowed: boolean): void => {
      const reason = allowed ? this.#full(request) : 'origins'
      if (reason === null) {
        enter(this.#enter(request))
        done()
      } else {
        this.#refuse(reason, request, reply)
      }
    }
    const rule = this.#options.ruleOf(request)
    if (rule === null) {
      decide(true)
      return
    }
    try {
      const allowed = rule(request.headers.origin, request)
      if (typeof allowed === 'boolean') decide(allowed)
      else Promise.resolve(allowed).then(decide).catch(done)
    } catch (error) {
      done(error as Error)
    }
  }

  #full (request: FastifyRequest): Reason | null {
    const { connections, perAddress } = this.#options
    if (this.#inside >= connections) return 'connections'
    if (perAddress === Infinity) return null
    const address = addressOf(request)
    return address !== null && (this.#perAddress.get(address) ?? 0) >= perAddress ? 'perAddress' : null
  }

  #enter (request: FastifyRequest): (() => void) | null {
    const { connections, perAddress } = this.#options
    if (connections === Infinity && perAddress === Infinity) return null
    const address = perAddress === Infinity ? null : addressOf(request)
    this.#inside++
    if (address !== null) this.#perAddress.set(address, (this.#perAddress.get(address) ?? 0) + 1)
    return () => {
      this.#inside--
      if (address === null) return
      const left = this.#perAddress.get(address)! - 1
      if (left === 0) this.#perAddress.delete(address)
      else this.#perAddress.set(address, left)
    }
  }

  #refuse (reason: Reason, request: FastifyRequest, reply: FastifyReply): void {
    const { status, error, message } = refusals[reason]
    this.#tally.limited[reason]++
    this.#log.refused(reason, this.#explain(reason, request))
    reply.code(status)
    if (reason !== 'origins') reply.header('retry-after', Math.ceil(someTime(Math.max(1000, this.#options.reconnect)) / 1000))
    reply.send({ statusCode: status, error, message })
  }

  #explain (reason: Reason, request: FastifyRequest): string {
    switch (reason) {
      case 'origins': return `the origin ${JSON.stringify(request.headers.origin?.slice(0, LOGGED) ?? null)} is none of those in \`origins\``
      case 'connections': return `limits.connections, ${this.#options.connections}, is reached`
      case 'perAddress': {
        // Without trustProxy all clients of a proxy have its address.
        const proxy = request.ips === undefined && request.headers['x-forwarded-for'] !== undefined
        const hint = proxy ? '. It comes through a proxy: set trustProxy of Fastify, or all its clients count as one' : ''
        return `limits.perAddress, ${this.#options.perAddress}, is reached for ${request.ip}${hint}`
      }
    }
  }
}

/** null: it has none (an injected request, a Unix socket). */
function addressOf (request: FastifyRequest): string | null {
  // With trustProxy the `ip` of an injected request throws.
  if (request.raw.socket == null) return null
  return request.ip ? subscriberOf(request.ip) : null
}
