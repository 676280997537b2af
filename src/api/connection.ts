/**
 * The connection as the app holds it. Thin: it checks what the app passes, makes the costly
 * things on first use, and leaves the rest to its life.
 */
import type { Writable } from 'node:stream'
import { types } from 'node:util'
import { closeCode } from '../protocol/close-codes.js'
import { checkBoolean, readOptions, wrongOptions } from '../core/arguments.js'
import { FST_ERR_LIFELINE_ARGUMENT, FST_ERR_LIFELINE_INVALID_DATA } from '../core/errors.js'
import { groupName } from '../core/groups.js'
import { toOutgoing } from '../core/outgoing.js'
import type { Outgoing } from '../core/outgoing.js'
import { later, nextTurn } from '../core/time/loop.js'
import { pushOptions } from '../core/payload.js'
import type { PushOptions, PushResult } from '../core/payload.js'
import { checkDeliver } from '../core/receipts.js'
import type { DeliverOptions, Delivery, Patience } from '../core/receipts.js'
import type { Message, Reader, Transport } from '../transports/transport.js'
import { Life } from '../life/life.js'
import type { CloseInfo } from '../life/close-info.js'
import type { House } from '../life/house.js'
import type { Call } from '../life/run.js'
import { abortsWhenOver } from '../life/signals.js'
import type { OutboxLimits } from '../core/outbox.js'
import { ConnectionWritable } from './writable.js'
import type { ConnectionWritableOptions } from './writable.js'

const writableOptions = new Set(['objectMode', ...pushOptions])

/** What the app keeps on its connections: extend it by declaration merging. */
export interface ConnectionData {}

/** A connection at one moment, as plain data. */
export interface ConnectionInfo {
  fd: number
  id: string
  transport: 'websocket' | 'sse'
  state: 'open' | 'closing' | 'closed'
  remoteAddress: string
  /** Wall clock, ms since the epoch. */
  openedAt: number
  /** Wall clock, ms since the epoch. */
  lastSeenAt: number
  /** ms, smoothed; NaN before the first answered ping. */
  roundTrip: number
  /** Bytes that wait here. */
  bufferedBytes: number
}

/** The way in for the plugin: what it may do to a connection and an app may not. */
export let lifeOf: (connection: Connection) => Life<Connection>

/** Whether it is one. Takes anything. */
export let isConnection: (value: unknown) => value is Connection

export class Connection {
  readonly #life: Life<Connection>
  #data: ConnectionData | undefined
  #signal: AbortSignal | undefined
  #closed: Promise<CloseInfo> | undefined

  /** Connections are made by the plugin. */
  constructor (house: House<Connection>, transport: Transport, fd: number, receipts: OutboxLimits | null, call: Call, wire?: Transport) {
    this.#life = new Life<Connection>(house, transport, fd, receipts, call, this, wire)
  }

  static {
    isConnection = (value): value is Connection => typeof value === 'object' && value !== null && #life in value
    lifeOf = (connection) => connection.#life
  }

  /** Its number in this process: never reused, and no secret. */
  get fd (): number { return this.#life.fd }

  /** Its name, safe in a URL. No secret. */
  get id (): string { return this.#life.id }

  get transport (): 'websocket' | 'sse' { return this.#life.transport.traits.kind }

  /** `closing`: a close frame has passed, or the socket is ending. */
  get state (): 'open' | 'closing' | 'closed' { return this.#life.state }

  /** The peer's address; behind proxies by Fastify's `trustProxy`. */
  get remoteAddress (): string { return this.#life.run.call.remoteAddress }

  /** Wall clock, ms since the epoch. */
  get openedAt (): number { return this.#life.openedAt }

  /** When the peer was last known to live, ms since the epoch; exact to half the heartbeat's interval. */
  get lastSeenAt (): number { return this.#life.lastSeenAt }

  /** Round trip of the heartbeat's pings in ms, smoothed; NaN before the first answer. */
  get roundTrip (): number { return this.#life.transport.asker?.roundTrip ?? NaN }

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
    const result = this.#push(data, options)
    this.#life.pushed(result)
    return result
  }

  #push (data: unknown, options: PushOptions | undefined): PushResult {
    if (options !== undefined) {
      const wrong = wrongOptions(options, pushOptions)
      if (wrong !== null) {
        this.#life.misused(new FST_ERR_LIFELINE_INVALID_DATA(wrong))
        return 'invalid'
      }
    }
    const message = this.#toOutgoing(data, options)
    return typeof message === 'string' ? message : this.#life.send(message)
  }

  /** A push that is none while there is no room for it: null. */
  #offer (data: unknown, options: PushOptions): PushResult | null {
    const message = this.#toOutgoing(data, options)
    const result = typeof message === 'string' ? message : this.#life.offer(message)
    if (result !== null) this.#life.pushed(result)
    return result
  }

  #toOutgoing (data: unknown, options: PushOptions | undefined): Outgoing | 'gone' | 'invalid' {
    if (!this.#life.transport.open) return 'gone'
    try {
      return toOutgoing(data, options)
    } catch (error) {
      this.#life.misused(error as Error)
      return 'invalid'
    }
  }

  /**
   * Pushes a message, and waits until the peer has it: its WebSocket implementation, not its script. Needs nothing of the peer, nor
   * `receipts`. Never rejects for what the network does: see `Outcome`; only with the reason of `signal`.
   * @throws FST_ERR_LIFELINE_ARGUMENT for an option that does not exist, a timeout or a signal that is none
   */
  deliver (data: unknown, options: DeliverOptions = {}): Promise<Delivery> {
    return this.#deliver(data, checkDeliver(options), options)
  }

  async #deliver (data: unknown, patience: Patience, options: DeliverOptions): Promise<Delivery> {
    const message = this.#toOutgoing(data, options)
    if (typeof message === 'string') return this.#life.notDelivered(message)
    if (patience.signal?.aborted === true) {
      await nextTurn()
      patience.signal.throwIfAborted()
    }
    return this.#life.deliver(message, patience)
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
    return new ConnectionWritable((data, given) => this.#offer(data, given), this.#life, readOptions('writable', options, writableOptions))
  }

  /**
   * Makes it a member of a group, here at once; the promise is fulfilled when the whole cluster knows.
   * @throws FST_ERR_LIFELINE_ARGUMENT for what is no group's name
   */
  join (group: string): Promise<void> {
    this.#life.join(groupName(group))
    return nextTurn()
  }

  /** @throws FST_ERR_LIFELINE_ARGUMENT for what is no group's name */
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
   * The messages of the peer, one at a time and in order, until the transport ends. The peer is slowed
   * down when more than 256 KiB wait.
   * @throws FST_ERR_LIFELINE_ALREADY_READING while another reader is at it
   */
  messages (): AsyncIterableIterator<Message> {
    return this.#reader.messages()
  }

  /**
   * The same as a callback: the next message comes when the promise that it returned has settled.
   * What it throws ends the connection with 1011.
   * @throws FST_ERR_LIFELINE_ALREADY_READING while another reader is at it
   */
  onMessage (handler: (message: Message) => unknown): void {
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
   * Called again, the new time holds, be it later or earlier; Infinity: never. A time that has passed closes it now.
   * @throws FST_ERR_LIFELINE_ARGUMENT for what is no time
   */
  expire (at: Date | number): void {
    const time = types.isDate(at) ? Date.prototype.getTime.call(at) : at
    if (typeof time !== 'number' || Number.isNaN(time)) throw new FST_ERR_LIFELINE_ARGUMENT('expire takes a Date, or ms since the epoch')
    this.#life.expire(time)
  }

  /** What it is now, as plain data. */
  info (): ConnectionInfo {
    const { fd, id, transport, state, remoteAddress, openedAt, lastSeenAt, roundTrip, bufferedBytes } = this
    return { fd, id, transport, state, remoteAddress, openedAt, lastSeenAt, roundTrip, bufferedBytes }
  }

  /**
   * Closes it: what was pushed before is sent first, then the close frame. (A push that waits because the app is between
   * two fragments of a message of its own is lost.) A peer that does not answer is terminated after `closeTimeout`.
   * By default the code is 1000, without a reason. A code or reason that RFC 6455 forbids is replaced, and reported.
   */
  close (code: number = closeCode.normal, reason: string = ''): void {
    this.#life.close({ code, reason }, 'server')
  }

  /** Ends it at once, without a close frame; what waits is lost. */
  terminate (): void {
    this.#life.terminate('server')
  }

  async #read (messages: AsyncIterable<Message>, handler: (message: Message) => unknown): Promise<void> {
    for await (const message of messages) await handler(message)
  }

  get #reader (): Reader {
    const { reader } = this.#life.transport
    if (reader === null) throw new FST_ERR_LIFELINE_ARGUMENT('the peer of this connection sends no messages: there is nothing to read')
    return reader
  }
}
