/**
 * The three ways in which an app may come to its WebSockets: @fastify/websocket alone, ours alone,
 * and its own @fastify/websocket before ours. A case that runs over all of them shows that an app
 * notices nothing of us; what it does notice stands in differences.test.ts.
 */
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import type { IncomingMessage } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { connect as connectSocket } from 'node:net'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import fastifyWebsocket from '@fastify/websocket'
import type { WebsocketPluginOptions } from '@fastify/websocket'
import Fastify from 'fastify'
import type { FastifyInstance, FastifyRequest, FastifyServerOptions } from 'fastify'
import WebSocket from 'ws'
import lifeline from '../../../src/index.js'
import type { LifelineOptions } from '../../../src/index.js'
import { keepLog } from '../../support/app.js'
import type { LogLine } from '../../support/app.js'

export interface Way {
  readonly name: string
  /** Whether our plugin is there. */
  readonly ours: boolean
  /** Whether the app registered @fastify/websocket by itself. */
  readonly theirs: boolean
}

export const bare: Way = { name: '@fastify/websocket alone', ours: false, theirs: true }
export const alone: Way = { name: 'lifeline alone', ours: true, theirs: false }
export const behind: Way = { name: 'lifeline after the app\'s @fastify/websocket', ours: true, theirs: true }
export const ways = [bare, alone, behind] as const

/** One test for each way. */
export function onEveryWay (name: string, run: (t: TestContext, way: Way) => unknown): void {
  for (const way of ways) test(`${way.name}: ${name}`, { timeout: 8_000 }, async (t) => { await run(t, way) })
}

/** Registers what the way wants; the options of @fastify/websocket go to whoever registers it. */
export async function register (app: FastifyInstance, way: Way, websocket?: WebsocketPluginOptions, options: LifelineOptions = {}): Promise<void> {
  if (way.theirs) await app.register(fastifyWebsocket, websocket ?? {})
  if (way.ours) await app.register(lifeline, !way.theirs && websocket !== undefined ? { ...options, websocket } : options)
}

export interface Setup {
  fastify?: FastifyServerOptions | Record<string, unknown>
  /** For @fastify/websocket, whoever registers it. */
  websocket?: WebsocketPluginOptions
  /** For ours. */
  options?: LifelineOptions
  /** Before anything is registered. */
  before?: (app: FastifyInstance) => unknown
  /** After it. */
  routes?: (app: FastifyInstance) => unknown
  host?: string
}

export interface Begun {
  app: FastifyInstance
  port: number
  url: string
  lines: LogLine[]
  /** A client that is open. */
  dial: (path?: string, options?: WebSocket.ClientOptions & { protocols?: string | string[] }) => Promise<Client>
  /** What a client is told whose upgrade is refused. */
  refused: (path?: string, options?: WebSocket.ClientOptions & { protocols?: string | string[] }) => Promise<{ status: number, headers: IncomingMessage['headers'], body: string }>
  /** A TCP socket that has said this. */
  say: (text: string) => Socket
}

/** An app that listens, on a way. When the test ends, its clients are cut and it is closed. */
export async function begin (t: TestContext, way: Way, { fastify = {}, websocket, options, before, routes, host = '127.0.0.1' }: Setup = {}): Promise<Begun> {
  const { stream, lines } = keepLog()
  const app = Fastify({ logger: { level: 'debug', stream }, ...fastify } as FastifyServerOptions) as unknown as FastifyInstance
  const clients = new Set<{ cut: () => void }>()
  t.after(async () => {
    for (const client of clients) client.cut()
    for (const socket of sockets) socket.destroy()
    await app.close()
  })
  // By itself @fastify/websocket leaves the sockets of refused upgrades behind, and close() waits for them.
  const sockets = new Set<Socket>()
  if (!way.ours) app.server.on('connection', (socket: Socket) => { sockets.add(socket) })
  await before?.(app)
  await register(app, way, websocket, options)
  await routes?.(app)
  await app.listen({ port: 0, host })
  const { port } = app.server.address() as AddressInfo
  const url = `ws://${host}:${port}`

  const make = (path: string, { protocols, ...rest }: WebSocket.ClientOptions & { protocols?: string | string[] } = {}): WebSocket => {
    const socket = new WebSocket(path.startsWith('ws') ? path : url + path, protocols ?? [], rest)
    socket.on('error', () => {})
    clients.add({ cut: () => { socket.terminate() } })
    return socket
  }
  return {
    app,
    port,
    url,
    lines,
    async dial (path = '/', options) {
      const client = new Client(make(path, options))
      await client.opened
      return client
    },
    async refused (path = '/', options) {
      const socket = make(path, options)
      const [, response] = await once(socket, 'unexpected-response') as [unknown, IncomingMessage]
      clients.add({ cut: () => { response.destroy() } })
      response.setEncoding('utf8')
      let body = ''
      const length = Number(response.headers['content-length'] ?? 0)
      if (length > 0) {
        for await (const chunk of response) {
          body += chunk
          if (body.length >= length) break
        }
      }
      return { status: response.statusCode!, headers: response.headers, body }
    },
    say (text) {
      const socket = connectSocket(port, host)
      socket.on('error', () => {})
      clients.add({ cut: () => { socket.destroy() } })
      socket.write(text)
      return socket
    }
  }
}

/** A client that misses nothing: it listens from the start. */
export class Client {
  readonly socket: WebSocket
  readonly opened: Promise<void>
  readonly closed: Promise<{ code: number, reason: string }>
  /** Of the upgrade. */
  response: IncomingMessage | undefined
  readonly #messages: Array<{ data: Buffer, binary: boolean }> = []
  #wake: (() => void) | null = null

  constructor (socket: WebSocket) {
    this.socket = socket
    socket.on('message', (data: Buffer, binary: boolean) => {
      this.#messages.push({ data, binary })
      this.#wake?.()
    })
    socket.once('upgrade', (response) => { this.response = response })
    this.opened = new Promise((resolve, reject) => { socket.once('open', resolve).once('error', reject) })
    this.opened.catch(() => {})
    this.closed = new Promise((resolve) => {
      socket.once('close', (code, reason) => {
        resolve({ code, reason: String(reason) })
        this.#wake?.()
      })
    })
  }

  /** The next message, as text. */
  async text (): Promise<string> {
    return String((await this.message()).data)
  }

  async message (): Promise<{ data: Buffer, binary: boolean }> {
    while (this.#messages.length === 0) {
      if (this.socket.readyState === WebSocket.CLOSED) throw new Error('the connection closed before a message came')
      await new Promise<void>((resolve) => { this.#wake = resolve })
    }
    return this.#messages.shift()!
  }

  /** Sends the head of a binary message of so many bytes, and nothing of the message itself. */
  announce (bytes: number): void {
    const head = Buffer.alloc(14)
    head.writeUInt16BE(0x82ff)
    head.writeBigUInt64BE(BigInt(bytes), 2)
    ;(this.socket as unknown as { _socket: Socket })._socket.write(head)
  }

  /** Sends this and gives the next message that comes. */
  async ask (data: string | Buffer): Promise<string> {
    this.socket.send(data)
    return await this.text()
  }
}

/** A request for an upgrade, as bytes. */
export const upgradeRequest = (path: string, headers: Record<string, string> = {}): string =>
  [
    `GET ${path} HTTP/1.1`,
    ...Object.entries({
      Host: 'localhost',
      Connection: 'Upgrade',
      Upgrade: 'websocket',
      'Sec-WebSocket-Key': 'dGhlIHNhbXBsZSBub25jZQ==',
      'Sec-WebSocket-Version': '13',
      ...headers
    }).filter(([, value]) => value !== '').map(([name, value]) => `${name}: ${value}`),
    '\r\n'
  ].join('\r\n')

/** What a TCP socket is told until the end of the headers; later bytes may be among it. */
export async function head (socket: Socket): Promise<string> {
  let text = ''
  for await (const chunk of socket) {
    text += String(chunk)
    if (text.includes('\r\n\r\n')) break
  }
  return text
}

const pem = (name: string): Buffer => readFileSync(new URL(`../../support/${name}`, import.meta.url))

/** Self-signed, for localhost, 127.0.0.1 and ::1; valid until 2126. */
export const certificate = { key: pem('localhost.key.pem'), cert: pem('localhost.cert.pem') }

/** Sends back what it gets. */
export const echo = (socket: WebSocket): void => {
  socket.on('message', (data: Buffer, binary: boolean) => { socket.send(data, { binary }) })
}

type Live = (socket: WebSocket, request: FastifyRequest) => unknown

/** An app whose one route has this handler. */
export const live = (t: TestContext, way: Way, handler: Live): Promise<Begun> =>
  begin(t, way, { routes: (app) => app.get('/', { websocket: true }, (socket, request) => { handler(socket, request) }) })

/** One connection: its client, and its socket on the server. */
export async function pair (t: TestContext, way: Way, handler: Live = () => {}): Promise<{ client: Client, socket: WebSocket, begun: Begun }> {
  let made!: (socket: WebSocket) => void
  const socket = new Promise<WebSocket>((resolve) => { made = resolve })
  const begun = await live(t, way, (own, request) => {
    made(own)
    return handler(own, request)
  })
  return { client: await begun.dial(), socket: await socket, begun }
}
