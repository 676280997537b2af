/**
 * `fastify.lifeline`: everything beyond `exists` and `safePush`, in one namespace.
 * Sync verbs are immediate; async verbs answer in a later turn of the event loop. All speak of this process.
 */
import type { IncomingMessage } from 'node:http'
import type { FastifyRequest } from 'fastify'
import type WebSocket from 'ws'
import { checkBoolean, readOptions } from '../core/arguments.js'
import { groupName } from '../core/groups.js'
import { FST_ERR_LIFELINE_ARGUMENT, FST_ERR_LIFELINE_INVALID_FD, FST_ERR_LIFELINE_NO_CONNECTION } from '../core/errors.js'
import { nextTurn } from '../core/time/loop.js'
import type { PushOptions, PushResult } from '../core/payload.js'
import { checkDeliver } from '../core/receipts.js'
import type { DeliverOptions, Delivery } from '../core/receipts.js'
import type { Registry } from '../core/registry.js'
import type { House } from '../life/house.js'
import type { Log } from '../observe/log.js'
import type { Tally } from '../observe/tally.js'
import { namedBy, pushToAll } from './audience.js'
import type { Audience, BroadcastOptions } from './audience.js'
import { lifeOf } from './connection.js'
import type { Connection } from './connection.js'
import { Events } from './events.js'
import { Group } from './group.js'
import type { ConnectionInfo } from './info.js'
import { isSlip, mayBeFd, whatIs, whatIsInstead } from './no-fd.js'
import { connectionOf } from './request.js'
import type { MessageOf } from './request.js'
import { statsOf } from './stats.js'
import type { Stats } from './stats.js'

/** Of close codes (RFC 6455 §7.4.2); fds are larger, but in one process of a thousand. */
const CODE_MAX = 4999

/** Whether it could name somebody. */
const isTarget = (target: unknown, data?: unknown): boolean => mayBeFd(target) || (typeof target === 'string' && !isSlip(target, data))

const listOptions = new Set(['after', 'limit'])
const sweepOptions = new Set(['close'])

/** What the heartbeat does now. */
export interface HeartbeatStatus {
  /** Whether the timer runs: it does from the first upgrade to the end of the last connection. False where nobody has a heartbeat. */
  readonly running: boolean
  /**
   * How long after its last sign of life a dead peer is found at the latest, in ms; Infinity with `heartbeat: false`.
   * On routes with a heartbeat of their own: theirs. `backpressure.stallTimeout`, if that is more, for a peer with much on its way.
   */
  readonly bound: number
}

/** What a lifeline is made of. */
export interface Parts {
  readonly house: House<Connection>
  readonly tally: Tally
  readonly log: Log
  /** Of the plugin's heartbeat, in ms: for `sweep` where it is switched off, and the bound. */
  readonly timeout: number
  readonly bound: number
  /** Whether there is a heartbeat on any route. */
  readonly beats: boolean
  /** The name of the route of a request, if that takes no WebSockets; else null. May throw for what is no request. */
  readonly plain: (request: FastifyRequest) => string | null
}

/** All connections of one server: `fastify.lifeline`. An EventEmitter, whose listeners can throw without harm. */
export class Lifeline extends Events {
  /** Whether the heartbeat runs, and how late it finds a dead peer. */
  readonly heartbeat: HeartbeatStatus
  readonly #parts: Parts
  readonly #house: House<Connection>
  readonly #registry: Registry<Connection>
  readonly #tally: Tally
  readonly #everybody: Audience

  /** Made by the plugin: one for each server. @internal */
  constructor (parts: Parts) {
    super((event, error) => { parts.log.listenerThrew(event, error) }, parts.house.awaited)
    this.#parts = parts
    this.#house = parts.house
    this.#registry = parts.house.registry
    this.#tally = parts.tally
    this.#everybody = { list: () => this.#registry.values(), has: null }
    this.heartbeat = {
      get running () { return parts.beats && parts.house.wheel.running },
      get bound () { return parts.bound }
    }
  }

  /** How many connections there are here, open or closing. */
  get size (): number { return this.#registry.size }

  /** In the order of their fd. */
  [Symbol.iterator] (): IterableIterator<Connection> {
    return this.#registry.values()
  }

  /** Whether a push to this fd would find somebody, here and now. Takes anything, and reports nothing; O(1), allocates nothing. */
  exists (fd: unknown): boolean {
    const connection = this.#registry.get(fd)
    return connection !== undefined && lifeOf(connection).transport.open
  }

  /** The connection with this fd or id; undefined if it is over, or never was. Takes anything. */
  get (target: unknown): Connection | undefined {
    return typeof target === 'string' ? this.#registry.byId(target) : this.#registry.get(target)
  }

  /**
   * The connection of an upgraded request; also by its raw request, or its socket, where that is all there is. By the request its messages
   * are typed: see `ParsedMessage`.
   * @throws FST_ERR_LIFELINE_NO_CONNECTION for an ordinary request
   */
  of<R extends FastifyRequest<any, any, any, any, any, any, any, any>> (request: R): Connection<MessageOf<R>>
  of (request: FastifyRequest | IncomingMessage | WebSocket): Connection
  of (request: FastifyRequest | IncomingMessage | WebSocket): Connection {
    const connection = connectionOf(request)
    if (connection === null) throw new FST_ERR_LIFELINE_NO_CONNECTION(this.#whyNone(request))
    return connection
  }

  #whyNone (request: unknown): string {
    try {
      const route = this.#parts.plain(request as FastifyRequest)
      if (route !== null) return `its route, ${route}, is declared without \`websocket: true\`. Was that forgotten?`
    } catch {}
    return 'it is an ordinary one, or was refused, or is not there yet: its hooks run before there is a connection'
  }

  /**
   * Connections as plain data, in the order of their fd: those after the fd `after` (default: all), at most `limit` (default: all).
   * @throws FST_ERR_LIFELINE_ARGUMENT if `after` or `limit` is no number, or for an option that does not exist
   */
  list (options: { after?: number, limit?: number } = {}): ConnectionInfo[] {
    const { after = 0, limit = Infinity } = readOptions('list', options, listOptions)
    if (typeof after !== 'number' || Number.isNaN(after)) throw new FST_ERR_LIFELINE_ARGUMENT('list: after is an fd')
    if (typeof limit !== 'number' || !(limit >= 0 && (Number.isInteger(limit) || limit === Infinity))) throw new FST_ERR_LIFELINE_ARGUMENT('list: limit is a whole number from 0')
    const infos: ConnectionInfo[] = []
    for (const [fd, connection] of this.#registry.entries()) {
      if (infos.length >= limit) break
      if (fd > after) infos.push(connection.info())
    }
    return infos
  }

  /** Counters since registration, and what is now; plain data, a copy. O(1), however many connections there are. */
  stats (): Stats { return statsOf(this.#tally, this.#house, this.size) }

  /** Pushes to one connection and says what became of it. Never throws. */
  push (fd: unknown, data: unknown, options?: PushOptions): PushResult {
    const connection = this.#registry.get(fd)
    return connection !== undefined ? connection.push(data, options) : this.#nobody(mayBeFd(fd), 'an fd is a number', fd, data)
  }

  /** @param named whether it could have been somebody @param rule what names one */
  #nobody (named: boolean, rule: string, target: unknown, data: unknown): 'gone' | 'invalid' {
    const { journal } = this.#house
    if (named) {
      journal.pushed('gone')
      return 'gone'
    }
    journal.pushed('invalid')
    journal.misused(undefined, new FST_ERR_LIFELINE_INVALID_FD(`${rule}, this is ${whatIsInstead(target, data)}`))
    return 'invalid'
  }

  /**
   * Pushes to one connection, and waits until the peer has it: `connection.deliver` by fd or id. Never rejects for what the network does.
   * @throws FST_ERR_LIFELINE_ARGUMENT for an option that does not exist, a timeout or a signal that is none
   */
  deliver (target: unknown, data: unknown, options: DeliverOptions = {}): Promise<Delivery> {
    const connection = this.get(target)
    if (connection !== undefined) return connection.deliver(data, options)
    checkDeliver(options)
    const outcome = this.#nobody(isTarget(target, data), 'an fd is a number, and an id a string', target, data)
    this.#house.journal.delivered(outcome)
    return nextTurn().then(() => ({ outcome }))
  }

  /**
   * A group: who is in it here, live, and what can be sent to them; as good for one that nobody has joined. O(1).
   * @throws FST_ERR_LIFELINE_ARGUMENT for what is no group's name
   */
  group (name: string): Group {
    return new Group(this.#house, groupName(name))
  }

  /**
   * Pushes to every connection here. Returns to how many: those who are gone or full are left out, and hold nobody up. Never throws
   * for what is pushed. (To the members of a group: `group(name).push`.)
   * @throws FST_ERR_LIFELINE_ARGUMENT for an `except` that is no fd and no connection (or is there and undefined), for an option that
   * does not exist: a slip must not reach everybody
   */
  broadcast (data: unknown, options?: BroadcastOptions): number {
    return pushToAll(this.#house, 'broadcast', this.#everybody, data, options)
  }

  /** The members of a group as plain data. @throws FST_ERR_LIFELINE_ARGUMENT for what is no group's name */
  async members (name: string): Promise<{ members: ConnectionInfo[], incomplete: boolean }> {
    const members = Array.from(this.group(name), (connection) => connection.info())
    await nextTurn()
    return { members, incomplete: false }
  }

  /** Pushes to every member of a group: to how many, and `bus`, which says that nobody else was asked. @throws FST_ERR_LIFELINE_ARGUMENT as `group(name).push` */
  async publish (name: string, data: unknown, options?: BroadcastOptions): Promise<{ local: number, bus: 'none' }> {
    const local = this.group(name).push(data, options)
    await nextTurn()
    return { local, bus: 'none' }
  }

  /** Pushes to the connection with this id. */
  async send (id: string, data: unknown, options?: PushOptions): Promise<PushResult> {
    const connection = typeof id === 'string' ? this.#registry.byId(id) : undefined
    const result = connection !== undefined ? connection.push(data, options) : this.#nobody(typeof id === 'string' && isTarget(id, data), 'an id is a string', id, data)
    await nextTurn()
    return result
  }

  /** The connection with this fd or id as plain data; null: there is none. What is neither is reported. */
  async find (target: number | string): Promise<ConnectionInfo | null> {
    if (!isTarget(target)) this.#misnamed('find: the target is an fd or an id', target)
    const info = this.get(target)?.info() ?? null
    await nextTurn()
    return info
  }

  /** How many connections there are. */
  async count (): Promise<number> {
    const { size } = this
    await nextTurn()
    return size
  }

  /**
   * Closes, as its `close` does, the connection with this fd or id, or this one, or every member of `{ group }`. To how many that was
   * said: those who close already do not count. What names nobody is reported.
   * @throws FST_ERR_LIFELINE_ARGUMENT for what is no group's name
   */
  async disconnect (target: number | string | Connection | { group: string }, code?: number, reason?: string | Uint8Array): Promise<number> {
    const named = namedBy(this, target)
    if (named === null || isSlip(target)) this.#misnamed('disconnect: the target is an fd, an id, a Connection or { group }', target)
    else if (named.length === 0 && typeof target === 'number' && typeof code === 'number' && code > CODE_MAX) this.#misused(`disconnect: nobody has the fd ${target}, and ${code} is no close code: the two look swapped`)
    const open = (named ?? []).filter(({ state }) => state === 'open')
    for (const connection of open) connection.close(code, reason)
    await nextTurn()
    return open.length
  }

  #misnamed (rule: string, target: unknown): void { this.#misused(`${rule}, not ${whatIs(target)}`) }

  #misused (what: string): void { this.#house.journal.misused(undefined, new FST_ERR_LIFELINE_ARGUMENT(what)) }

  /**
   * What the heartbeat would do, now: whoever has been silent is asked; the fds of those who were asked
   * at least `heartbeat.timeout` ago (that of the route; 10 s where there is no heartbeat) and have stayed silent since are returned,
   * and, if `close` (the default), terminated. Also with `heartbeat: false`, for an app that keeps its own time.
   * @throws FST_ERR_LIFELINE_ARGUMENT for a `close` that is neither true nor false, or for an option that does not exist
   */
  sweep (options: { close?: boolean } = {}): number[] {
    const read = readOptions('sweep', options, sweepOptions)
    const close = 'close' in read ? read.close : true
    checkBoolean('sweep: close', close)
    const { heartbeat } = this.#house
    const { timeout } = this.#parts
    const lives = Array.from(this.#registry.values(), lifeOf)
    const overdue = heartbeat.sweep(lives.map((life) => life.run.pulse), timeout)
    const lost = lives.filter((life) => overdue.has(life.run.pulse) && !life.protected)
    if (close) for (const life of lost) heartbeat.lose(life.run.pulse)
    return lost.map((life) => life.fd)
  }
}
