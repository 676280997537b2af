/**
 * A Fastify app with the plugin on a port of its own, its log kept, and clients to talk to it.
 * Everything is closed when the test ends.
 */
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import Fastify from 'fastify'
import type { FastifyInstance, FastifyServerOptions } from 'fastify'
import WebSocket from 'ws'
import lifeline from '../../src/index.js'
import type { CloseInfo, Connection, LifelineOptions } from '../../src/index.js'

export interface LogLine {
  level: number
  msg: string
  err?: { message: string, code?: string }
  [field: string]: unknown
}

export const level = { debug: 20, info: 30, warn: 40, error: 50 } as const

export interface Setup {
  options?: LifelineOptions
  fastify?: FastifyServerOptions
  /** Before the plugin is registered. */
  before?: (app: FastifyInstance) => unknown
  /** Instead of a port of its own: the path of a Unix domain socket. */
  path?: string
  /** After it. */
  routes?: (app: FastifyInstance) => unknown
}

export interface App {
  app: FastifyInstance
  /** ws://127.0.0.1:port */
  url: string
  port: number
  /** What was logged so far. */
  lines: LogLine[]
  /** Of level error. */
  errors: () => LogLine[]
  /** What ended so far. */
  closed: CloseInfo[]
}

/** A logger's stream that keeps what it gets. */
export function keepLog (): { stream: { write: (line: string) => void }, lines: LogLine[] } {
  const lines: LogLine[] = []
  return { lines, stream: { write: (line) => { lines.push(JSON.parse(line)) } } }
}

export async function start (t: TestContext, { options = {}, fastify = {}, before, path, routes }: Setup = {}): Promise<App> {
  const { stream, lines } = keepLog()
  const app = Fastify({ logger: { level: 'debug', stream }, ...fastify } as FastifyServerOptions) as unknown as FastifyInstance
  t.after(() => app.close())
  await before?.(app)
  await app.register(lifeline, options)
  const closed: CloseInfo[] = []
  app.lifeline.on('close', (_connection, info) => { closed.push(info) })
  await routes?.(app)
  await app.listen(path !== undefined ? { path } : { port: 0, host: '127.0.0.1' })
  const { port = 0 } = app.server.address() as Partial<AddressInfo>
  return { app, url: `ws://127.0.0.1:${port}`, port, lines, closed, errors: () => lines.filter((line) => line.level >= level.error) }
}

/** A client whose socket is open. It is terminated when the test ends. */
export async function connect (t: TestContext, url: string, options: WebSocket.ClientOptions = {}): Promise<WebSocket> {
  const socket = new WebSocket(url, options)
  t.after(() => { socket.on('error', () => {}); socket.terminate() })
  await once(socket, 'open')
  return socket
}

/** The next connection that the server adopts; call it before the client connects. */
export function opened (app: FastifyInstance): Promise<Connection> {
  return new Promise((resolve) => { app.lifeline.once('open', resolve) })
}

/** The end of the next connection. (events.once would reject at an `error` event.) */
export function ended (app: FastifyInstance): Promise<CloseInfo> {
  return new Promise((resolve) => { app.lifeline.once('close', (_connection, info) => { resolve(info) }) })
}

/** In ms. It decides nothing but when a test that fails is given up: a busy machine may be slow. */
const PATIENCE = Number(process.env.PATIENCE ?? 30_000)

/** Waits for what no event tells (a count in /proc, the log of another process); fails after `limit` ms. */
export async function until (what: string, holds: () => unknown, limit = PATIENCE): Promise<void> {
  const deadline = performance.now() + limit
  while (!await holds()) {
    if (performance.now() > deadline) throw new Error(`waited ${limit} ms in vain: ${what}`)
    await sleep(10)
  }
}
