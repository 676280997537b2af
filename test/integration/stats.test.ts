/**
 * What `stats()` says: counted as it happens, and summed up without looking at any connection.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { setImmediate as turnOver } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import WebSocket from 'ws'
import type { Connection, Distribution } from '../../src/index.js'
import { connect, ended, opened, start, until } from '../support/app.js'
import { dial } from '../support/raw-client.js'

/** At the end of a test nobody waits for those who do not read. */
const quick = { shutdown: { timeout: 20 }, closeTimeout: 20 }
const KIB = 1024

/** A connection whose peer takes nothing, and whose kernel is full. */
async function blocked (connection: Connection): Promise<void> {
  while (connection.bufferedBytes === 0) {
    connection.push(Buffer.alloc(64 * KIB))
    await turnOver()
  }
}

test('messages and their bytes are counted each way, and to how many broadcasts went', async (t) => {
  const { app, url } = await start(t, {
    options: { backpressure: { limit: 64 * KIB }, ...quick },
    routes: (app) => app.get('/', { websocket: true }, (socket) => { socket.on('message', () => {}) })
  })
  const clients = await Promise.all([1, 2, 3].map(() => connect(t, url)))
  const [one, two] = app.lifeline
  one!.push('héé')
  app.safePush(one!.fd, Buffer.alloc(1_000))
  await two!.deliver({ a: 1 })
  app.safePush(1, 'nobody has it')
  assert.equal(app.lifeline.broadcast('12345'), 3)
  let { messages, bytes, recipients, broadcasts } = app.lifeline.stats()
  assert.deepEqual([messages.out, bytes.out], [6, 5 + 1_000 + 7 + 3 * 5])
  assert.deepEqual([broadcasts, recipients], [1, { reached: 3, full: 0 }])

  clients[0]!.send('héé')
  clients[1]!.send(Buffer.alloc(70_000))
  clients[2]!.send(Buffer.alloc(10), { fin: false })
  clients[2]!.send(Buffer.alloc(10), { fin: true })
  clients[2]!.ping()
  await until('all have come', () => app.lifeline.stats().messages.in === 3)
  assert.equal(app.lifeline.stats().bytes.in, 5 + 70_000 + 20)

  // Whoever is full gets none, and it is no message.
  for (const client of clients) client.pause()
  while (one!.push(Buffer.alloc(32 * KIB)) !== 'full');
  const before = app.lifeline.stats()
  const reached = app.lifeline.broadcast(Buffer.alloc(50_000))
  ;({ messages, bytes, recipients, broadcasts } = app.lifeline.stats())
  assert.ok(reached < 3)
  assert.deepEqual([broadcasts, recipients], [2, { reached: 3 + reached, full: 3 - reached }])
  assert.deepEqual([messages.out - before.messages.out, bytes.out - before.bytes.out], [reached, reached * 50_000])
})

test('a message that nobody reads has come all the same', async (t) => {
  const { app, url } = await start(t, { routes: (app) => app.get('/', { websocket: true }, () => {}) })
  const client = await connect(t, url)
  client.send('x'.repeat(70_000))
  client.send('y')
  await until('it has come', () => app.lifeline.stats().messages.in === 2)
  assert.equal(app.lifeline.stats().bytes.in, 70_001)
})

for (const [binaryType, text] of [['nodebuffer', false], ['arraybuffer', false], ['fragments', false], ['nodebuffer', true]] as const) {
  test(`the bytes of a message are counted, as whatever ws gives it (${binaryType}, ${text ? 'text' : 'binary'})`, async (t) => {
    const { app, url } = await start(t, { routes: (app) => app.get('/', { websocket: true }, (socket) => { socket.binaryType = binaryType; socket.on('message', () => {}) }) })
    const client = await connect(t, url)
    const body = Buffer.alloc(300, 'x')
    client.send(body.subarray(0, 100), { binary: !text, fin: false })
    client.send(body.subarray(100), { binary: !text, fin: true })
    await until('it has come', () => app.lifeline.stats().messages.in === 1)
    assert.equal(app.lifeline.stats().bytes.in, 300)
  })
}

test('what is unconfirmed over all connections is a sum, and what of it was lost is in it no more', async (t) => {
  const { app, url } = await start(t, { options: { receipts: true, ...quick }, routes: (app) => app.get('/', { websocket: true }, () => {}) })
  const clients = await Promise.all([1, 2].map(() => dial(t, url, { answers: false })))
  for (const connection of app.lifeline) for (let i = 0; i < 5; i++) connection.push('1234567890')
  const [one, two] = app.lifeline
  assert.deepEqual(app.lifeline.stats().unconfirmed, { messages: 10, bytes: 100 })
  assert.deepEqual([one!.unconfirmed, two!.unconfirmed], [{ count: 5, bytes: 50 }, { count: 5, bytes: 50 }])
  const end = ended(app)
  clients[0]!.socket.destroy()
  assert.equal((await end).unconfirmed.length, 5)
  assert.deepEqual(app.lifeline.stats().unconfirmed, { messages: 5, bytes: 50 })
  // What is over still says what it had.
  assert.deepEqual([one!, two!].map(({ unconfirmed }) => unconfirmed.count), [5, 5])
  await until('it is asked', () => clients[1]!.pings.length > 0)
  clients[1]!.pong(clients[1]!.pings.at(-1)!)
  await until('it has answered', () => app.lifeline.stats().unconfirmed.messages === 0)
  assert.deepEqual(app.lifeline.stats().unconfirmed, { messages: 0, bytes: 0 })
})

const total = ({ counts }: Distribution): number => counts.reduce((sum, count) => sum + count, 0)

test('round trips are counted with each ping that was answered, and how late the wheel came with each slot', async (t) => {
  const { app, url } = await start(t, { options: { heartbeat: { interval: 200, timeout: 200 } }, routes: (app) => app.get('/', { websocket: true }, () => {}) })
  await connect(t, url)
  const [connection] = app.lifeline
  const before = app.lifeline.stats().roundTrips
  const roundTrip = await connection!.ping()
  const { roundTrips } = app.lifeline.stats()
  assert.deepEqual([total(roundTrips), roundTrips.count], [roundTrips.count, before.count + 1])
  assert.ok(Math.abs(roundTrips.sum - before.sum - roundTrip) < 1e-6)
  await until('there were slots', () => app.lifeline.stats().lateness.count > 3)
  const held = app.lifeline.stats().lateness
  const until300 = performance.now() + 300
  while (performance.now() < until300);
  await until('the next has come', () => app.lifeline.stats().lateness.count > held.count)
  const { lateness } = app.lifeline.stats()
  assert.equal(total(lateness), lateness.count)
  assert.ok(lateness.sum - held.sum > 100, `${lateness.sum - held.sum} ms late`)
})

test('what stats() gives is a copy', async (t) => {
  const { app } = await start(t)
  const spoil = (value: object): void => {
    for (const [key, inner] of Object.entries(value)) {
      if (typeof inner === 'object') spoil(inner)
      else (value as Record<string, unknown>)[key] = -1
    }
  }
  const clean = JSON.stringify(app.lifeline.stats())
  spoil(app.lifeline.stats())
  assert.equal(JSON.stringify(app.lifeline.stats()), clean)
})

test('stats() looks at no connection, however many there are', async (t) => {
  const { app, url } = await start(t, { routes: (app) => app.get('/', { websocket: true }, () => {}) })
  await connect(t, url)
  const [connection] = app.lifeline
  const asked = t.mock.getter(Object.getPrototypeOf(connection), 'bufferedBytes', () => 0).mock
  const gone = t.mock.method(app.lifeline, Symbol.iterator).mock
  assert.equal(app.lifeline.stats().connections, 1)
  assert.deepEqual([asked.callCount(), gone.callCount()], [0, 0])
})

/** What waits, by the sum and by the connection itself. */
const both = (app: FastifyInstance, { bufferedBytes }: Connection): [number, number] => [app.lifeline.stats().bufferedBytes, bufferedBytes]

const signals: Record<string, (connection: Connection, socket: WebSocket, peer: Awaited<ReturnType<typeof dial>>) => unknown> = {
  'a ping of ours': (connection) => { connection.ping().catch(() => {}) },
  'a ping of the app\'s own': (_connection, socket) => { socket.ping('app') },
  'a pong of the app\'s own': (_connection, socket) => { socket.pong('app') },
  'a close frame of the app\'s own': (_connection, socket) => { socket.close(4000, 'over') }
}

for (const [what, signal] of Object.entries(signals)) {
  test(`${what} that waits is in the sum of what waits, and no more when the peer has taken it`, { timeout: 20_000 }, async (t) => {
    let socket!: WebSocket
    // Where nothing bounds it, it is asked for anew each time.
    const { app, url } = await start(t, { options: { ...quick, backpressure: { total: 2 ** 40 } }, routes: (app) => app.get('/', { websocket: true }, (ws: WebSocket) => { socket = ws }) })
    const adopted = opened(app)
    const peer = await dial(t, url, { answers: false })
    const connection = await adopted
    peer.socket.pause()
    await blocked(connection)
    const [before] = both(app, connection)
    await signal(connection, socket, peer)
    const [sum, its] = both(app, connection)
    assert.equal(sum, its)
    assert.ok(sum > before)
    const over = once(socket, 'close')
    peer.socket.resume()
    await until('all is taken', () => connection.bufferedBytes === 0)
    await turnOver()
    assert.equal(app.lifeline.stats().bufferedBytes, 0)
    connection.terminate()
    await over
  })
}

test('what is terminated waits for nobody, from that moment on', async (t) => {
  const { app, url } = await start(t, { options: { ...quick, backpressure: { total: 2 ** 40 } }, routes: (app) => app.get('/', { websocket: true }, () => {}) })
  const adopted = opened(app)
  const client = await connect(t, url)
  const connection = await adopted
  client.pause()
  await blocked(connection)
  connection.terminate()
  assert.deepEqual(both(app, connection), [0, 0])
  await connection.closed
})
