/**
 * A session over real WebSockets: a server without Fastify, and a client that comes back.
 */
import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { TestContext } from 'node:test'
import WebSocket, { WebSocketServer } from 'ws'
import { Connection, lifeOf } from '../../src/api/connection.js'
import type { Lifeline } from '../../src/api/lifeline.js'
import { nextFd } from '../../src/core/registry.js'
import { ClientSession } from '../../src/protocol/client-session.js'
import type { ClientOwner, ClientWire, Gap } from '../../src/protocol/client-session.js'
import { escaped } from '../../src/protocol/frames.js'
import type { Hello } from '../../src/protocol/frames.js'
import { offer, readOffer, SPOKEN } from '../../src/protocol/offer.js'
import { Session } from '../../src/resume/session.js'
import { superviseClass } from '../../src/transports/websocket/supervise.js'
import { WebSocketTransport } from '../../src/transports/websocket/transport.js'
import type { Message } from '../../src/transports/transport.js'
import { assembled, call } from '../unit/assembled.js'
import type { Options, Peer } from './transport.js'

const minting = { mint: () => randomBytes(32).toString('base64url'), hash: (token: string) => createHash('sha256').update(token).digest('hex') }
const rates = { messageRate: Infinity, byteRate: Infinity, pongRate: Infinity, payload: 1024 * 1024, policy: 'pause' } as const

export interface Server {
  readonly lifeline: Lifeline
  readonly port: number
  /** By the hashes of their tokens. */
  readonly sessions: Map<string, { session: Session, connection: Connection }>
  readonly errors: unknown[]
  /** All that there were, by the ids of their sessions. */
  readonly opened: Map<string, Connection>
}

/** @param run is called for each wire, as a route's handler would be @param outlives false: nobody can come back */
export async function serve (t: TestContext, { receipts, limit, beat = 20_000 }: Options & { beat?: number }, run: (connection: Connection) => void, outlives = true): Promise<Server> {
  const supervision = superviseClass(WebSocket)
  const { lifeline, house } = assembled({ ...(limit !== undefined && { limit, low: limit / 4 }) })
  const sessions: Server['sessions'] = new Map()
  const errors: unknown[] = []
  const opened: Server['opened'] = new Map()
  lifeline.on('error', (_connection, error) => { errors.push(error) })
  const settings = { defers: false, answers: false, receipts: false, fragments: true, patience: 10_000, rates, wheel: house.wheel, loop: house.wheel }
  const wss = new WebSocketServer({ noServer: true, WebSocket: supervision.WebSocket as never, handleProtocols: () => SPOKEN })
  const server = createServer()
  server.on('upgrade', (request, stream, head) => {
    wss.handleUpgrade(request, stream, head, (socket) => {
      const { claim } = readOffer(request.headers['sec-websocket-protocol']!.split(/, */))
      const carrier = new WebSocketTransport(socket as unknown as WebSocket, stream, supervision, settings)
      const hash = claim === null ? '' : minting.hash(claim.token)
      const found = sessions.get(hash)
      if (found !== undefined && found.session.reaches(claim!.received)) {
        const { session, connection } = found
        carrier.start(supervision, session.attach(carrier, () => lifeOf(connection).attach(carrier, call), '', { hash, received: claim!.received }))
        run(connection)
        return
      }
      const session: Session = new Session({
        terms: { id: `id${opened.size}`, node: 'n', window: 60_000, limit: 16 * 1024 * 1024, credit: 256 * 1024, payload: rates.payload, beat },
        minting: outlives ? minting : null,
        index: { add: (each) => { sessions.set(each, { session, connection }) }, delete: (each) => { sessions.delete(each) } },
        wheel: house.wheel,
        closeTimeout: 1_000
      })
      const connection: Connection = new Connection(house, session, nextFd(), receipts ?? null, call, carrier)
      opened.set(`id${opened.size}`, connection)
      session.start(lifeOf(connection))
      carrier.start(supervision, session.attach(carrier, () => lifeOf(connection).run, '', null, claim === null ? 'new' : 'unknown'))
      lifeOf(connection).begin(null)
      run(connection)
    })
  })
  const sockets = new Set<Socket>()
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.on('close', () => { sockets.delete(socket) })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(async () => {
    for (const { connection } of sessions.values()) connection.terminate()
    for (const socket of wss.clients as Set<WebSocket>) socket.terminate()
    house.heartbeat.stop()
    house.wheel.stop()
    server.close()
    // Who comes back just now, too.
    for (const socket of sockets) socket.destroy()
    await once(server, 'close')
  })
  return { lifeline, port: (server.address() as AddressInfo).port, sessions, errors, opened }
}

/** Comes back as soon as it is cut, until it is closed. */
export class Returning implements ClientOwner<string | Buffer>, Peer {
  readonly received: Message[] = []
  readonly confirmedMessages: Array<string | Buffer> = []
  told: Peer['told'] = null
  resumes = 0
  readonly gaps: Array<Gap<string | Buffer>> = []
  /** What it has got, session by session. */
  readonly segments: Array<{ id: string, got: string[] }> = []
  socket!: WebSocket
  readonly session = new ClientSession<string | Buffer>(this)
  readonly #port: number
  #ends: boolean

  /** @param ends whether it stays away when it is cut */
  constructor (t: TestContext, port: number, ends = false) {
    this.#port = port
    this.#ends = ends
    this.connect()
    t.after(() => {
      this.#ends = true
      this.socket.terminate()
    })
  }

  connect (): void {
    const socket = this.socket = new WebSocket(`ws://127.0.0.1:${this.#port}`, offer([], this.session.leave()))
    const wire: ClientWire<string | Buffer> = {
      tell: (text) => { socket.send(text) },
      send: (data) => { socket.send(typeof data === 'string' ? escaped(data) : data) },
      close: (code) => { socket.close(code) }
    }
    socket.on('error', () => {})
    socket.on('open', () => { this.session.attach(wire) })
    socket.on('message', (data: Buffer, binary) => { this.session.heard(wire, binary ? data : data.toString(), data.length) })
    socket.on('close', (code, reason) => {
      this.session.lost(wire, code)
      if (code !== 1006) this.told = { code, reason: String(reason) }
      if (!this.#ends && socket === this.socket) this.connect()
    })
  }

  /** The line is cut, and nobody says a word. */
  cut (): void { this.socket.terminate() }

  // As a peer.

  say (data: string | Buffer): void { this.session.send(data, data.length) }
  hold (on: boolean): void { if (on) this.socket.pause(); else this.socket.resume() }
  vanish (): void {
    this.#ends = true
    this.socket.terminate()
  }

  // As its session sees it.

  opened ({ id }: Hello, gap: Gap<string | Buffer> | null): void {
    if (gap !== null) this.gaps.push(gap)
    this.segments.push({ id, got: [] })
  }

  resumed (): void { this.resumes++ }
  message (data: string | object): void {
    this.segments.at(-1)!.got.push(String(data))
    this.received.push(typeof data === 'string' ? { data, binary: false } : { data: Buffer.from(data as Uint8Array), binary: true } as Message)
  }

  confirmed (message: string | Buffer): void { this.confirmedMessages.push(message) }
  missed (): void {}
  owes (): void { setTimeout(() => { if (this.session.owing) this.session.tell() }, 20) }
}
