/**
 * Thousands of connections, opened and ended in every way there is: afterwards the process holds what it held before.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect as dial } from 'node:net'
import type { Socket } from 'node:net'
import { test } from 'node:test'
import WebSocket from 'ws'
import { until } from '../support/app.js'
import { tries } from '../support/proof.js'
import { startRemote } from '../support/remote.js'
import type { Census, Remote } from '../support/remote.js'

const TOTAL = tries('leaks')
/** How many are open at a time. */
const BATCH = 500
/** What they may leave in the heap, in bytes: a hundred for each, and what a heap varies by. What leaks takes kilobytes. */
const HEAP = 100 * TOTAL + 1024 * 1024

/** A client, and the socket under it. */
interface Client { ws: WebSocket, socket: Socket }

/** What a client still does, for whoever ends it. */
const gone: Array<() => void> = []

const says = (text: string) => ({ ws }: Client): void => { ws.send(text) }

const ways: Record<string, (client: Client) => void> = {
  'the client closes': ({ ws }) => { ws.close(1000, 'bye') },
  'the client closes without a code': ({ ws }) => { ws.close() },
  'the client resets': ({ socket }) => { socket.resetAndDestroy() },
  'the client hangs up': ({ socket }) => { socket.end() },
  'the client is gone in the middle of a frame': ({ socket }) => { socket.write(Buffer.from([0x82, 0xfe])); socket.resetAndDestroy() },
  'the client sends garbage': ({ socket }) => { socket.write('garbage') },
  'the client sends too much': ({ ws }) => { ws.send(Buffer.alloc(2_000)) },
  'the client is silent': ({ ws, socket }) => { ws.pause(); socket.pause() },
  'the client leaves while its handler waits': ({ ws, socket }) => { ws.send('wait'); socket.resetAndDestroy() },
  'the client leaves a ping unanswered': ({ ws, socket }) => { ws.send('ping'); ws.pause(); setImmediate(() => { socket.resetAndDestroy() }) },
  'the client speaks, and takes nothing': ({ ws, socket }) => {
    ws.pause()
    ws.send('flood')
    const speaking = setInterval(() => { ws.send('flood') }, 50)
    socket.once('close', () => { clearInterval(speaking) })
    gone.push(() => { clearInterval(speaking) })
  },
  'too much waits for the client': says('overflow'),
  'the handler throws': says('throw'),
  'the server closes': says('close'),
  'the server terminates': says('terminate')
}

async function open (url: string): Promise<Client> {
  const ws = new WebSocket(url)
  ws.on('error', () => {})
  let socket!: Socket
  ws.once('upgrade', (response) => { socket = response.socket })
  await once(ws, 'open')
  return { ws, socket }
}

/** An upgrade that a hook refuses: it leaves nothing either. */
async function refused (port: number): Promise<void> {
  const socket = dial(port, '127.0.0.1')
  socket.on('error', () => {})
  socket.write('GET /hook?do=throw HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n')
  socket.resume()
  await once(socket, 'close')
}

async function round (server: Remote, count: number): Promise<void> {
  const clients = await Promise.all(Array.from({ length: count }, () => open(`ws://127.0.0.1:${server.port}/busy`)))
  const acts = Object.values(ways)
  for (const [index, client] of clients.entries()) acts[index % acts.length]!(client)
  await refused(server.port)
  await until('all are over', async () => await server.size() === 0)
  for (const stop of gone.splice(0)) stop()
  for (const { socket } of clients) socket.destroy()
}

const still = ({ heap, ...rest }: Census): object => rest

test(`${TOTAL} connections leave nothing behind`, async (t) => {
  const server = await startRemote(t, {
    forgets: true,
    lifeline: { heartbeat: { interval: 200, timeout: 300 }, closeTimeout: 500, limits: { payload: 1_000 }, backpressure: { policy: 'close', stallTimeout: 400 } }
  })
  const held = async (): Promise<object> => ({ ...still(await server.census()), sockets: server.sockets() })
  // What is made once, at the first use, is no leak.
  for (let i = 0; i < 4; i++) await round(server, BATCH)
  await until('the timer rests', async () => !(await server.census()).timerRuns)
  const before = await held()
  const { heap } = await server.census()
  for (let opened = 0; opened < TOTAL; opened += BATCH) await round(server, BATCH)
  await until('the timer rests', async () => !(await server.census()).timerRuns)
  assert.deepEqual(await held(), before)
  assert.equal((await server.census()).fdTwice, false)
  const grown = (await server.census()).heap - heap
  const { opened, closed } = await server.stats()
  t.diagnostic(`${opened} opened, the heap has grown by ${Math.round(grown / 1024)} KiB; ${JSON.stringify(closed)}`)
  assert.ok(grown < HEAP, `the heap has grown by ${grown} bytes`)
  for (const cause of ['client', 'reset', 'heartbeat', 'stalled', 'backpressure', 'handler', 'protocol', 'limit', 'server'] as const) assert.ok(closed[cause] > opened / 24, `${cause}: ${closed[cause]}`)
})
