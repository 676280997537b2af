/**
 * WebSocket as a transport: over a real socket, bare and under an extension, and over one that was injected.
 */
import type { TestContext } from 'node:test'
import Fastify from 'fastify'
import WebSocket from 'ws'
import lifeline from '../../src/index.js'
import type { LifelineOptions } from '../../src/index.js'
import type { Message } from '../../src/transports/transport.js'
import { connect, opened, start } from '../support/app.js'
import { contract } from './transport.js'
import type { Options, Peer, Subject } from './transport.js'

const optionsOf = ({ receipts, limit = 1_048_576 }: Options = {}): LifelineOptions =>
  ({ closeTimeout: 500, backpressure: { limit }, ...(receipts !== undefined && { receipts }) })

function peerOf (client: WebSocket): Peer {
  const received: Message[] = []
  const peer = {
    received,
    told: null as Peer['told'],
    say: (data: string | Buffer) => { client.send(data) },
    hold: (on: boolean) => { if (on) client.pause(); else client.resume() },
    vanish: () => { client.terminate() }
  }
  client.on('message', (data, binary) => { received.push(binary ? { data: data as Buffer<ArrayBuffer>, binary: true } : { data: String(data), binary: false }) })
  client.on('close', (code, reason) => { if (code !== 1006) peer.told = { code, reason: String(reason) } })
  return peer
}

const real = (deflate: boolean) => async (t: TestContext, options?: Options): Promise<Subject> => {
  const websocket = deflate ? { options: { perMessageDeflate: { threshold: 0 } } } : {}
  const { app, url } = await start(t, { options: { ...optionsOf(options), websocket }, routes: (app) => { app.get('/', { websocket: true }, () => {}) } })
  const opening = opened(app)
  const peer = peerOf(await connect(t, url))
  return { connection: await opening, lifeline: app.lifeline, peer }
}

async function injected (t: TestContext, options?: Options): Promise<Subject> {
  const app = Fastify()
  await app.register(lifeline, optionsOf(options))
  app.get('/', { websocket: true }, () => {})
  await app.ready()
  t.after(() => app.close())
  const opening = opened(app)
  const client = await app.injectWS('/') as unknown as WebSocket
  client.on('error', () => {})
  // It has no socket that would keep the process alive, and answers pings only if it is told to.
  const alive = setInterval(() => {}, 1000)
  client.on('ping', (payload) => { client.pong(payload) })
  t.after(() => { clearInterval(alive); client.terminate() })
  return { connection: await opening, lifeline: app.lifeline, peer: peerOf(client) }
}

const traits = { kind: 'websocket', remote: true, confirms: 'asked', binary: true, reads: true, asks: true } as const

contract('WebSocket', traits, real(false))
contract('WebSocket under permessage-deflate', traits, real(true))
contract('WebSocket, injected', { ...traits, remote: false }, injected)
