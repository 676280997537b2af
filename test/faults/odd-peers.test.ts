/**
 * Peers that are odd, slow, or half gone, beside each other and beside a busy process: who lives is let live, and who is gone is
 * found within what is stated for it. `npm run laboratory` writes what it has seen into docs/reliability.md.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { connect as dialSocket } from 'node:net'
import type { Socket } from 'node:net'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { FastifyInstance } from 'fastify'
import type WebSocket from 'ws'
import type { LifelineOptions } from '../../src/index.js'
import { connect, start, until } from '../support/app.js'
import type { App } from '../support/app.js'
import { frame, opcode } from '../support/frames.js'
import { dial } from '../support/raw-client.js'
import { BUSY } from './support/bound.js'
import { startFleet } from './support/fleet.js'

const CLIENTS = 10
const MIB = 1024 * 1024

interface Row { what: string, connections: number, stated: string, saw: string }

const each = <T>(call: (index: number) => Promise<T>, count = CLIENTS): Promise<T[]> => Promise.all(Array.from({ length: count }, (_, i) => call(i)))

/** A server whose sockets are at hand by their fd. */
async function serve (t: TestContext, options: LifelineOptions, more: (app: FastifyInstance) => unknown = () => {}): Promise<App & { sockets: Map<number, WebSocket> }> {
  const sockets = new Map<number, WebSocket>()
  const app = await start(t, {
    options: { shutdown: { timeout: 100 }, closeTimeout: 100, ...options },
    routes: async (app) => {
      app.get('/', { websocket: true }, (socket, { fd }) => { sockets.set(fd, socket) })
      await more(app)
    }
  })
  return { ...app, sockets }
}

/** A peer that the test reads for, as fast as it wants to. */
async function rawPeer (t: TestContext, port: number, { path = '/', extension = '' } = {}): Promise<Socket> {
  const peer = dialSocket({ port, host: '127.0.0.1', allowHalfOpen: true })
  peer.on('error', () => {})
  t.after(() => { peer.destroy() })
  peer.write(`GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n${extension}\r\n`)
  await once(peer, 'readable')
  assert.match(String(peer.read()), /^HTTP\/1\.1 101/)
  return peer
}

const milliseconds = (times: number[]): string => `${Math.round(times.toSorted((a, b) => a - b)[times.length >> 1]!)} ms (at most ${Math.round(Math.max(...times))} ms)`

/** How late the loop of this process was, in sum: to all bounds it is time that nobody had. */
function lateness (t: TestContext): () => number {
  let sum = 0
  let last = performance.now()
  const timer = setInterval(() => {
    const now = performance.now()
    sum += Math.max(0, now - last - 20)
    last = now
  }, 20)
  t.after(() => { clearInterval(timer) })
  return () => sum
}

async function besideBusyZlib (t: TestContext): Promise<Row> {
  const { app, url, closed } = await serve(t, { heartbeat: { interval: 1000, timeout: 1000 }, backpressure: { limit: 16 * MIB }, websocket: { options: { perMessageDeflate: true } } })
  // In processes of their own: what keeps one busy keeps no other from answering.
  const [idlers, others] = await Promise.all([startFleet(t, []), startFleet(t, [])])
  await idlers.connect(url, 'ws', CLIENTS)
  const idle = [...app.lifeline]
  await others.connect(url, 'ws', 8 * CLIENTS)
  const data = randomBytes(MIB)
  for (const connection of app.lifeline) connection.push(idle.includes(connection) ? 'x' : data)
  await until('all has been compressed and taken', () => [...app.lifeline].every(({ bufferedBytes }) => bufferedBytes === 0), 60_000)
  await sleep(2500)
  assert.deepEqual(closed.filter(({ fd }) => idle.some((connection) => connection.fd === fd)), [])
  return { what: `live and idle, while ${8 * CLIENTS} others are sent 1 MiB each under permessage-deflate`, connections: CLIENTS, stated: 'live', saw: 'nobody ended' }
}

/** Reads `rate` bytes in each twentieth of a second, and pings by itself. */
function readSlowly (t: TestContext, peer: Socket, rate: number): () => number {
  let got = 0
  const reads = setInterval(() => { got += (peer.read(Math.min(rate, peer.readableLength)) as Buffer | null)?.length ?? 0 }, 50)
  const talks = setInterval(() => { if (peer.writable) peer.write(frame(opcode.ping, 'hi')) }, 200)
  t.after(() => { clearInterval(reads); clearInterval(talks) })
  return () => got
}

async function largeAndSlow (t: TestContext, how: 'pushed' | 'sent by the app' | 'compressed'): Promise<Row> {
  const stallTimeout = 1000
  const { app, port, sockets, closed } = await serve(t, {
    heartbeat: { interval: 500, timeout: 500 },
    backpressure: { limit: 64 * MIB, stallTimeout },
    ...(how === 'compressed' && { websocket: { options: { perMessageDeflate: true } } })
  })
  const size = 16 * MIB
  const data = randomBytes(size)
  const peer = await rawPeer(t, port, how === 'compressed' ? { extension: 'Sec-WebSocket-Extensions: permessage-deflate\r\n' } : {})
  const got = readSlowly(t, peer, 128 * 1024)
  await until('it is there', () => sockets.size === 1)
  const [connection] = app.lifeline
  const began = performance.now()
  if (how === 'sent by the app') sockets.get(connection!.fd)!.send(data)
  else connection!.push(data)
  await until('it has read all', () => got() >= size || closed.length > 0, 60_000)
  assert.deepEqual(closed, [], `${got()} bytes were read`)
  const took = performance.now() - began
  assert.ok(took > 2 * stallTimeout, 'it was not slow')
  return { what: `one message of ${size / MIB} MiB, ${how}, to a peer that reads all the time, slowly`, connections: 1, stated: 'live', saw: `nobody ended, in ${(took / 1000).toFixed(1)} s; \`stallTimeout\` is ${stallTimeout} ms` }
}

async function oddPongs (t: TestContext): Promise<Row[]> {
  const interval = 100
  const { url, port, closed } = await serve(t, { heartbeat: { interval, timeout: 400 } })
  const kinds: Record<string, (ping: Buffer) => Buffer | null> = {
    'answers with an empty pong': () => frame(opcode.pong, ''),
    'answers with always the same pong': () => frame(opcode.pong, 'pong'),
    'answers no ping, but talks': () => null
  }
  return await Promise.all(Object.entries(kinds).map(async ([what, answer]) => {
    assert.ok(port > 0)
    const peers = await each(async () => {
      const peer = await dial(t, url, { answers: false })
      let seen = 0
      peer.socket.on('data', () => {
        for (; seen < peer.pings.length; seen++) {
          const pong = answer(peer.pings[seen]!)
          if (pong !== null) peer.socket.write(pong)
        }
      })
      if (answer(Buffer.alloc(0)) === null) {
        const talks = setInterval(() => { peer.socket.write(frame(opcode.text, 'I am here')) }, interval / 2)
        t.after(() => { clearInterval(talks) })
      }
      return peer
    })
    await until('all were pinged more often than 40 pings may be open', () => closed.length > 0 || peers.every(({ pings }) => pings.length > 50), 60_000)
    assert.deepEqual(closed, [], what)
    return { what: `a client that ${what}`, connections: CLIENTS, stated: 'live', saw: 'nobody ended, and all were pinged to the end, more than 50 times' }
  }))
}

async function halfClosed (t: TestContext, late: () => number): Promise<Row> {
  const closeTimeout = 500
  const { app, port, closed } = await serve(t, { heartbeat: { interval: 60_000, timeout: 60_000 }, closeTimeout, backpressure: { limit: 64 * MIB } })
  const peers = await each(() => rawPeer(t, port))
  await until('all are there', () => app.lifeline.size === CLIENTS)
  for (const peer of peers) peer.pause()
  for (const connection of app.lifeline) connection.push(Buffer.alloc(16 * MIB))
  await sleep(100)
  const [before, at] = [late(), Date.now()]
  for (const peer of peers) peer.end()
  await until('all have ended', () => closed.length === CLIENTS, 20_000)
  const times = closed.map(({ closedAt }) => closedAt - at)
  const bound = closeTimeout + app.lifeline.heartbeat.bound - 120_000
  assert.ok(Math.max(...times) <= bound + BUSY + late() - before, `${milliseconds(times)}, the limit is ${bound} ms`)
  return { what: 'a client that half-closes and reads nothing, on a route with an interval of 60 s', connections: CLIENTS, stated: '`closeTimeout` (500 ms) and a slot', saw: `ended after ${milliseconds(times)}` }
}

async function besideShort (t: TestContext, late: () => number): Promise<Row> {
  const [short, long] = [{ interval: 100, timeout: 200 }, { interval: 1000, timeout: 2000 }]
  const { app, url, closed } = await serve(t, { heartbeat: long }, (app) => app.get('/short', { websocket: true, config: { lifeline: { heartbeat: short } } }, () => {}))
  await Promise.all([each(() => connect(t, url)), each(() => connect(t, `${url}/short`))])
  const living = app.lifeline.size
  await each(() => dial(t, url, { answers: false }))
  const [before, at] = [late(), Date.now()]
  const found = (): boolean => closed.length >= CLIENTS
  // The loop is away again and again, for longer than a quarter of the short timeout.
  const blocks = (async () => {
    while (!found()) {
      const end = performance.now() + 80
      while (performance.now() < end);
      await sleep(150)
    }
  })()
  await until('the dead are found', found, 30_000)
  await blocks
  assert.deepEqual([app.lifeline.size, closed.length], [living, CLIENTS], 'live ones were lost')
  const times = closed.map(({ closedAt }) => closedAt - at)
  const { bound } = app.lifeline.heartbeat
  assert.ok(Math.max(...times) <= bound + BUSY + late() - before, `${milliseconds(times)}, the bound is ${bound} ms`)
  return { what: 'a client that is dead, beside a route with `heartbeat: { interval: 100, timeout: 200 }`, while the loop is blocked for 80 ms again and again', connections: CLIENTS, stated: `${bound} ms`, saw: `\`heartbeat\` after ${milliseconds(times)}; none of ${living} live ones ended` }
}

async function asksAndFallsSilent (t: TestContext, how: 'pushes' | 'one send of the app\'s', late: () => number): Promise<Row> {
  const [interval, stallTimeout] = [500, 1500]
  const { app, port, sockets, closed } = await serve(t, { heartbeat: { interval, timeout: 500 }, backpressure: { limit: 64 * MIB, stallTimeout } })
  const peers = await each(() => rawPeer(t, port), 3)
  for (const peer of peers) peer.pause()
  await until('all are there', () => sockets.size === peers.length)
  const [before, at] = [late(), Date.now()]
  for (const connection of app.lifeline) {
    if (how === 'pushes') for (let i = 0; i < 30; i++) connection.push(Buffer.alloc(MIB))
    else sockets.get(connection.fd)!.send(Buffer.alloc(30 * MIB))
  }
  await until('all are found', () => closed.length === peers.length, 60_000)
  const times = closed.map(({ closedAt }) => closedAt - at)
  const bound = stallTimeout + interval / 2 + app.lifeline.heartbeat.bound - 1000
  assert.ok(Math.max(...times) <= bound + BUSY + late() - before, `${milliseconds(times)}, the limit is ${bound} ms`)
  return { what: `a client that gets 30 MiB in ${how}, reads nothing and falls silent`, connections: peers.length, stated: '`stallTimeout` (1,500 ms) and a look (half an interval)', saw: `ended after ${milliseconds(times)}` }
}

async function ordinaryEnd (t: TestContext): Promise<Row> {
  const { app, url, closed } = await serve(t, { receipts: true })
  const clients = await each(() => connect(t, url))
  for (let i = 0; i < 4; i++) {
    app.lifeline.broadcast(`message ${i}`)
    await sleep(300)
  }
  await until('half a second has passed, and a round trip', () => [...app.lifeline].every(({ unconfirmed }) => unconfirmed.count === 0), 5_000)
  for (const client of clients) client.close()
  await until('all have left', () => closed.length === CLIENTS)
  assert.deepEqual(closed.map(({ unconfirmed }) => unconfirmed.length), Array(CLIENTS).fill(0))
  return { what: 'with receipts: a client that gets some messages, and leaves half a second after the last or later', connections: CLIENTS, stated: 'nothing is in doubt', saw: '`unconfirmed` is empty for all' }
}

test('odd peers (field 3, 5, 6, 13, 27)', { timeout: 180_000 }, async (t) => {
  const late = lateness(t)
  const rows: Row[] = []
  // What keeps this process busy goes alone: it would be a stall to the others, whose peers are in this process too.
  rows.push(...(await Promise.all([oddPongs(t), ordinaryEnd(t)])).flat())
  rows.push(...await Promise.all([halfClosed(t, late), asksAndFallsSilent(t, 'pushes', late), asksAndFallsSilent(t, 'one send of the app\'s', late)]))
  rows.push(...await Promise.all([largeAndSlow(t, 'pushed'), largeAndSlow(t, 'sent by the app'), largeAndSlow(t, 'compressed')]))
  rows.push(await besideShort(t, late), await besideBusyZlib(t))
  for (const { what, saw } of rows) t.diagnostic(`${what}: ${saw}`)
  if (process.env.WRITE_RELIABILITY === 'true') write(rows)
})

/** Between its marks docs/reliability.md is ours. */
function write (rows: Row[]): void {
  const file = fileURLToPath(new URL('../../docs/reliability.md', import.meta.url))
  const table = ['| peer | connections | stated | seen |', '| --- | --- | --- | --- |', ...rows.map(({ what, connections, stated, saw }) => `| ${what} | ${connections} | ${stated} | ${saw} |`)].join('\n')
  writeFileSync(file, readFileSync(file, 'utf8').replace(/(<!-- peers -->\n)[\s\S]*?(\n<!-- \/peers -->)/, (_, begin: string, end: string) => begin + table + end))
}
