/**
 * How a WebSocket becomes a connection: between the server's `connection` event and the call of
 * the route handler. The Fastify request is found through the raw one, and let go of again.
 * Invariant: whoever the server has made a socket for is adopted, or was not made from our class.
 */
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type WebSocket from 'ws'
import { Connection, lifeOf } from '../api/connection.js'
import { hostOf, kConnection } from '../api/lifeline.js'
import type { Life } from '../api/life.js'
import type { Lifeline } from '../api/lifeline.js'
import { closeCode } from '../core/causes.js'
import { Deadline } from '../core/deadline.js'
import { nextFd } from '../core/registry.js'
import { retryReason, someTime } from '../core/retry.js'
import type { Wheel } from '../core/wheel.js'
import type { Log } from '../observe/log.js'
import { Pongs } from '../transports/websocket/pongs.js'
import type { Supervision } from '../transports/websocket/supervise.js'
import { WebSocketTransport } from '../transports/websocket/transport.js'
import type { WebSocketTransportOptions } from '../transports/websocket/settings.js'
import type { WebsocketPluginOptions } from '@fastify/websocket'
import { defaults } from './options.js'
import type { RouteSettings } from './options.js'
import type { Routes } from './routes.js'
import type { Shutdown } from './shutdown.js'
import type { Upgrades } from './upgrades.js'

const kFastify = Symbol('fastify-lifeline.fastify')

interface Raw extends IncomingMessage {
  [kFastify]?: { readonly request: FastifyRequest, readonly reply: FastifyReply } | undefined
}

export interface Adoption {
  readonly lifeline: Lifeline
  readonly upgrades: Upgrades
  readonly shutdown: Shutdown
  readonly supervision: Supervision
  readonly wheel: Wheel
  readonly routes: Routes
  /** Over how long those who are sent away are told to come back, in ms. */
  readonly reconnect: number
  /** Whether pings are answered by us. */
  readonly answers: boolean
  /** The app's own handler of errors, where we registered @fastify/websocket. */
  readonly errorHandler: WebsocketPluginOptions['errorHandler']
  readonly log: Log
  /** Whether the app registered @fastify/websocket: then its calls, and the end of its handlers, cannot be seen. */
  readonly foreign: boolean
  /** How long a reader may let wait for it, in ms: a handler may be at work for as long as its connection lives, and read nothing. */
  readonly patience: number
}

/** An onRequest hook: notes which Fastify request belongs to a raw one that asks for an upgrade. */
export function note (upgrades: Upgrades, request: FastifyRequest, reply: FastifyReply): void {
  if (request.raw.headers.upgrade === undefined) return
  ;(request.raw as Raw)[kFastify] = { request, reply }
  upgrades.routed(request.raw, reply.raw)
}

export function adopt (adoption: Adoption, socket: WebSocket, raw: IncomingMessage): void {
  const { lifeline, supervision, foreign } = adoption
  const adopted = adoption.upgrades.adopt(raw)
  const stream: Duplex = adopted?.socket ?? raw.socket
  const { request, reply } = (raw as Raw)[kFastify] ?? {}
  delete (raw as Raw)[kFastify]
  const ours: boolean = socket instanceof supervision.WebSocket
  if (!ours) {
    if (adopted?.leave != null) socket.once('close', adopted.leave)
    if (adoption.answers) answerPings(socket, stream)
    return
  }
  const settings = adoption.routes.settingsOf(request)
  const cadence = 'bytesRead' in stream ? settings.heartbeat : null
  const transport = new WebSocketTransport(socket, stream, supervision, optionsOf(adoption, settings, cadence !== null))
  const connection = new Connection(hostOf(lifeline), transport, {
    fd: nextFd(),
    // An injected request has no socket, and with trustProxy its `ip` throws.
    remoteAddress: raw.socket == null ? '' : request?.ip ?? raw.socket.remoteAddress ?? '',
    reqId: request?.id ?? '',
    cadence,
    receipts: settings.receipts,
    onError: relay(adoption, socket, request, reply)
  })
  const life = lifeOf(connection)
  transport.start(supervision, life)
  if (request !== undefined) {
    request.fd = connection.fd
    request[kConnection] = connection
  }
  if (!foreign && adoption.errorHandler === undefined && reply !== undefined) detach(reply, stream)
  if (adopted?.leave != null) life.whenOver(adopted.leave)
  // Where a handler has no end, or one that cannot be seen, time stands in for it.
  life.hang(new Patience(adoption.wheel, life), adoption.patience)
  limitTime(life, settings, adoption.reconnect)
  life.begin()
  // Where the app's own preClose leaves its server open, one may still come.
  if (adoption.shutdown.begun) life.close(closeCode.serviceRestart, retryReason(someTime(adoption.reconnect)), 'shutdown')
}

/**
 * Before a handler is called: the listener that @fastify/websocket has added last holds request and reply for as
 * long as the socket lives. One for all sockets takes its place.
 */
export function forgetRequest ({ onError }: Supervision, socket: WebSocket): void {
  const theirs = socket.listeners('error').at(-1) as () => void
  socket.removeListener('error', theirs)
  socket.on('error', onError)
}

/** ws does not answer on this server, for we do; not for a socket that is none of ours, though. */
function answerPings (socket: WebSocket, stream: Duplex): void {
  const pongs = new Pongs(stream, {
    get open () { return socket.readyState === socket.OPEN },
    get untaken () { return socket.bufferedAmount },
    writePong: (payload) => { socket.pong(payload) }
  })
  socket.on('ping', (payload) => { pongs.answer(payload) })
  socket.on('close', () => { pongs.end() })
}

/** The counterpart of the `assignSocket` of @fastify/websocket. Whoever listens for the end of the response shall hear of it, though. */
function detach (reply: FastifyReply, stream: Duplex): void {
  if (reply.raw.socket === stream && reply.raw.listenerCount('close') === 0) reply.raw.detachSocket(stream as Socket)
}

/** Calls the app's handler of errors; what that throws is logged, for there is nobody left to tell. */
function relay ({ errorHandler, log }: Adoption, socket: WebSocket, request?: FastifyRequest, reply?: FastifyReply): ((error: unknown) => void) | null {
  if (errorHandler === undefined || request === undefined || reply === undefined) return null
  const call = async (error: unknown): Promise<void> => { await errorHandler.call(request.server, error as Error, socket, request, reply) }
  return (error) => { call(error).catch((failure: unknown) => { log.errorHandlerThrew(failure) }) }
}

const nothing = (): void => {}

/** How long a reader may let wait for it. Every connection has one: a closure would cost more. */
class Patience extends Deadline {
  readonly #life: Life<Connection>

  constructor (wheel: Wheel, life: Life<Connection>) {
    super(wheel, nothing)
    this.#life = life
  }

  override due (): void {
    this.#life.transport.settled()
    this.#life.release(this)
  }
}

/** The last part of `maxAge` in which connections go, so that those who came together do not go together. */
const AGE_SPREAD = 0.2

/** What ends a connection after a time. */
function limitTime (life: Life<Connection>, { maxAge, limits }: RouteSettings, reconnect: number): void {
  if (maxAge !== Infinity) {
    life.after(maxAge - someTime(maxAge * AGE_SPREAD), () => { life.close(closeCode.serviceRestart, retryReason(someTime(reconnect)), 'age') })
  }
  if (limits.firstMessage === Infinity) return
  const deadline = life.after(limits.firstMessage, () => {
    if (life.transport.spoken || !life.transport.open) return
    // What the app does not let it say is not its fault.
    if (life.transport.paused && !life.transport.throttled) deadline.in(limits.firstMessage)
    else life.exceeded('firstMessage', true)
  })
}

const known = new WeakMap<RouteSettings, WebSocketTransportOptions>()

/** The same object for all of a route, for every transport keeps it. */
function optionsOf ({ foreign, answers, wheel }: Adoption, settings: RouteSettings, marks: boolean): WebSocketTransportOptions {
  let options = known.get(settings)
  if (options?.marks !== marks) {
    options = { defers: foreign, marks, answers, receipts: settings.receipts !== null, patience: (settings.heartbeat ?? defaults.heartbeat).timeout, rates: settings.limits, wheel }
    known.set(settings, options)
  }
  return options
}
