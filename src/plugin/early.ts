/**
 * What only Fastify's `fastify.initialization` channel tells, of each instance that was made after this module was loaded: by which
 * @fastify/websocket its WebSocket routes were declared, and which while nobody was there to serve them: before the registration, or
 * because nobody has awaited that. Fastify would call their handlers with a request in the place of a socket.
 */
import { subscribe } from 'node:diagnostics_channel'
import type { FastifyInstance, RouteOptions } from 'fastify'
import { FST_ERR_LIFELINE_EARLY_ROUTES } from '../core/errors.js'
import { takesWebSockets } from './routes.js'

/** How many of them an error names. */
const NAMED = 5

interface Early {
  readonly name: string
  /** That of its context. */
  readonly instance: FastifyInstance
}

const early = new WeakMap<object, Early[]>()
/** By which @fastify/websocket the WebSocket routes of a server were declared. */
const servers = new WeakMap<object, Set<object>>()

subscribe('fastify.initialization', (message) => {
  try {
    const { fastify } = message as { fastify: FastifyInstance }
    const { server } = fastify
    fastify.addHook('onRoute', function (this: FastifyInstance, route: RouteOptions) {
      // HEAD comes with GET.
      if (!takesWebSockets(route) || route.method === 'HEAD') return
      if (this.hasDecorator('websocketServer')) {
        servers.set(server, (servers.get(server) ?? new Set()).add(this.websocketServer))
        return
      }
      const routes = early.get(server) ?? []
      early.set(server, routes)
      routes.push({ name: `${String(route.method)} ${route.url}`, instance: this })
    })
  } catch {
    // Of a Fastify that is none we know nothing.
  }
})

/** Whether there are routes of another @fastify/websocket than this, whatever it calls itself. For when all routes are declared. */
export const hasOthers = ({ server, websocketServer }: FastifyInstance): boolean => [...servers.get(server) ?? []].some((one) => one !== websocketServer)

/** When all routes are declared. @throws FST_ERR_LIFELINE_EARLY_ROUTES */
export function refuseEarly ({ server }: FastifyInstance): void {
  // In a context that has no lifeline it is none of ours.
  const names = (early.get(server) ?? []).filter(({ instance }) => instance.hasDecorator('lifeline')).map(({ name }) => name)
  if (names.length === 0) return
  const more = names.length > NAMED ? ` and ${names.length - NAMED} more` : ''
  throw new FST_ERR_LIFELINE_EARLY_ROUTES(`${names.slice(0, NAMED).join(', ')}${more}`)
}
