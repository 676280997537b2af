/**
 * WebSockets of another context: of one that no hook of ours reaches (beside ours, or above it), or that has its own @fastify/websocket.
 * Fastify says of each handler that it starts (`diagnostics_channel`); only then are the request and the server of ws known.
 * Invariant: whoever comes this way is asked by the same admission as all others, before its handshake is answered; and what has passed
 * no handler of Fastify's is left alone.
 * Fastify says so of all apps of the process, and of all requests: nobody listens who need not.
 */
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Admission, Answer } from './admission.js'
import { applicant, routedOf, setRouted } from './upgrade-hooks.js'
import { isWebSocket } from './underway.js'
import type { Upgrades } from './upgrades.js'

/** https://fastify.dev/docs/latest/Reference/Hooks/#diagnostics-channel-hooks */
const STARTS = 'tracing:fastify.request.handler:start'

type WebsocketServer = FastifyInstance['websocketServer']

export interface ElsewhereOptions {
  readonly fastify: FastifyInstance
  readonly upgrades: Upgrades
  readonly admission: Admission
  /** From now on the sockets of this server are to be adopted. @throws if that cannot be @returns what lets go of it */
  readonly take: (server: WebsocketServer) => () => void
  /** The app's own code has failed, or its options. */
  readonly onError: (error: Error) => void
}

export class Elsewhere {
  readonly #options: ElsewhereOptions
  /** The servers of ws that were met, and what lets go of each. */
  readonly #servers = new Map<WebsocketServer, () => void>()
  #watches = false

  constructor (options: ElsewhereOptions) {
    this.#options = options
  }

  watch (): void {
    this.#watches = true
    subscribe(STARTS, this.#onStart)
  }

  stop (): void {
    if (this.#watches) unsubscribe(STARTS, this.#onStart)
    for (const release of this.#servers.values()) release()
    this.#servers.clear()
  }

  readonly #onStart = (message: unknown): void => {
    const { request, reply } = message as { request: FastifyRequest, reply: FastifyReply }
    const { raw } = request
    const { fastify, upgrades, onError } = this.#options
    // What is no WebSocket, and other apps of the process.
    if (raw.headers.upgrade === undefined || request.server.server !== fastify.server) return
    const server = request.server.websocketServer as WebsocketServer | undefined
    // (Routed by another copy of it, @fastify/websocket does not say so on the request.)
    if (server === undefined || !(request.ws || (upgrades.has(raw) && isWebSocket(raw)))) return
    const seen = routedOf(raw) !== undefined
    if (seen && server === fastify.websocketServer) return
    if (reply.raw.socket !== null) upgrades.found(raw, reply.raw.socket)
    upgrades.routed(raw, reply)
    upgrades.dispatched(raw)
    try {
      this.#meet(server)
      if (!seen) setRouted(raw, { request, reply })
    } catch (error) {
      onError(error as Error)
      upgrades.failed(raw)
    }
  }

  #meet (server: WebsocketServer): void {
    if (this.#servers.has(server)) return
    const release = server === this.#options.fastify.websocketServer ? () => {} : this.#options.take(server)
    const open = this.#gate(server)
    this.#servers.set(server, () => { open(); release() })
  }

  /** Between the handler of @fastify/websocket and ws: nobody gets past here who was not asked about. @returns what takes it away */
  #gate (server: WebsocketServer): () => void {
    const own = Object.hasOwn(server, 'handleUpgrade')
    const { handleUpgrade } = server
    const gated: typeof handleUpgrade = (raw, socket, head, callback) => {
      const pass = (): void => { this.#pass(raw, () => { handleUpgrade.call(server, raw, socket, head, callback) }) }
      const routed = routedOf(raw)
      if (routed === undefined || routed.ip !== undefined) pass()
      else this.#options.admission.ask(applicant(raw, routed.request, this.#answer(raw, routed.reply.raw), this.#options.upgrades, pass))
    }
    server.handleUpgrade = gated
    return () => {
      // Whoever has put another in its place goes on through ours, which lets pass what it does not know.
      if (server.handleUpgrade !== gated) return
      if (own) server.handleUpgrade = handleUpgrade
      else delete (server as Partial<WebsocketServer>).handleUpgrade
    }
  }

  /** @fastify/websocket has nobody to tell what is thrown here. */
  #pass (raw: IncomingMessage, handle: () => void): void {
    try {
      handle()
    } catch (error) {
      this.#options.onError(error as Error)
      this.#options.upgrades.failed(raw)
    }
  }

  /** The reply is hijacked by now: it is answered past Fastify. */
  #answer (raw: IncomingMessage, response: ServerResponse): Answer {
    const { upgrades } = this.#options
    let statusCode = 500
    const headers: Record<string, string | number> = { 'content-type': 'application/json; charset=utf-8', connection: 'close' }
    return {
      code (status) { statusCode = status },
      header (name, value) { headers[name] = value },
      send (payload) {
        const body = JSON.stringify(payload)
        response.writeHead(statusCode, { ...headers, 'content-length': Buffer.byteLength(body) }).end(body)
        upgrades.answered(raw)
      }
    }
  }
}
