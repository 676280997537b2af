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
import type { Lifeline } from '../api/lifeline.js'
import { closeCode } from '../core/causes.js'
import type { Cadence } from '../core/heartbeat.js'
import { nextFd } from '../core/registry.js'
import { Entry } from '../core/wheel.js'
import type { Wheel } from '../core/wheel.js'
import type { Log } from '../observe/log.js'
import type { Supervision } from '../transports/websocket/supervise.js'
import { WebSocketTransport } from '../transports/websocket/transport.js'
import type { Transport } from '../transports/transport.js'
import type { WebsocketPluginOptions } from '@fastify/websocket'
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
  /** The heartbeat of a request's route. */
  readonly cadenceOf: (request: FastifyRequest | undefined) => Cadence | null
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
  const stream: Duplex = adoption.upgrades.adopt(raw) ?? raw.socket
  const { request, reply } = (raw as Raw)[kFastify] ?? {}
  delete (raw as Raw)[kFastify]
  if (!(socket instanceof supervision.WebSocket)) return
  const cadence = 'bytesRead' in stream ? adoption.cadenceOf(request) : null
  const transport = new WebSocketTransport(socket, stream, supervision, foreign, cadence !== null)
  const connection = new Connection(hostOf(lifeline), transport, {
    fd: nextFd(),
    // An injected request has no socket, and with trustProxy its `ip` throws.
    remoteAddress: raw.socket == null ? '' : request?.ip ?? raw.socket.remoteAddress ?? '',
    reqId: request?.id ?? '',
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
  const patience = new Patience(transport)
  adoption.wheel.wait(patience, adoption.wheel.turns(adoption.patience))
  life.whenOver(() => { adoption.wheel.cancel(patience) })
  life.begin()
  // Where the app's own preClose leaves its server open, one may still come.
  if (adoption.shutdown.begun) life.close(closeCode.serviceRestart, '', 'shutdown')
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

/** Where a handler has no end, or one that cannot be seen, time stands in for it. */
class Patience extends Entry {
  readonly #transport: Transport

  constructor (transport: Transport) {
    super()
    this.#transport = transport
  }

  override due (): void {
    this.#transport.settled()
  }
}
