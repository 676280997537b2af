/**
 * Where an upgrade has passed all hooks: on to @fastify/websocket, or refused, for it is none to a WebSocket, or its route takes none.
 * Invariant: no handler of the app's runs for an upgrade but that of a WebSocket route, and none is left without an answer.
 * Knows nothing of who may come in: see `admission`.
 */
import type { IncomingMessage } from 'node:http'
import type { FastifyInstance, FastifyReply, FastifyRequest, RouteOptions } from 'fastify'
import { lifeOf } from '../api/connection.js'
import { kConnection } from '../api/request.js'
import { nameOf, takesWebSockets } from './routes.js'
import { isWebSocket } from './underway.js'
import type { Upgrades } from './upgrades.js'

/** Who counts, and writes it down. */
export interface DispatchJournal {
  /** A WebSocket was opened on a route that takes none. */
  misplaced (route: string): void
  /** The app's own code failed. */
  misused (subject: undefined, error: Error): void
}

/**
 * An onRoute hook, behind that of @fastify/websocket.
 * @param beside whether upgrades that @fastify/websocket has not had routed are a stranger's: then the handler knows what to do with one
 */
export function dispatchUpgrades (upgrades: Upgrades, journal: DispatchJournal, beside: { readonly strangersRoute: boolean }): (route: RouteOptions) => void {
  return (route) => {
    const { handler } = route
    // Fastify says what is wrong with it.
    if (typeof handler !== 'function') return
    const plain = !takesWebSockets(route)
    route.handler = function (request, reply) {
      const { raw } = request
      if (upgrades.has(raw)) {
        if (!isWebSocket(raw)) return refuse(reply, 400)
        if (plain) {
          if (!request.ws && beside.strangersRoute) return handler.call(this, request, reply)
          journal.misplaced(nameOf(request))
          return refuse(reply, 404)
        }
        // Another copy of @fastify/websocket has routed it, and ours knows nothing of it yet.
        if (!request.ws && upgrades.hear(raw)) request.ws = true
        upgrades.dispatched(raw)
        try {
          return handler.call(this, request, reply)
        } catch (error) {
          fail(upgrades, journal, request, error)
          return undefined
        }
      }
      return handler.call(this, request, reply)
    }
  }
}

/**
 * Code of the app's is called on the way from here to the handler: its class of sockets, its options of ws, who else listens for
 * connections. What that throws ends this one, and @fastify/websocket has nobody to tell: it has hijacked the reply.
 */
function fail (upgrades: Upgrades, journal: DispatchJournal, request: FastifyRequest, error: unknown): void {
  const connection = request[kConnection]
  if (connection !== null) {
    lifeOf(connection).run.failed(error)
    return
  }
  journal.misused(undefined, error as Error)
  upgrades.failed(request.raw)
}

/**
 * What Node.js has taken up it reads no further: nobody would ever have the body of such a request. And a handler that nobody has
 * wrapped takes no socket.
 */
export function refuseBeforehand (fastify: FastifyInstance, upgrades: Upgrades, journal: DispatchJournal, unseen: (request: FastifyRequest) => boolean): void {
  fastify.addHook('preParsing', (request, reply, _payload, done) => {
    const { raw } = request
    if (!upgrades.has(raw)) {
      done()
    } else if (isWebSocket(raw)) {
      if (!unseen(request)) return done()
      journal.misplaced(nameOf(request))
      refuse(reply, 404)
    } else if (hasBody(raw)) {
      // What stays unread becomes a reset, and the answer is lost.
      raw.socket.resume()
      refuse(reply, 400)
    } else {
      done()
    }
  })
}

const hasBody = ({ headers }: IncomingMessage): boolean => headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0

const refusals = {
  400: { statusCode: 400, error: 'Bad Request', message: 'The only upgrade here is that to a WebSocket' },
  404: { statusCode: 404, error: 'Not Found', message: 'This route takes no WebSocket' }
}

function refuse (reply: FastifyReply, status: keyof typeof refusals): void {
  reply.code(status).header('connection', 'close').send(refusals[status])
}
