/**
 * Answers of the peer stand behind all that it has sent: who waits for one does not wait for the reader as well, though
 * it be the same code.
 */
import assert from 'node:assert/strict'
import type { Socket } from 'node:net'
import type { TestContext } from 'node:test'
import { test } from 'node:test'
import { pipeline } from 'node:stream/promises'
import { setImmediate as turnOver } from 'node:timers/promises'
import type { FastifyRequest } from 'fastify'
import type WebSocket from 'ws'
import type { Connection, Delivery, LifelineOptions, Message, PushResult } from '../../src/index.js'
import { ended, start, until } from '../support/app.js'
import { frame, opcode } from '../support/frames.js'
import { dial } from '../support/raw-client.js'
import type { RawClient } from '../support/raw-client.js'

const MIB = 1024 * 1024
/** More than inboxes and kernels hold together, for each. */
const SIZE = 4_000
const MANY = 5_000

interface World { connection: Connection, peer: RawClient, socket: WebSocket, stream: Socket, app: Awaited<ReturnType<typeof start>> }

/** A peer that has connected, and the other end. It reads all the time, and answers every ping unless told not to. */
async function serve (t: TestContext, options: LifelineOptions, handler: (connection: Connection, socket: WebSocket) => void | Promise<void> = () => {}, answers = true): Promise<World> {
  let opening!: (world: Omit<World, 'peer' | 'app'>) => void
  const opened = new Promise<Omit<World, 'peer' | 'app'>>((resolve) => { opening = resolve })
  const app = await start(t, {
    options: { shutdown: { timeout: 200 }, closeTimeout: 200, ...options },
    routes: (app) => app.get('/', { websocket: true }, (socket: WebSocket, request: FastifyRequest) => {
      const connection = app.lifeline.of(request)
      opening({ connection, socket, stream: request.raw.socket })
      return handler(connection, socket)
    })
  })
  const peer = await dial(t, app.url, { answers })
  return { peer, app, ...await opened }
}

/** The peer sends so many messages, as fast as they are taken; each begins with its number. */
function send (peer: RawClient, count: number, size: number = 1_000): void {
  let sent = 0
  const pump = (): void => {
    while (sent < count) {
      if (peer.over) return
      if (!peer.socket.write(frame(opcode.text, `${sent++} `.padEnd(size, 'x')))) {
        peer.socket.once('drain', pump)
        return
      }
    }
  }
  pump()
}

const numberOf = (data: unknown): number => parseInt(String(data))

/** Waits until the peer has so many messages; all in order. */
async function echoed (peer: RawClient, count: number): Promise<void> {
  await peer.until(() => peer.received.length >= count)
  assert.equal(peer.received.length, count)
  assert.ok(peer.received.every(({ data }, i) => numberOf(data) === i), 'out of order')
}

for (const receipts of [true, false]) {
  test(`a loop that echoes and awaits drained() gets everything through (receipts: ${receipts})`, async (t) => {
    const results = new Set<PushResult>()
    const { peer } = await serve(t, { receipts }, async (connection) => {
      for await (const { data } of connection.messages()) {
        results.add(connection.push(data))
        assert.equal(await connection.drained(), true)
      }
    })
    send(peer, MANY, SIZE)
    await echoed(peer, MANY)
    assert.ok(!results.has('full'))
  })
}

test('so does one whose peer reads nothing until it has sent all, from memory of its own', async (t) => {
  const results = new Set<PushResult>()
  const { peer } = await serve(t, { receipts: true }, async (connection) => {
    for await (const { data } of connection.messages()) {
      results.add(connection.push(data))
      await connection.drained()
    }
  })
  peer.socket.cork()
  for (let i = 0; i < MANY; i++) peer.socket.write(frame(opcode.text, `${i} `.padEnd(SIZE, 'x')))
  peer.socket.uncork()
  await echoed(peer, MANY)
  assert.ok(!results.has('full'))
})

test('so does a pipeline from messages() to writable()', async (t) => {
  const { peer } = await serve(t, { receipts: true }, async (connection) => {
    const data = async function * (messages: AsyncIterable<Message>): AsyncIterable<unknown> {
      for await (const message of messages) yield message.data
    }
    await pipeline(connection.messages(), data, connection.writable({ objectMode: true })).catch(() => {})
  })
  send(peer, MANY, SIZE)
  await echoed(peer, MANY)
})

test('so does an app that stops reading at "full", until "drain"', async (t) => {
  let drained = (): void => {}
  const { peer, app } = await serve(t, { receipts: { limit: 50_000, messages: 100 } }, (connection, socket) => {
    const waiting: string[] = []
    const push = (): void => {
      while (waiting.length > 0 && connection.push(waiting[0]) !== 'full') waiting.shift()
      if (waiting.length > 0) socket.pause()
      else socket.resume()
    }
    drained = push
    socket.on('message', (data) => {
      // What it has read already comes while it is paused as well, when it has just been resumed.
      if (waiting.push(String(data)) === 1) push()
    })
  })
  app.app.lifeline.on('drain', () => { drained() })
  send(peer, MANY, SIZE)
  await echoed(peer, MANY)
})

test('a reader that awaits deliver() for each message is told of those that arrive, however much waits for it', async (t) => {
  const deliveries: Delivery[] = []
  const { peer } = await serve(t, {}, async (connection) => {
    for await (const { data } of connection.messages()) deliveries.push(await connection.deliver(data, { timeout: 60_000 }))
  })
  send(peer, 2_000)
  await echoed(peer, 2_000)
  await until('all are answered', () => deliveries.length === 2_000)
  assert.ok(deliveries.every(({ outcome }) => outcome === 'delivered'))
})

const pauses: Record<string, { options: LifelineOptions, pause: (world: World) => void, resume: (world: World) => void }> = {
  'pauseReading()': { options: {}, pause: ({ connection }) => { connection.pauseReading() }, resume: ({ connection }) => { connection.resumeReading() } },
  'socket.pause()': { options: {}, pause: ({ socket }) => { socket.pause() }, resume: ({ socket }) => { socket.resume() } },
  'messageRate: pause': { options: { limits: { messageRate: 1 } }, pause: () => {}, resume: () => {} }
}

for (const [name, { options, pause, resume }] of Object.entries(pauses)) {
  test(`beside ${name} deliver() and ping() are answered; no listener gets a message for that`, async (t) => {
    const got: string[] = []
    const world = await serve(t, options, (_connection, socket) => { socket.on('message', (data) => { got.push(String(data)) }) })
    const { peer, connection, socket } = world
    pause(world)
    send(peer, 3_000)
    await until('much waits', () => peer.socket.bytesWritten > 300_000)
    assert.equal((await connection.deliver('x', { timeout: 60_000 })).outcome, 'delivered')
    assert.ok(Number.isFinite(await connection.ping()))
    const before = got.length
    assert.ok(before <= 1, `${before} messages`)
    assert.equal(socket.isPaused, true, 'it reads on when nobody waits any more')
    if (name === 'messageRate: pause') return
    resume(world)
    await until('all has come', () => got.length === 3_000)
    assert.ok(got.every((text, i) => numberOf(text) === i), 'out of order')
  })
}

test('a handler may await deliver() before it listens, whatever its peer has sent already', async (t) => {
  const got: string[] = []
  let outcome = ''
  const { peer } = await serve(t, {}, async (connection, socket) => {
    await until('reading rests', () => socket.isPaused)
    outcome = (await connection.deliver('hello', { timeout: 60_000 })).outcome
    socket.on('message', (data) => { got.push(String(data)) })
  })
  send(peer, 2_000)
  await until('all has come', () => got.length === 2_000)
  assert.equal(outcome, 'delivered')
  assert.ok(got.every((text, i) => numberOf(text) === i), 'out of order')
})

test('it reads on to 8 MiB and no further: then deliver() says timeout, ping() NaN, and drained() waits for hand-over alone', async (t) => {
  const { peer, connection, stream, app } = await serve(t, { receipts: { limit: 10_000 }, limits: { payload: MIB } }, () => {}, false)
  connection.pauseReading()
  // Four times what is held.
  const message = frame(opcode.binary, Buffer.alloc(MIB / 2))
  for (let i = 0; i < 64; i++) peer.socket.write(message)
  const delivery = connection.deliver('x', { timeout: 1_000 })
  const pinged = connection.ping()
  assert.deepEqual(await delivery, { outcome: 'timeout' })
  assert.ok(Number.isNaN(await pinged) && Number.isNaN(await connection.ping()))
  assert.ok(stream.bytesRead > 8 * MIB && stream.bytesRead < 9 * MIB, `${stream.bytesRead} bytes were read`)
  const read = stream.bytesRead
  for (let i = 0; i < 200; i++) {
    assert.notEqual(connection.push('y'.repeat(1_000)), 'full')
    assert.equal(await connection.drained(), true)
  }
  assert.equal(connection.unconfirmed.bytes, 200_001)
  assert.equal(stream.bytesRead, read)
  assert.equal(app.closed.length, 0)
})

test('past its 16 MiB more nothing is taken, nobody is told that it would be, and such a connection ends after stallTimeout', async (t) => {
  const { peer, connection, app } = await serve(t, { receipts: { limit: 10_000 }, backpressure: { stallTimeout: 500 }, limits: { payload: MIB } }, () => {}, false)
  connection.pauseReading()
  const message = frame(opcode.binary, Buffer.alloc(MIB / 2))
  for (let i = 0; i < 64; i++) peer.socket.write(message)
  const end = ended(app.app)
  let pushed = 0
  while (connection.push(Buffer.alloc(MIB)) !== 'full') {
    pushed++
    if (!await connection.drained()) break
  }
  assert.equal(await connection.drained(), false)
  const { cause, unconfirmed } = await end
  assert.equal(cause, 'stalled')
  assert.ok(pushed >= 16 && pushed <= 19, `${pushed} MiB were taken`)
  assert.equal(unconfirmed.length, pushed)
})

test('a connection that reads on is heard: its heartbeat goes on as usual, and its first message is due', async (t) => {
  const { connection, app } = await serve(t, { heartbeat: { interval: 200, timeout: 200 }, limits: { firstMessage: 300 } })
  connection.pauseReading()
  const delivery = connection.deliver('x', { timeout: 60_000 })
  assert.equal((await delivery).outcome, 'delivered')
  const end = ended(app.app)
  const endless = connection.deliver('y', { timeout: 60_000 })
  await endless
  // Nobody waits any more: what the app does not let it say is not its fault.
  const silent = serve(t, { heartbeat: false, limits: { firstMessage: 300 } }, () => {}, false)
  const { connection: other, app: otherApp } = await silent
  other.pauseReading()
  const otherEnd = ended(otherApp.app)
  const pending = other.deliver('x', { timeout: 60_000 })
  assert.deepEqual([(await otherEnd).cause, (await pending).outcome], ['limit', 'unconfirmed'])
  assert.equal(connection.state, 'open')
  connection.close()
  await end
})

test('a peer that dies while somebody waits is found although reading is paused', async (t) => {
  const { connection, app } = await serve(t, { heartbeat: { interval: 200, timeout: 200 } }, () => {}, false)
  connection.pauseReading()
  const end = ended(app.app)
  const began = performance.now()
  assert.equal((await connection.deliver('x', { timeout: 60_000 })).outcome, 'unconfirmed')
  assert.equal((await end).cause, 'heartbeat')
  // A paused one is looked at only after as long again.
  assert.ok(performance.now() - began < 60_000)
})

test('the shutdown hears of what has arrived although reading is paused', async (t) => {
  const { peer, connection, app } = await serve(t, { receipts: true, heartbeat: false, shutdown: { timeout: 600_000 } })
  connection.pauseReading()
  send(peer, 3_000)
  for (let i = 0; i < 10; i++) connection.push(`message ${i}`)
  await peer.until(() => peer.received.length === 10)
  const end = ended(app.app)
  await app.app.close()
  assert.deepEqual((await end).unconfirmed, [])
})

test('a message of the peer that comes while nobody waits leaves reading paused', async (t) => {
  const { peer, connection, stream, socket } = await serve(t, {})
  connection.pauseReading()
  assert.equal((await connection.deliver('x')).outcome, 'delivered')
  assert.equal(socket.isPaused, true)
  const { bytesRead } = stream
  send(peer, 2_000)
  for (let i = 0; i < 100; i++) await turnOver()
  // One read was asked for already.
  assert.ok(stream.bytesRead - bytesRead <= 64 * 1024, `${stream.bytesRead - bytesRead} bytes`)
})
