/**
 * How a WebSocket becomes a connection: between the server's `connection` event and the call of
 * the route handler.
 * Invariant: whoever the server has made a socket for is adopted, if admission has let it in and it was made from our class; or it
 * stays a socket as without us; or it is ended here. It has its place for just as long.
 * What any connection needs is not its matter: see `open`.
 */
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type WebSocket from 'ws'
import { FST_ERR_LIFELINE_OPTION } from '../core/errors.js'
import type { Wheel } from '../core/time/wheel.js'
import type { Log } from '../observe/log.js'
import { Pongs } from '../transports/websocket/pongs.js'
import type { WebSocketTransportOptions } from '../transports/websocket/settings.js'
import { superviseClass } from '../transports/websocket/supervise.js'
import { supervised } from '../transports/websocket/supervisor.js'
import type { Supervision } from '../transports/websocket/supervisor.js'
import { WebSocketTransport } from '../transports/websocket/transport.js'
import { open } from './open.js'
import type { Opening } from './open.js'
import { defaults } from './options.js'
import type { RouteSettings } from './options.js'
import type { Manner } from './registration.js'
import type { Routes } from './routes.js'
import { takeRouted } from './upgrade-hooks.js'
import type { Upgrades } from './upgrades.js'

export interface Adoption extends Opening {
  readonly registration: Manner
  readonly upgrades: Upgrades
  readonly routes: Routes
  readonly supervision: Supervision
  /** Whether pings are answered by us. */
  readonly answers: boolean
  /** For rates. */
  readonly wheel: Wheel
  readonly log: Log
  /** For all of a route the same object, for every transport keeps it. */
  readonly transports: WeakMap<RouteSettings, WebSocketTransportOptions>
}

/** What is the same for all servers of an app. */
export type Home = Omit<Adoption, 'registration' | 'supervision' | 'answers' | 'transports'>

/** From now on the sockets of this server become connections. @returns its supervision, and what lets go of the server */
export function adoptFrom (home: Home, registration: Manner, server: FastifyInstance['websocketServer']): { supervision: Supervision, release: () => void } {
  const { supervision, answers } = superviseServer(server)
  const adoption = { ...home, registration, supervision, answers, transports: new WeakMap() }
  const onConnection = (socket: WebSocket, request: IncomingMessage): void => { adopt(adoption, socket, request) }
  server.prependListener('connection', onConnection)
  return { supervision, release () { server.removeListener('connection', onConnection) } }
}

/** Its sockets are made from our class, and their pings are ours to answer. */
function superviseServer ({ options }: FastifyInstance['websocketServer']): Pick<Adoption, 'supervision' | 'answers'> {
  const supervision = superviseClass(options.WebSocket as unknown as typeof WebSocket)
  // ws ends a peer that has 60 pings unanswered; we answer them, at a bounded rate.
  const answers = options.autoPong !== false
  Object.assign(options, { WebSocket: supervision.WebSocket, autoPong: false })
  return { supervision, answers }
}

function adopt (adoption: Adoption, socket: WebSocket, raw: IncomingMessage): void {
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
  const { registration, supervision } = adoption
  const routed = takeRouted(raw)
  // What admission has not let in was made past Fastify's handlers.
  if (routed?.ip === undefined || !(socket instanceof supervision.WebSocket)) {
    if (leave !== null) socket.once('close', leave)
    if (adoption.answers) answerPings(socket, stream)
    return
  }
  refuseHidden(socket)
  const { request, reply, ip } = routed
  const settings = adoption.routes.settingsOf(request)
  const transport = new WebSocketTransport(socket, stream, supervision, optionsOf(adoption, settings))
  open(adoption, {
    transport,
    start: (owner) => {
      transport.start(supervision, owner)
      // Who listens for the same upgrade behind us shall find it taken.
      if (registration.detaches) process.nextTick(detach, reply, stream)
    },
    request,
    keys: [socket, raw],
    settings,
    parser: adoption.routes.parserOf(settings),
    place: { ip, leave },
    patience: registration.patience,
    onError: relay(adoption, socket, request, reply)
  })
}

/** What a class sets on each of its sockets is called instead of ours, which would hear of nothing. */
function refuseHidden (socket: WebSocket): void {
  const hidden = supervised.find((name) => Object.hasOwn(socket, name))
  if (hidden !== undefined) throw new FST_ERR_LIFELINE_OPTION(`the WebSocket class of the server sets "${hidden}" on each socket, where it hides ours: make it a method of the class`)
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
function relay ({ registration: { errorHandler }, log }: Adoption, socket: WebSocket, request: FastifyRequest, reply: FastifyReply): ((error: unknown) => void) | null {
  if (errorHandler === undefined) return null
  const call = async (error: unknown): Promise<void> => { await errorHandler.call(request.server, error as Error, socket, request, reply) }
  return (error) => { call(error).catch((failure: unknown) => { log.errorHandlerThrew(failure) }) }
}

function optionsOf ({ registration: { defers }, answers, wheel, transports, house }: Adoption, settings: RouteSettings): WebSocketTransportOptions {
  let options = transports.get(settings)
  if (options === undefined) {
    options = { defers, answers, receipts: settings.receipts !== null, fragments: settings.fragments, patience: (settings.heartbeat ?? defaults.heartbeat).timeout, rates: settings.limits, wheel, loop: house.wheel }
    transports.set(settings, options)
  }
  return options
}
