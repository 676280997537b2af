/**
 * An upgrade on its way through Fastify's hooks: whose request it is, whether it may come in, and when its answer is whole.
 * Invariant: who asks for a WebSocket gets past here only if admission has let it in; and any other upgrade has its place as well.
 * Knows nothing of what it becomes: whoever adopts the WebSocket asks here for its request.
 */
import type { IncomingMessage } from 'node:http'
import { Socket } from 'node:net'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Admission, Answer, Applicant } from './admission.js'
import { isWebSocket } from './underway.js'
import type { Upgrades } from './upgrades.js'

const kFastify = Symbol('fastify-lifeline.fastify')

/** As Fastify has routed it. */
export interface Routed {
  readonly request: FastifyRequest
  readonly reply: FastifyReply
  /** Its address; undefined: it was not let in. */
  ip?: string
}

interface Raw extends IncomingMessage {
  [kFastify]?: Routed | undefined
}

const refusals = { origins: 'This origin may not open a WebSocket here', unknown: 'This upgrade could not be checked' }

/** The Fastify request is found through the raw one, which is all that ws has, and let go of again. */
export function takeRouted (raw: IncomingMessage): Routed | undefined {
  const routed = (raw as Raw)[kFastify]
  delete (raw as Raw)[kFastify]
  return routed
}

/** As it was routed, while nobody has taken it. */
export function routedOf (raw: IncomingMessage): Routed | undefined {
  return (raw as Raw)[kFastify]
}

export function setRouted (raw: IncomingMessage, routed: Routed): void {
  (raw as Raw)[kFastify] = routed
}

/** @param proceed it may go on */
export function applicant (raw: IncomingMessage, request: FastifyRequest, reply: Answer, upgrades: Upgrades, proceed: () => void): Applicant {
  const underway = upgrades.has(raw)
  return {
    request,
    reply,
    get origin () { return originOf(request) },
    refusals,
    waits: () => !underway || upgrades.waits(raw),
    enter: ({ ip, leave }) => {
      const routed = routedOf(raw)
      if (routed !== undefined) routed.ip = ip
      upgrades.admitted(raw, leave)
    },
    proceed
  }
}

export function watchUpgrades (fastify: FastifyInstance, upgrades: Upgrades, admission: Admission): void {
  fastify.addHook('onRequest', (request, reply, done) => {
    const { raw } = request
    if (raw.headers.upgrade !== undefined) {
      setRouted(raw, { request, reply })
      // It may have come to a server that is not watched.
      const { socket } = reply.raw
      if (socket !== null && (request.ws || isTakenUp(raw, socket))) upgrades.found(raw, socket)
      upgrades.routed(raw, reply)
    }
    // Others may ask for an upgrade in a header alone: they are answered like other requests.
    const underway = upgrades.has(raw)
    const websocket = isWebSocket(raw)
    if (!websocket && !underway) {
      done()
      return
    }
    const asks = applicant(raw, request, reply, upgrades, done)
    if (websocket) admission.ask(asks)
    else admission.admit(asks)
  })
  fastify.addHook('onResponse', ({ raw }, reply, done) => {
    // A hook before ours may have refused it there. (Of an ordinary response Node.js has taken the socket off by now.)
    if (routedOf(raw) === undefined && isWebSocket(raw) && reply.raw.socket !== null) upgrades.found(raw, reply.raw.socket)
    upgrades.answered(raw)
    done()
  })
}

/** Whether Node.js has taken it for an upgrade: then it reads the socket no more. (@fastify/websocket may say so only in a hook behind ours.) */
function isTakenUp (raw: IncomingMessage, socket: Socket): boolean {
  return isWebSocket(raw) && socket instanceof Socket && socket.listenerCount('data') + socket.listenerCount('readable') === 0
}

/** Browsers of the protocol's version 8, which ws speaks too, name the page in a header of its own. */
function originOf ({ headers }: FastifyRequest): string | undefined {
  return headers.origin ?? headers['sec-websocket-origin'] as string | undefined
}
