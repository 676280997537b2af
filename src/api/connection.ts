/**
 * The connection as the app holds it. Thin: it checks what the app passes, makes the costly
 * things on first use, and leaves the rest to its life.
 */
import type { Writable } from 'node:stream'
import { inspect, types } from 'node:util'
import type { InspectOptions } from 'node:util'
import { closeCode } from '../protocol/close-codes.js'
import { checkBoolean } from '../core/arguments.js'
import { FST_ERR_LIFELINE_ARGUMENT } from '../core/errors.js'
import { groupName } from '../core/groups.js'
import { later, nextTurn } from '../core/time/loop.js'
import type { PushOptions, PushResult } from '../core/payload.js'
import { checkDeliver } from '../core/receipts.js'
import type { DeliverOptions, Delivery } from '../core/receipts.js'
import type { Message, Reader, Transport } from '../transports/transport.js'
import { Life } from '../life/life.js'
import type { CloseInfo } from '../life/close-info.js'
import type { House } from '../life/house.js'
import type { Call } from '../life/run.js'
import { abortsWhenOver } from '../life/signals.js'
import type { OutboxLimits } from '../core/outbox.js'
import { call } from './call.js'
import { infoOf } from './info.js'
import type { ConnectionInfo } from './info.js'
import { parsed } from './parsed.js'
import { deliver, offer, push } from './pushing.js'
import { ConnectionWritable } from './writable.js'
import type { ConnectionWritableOptions } from './writable.js'

/** In ms it would be in 1973, in seconds (the `exp` of a JWT) in the year 5138. */
const SECONDS_BELOW = 1e11

const NONE: Readonly<Record<string, string>> = Object.freeze({})

/** What the app keeps on its connections: extend it by declaration merging. */
export interface ConnectionData {}

/** The way in for the plugin: what it may do to a connection and an app may not. */
export let lifeOf: (connection: Connection) => Life<Connection>

/** Whether it is one. Takes anything. */
export let isConnection: (value: unknown) => value is Connection

/** One connection, from its opening to its end. @typeParam M what its readers get: `ParsedMessage<T>` on a route with a schema */
export class Connection<M extends Message = Message> {
  readonly #life: Life<Connection>
  #data: ConnectionData | undefined
  #signal: AbortSignal | undefined
  #closed: Promise<CloseInfo> | undefined

  /** Connections are made by the plugin. @internal */
  constructor (house: House<Connection>, transport: Transport, fd: number, receipts: OutboxLimits | null, by: Call, wire?: Transport) {
    this.#life = new Life<Connection>(house, transport, fd, receipts, by, this, wire)
  }

  static {
    isConnection = (value): value is Connection => typeof value === 'object' && value !== null && #life in value
    lifeOf = (connection) => connection.#life
  }

  /** Its number in this process: never reused, and no secret. */
  get fd (): number { return this.#life.fd }

  /** Its name, safe in a URL. No secret. */
  get id (): string { return this.#life.id }

  /** What carries it: so far there is one kind. */
  get transport (): 'websocket' { return this.#life.transport.traits.kind as 'websocket' }

  /** `closing`: a close frame has passed, or the socket is ending. */
  get state (): 'open' | 'closing' | 'closed' { return this.#life.state }

  /** The peer's address; behind proxies by Fastify's `trustProxy`. */
  get remoteAddress (): string { return this.#life.run.call.remoteAddress }

  /** The pattern of its route: `/rooms/:room`. */
  get route (): string { return this.#life.run.call.route }

  /** What the pattern has matched: `{ room: '7' }`. As they were at the upgrade; frozen. */
  get params (): Readonly<Record<string, string>> { return this.#life.run.call.params ?? NONE }

  /** Wall clock, ms since the epoch. */
  get openedAt (): number { return this.#life.openedAt }

  /** When the peer was last known to live, ms since the epoch; exact to half the heartbeat's interval. */
  get lastSeenAt (): number { return this.#life.lastSeenAt }

  /** Round trip of the heartbeat's pings in ms, smoothed; null before the first answer. */
  get roundTrip (): number | null {
    const roundTrip = this.#life.transport.asker?.roundTrip ?? NaN
    return Number.isNaN(roundTrip) ? null : roundTrip
  }

  /** Bytes that wait to be handed to the operating system. */
  get bufferedBytes (): number { return this.#life.transport.bufferedBytes }

  /** With receipts on: the messages that the peer is not known to have, and their bytes. Else zero. */
  get unconfirmed (): { count: number, bytes: number } { return this.#life.unconfirmed }

  /** The groups that it has joined; live. It leaves them all when it is over. */
  get groups (): ReadonlySet<string> { return this.#life.groups }

  /** The app's own bag. */
  get data (): ConnectionData { return this.#data ??= {} as ConnectionData }

  set data (data: ConnectionData) { this.#data = data }

  /**
   * Aborts when the connection is over: give it to `fetch`, a query, a timer.
   * (Fastify's own `request.signal` never aborts after an upgrade.)
   */
  get signal (): AbortSignal { return this.#signal ??= abortsWhenOver((callback) => { this.#life.whenOver(callback) }) }

  /** Aborts when this run's wire has gone: timers and subscriptions of one run hang on it. */
  get attached (): AbortSignal { return this.#life.run.attached }

  /** Resolves, and never rejects, when the connection is over. */
  get closed (): Promise<CloseInfo> {
    return this.#closed ??= new Promise((resolve) => {
      this.#life.whenOver(() => { resolve(this.#life.info!) })
    })
  }

  /** Pushes a message: a string, bytes, or anything `JSON.stringify` takes. Never throws. */
  push (data: unknown, options?: PushOptions): PushResult {
    return push(this.#life, data, options)
  }

  /**
   * Pushes a message, and waits until the peer has it: its WebSocket implementation, not its script. Needs nothing of the peer, nor
   * `receipts`. Never rejects for what the network does: see `Outcome`; only with the reason of `signal`.
   * @throws FST_ERR_LIFELINE_ARGUMENT for an option that does not exist, a timeout or a signal that is none
   */
  deliver (data: unknown, options: DeliverOptions = {}): Promise<Delivery> {
    return deliver(this.#life, data, checkDeliver(options), options)
  }

  /**
   * Resolves, and never rejects: true when no more than `backpressure.low` waits (and, with receipts, no more than half of what may be
   * is unconfirmed), then the next push is taken; false when there is nobody to push to any more. The event loop turns in between.
   * While the peer's receipts cannot be seen, for 8 MiB wait for a reader here, it does not wait for them.
   */
  drained (): Promise<boolean> {
    return new Promise((resolve) => {
      this.#life.whenRoomy(() => { later(() => { resolve(this.#life.transport.open) }) })
    })
  }

  /**
   * A stream of messages to the peer, at the peer's speed: each chunk is one message. Its end leaves the
   * connection open; it is destroyed when the connection is over.
   * @throws FST_ERR_LIFELINE_ARGUMENT for an option that does not exist
   */
  writable (options: ConnectionWritableOptions = {}): Writable {
    return new ConnectionWritable((data, given) => offer(this.#life, data, given), this.#life, options)
  }

  /**
   * Makes it a member of a group, at once; the promise is fulfilled in a later turn of the event loop.
   * @throws FST_ERR_LIFELINE_ARGUMENT for what is no group's name
   */
  join (group: string): Promise<void> {
    this.#life.join(groupName(group))
    return nextTurn()
  }

  /** Takes it out of a group, at once; the promise is as that of `join`. @throws FST_ERR_LIFELINE_ARGUMENT for what is no group's name */
  leave (group: string): Promise<void> {
    this.#life.leave(groupName(group))
    return nextTurn()
  }

  /**
   * Pings the peer: the round trip in ms, Infinity if the connection ends first, or NaN if the answer will not be seen, for 8 MiB
   * wait for a reader here. Never rejects.
   */
  ping (): Promise<number> {
    return this.#life.ping()
  }

  /**
   * The messages of the peer, one at a time and in order, until the transport ends. The peer is slowed down when more than 256 KiB wait.
   * On a route with a schema each is validated when it is read, and has its `value`.
   * @throws FST_ERR_LIFELINE_ALREADY_READING while another reader is at it
   */
  messages (): AsyncIterableIterator<M> { return this.#messages() }
  #messages (one?: boolean): AsyncIterableIterator<M> {
    const messages = this.#reader.messages(one)
    const { parser } = this.#life.run.call
    return (parser === null ? messages : parsed(messages, parser, this, this.#life)) as AsyncIterableIterator<M>
  }

  /**
   * The next message, or null when there will be none: one that comes before all others, as for authentication, or one after the other.
   * @throws FST_ERR_LIFELINE_ALREADY_READING while another reader is at it
   */
  async next (): Promise<M | null> {
    const messages = this.#messages(true)
    const { value = null } = await messages.next() as { value?: M | null }
    await (value === null ? nextTurn() : messages.return?.())
    return value
  }

  /**
   * Calls back when it is over, in a later turn of the event loop; in the next if it is. What the handler throws or rejects with is
   * logged and told as what the route's handler throws. `fastify.close()` waits for what it returns, for `shutdown.timeout` at most.
   * @throws FST_ERR_LIFELINE_ARGUMENT for what is no function
   */
  onClose (handler: (info: CloseInfo) => unknown): void {
    if (typeof handler !== 'function') throw new FST_ERR_LIFELINE_ARGUMENT(`onClose takes a function, not ${typeof handler}`)
    const { run } = this.#life
    this.#life.whenOver(() => { later(() => { this.#life.promised(call(handler, undefined, [this.#life.info], (error) => { run.failed(error) })) }) })
  }

  /**
   * The same as a callback: the next message comes when the promise that it returned has settled.
   * What it throws ends the connection with 1011.
   * @throws FST_ERR_LIFELINE_ALREADY_READING while another reader is at it, FST_ERR_LIFELINE_ARGUMENT for what is no function
   */
  onMessage (handler: (message: M) => unknown): void {
    if (typeof handler !== 'function') throw new FST_ERR_LIFELINE_ARGUMENT(`onMessage takes a function, not ${typeof handler}`)
    const { run } = this.#life
    this.#read(this.messages(), handler).catch((error: unknown) => { run.failed(error) })
  }

  /** Stops reading: the peer is slowed down by TCP. Not judged by the heartbeat for interval + timeout, then looked at. */
  pauseReading (): void {
    if (this.state === 'open') this.#reader.pause()
  }

  /** Reads on. */
  resumeReading (): void {
    if (this.state === 'open') this.#reader.resume()
  }

  /**
   * While on (the default of the call), the heartbeat never takes this connection for dead. It is still pinged, and still ended as
   * `stalled` when it takes nothing for `backpressure.stallTimeout` while bytes wait for it.
   * @throws FST_ERR_LIFELINE_ARGUMENT for what is neither true nor false
   */
  protect (on: boolean = true): void {
    checkBoolean('protect: on', on)
    this.#life.protected = on
  }

  /**
   * Closes it with 4401 (cause `expired`) when its authorization runs out: a Date, or ms since the epoch by the wall clock.
   * Called again, the new time holds, be it later or earlier; Infinity: never. A time that has passed closes it now, as 0 does.
   * @throws FST_ERR_LIFELINE_ARGUMENT for what is no time, or can only be meant in seconds (from 0 to 1e11, which would be before 1973)
   */
  expire (at: Date | number): void {
    const time = types.isDate(at) ? Date.prototype.getTime.call(at) : at
    if (typeof time !== 'number' || Number.isNaN(time)) throw new FST_ERR_LIFELINE_ARGUMENT('expire takes a Date, or ms since the epoch')
    if (time > 0 && time < SECONDS_BELOW) throw new FST_ERR_LIFELINE_ARGUMENT(`expire takes a Date, or ms since the epoch; this looks like seconds: ${time}`)
    this.#life.expire(time)
  }

  /** What it is now, as plain data. */
  info (): ConnectionInfo {
    const info = infoOf(this)
    const data = this.#life.serialize(this.#data ?? {})
    return data === undefined ? info : { ...info, data }
  }

  /** As `info`: so it can be logged, and sent. */
  toJSON (): ConnectionInfo { return this.info() }

  [inspect.custom] (_depth: number, options: InspectOptions): string {
    const { fd, state, route, remoteAddress } = this
    return `Connection ${inspect({ fd, state, route, remoteAddress, groups: [...this.groups] }, options)}`
  }

  /**
   * Closes it: what was pushed before is sent first, then the close frame. (A push that waits because the app is between
   * two fragments of a message of its own is lost.) What waits has `stallTimeout` to leave, the peer `closeTimeout` to answer; then it is terminated.
   * By default the code is 1000, without a reason. Code and reason may be those with which another connection has ended, to pass them on:
   * 1005 becomes 1000, 1006 and 1015 become 1012 (come back), bytes are text. What else RFC 6455 forbids is replaced, and reported.
   */
  close (code: number = closeCode.normal, reason: string | Uint8Array = ''): void {
    this.#life.close({ code, reason }, 'server')
    this.#life.enough()
  }

  /** Ends it at once, without a close frame; what waits is lost, in both directions. */
  terminate (): void {
    this.#life.terminate('server')
    this.#life.enough()
  }

  async #read (messages: AsyncIterable<M>, handler: (message: M) => unknown): Promise<void> {
    for await (const message of messages) await handler(message)
  }

  get #reader (): Reader {
    const { reader } = this.#life.transport
    if (reader === null) throw new FST_ERR_LIFELINE_ARGUMENT('the peer of this connection sends no messages: there is nothing to read')
    return reader
  }
}
