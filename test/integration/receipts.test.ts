/**
 * Receipts over a real wire: what `deliver` and `unconfirmed` say is true, for all kinds of peers and of ends.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { TestContext } from 'node:test'
import { describe, test } from 'node:test'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { setTimeout as sleep } from 'node:timers/promises'
import type WebSocket from 'ws'
import type { CloseInfo, Connection, Delivery, LifelineOptions, LifelineRouteOptions } from '../../src/index.js'
import { connect, ended, level, opened, start, until } from '../support/app.js'
import { frame, opcode } from '../support/frames.js'
import { dial, PATIENCE } from '../support/raw-client.js'
import type { RawClient } from '../support/raw-client.js'

interface World { app: Awaited<ReturnType<typeof start>>, connection: Connection, over: Promise<CloseInfo> }

async function serve (t: TestContext, options: LifelineOptions, config: LifelineRouteOptions = {}): Promise<Awaited<ReturnType<typeof start>>> {
  // The end of a test shall not wait for peers that do not answer.
  return await start(t, { options: { shutdown: { timeout: 200 }, ...options }, routes: (app) => { app.get('/', { websocket: true, config: { lifeline: config } }, () => {}) } })
}

/** A connection of a ws client. */
async function withClient (t: TestContext, options: LifelineOptions = {}, client: WebSocket.ClientOptions = { perMessageDeflate: false }): Promise<World & { client: WebSocket, got: string[], pings: () => number }> {
  const app = await serve(t, options)
  const opening = opened(app.app)
  const over = ended(app.app)
  const socket = await connect(t, app.url, client)
  const got: string[] = []
  let pings = 0
  socket.on('message', (data) => { got.push(String(data)) })
  socket.on('ping', () => { pings++ })
  return { app, connection: await opening, over, client: socket, got, pings: () => pings }
}

/** A connection of a peer that says only what the test says: it answers no ping by itself. */
async function withPeer (t: TestContext, options: LifelineOptions = {}): Promise<World & { peer: RawClient, pings: Buffer[] }> {
  const app = await serve(t, options)
  const opening = opened(app.app)
  const over = ended(app.app)
  const peer = await dial(t, app.url, { answers: false })
  return { app, connection: await opening, over, peer, pings: peer.pings }
}

const delivered = ({ outcome }: Delivery): boolean => outcome === 'delivered'
const data = ({ unconfirmed }: CloseInfo): unknown[] => unconfirmed.map((message) => message.data)

for (const receipts of [false, true]) {
  describe(`deliver, receipts ${receipts ? 'on' : 'off'}`, { concurrency: true }, () => {
    test('says that the peer has the message, and after which round trip', async (t) => {
      const { app, connection, got } = await withClient(t, { receipts })
      const first = await connection.deliver('one')
      assert.deepEqual(got, ['one'])
      assert.equal(first.outcome, 'delivered')
      assert.ok(first.roundTrip! > 0 && first.roundTrip! < PATIENCE)
      assert.ok(connection.roundTrip! > 0)
      assert.deepEqual((await app.app.lifeline.deliver(connection.fd, { two: 2 })).outcome, 'delivered')
      assert.equal((await connection.deliver(Buffer.from('three'), { binary: false })).outcome, 'delivered')
      assert.deepEqual(got, ['one', '{"two":2}', 'three'])
      assert.equal(app.app.lifeline.stats().deliveries.delivered, 3)
      assert.equal(app.app.lifeline.stats().pushes.sent + app.app.lifeline.stats().pushes.buffered, 3)
    })

    test('says what a push says of who is gone, and of what is no message', async (t) => {
      const { app, connection, client, over } = await withClient(t, { receipts })
      const { lifeline } = app.app
      assert.deepEqual(await lifeline.deliver(1, 'x'), { outcome: 'gone' })
      assert.deepEqual(await lifeline.deliver({ fd: 1 }, 'x'), { outcome: 'invalid' })
      assert.deepEqual(await connection.deliver(undefined), { outcome: 'invalid' })
      client.close()
      await over
      assert.deepEqual(await connection.deliver('x'), { outcome: 'gone' })
      const { deliveries, pushes, errors } = lifeline.stats()
      assert.deepEqual([deliveries.gone, deliveries.invalid, pushes.gone, pushes.invalid, errors], [2, 2, 2, 2, 2])
    })

    test('throws for a timeout or a signal that is none', async (t) => {
      const { app, connection } = await withClient(t, { receipts })
      for (const options of [{ timeout: -1 }, { timeout: NaN }, { timeout: '5' }, { timeout: 2 ** 31 }, { signal: {} }] as never[]) {
        assert.throws(() => connection.deliver('x', options), { code: 'FST_ERR_LIFELINE_ARGUMENT' })
        assert.throws(() => app.app.lifeline.deliver(1, 'x', options), { code: 'FST_ERR_LIFELINE_ARGUMENT' })
      }
    })

    test('is rejected by its signal alone, with its reason; nothing is sent after it', async (t) => {
      const { connection, pings, peer } = await withPeer(t, { receipts })
      const controller = new AbortController()
      const pending = connection.deliver('x', { signal: controller.signal })
      await peer.until(() => pings.length === 1)
      const reason = new Error('no longer wanted')
      controller.abort(reason)
      await assert.rejects(pending, reason)
      await assert.rejects(connection.deliver('y', { signal: controller.signal }), reason)
      connection.push('z')
      await peer.until(() => peer.received.length === 2)
      assert.deepEqual(peer.received.map((message) => String(message.data)), ['x', 'z'])
    })

    test('asks a signal, and listens to it, whatever the app has made of its members', { timeout: 10_000 }, async (t) => {
      for (const name of ['addEventListener', 'removeEventListener', 'reason', 'aborted', 'throwIfAborted']) {
        const { connection } = await withClient(t, { receipts })
        const controller = new AbortController()
        Object.defineProperty(controller.signal, name, { get () { throw new Error('of the app') } })
        const [first, second] = [connection.deliver('x', { signal: controller.signal }), connection.deliver('y')]
        assert.deepEqual([(await first).outcome, (await second).outcome], ['delivered', 'delivered'])
        const pending = connection.deliver('z', { signal: controller.signal })
        controller.abort('enough')
        await assert.rejects(pending, (reason) => reason === 'enough')
        await assert.rejects(connection.deliver('z', { signal: controller.signal }), (reason) => reason === 'enough')
      }
    })

    test('ends with the connection, though the signal given to it is the connection\'s', async (t) => {
      const { connection, peer, pings } = await withPeer(t, { receipts })
      const pending = connection.deliver('x', { signal: connection.signal })
      await peer.until(() => pings.length === 1)
      peer.socket.resetAndDestroy()
      assert.deepEqual(await pending, { outcome: 'unconfirmed' })
    })

    test('a thousand in one turn share pings, of which at most four are open, and all are answered', async (t) => {
      const { connection, got, pings } = await withClient(t, { receipts })
      const outcomes = await Promise.all(Array.from({ length: 1000 }, (_, i) => connection.deliver(`message ${i}`)))
      assert.equal(outcomes.every(delivered), true)
      assert.equal(got.length, 1000)
      // One of the turn, and where the outbox fills up, one each quarter; marks after 64 KiB.
      assert.ok(pings() <= 6, `${pings()} pings`)
    })

    test('at most four pings are open for receipts, however long the peer does not answer', async (t) => {
      const { connection, peer, pings } = await withPeer(t, { receipts })
      const pending: Array<Promise<Delivery>> = []
      for (let i = 0; i < 20; i++) {
        pending.push(connection.deliver(`message ${i}`))
        await peer.until(() => peer.received.length === i + 1)
        await sleep(2)
      }
      assert.equal(pings.length, 4)
      // One answer makes room for one that covers all the rest.
      peer.socket.write(frame(opcode.pong, pings[1]!))
      await peer.until(() => pings.length === 5)
      assert.equal((await Promise.all(pending.slice(0, 2))).every(delivered), true)
      peer.socket.write(frame(opcode.pong, pings[4]!))
      assert.equal((await Promise.all(pending)).every(delivered), true)
    })

    test('a peer that never answers: every wait ends at its timeout', async (t) => {
      const { app, connection, peer } = await withPeer(t, { receipts })
      const outcomes = await Promise.all([50, 100, 200].map((timeout) => connection.deliver('x', { timeout })))
      assert.deepEqual(outcomes, Array(3).fill({ outcome: 'timeout' }))
      assert.equal(app.app.lifeline.stats().deliveries.timeout, 3)
      assert.equal(peer.received.length, 3)
    })

    test('what never left is gone, what did is unconfirmed, when the connection is lost', async (t) => {
      const { connection, peer } = await withPeer(t, { receipts: receipts && { limit: 64 * 1024 * 1024 }, backpressure: { limit: 64 * 1024 * 1024 } })
      peer.socket.pause()
      const before = connection.deliver('x')
      const pending = Array.from({ length: 40 }, () => connection.deliver(Buffer.alloc(1024 * 1024)))
      await until('the kernel takes no more', () => connection.bufferedBytes > 10 * 1024 * 1024)
      await sleep(100)
      connection.terminate()
      assert.deepEqual(await before, { outcome: 'unconfirmed' })
      const outcomes = (await Promise.all(pending)).map(({ outcome }) => outcome)
      assert.equal(outcomes.at(-1), 'gone')
      assert.deepEqual(outcomes, outcomes.toSorted((a, b) => a === b ? 0 : a === 'unconfirmed' ? -1 : 1))
      assert.deepEqual(new Set(outcomes), new Set(['unconfirmed', 'gone']))
    })

    test('forged pongs are no receipts', async (t) => {
      const { app, connection, peer, pings, over } = await withPeer(t, { receipts })
      const pending = connection.deliver('x')
      await peer.until(() => pings.length === 1)
      const [ping] = pings as [Buffer]
      const ahead = Buffer.from(ping)
      ahead.writeUInt32BE(ahead.readUInt32BE(4) + 1, 4)
      const behind = Buffer.from(ping)
      behind.writeUInt32BE(behind.readUInt32BE(4) - 1, 4)
      for (const payload of ['', 'x', ahead, behind, ping.subarray(0, 7), Buffer.concat([ping, ping]), Buffer.alloc(125)]) peer.socket.write(frame(opcode.pong, payload))
      let settled = false
      pending.then(() => { settled = true }, () => {})
      const seen = once(app.app.websocketServer.clients.values().next().value!, 'message')
      peer.socket.write(frame(opcode.text, 'after them'))
      await seen
      assert.equal(settled, false)
      // An old one that was the right answer once.
      peer.socket.write(frame(opcode.pong, ping))
      assert.equal((await pending).outcome, 'delivered')
      const next = connection.deliver('y', { timeout: 100 })
      peer.socket.write(frame(opcode.pong, ping))
      assert.deepEqual(await next, { outcome: 'timeout' })
      peer.socket.destroy()
      assert.deepEqual(data(await over), [])
      assert.deepEqual(app.errors(), [])
    })

    test('under permessage-deflate', async (t) => {
      const { connection, client, got } = await withClient(t, { receipts, websocket: { options: { perMessageDeflate: { threshold: 0 } } } }, { perMessageDeflate: true })
      assert.equal(client.extensions, 'permessage-deflate')
      const outcomes = await Promise.all(Array.from({ length: 200 }, (_, i) => connection.deliver(`message ${i} ${'x'.repeat(i * 10)}`)))
      assert.equal(outcomes.every(delivered), true)
      assert.equal(got.length, 200)
    })

    test('with messages of several MiB', async (t) => {
      const limit = 32 * 1024 * 1024
      const { connection, got } = await withClient(t, { receipts: receipts && { limit }, backpressure: { limit } })
      const outcomes = await Promise.all(Array.from({ length: 4 }, (_, i) => connection.deliver(String(i).repeat(5_000_000)).then((delivery) => ({ ...delivery, got: got.length }))))
      assert.equal(outcomes.every(delivered), true)
      // A receipt of a message is never there before the message.
      outcomes.forEach((outcome, i) => { assert.ok(outcome.got > i) })
    })

    test('what is pending when the app closes is confirmed before the close frame', async (t) => {
      const { app, connection, client, got, over } = await withClient(t, { receipts })
      const pending = [connection.deliver('one'), connection.deliver('two')]
      connection.push('three')
      const code = once(client, 'close')
      await app.app.close()
      assert.equal((await Promise.all(pending)).every(delivered), true)
      assert.deepEqual(got, ['one', 'two', 'three'])
      assert.equal((await code)[0], 1012)
      assert.deepEqual(data(await over), [])
      assert.equal((await over).cause, 'shutdown')
    })

    for (const how of ['connection.close()', 'socket.close()'] as const) {
      test(`what was pushed right before ${how} is confirmed`, async (t) => {
        const { app, connection, got, over } = await withClient(t, { receipts })
        const pending = connection.deliver('one')
        connection.push('two')
        if (how === 'connection.close()') connection.close()
        else app.app.websocketServer.clients.values().next().value!.close(1000)
        assert.equal((await pending).outcome, 'delivered')
        assert.deepEqual(data(await over), [])
        assert.deepEqual(got, ['one', 'two'])
      })
    }

    test('a peer that does not answer does not hold up fastify.close() longer than shutdown.timeout and closeTimeout', async (t) => {
      const { app, connection, over } = await withPeer(t, { receipts, shutdown: { timeout: 300 }, closeTimeout: 200 })
      connection.push('one')
      const pending = connection.deliver('two', { timeout: 60_000 })
      const begin = performance.now()
      await app.app.close()
      assert.ok(performance.now() - begin < PATIENCE)
      assert.deepEqual(await pending, { outcome: 'unconfirmed' })
      assert.equal((await over).cause, 'shutdown')
      assert.deepEqual(data(await over), receipts ? ['one'] : [])
    })
  })
}

describe('unconfirmed', { concurrency: true }, () => {
  test('is what the peer never confirmed, oldest first, with when it was pushed; not what a deliver has answered for', async (t) => {
    const { connection, peer, pings, over } = await withPeer(t, { receipts: true })
    const before = Date.now()
    connection.push('first')
    const pending = connection.deliver('second')
    await peer.until(() => pings.length === 1)
    peer.socket.write(frame(opcode.pong, pings[0]!))
    assert.equal((await pending).outcome, 'delivered')
    assert.deepEqual(connection.unconfirmed, { count: 0, bytes: 0 })
    connection.push('third')
    connection.push({ fourth: 4 })
    connection.push(Buffer.from('fifth'))
    const sixth = connection.deliver('sixth')
    assert.deepEqual(connection.unconfirmed, { count: 4, bytes: 5 + 12 + 5 + 5 })
    await peer.until(() => peer.received.length === 6)
    peer.socket.resetAndDestroy()
    const { unconfirmed } = await over
    assert.deepEqual(await sixth, { outcome: 'unconfirmed' })
    assert.deepEqual(unconfirmed.map(({ pushedAt, ...rest }) => rest), [
      { data: 'third', binary: false, seq: 3 },
      { data: '{"fourth":4}', binary: false, seq: 4 },
      { data: Buffer.from('fifth'), binary: true, seq: 5 }
    ])
    // Two clocks, both read in whole ms.
    for (const { pushedAt } of unconfirmed) assert.ok(pushedAt >= before - 2 && pushedAt <= Date.now() + 2)
    assert.deepEqual(connection.unconfirmed.count, 4)
  })

  test('broadcasts count, and each peer\'s are told by themselves', async (t) => {
    const app = await serve(t, { receipts: true })
    const peers = await Promise.all([1, 2, 3].map(() => dial(t, app.url, { answers: false })))
    await until('all are there', () => app.app.lifeline.size === 3)
    const bytes = Buffer.alloc(1000, 1)
    assert.equal(app.app.lifeline.broadcast(bytes), 3)
    for (const peer of peers) peer.socket.resetAndDestroy()
    await until('all are gone', () => app.closed.length === 3)
    for (const { unconfirmed } of app.closed) {
      assert.equal(unconfirmed.length, 1)
      assert.deepEqual(unconfirmed[0]!.data, bytes)
      assert.equal(unconfirmed[0]!.data, unconfirmed[0]!.data)
      // What the app does to what it was told of one is no matter of the others'.
      ;(unconfirmed[0]!.data as Buffer).fill(2)
    }
  })

  test('is told for a peer that the heartbeat found dead', async (t) => {
    const { connection, over } = await withPeer(t, { receipts: true, heartbeat: { interval: 200, timeout: 200 } })
    connection.push('x')
    const info = await over
    assert.equal(info.cause, 'heartbeat')
    assert.deepEqual(data(info), ['x'])
  })

  test('is told for a peer that is closed for backpressure, where the outbox overflows', async (t) => {
    const { connection, over, app } = await withPeer(t, { receipts: { messages: 3 }, backpressure: { policy: 'close' }, closeTimeout: 200 })
    assert.deepEqual(['a', 'b', 'c', 'd'].map((text) => connection.push(text)), ['sent', 'buffered', 'buffered', 'full'])
    const info = await over
    assert.equal(info.cause, 'backpressure')
    assert.equal(info.code, 1013)
    assert.deepEqual(data(info), ['a', 'b', 'c'])
    assert.equal(app.app.lifeline.stats().dropped.full, 1)
  })

  test('is empty, and nothing is kept, without receipts', async (t) => {
    const { connection, peer, over } = await withPeer(t)
    connection.push('x')
    assert.deepEqual(connection.unconfirmed, { count: 0, bytes: 0 })
    peer.socket.resetAndDestroy()
    assert.deepEqual((await over).unconfirmed, [])
  })

  test('the messages that ws itself has sent for the app are not counted', async (t) => {
    const { app, connection, peer, over } = await withPeer(t, { receipts: true })
    const [socket] = app.app.websocketServer.clients
    connection.push('pushed')
    socket!.send('sent')
    await peer.until(() => peer.received.length === 2)
    peer.socket.resetAndDestroy()
    assert.deepEqual(data(await over), ['pushed'])
  })
})

describe('the outbox', { concurrency: true }, () => {
  test('a push past it says full, with one drop each; drain and drained() tell when there is room, without a heartbeat', async (t) => {
    const { app, connection, got } = await withClient(t, { receipts: { limit: 1000, messages: 100 }, heartbeat: false })
    const told: string[] = []
    for (const event of ['full', 'drain'] as const) app.app.lifeline.on(event, () => { told.push(event) })
    app.app.lifeline.on('drop', (_connection, { reason, bytes }) => { told.push(`${reason} ${bytes}`) })
    let taken = 0
    while (connection.push('x'.repeat(100)) !== 'full') taken++
    assert.equal(taken, 10)
    assert.deepEqual(told, ['full', 'full 100'])
    await connection.drained()
    assert.deepEqual(told, ['full', 'full 100', 'drain'])
    assert.ok(connection.unconfirmed.bytes <= 500)
    assert.notEqual(connection.push('x'.repeat(100)), 'full')
    await until('all has come', () => got.length === 11)
  })

  test('producers that await drained() get everything through, however small it is', async (t) => {
    const { connection, got } = await withClient(t, { receipts: { limit: 500, messages: 4 }, heartbeat: false })
    for (let i = 0; i < 200; i++) {
      while (connection.push(`message ${i}`) === 'full') await connection.drained()
    }
    await until('all has come', () => got.length === 200)
  })

  test('a stream of messages that are larger than the outbox gets through, one after the other', async (t) => {
    const { connection, got } = await withClient(t, { receipts: { limit: 1000 } })
    connection.push('x'.repeat(400))
    await pipeline(Readable.from(Array.from({ length: 20 }, () => 'x'.repeat(5000))), connection.writable())
    await until('all has come', () => got.length === 21)
  })

  test('a message of any size is taken while no more than half is unconfirmed', async (t) => {
    const { connection } = await withClient(t, { receipts: { limit: 100 } })
    assert.equal((await connection.deliver('x'.repeat(1000))).outcome, 'delivered')
    connection.push('x'.repeat(50))
    assert.notEqual(connection.push('x'.repeat(1000)), 'full')
    assert.equal(connection.push(''), 'full')
    assert.equal((await connection.deliver('x')).outcome, 'full')
    await connection.drained()
    assert.equal((await connection.deliver('x')).outcome, 'delivered')
  })

  test('routes have their own', async (t) => {
    const app = await start(t, {
      options: { receipts: { messages: 2 }, shutdown: { timeout: 200 } },
      routes: (app) => {
        for (const [path, receipts] of [['/off', false], ['/on', true], ['/more', { messages: 3 }]] as const) {
          app.get(path, { websocket: true, config: { lifeline: { receipts } } }, () => {})
        }
        app.get('/as-is', { websocket: true }, () => {})
      }
    })
    for (const [path, most] of [['/off', 5], ['/on', 2], ['/more', 3], ['/as-is', 2]] as const) {
      const opening = opened(app.app)
      await dial(t, app.url + path, { answers: false })
      const connection = await opening
      const taken = [1, 2, 3, 4, 5].filter(() => connection.push('x') !== 'full').length
      assert.equal(taken, most, path)
      assert.equal(connection.unconfirmed.count, path === '/off' ? 0 : most)
    }
  })
})

test('without a heartbeat deliver works as well', async (t) => {
  const { connection } = await withClient(t, { heartbeat: false })
  assert.equal((await connection.deliver('x')).outcome, 'delivered')
})

test('a client of injectWS gives receipts if it answers pings, which it does not by itself; and holds up no close()', async (t) => {
  const { app } = await serve(t, { receipts: true })
  const opening = opened(app)
  const client = await app.injectWS('/')
  const connection = await opening
  assert.deepEqual(await connection.deliver('x', { timeout: 50 }), { outcome: 'timeout' })
  client.on('ping', (payload) => { client.pong(payload) })
  assert.equal((await connection.deliver('y')).outcome, 'delivered')
  client.removeAllListeners('ping')
  const pending = connection.deliver('z', { timeout: 60_000 })
  await app.close()
  assert.deepEqual(await pending, { outcome: 'unconfirmed' })
})

test('nothing is logged above debug for all of this', async (t) => {
  const { app, connection, peer, over } = await withPeer(t, { receipts: true })
  connection.push('x')
  await connection.deliver('y', { timeout: 10 })
  peer.socket.resetAndDestroy()
  await over
  assert.deepEqual(app.lines.filter((line) => line.level > level.info), [])
})
