/**
 * What this package says in the app's log, and how often.
 * Invariant: the number of lines above debug is bounded by time and by the app's own errors,
 * never by what peers do. A log that cannot be written disturbs nothing.
 */
import { isChurn } from '../core/causes.js'
import type { Cause } from '../core/causes.js'
import type { Limited } from '../core/limited.js'
import { Warnings } from './warnings.js'
import type { Noted } from './warnings.js'

/** How long churn is gathered before one line sums it up, in ms. */
export const SUMMARY_WINDOW = 60_000

/** So many different ones of a kind have a line of their own in a window: a second slip is seen beside the first, and what reads otherwise each time fills no disk. */
const DIFFERENT_MAX = 5

/** What we need of `fastify.log`. */
export interface Logger {
  debug (fields: object, message: string): void
  info (fields: object, message: string): void
  warn (fields: object, message: string): void
  error (fields: object, message: string): void
}

/** What would else be seen in `stats()` alone, and names the option that does it. */
const warnings = {
  payload: 'a message was larger than limits.payload, or in too many pieces, and its connection was closed',
  full: 'a message was dropped (full), for more than backpressure.limit waited for its connection, or, with receipts, was unconfirmed',
  address: 'the address of a client cannot be read, so it counts as one with all others of that kind (limits.perAddress)'
} as const

export type Warning = keyof typeof warnings

/** Of what an app's code has thrown: even that may throw when it is read. */
function readable (err: Error & { code?: string }): { kind: string, message: string } {
  try {
    return { kind: String(err.code ?? err.name), message: String(err.message) }
  } catch {
    return { kind: 'unreadable', message: 'an error that cannot be read' }
  }
}

export class Log {
  readonly #logger: Logger
  readonly #churn = new Map<Cause, number>()
  readonly #mistakes = new Map<string, { times: number, readonly said: Set<string> }>()
  readonly #refused = new Map<Limited | 'route', number>()
  readonly #warnings = new Warnings<Warning>((kind, noted) => { this.#warn(kind, noted) })
  #window: NodeJS.Timeout | null = null

  constructor (logger: Logger) {
    this.#logger = logger
  }

  /** Something worth one line in the life of the server. */
  notice (message: string): void {
    this.#say('info', {}, `lifeline: ${message}`)
  }

  /** @fastify/websocket is registered in other contexts as well. @param times in all */
  another (times: number): void {
    this.notice(`@fastify/websocket is registered ${times} times in this app. The connections of all are under the limits and the heartbeat of this plugin. Registered first and in the root context, it is the only one that plugins need which look for \`websocketServer\``)
  }

  /** Somebody listens for upgrades whom we do not know. */
  stranger (): void {
    this.#say('warn', {}, 'lifeline: something else than @fastify/websocket listens for "upgrade" on this server (a WebSocketServer, Socket.IO, a proxy). Both answer every upgrade, and what it takes is no connection of this plugin: no limits, origins or heartbeat hold there. Give it a server of its own; or let Fastify route its path, and hand the upgrade over there: `reply.hijack()` in an onRequest hook, then its `handleUpgrade(request.raw, request.raw.socket, Buffer.alloc(0), …)`')
  }

  /** @param logger here and below: the request's own, with its level, bindings and serializers; null: the server's */
  opened (fd: number, logger: Logger | null): void {
    this.#say('debug', { fd }, 'lifeline: open', logger)
  }

  closed (logger: Logger | null, { fd, cause, code, reason }: { fd: number, cause: Cause, code: number, reason: string }): void {
    this.#say('debug', { fd, cause, code, reason }, 'lifeline: closed', logger)
    if (!isChurn(cause)) return
    this.#churn.set(cause, (this.#churn.get(cause) ?? 0) + 1)
    this.#gather()
  }

  failed (fd: number, logger: Logger | null, err: unknown): void {
    this.#say('error', { err, fd }, 'lifeline: the handler of a connection failed', logger)
  }

  failedAgain (fd: number, logger: Logger | null, err: unknown): void {
    this.#say('debug', { err, fd }, 'lifeline: the handler of a connection that has ended failed', logger)
  }

  /** Whatever a peer sends: it is the peer's fault. */
  invalid (fd: number, logger: Logger | null, why: string): void {
    this.#say('debug', { fd, why }, 'lifeline: a message was invalid', logger)
  }

  /** One line a window for each mistake, and few for each kind: a loop over a wrong fd must not fill the disk. */
  misused (err: Error & { code?: string }, fd: number | undefined): void {
    const { kind, message } = readable(err)
    if (this.#isNew(kind, message)) this.#say('error', { err, fd }, `lifeline: ${message}`)
  }

  listenerThrew (event: string, err: unknown): void {
    if (this.#isNew(`listener of "${event}"`, readable(Object(err) as Error).message)) this.#say('error', { err }, `lifeline: a listener of the event "${event}" failed`)
  }

  /** Many were reset after the same idle time. @param interval of the heartbeat, in ms; undefined: there is none */
  cut (idle: number, interval: number | undefined): void {
    const seconds = (idle / 1000).toFixed(1)
    const advice = interval === undefined ? 'a heartbeat would keep them open' : `keep heartbeat.interval (${interval} ms) below that`
    this.#say('warn', { idle: Math.round(idle), interval }, `lifeline: connections are cut after ${seconds} s without traffic: something on the way has an idle timeout; ${advice}`)
  }

  /** An upgrade was refused; one line a window for each limit, and one for all routes that take none. @param why null: it has been said */
  refused (limit: Limited | 'route', why: string | null, fields: object = { limit }): void {
    const before = this.#refused.get(limit) ?? 0
    this.#refused.set(limit, before + 1)
    this.#gather()
    if (before === 0 && why !== null) this.#say('warn', fields, `lifeline: an upgrade was refused: ${why}`)
  }

  /** One line a window for each kind, whatever a peer does in a loop. @param fd null: it is no connection's @param example of what it was, as much as may be in a line */
  warned (kind: Warning, fd: number | null, example = ''): void {
    this.#warnings.note(kind, fd, example)
    this.#gather()
  }

  errorHandlerThrew (err: unknown): void {
    this.#say('error', { err }, 'lifeline: the app\'s own errorHandler failed')
  }

  /** A WebSocket that is none of ours: made while the server was not yet, or no more, ours. */
  unadopted (err: unknown): void {
    this.#say('error', { err }, 'lifeline: the handler of a WebSocket without a connection failed')
  }

  /** Says what was gathered, and stops gathering. */
  close (): void {
    if (this.#window === null) return
    clearTimeout(this.#window)
    this.#summarize()
    this.#warnings.turn(true)
  }

  /** Whether a line tells of it; all are counted for the summary. */
  #isNew (kind: string, message: string): boolean {
    let of = this.#mistakes.get(kind)
    if (of === undefined) this.#mistakes.set(kind, of = { times: 0, said: new Set() })
    of.times++
    this.#gather()
    if (of.said.has(message) || of.said.size >= DIFFERENT_MAX) return false
    of.said.add(message)
    return true
  }

  /** What the app threw may not even be readable, and a destination that fails may throw (a full disk): neither is a connection's matter. */
  #say (level: keyof Logger, fields: object, message: string, logger: Logger | null = null): void {
    const to = logger ?? this.#logger
    try {
      to[level](fields, message)
    } catch (failure) {
      try {
        to[level]({ failure: String(failure) }, message)
      } catch {}
    }
  }

  readonly #warn = (kind: Warning, { times, connections, example }: Noted): void => {
    const of = connections > 0 ? ` for ${connections} ${connections === 1 ? 'connection' : 'connections'}` : ''
    this.#say('warn', { times, ...(connections > 0 && { connections }) }, `lifeline: ${warnings[kind]}: ${times} since the last line${of}${example === '' ? '' : `, such as ${example}`}`)
  }

  #gather (): void {
    this.#window ??= setTimeout(this.#turn, SUMMARY_WINDOW).unref()
  }

  readonly #turn = (): void => {
    this.#summarize()
    if (this.#warnings.turn(false)) this.#gather()
  }

  #summarize (): void {
    this.#window = null
    const repeated = [...this.#mistakes].filter(([, { times, said }]) => times > said.size).map(([kind, { times }]) => [kind, times])
    const fields = {
      ...(this.#churn.size > 0 && { closed: Object.fromEntries(this.#churn) }),
      ...(repeated.length > 0 && { errors: Object.fromEntries(repeated) }),
      ...(this.#refused.size > 0 && { refused: Object.fromEntries(this.#refused) })
    }
    this.#churn.clear()
    this.#mistakes.clear()
    this.#refused.clear()
    if (Object.keys(fields).length > 0) this.#say('info', fields, 'lifeline: summary of the last minute')
  }
}
