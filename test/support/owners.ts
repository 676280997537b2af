/**
 * An app in which @fastify/websocket and ours are registered by different hands, in every order.
 */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { TestContext } from 'node:test'
import fastifyWebsocket from '@fastify/websocket'
import type { WebsocketPluginOptions } from '@fastify/websocket'
import Fastify from 'fastify'
import type { FastifyInstance, FastifyRequest, RouteOptions } from 'fastify'
import type WebSocket from 'ws'
import lifeline from '../../src/index.js'
import type { Lifeline, LifelineOptions } from '../../src/index.js'
import { keepLog, level } from './app.js'
import type { LogLine } from './app.js'

export type Handler = (socket: WebSocket, request: FastifyRequest) => void

export interface Parts {
  /** Registers @fastify/websocket, and declares what is looked at. */
  theirs: (app: FastifyInstance) => Promise<void>
  /** Registers ours, and declares `/ours`. */
  ours: (app: FastifyInstance) => Promise<void>
}

/** In which order and where they are registered. */
export const constellations: Record<string, (app: FastifyInstance, parts: Parts) => unknown> = {
  'theirs in a child, before ours': async (app, { theirs, ours }) => { app.register(async (child) => { await theirs(child) }); await ours(app) },
  'theirs in a plugin of a plugin, before ours': async (app, { theirs, ours }) => {
    app.register(async (child) => { await child.register(async (child) => { await theirs(child) }) })
    await ours(app)
  },
  'siblings, theirs first': (app, { theirs, ours }) => { app.register(async (child) => { await theirs(child) }); app.register(async (child) => { await ours(child) }) },
  'siblings, ours first': (app, { theirs, ours }) => { app.register(async (child) => { await ours(child) }); app.register(async (child) => { await theirs(child) }) },
  'ours in a child, then theirs': async (app, { theirs, ours }) => { app.register(async (child) => { await ours(child) }); await theirs(app) },
  'theirs, then ours in a child': async (app, { theirs, ours }) => { await theirs(app); app.register(async (child) => { await ours(child) }) }
}

export interface Begun {
  app: FastifyInstance
  /** Of the route of theirs. */
  url: string
  /** Of ours. */
  own: string
  lifeline: Lifeline
  lines: LogLine[]
  warnings: () => string[]
  requests: FastifyRequest[]
  /** How often hooks ran, of the whole app. */
  hooks: () => number
}

export interface Setup {
  options?: LifelineOptions
  websocket?: WebsocketPluginOptions
  plugin?: typeof fastifyWebsocket
  handler?: Handler
  route?: Partial<RouteOptions>
  /** Hooks and routes beside those of theirs. */
  beside?: (app: FastifyInstance) => unknown
  /** Where theirs listens. */
  port?: number
}

export const echo: Handler = (socket) => { socket.on('message', (data) => { socket.send(`echo ${String(data)}`) }) }

export async function begin (t: TestContext, build: (app: FastifyInstance, parts: Parts) => unknown, { options = {}, websocket, plugin = fastifyWebsocket, handler = echo, route = {}, beside, port }: Setup = {}): Promise<Begun> {
  const { stream, lines } = keepLog()
  const app = Fastify({ logger: { level: 'debug', stream } }) as unknown as FastifyInstance
  t.after(() => app.close())
  let found: Lifeline | undefined
  let hooks = 0
  // Whether the routes of ours are of their @fastify/websocket, too.
  let shares = false
  const requests: FastifyRequest[] = []
  app.addHook('onRequest', (_request, _reply, done) => { hooks++; done() })
  await build(app, {
    async theirs (app) {
      await app.register(plugin, websocket ?? {})
      beside?.(app)
      app.route({ method: 'GET', url: '/theirs/:name', websocket: true, ...route, handler: (socket: any, request: any) => { requests.push(request); return handler(socket, request) } } as RouteOptions)
    },
    async ours (app) {
      shares = app.hasDecorator('websocketServer')
      await app.register(lifeline, { closeTimeout: 500, ...options })
      found = app.lifeline
      app.get('/ours', { websocket: true }, (socket, request) => { requests.push(request); echo(socket, request) })
    }
  })
  await app.listen({ port: 0, host: '127.0.0.1' })
  const url = `ws://127.0.0.1:${(app.server.address() as AddressInfo).port}`
  return {
    app,
    url: `${port === undefined ? url : `ws://127.0.0.1:${port}`}/theirs/x`,
    own: `${port === undefined || !shares ? url : `ws://127.0.0.1:${port}`}/ours`,
    lifeline: found!,
    lines,
    warnings: () => lines.filter(({ level: at }) => at >= level.warn).map(({ msg }) => msg),
    requests,
    hooks: () => hooks
  }
}

export async function ask (client: WebSocket, text = 'x'): Promise<string> {
  const heard = once(client, 'message')
  client.send(text)
  return String((await heard)[0])
}

export async function elsewhere (t: TestContext): Promise<{ server: Server, port: number }> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => { server.close() })
  return { server, port: (server.address() as AddressInfo).port }
}

export const good = { origin: 'https://good.example' }
export const evil = { origin: 'https://evil.example' }
