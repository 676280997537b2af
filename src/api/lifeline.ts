/**
 * `fastify.lifeline`: everything beyond `exists` and `safePush`, in one namespace.
 * Sync verbs are local and immediate; async verbs will one day be answered by other nodes too.
 */
import type { FastifyRequest } from 'fastify'
import { attempt, checkBoolean, readOptions } from '../core/arguments.js'
import { groupName } from '../core/groups.js'
import { FST_ERR_LIFELINE_ARGUMENT, FST_ERR_LIFELINE_INVALID_FD, FST_ERR_LIFELINE_NO_CONNECTION } from '../core/errors.js'
import { nextTurn } from '../core/time/loop.js'
import { toShared } from '../core/outgoing.js'
import type { Shared } from '../core/outgoing.js'
import type { PushOptions, PushResult } from '../core/payload.js'
import { checkDeliver } from '../core/receipts.js'
import type { DeliverOptions, Delivery } from '../core/receipts.js'
import type { Registry } from '../core/registry.js'
import type { Tally } from '../observe/tally.js'
import { isConnection, lifeOf } from './connection.js'
import type { Connection, ConnectionInfo } from './connection.js'
import { Events } from './events.js'
import type { House } from '../life/house.js'
import type { Log } from '../observe/log.js'

/** Under this key a request holds its connection. */
export const kConnection = Symbol('fastify-lifeline.connection')

export interface BroadcastOptions extends PushOptions {
  /** Only to the members of this group. Not undefined: leave it out to reach everybody. */
  group?: string
  /** Who shall not get it: fds, connections, or a list of them. Not undefined. */
  except?: number | Connection | ReadonlyArray<number | Connection>
}

/** The others are the message's: what is wrong with them is reported, and not thrown. */
const audienceOptions = ['group', 'except']
const broadcastOptions = new Set([...audienceOptions, 'binary'])
const NONE: BroadcastOptions = Object.freeze({})
const listOptions = new Set(['after', 'limit'])
const sweepOptions = new Set(['close'])

export interface Stats {
  /** Open or closing now. */
  connections: number
  /** Since registration, as all counters here. */
  opened: number
  /** Ended, per cause. */
  closed: Tally['closed']
  /** Upgrades that became no connection, and those of them that were not decided in time. */
  upgrades: { refused: number, timedOut: number }
  /** By result; those of broadcasts are not counted. */
  pushes: Tally['pushes']
  /** By outcome; those that a signal ended are not counted. */
  deliveries: Tally['deliveries']
  broadcasts: number
  /** Pings sent, peers found dead, and slots of the wheel that came late because the loop stalled. */
  heartbeat: { pings: number, lost: number, stalls: number }
  /** Messages of peers that nobody took, and pushes that a full connection did not take. */
  dropped: Tally['dropped']
  /** Bytes that wait to be handed to the operating system, over all connections. */
  bufferedBytes: number
  /** Groups that have a member. */
  groups: number
  /**
   * How often each limit was applied: upgrades refused (`origins`, `connections`, `perAddress`), connections closed
   * (`payload`, `firstMessage`), those paused or closed (`messageRate`, `byteRate`), pings not answered at once (`pongRate`).
   */
  limited: Tally['limited']
  /** Errors of the app's: in handlers, in listeners, in calls. */
  errors: number
}

export interface HeartbeatStatus {
  /** Whether the timer runs: it does from the first upgrade to the end of the last connection. */
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
}

export class Lifeline extends Events {
  readonly heartbeat: HeartbeatStatus
  readonly #parts: Parts
  readonly #house: House<Connection>
  readonly #registry: Registry<Connection>
  readonly #tally: Tally

  /** Made by the plugin: one for each server. */
  constructor (parts: Parts) {
    super((event, error) => { parts.log.listenerThrew(event, error) })
    this.#parts = parts
    this.#house = parts.house
    this.#registry = parts.house.registry
    this.#tally = parts.tally
    this.heartbeat = {
      get running () { return parts.house.wheel.running },
      get bound () { return parts.bound }
    }
  }

  /** Connections here, open or closing. */
  get size (): number { return this.#registry.size }

  /** In the order of their fd. */
  [Symbol.iterator] (): IterableIterator<Connection> {
    return this.#registry.values()
  }

  /** Whether a push to this fd would find somebody, here and now. Takes anything; O(1), allocates nothing. */
  exists (fd: unknown): boolean {
    const connection = this.#registry.get(fd)
    return connection !== undefined && lifeOf(connection).transport.open
  }

  /** The connection with this number; undefined if it is over, or never was. Takes anything. */
  get (fd: unknown): Connection | undefined {
    return this.#registry.get(fd)
  }

  /**
   * The connection of an upgraded request.
   * @throws FST_ERR_LIFELINE_NO_CONNECTION for an ordinary request
   */
  of (request: FastifyRequest): Connection {
    const connection = connectionOf(request)
    if (connection === null) throw new FST_ERR_LIFELINE_NO_CONNECTION()
    return connection
  }

  /**
   * Connections as plain data, in the order of their fd: those after the fd `after` (default: all), at most `limit` (default: all).
   * @throws FST_ERR_LIFELINE_ARGUMENT if `after` or `limit` is no number, or for an option that does not exist
   */
  list (options: { after?: number, limit?: number } = {}): ConnectionInfo[] {
    const { after = 0, limit = Infinity } = readOptions('list', options, listOptions)
    if (typeof after !== 'number' || Number.isNaN(after)) throw new FST_ERR_LIFELINE_ARGUMENT('list: after is an fd')
    if (typeof limit !== 'number' || !(limit >= 0)) throw new FST_ERR_LIFELINE_ARGUMENT('list: limit is a number from 0')
    const infos: ConnectionInfo[] = []
    for (const [fd, connection] of this.#registry.entries()) {
      if (infos.length >= limit) break
      if (fd > after) infos.push(connection.info())
    }
    return infos
  }

  /** Counters since registration, and what is now; plain data, a copy. */
  stats (): Stats {
    const { opened, closed, upgrades, pushes, deliveries, broadcasts, heartbeat, dropped, limited, errors } = this.#tally
    let bufferedBytes = 0
    for (const connection of this.#registry.values()) bufferedBytes += connection.bufferedBytes
    return {
      connections: this.size,
      opened,
      closed: { ...closed },
      upgrades: { ...upgrades },
      pushes: { ...pushes },
      deliveries: { ...deliveries },
      broadcasts,
      heartbeat: { ...heartbeat, stalls: this.#house.wheel.stalls },
      dropped: { ...dropped },
      limited: { ...limited },
      bufferedBytes,
      groups: this.#house.groups.size,
      errors
    }
  }

  /** Pushes to one connection and says what became of it. Never throws. */
  push (fd: unknown, data: unknown, options?: PushOptions): PushResult {
    const connection = this.#registry.get(fd)
    return connection !== undefined ? connection.push(data, options) : this.#nobody(fd)
  }

  #nobody (fd: unknown): 'gone' | 'invalid' {
    const { journal } = this.#house
    if (typeof fd === 'number') {
      journal.pushed('gone')
      return 'gone'
    }
    journal.pushed('invalid')
    journal.misused(undefined, new FST_ERR_LIFELINE_INVALID_FD(fd === null ? 'null' : `of type ${typeof fd}`))
    return 'invalid'
  }

  /**
   * Pushes to one connection, and waits until the peer has it: `connection.deliver` by fd. Never rejects for what the network does.
   * @throws FST_ERR_LIFELINE_ARGUMENT for an option that does not exist, a timeout or a signal that is none
   */
  deliver (fd: unknown, data: unknown, options: DeliverOptions = {}): Promise<Delivery> {
    const connection = this.#registry.get(fd)
    if (connection !== undefined) return connection.deliver(data, options)
    checkDeliver(options)
    const outcome = this.#nobody(fd)
    this.#house.journal.delivered(outcome)
    return nextTurn().then(() => ({ outcome }))
  }

  /** Who is in a group, here: live, and the same for one that nobody has joined. O(1). @throws FST_ERR_LIFELINE_ARGUMENT for what is no group's name */
  group (name: string): ReadonlySet<Connection> {
    return this.#house.groups.members(groupName(name))
  }

  /** The members of a group as plain data. @throws FST_ERR_LIFELINE_ARGUMENT for what is no group's name */
  async members (name: string): Promise<ConnectionInfo[]> {
    const members = Array.from(this.group(name), (connection) => connection.info())
    await nextTurn()
    return members
  }

  /**
   * Pushes to every connection here, or to every member of a group. Returns to how many: those who are gone
   * or full are left out, and hold nobody up. Never throws for what is pushed.
   * @throws FST_ERR_LIFELINE_ARGUMENT for what is no group's name, for an `except` that is no fd and no connection, for an option that does
   * not exist: a slip must not reach everybody. So `group` and `except` must not be there and undefined, either
   */
  broadcast (data: unknown, given: BroadcastOptions = NONE): number {
    const options = given === NONE ? NONE : readOptions('broadcast', given, broadcastOptions, audienceOptions)
    const group = 'group' in options ? groupName(options.group) : null
    const except = 'except' in options ? toFds(options.except) : undefined
    let message: Shared
    // Between one who gets it and the next the app may be told of something, and may do to its bytes what it likes.
    try {
      message = toShared(data, given).own()
    } catch (error) {
      this.#house.journal.misused(undefined, error as Error)
      return 0
    }
    const { groups, journal } = this.#house
    journal.broadcast()
    let count = 0
    // A listener of ours may change the group meanwhile: who has left gets nothing, who joins comes too late.
    for (const connection of group === null ? this.#registry.values() : groups.list(group)) {
      if (group !== null && !groups.has(connection, group)) continue
      if (except?.has(connection.fd) === true) continue
      const result = lifeOf(connection).send(message)
      if (result === 'sent' || result === 'buffered') count++
    }
    return count
  }

  /** Closes the connection with this fd or id; true if there was one. What is neither is reported, and false: it names nobody. */
  async disconnect (target: number | string, code?: number, reason?: string): Promise<boolean> {
    if (typeof target !== 'string' && typeof target !== 'number') {
      this.#house.journal.misused(undefined, new FST_ERR_LIFELINE_ARGUMENT(`disconnect: the target is an fd or an id, not ${target === null ? 'null' : `of type ${typeof target}`}`))
      return false
    }
    const connection = typeof target === 'string' ? this.#registry.byId(target) : this.#registry.get(target)
    const found = connection?.state === 'open'
    if (found) connection.close(code, reason)
    await nextTurn()
    return found
  }

  /**
   * What the heartbeat would do, now: whoever has been silent is asked; the fds of those who were asked
   * at least `timeout` ms ago and have stayed silent since are returned, and, if `close` (the default), terminated.
   * Also with `heartbeat: false`, for an app that keeps its own time.
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

/** Takes anything. */
function connectionOf (request: unknown): Connection | null {
  try {
    const connection = (request as { [kConnection]?: unknown } | null | undefined)?.[kConnection]
    return isConnection(connection) ? connection : null
  } catch {
    return null
  }
}

/** @throws FST_ERR_LIFELINE_ARGUMENT for what is nobody's */
function toFds (except: unknown): Set<number> {
  const list = attempt<unknown[]>('broadcast: except', () => Array.isArray(except) ? Array.from(except) : [except])
  return new Set(list.map(toFd))
}

function toFd (one: unknown): number {
  if (isConnection(one)) return one.fd
  // Whoever had this number may have left. 0 is nobody's: that of an ordinary request.
  if (typeof one === 'number' && Number.isSafeInteger(one) && one > 0) return one
  throw new FST_ERR_LIFELINE_ARGUMENT(`broadcast: except is an fd, a Connection, or a list of them, not ${typeof one === 'number' ? one : one === null ? 'null' : `of type ${typeof one}`}`)
}
