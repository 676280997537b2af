/**
 * How a WebSocket becomes a connection: between the server's `connection` event and the call of
 * the route handler. The Fastify request is found through the raw one, and let go of again.
 * Invariant: whoever the server has made a socket for is adopted, or was not made from our class, or is ended here; and
 * has its place for just as long.
 */
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type WebSocket from 'ws'
import { Connection, lifeOf } from '../api/connection.js'
import { kConnection } from '../api/lifeline.js'
import type { House } from '../life/house.js'
import type { Life } from '../life/life.js'
import { closeCode } from '../protocol/close-codes.js'
import { nextFd } from '../core/registry.js'
import { someTime } from '../protocol/retry.js'
import type { Wheel } from '../core/time/wheel.js'
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
  [kFastify]?: { readonly request: FastifyRequest, readonly reply: FastifyReply, ip?: string } | undefined
}

export interface Adoption {
  readonly house: House<Connection>
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
  upgrades.routed(request.raw, reply)
}

/** Its address is known: read before it was let in, for that may throw. */
export function locate (raw: IncomingMessage, ip: string): void {
  const noted = (raw as Raw)[kFastify]
  if (noted !== undefined) noted.ip = ip
}

export function adopt (adoption: Adoption, socket: WebSocket, raw: IncomingMessage): void {
  const adopted = adoption.upgrades.adopt(raw)
  const stream: Duplex = adopted?.socket ?? raw.socket
  try {
    take(adoption, socket, raw, stream, adopted?.leave ?? null)
  } catch (error) {
    // The app's own code is called on the way: its class of sockets, say. Thrown on, it would reach whoever called ws, or nobody.
    adopted?.leave?.()
    adoption.house.journal.misused(undefined, error as Error)
    stream.destroy()
    socket.terminate()
  }
}

function take (adoption: Adoption, socket: WebSocket, raw: IncomingMessage, stream: Duplex, leave: (() => void) | null): void {
  const { house, supervision, foreign } = adoption
  const { request, reply, ip } = (raw as Raw)[kFastify] ?? {}
  delete (raw as Raw)[kFastify]
  const ours: boolean = socket instanceof supervision.WebSocket
  if (!ours) {
    if (leave !== null) socket.once('close', leave)
    if (adoption.answers) answerPings(socket, stream)
    return
  }
  const settings = adoption.routes.settingsOf(request)
  const cadence = 'bytesRead' in stream ? settings.heartbeat : null
  const transport = new WebSocketTransport(socket, stream, supervision, optionsOf(adoption, settings, cadence !== null))
  const connection = new Connection(house, transport, nextFd(), settings.receipts, {
    // An injected request has no socket.
    remoteAddress: ip ?? (raw.socket as Duplex & { remoteAddress?: string } | null)?.remoteAddress ?? '',
    logger: request?.log ?? null,
    cadence,
    onError: relay(adoption, socket, request, reply)
  })
  const life = lifeOf(connection)
  transport.start(supervision, life)
  if (request !== undefined) {
    request.fd = connection.fd
    request[kConnection] = connection
  }
  if (!foreign && adoption.errorHandler === undefined && reply !== undefined) detach(reply, stream)
  if (leave !== null) life.whenOver(leave)
  life.run.settlesWithin(adoption.patience)
  limitTime(life, settings, adoption.reconnect)
  life.begin()
  // Where the app's own preClose leaves its server open, one may still come.
  if (adoption.shutdown.begun) life.close({ code: closeCode.serviceRestart, reason: '', retryAfter: someTime(adoption.reconnect) }, 'shutdown')
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

/** The last part of `maxAge` in which connections go, so that those who came together do not go together. */
const AGE_SPREAD = 0.2

/** What ends a connection after a time. */
function limitTime (life: Life<Connection>, { maxAge, limits }: RouteSettings, reconnect: number): void {
  if (maxAge !== Infinity) {
    life.after(maxAge - someTime(maxAge * AGE_SPREAD), () => { life.close({ code: closeCode.serviceRestart, reason: '', retryAfter: someTime(reconnect) }, 'age') })
  }
  if (limits.firstMessage === Infinity) return
  const deadline = life.after(limits.firstMessage, () => {
    const { reader, open } = life.transport
    if (reader === null || reader.spoken || !open) return
    // What the app does not let it say is not its fault.
    if ((reader.paused || life.transport.wire.phase() === 'paused') && !reader.throttled) deadline.in(limits.firstMessage)
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
