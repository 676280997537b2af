/**
 * Peers that are alive behind a thin line: what is on its way to or from them is life enough.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import type { LifelineOptions, Outcome } from '../../src/index.js'
import { level, until } from '../support/app.js'
import { startRemote } from '../support/remote.js'
import { startFleet } from './support/fleet.js'
import { needs } from '../support/needs.js'
import { createNetwork } from './support/network.js'

// 64 kbit/s: 8,000 bytes a second. stallTimeout is left at its default, 30 s.
const RATE = 64
const BYTES = 240_000
const LIMIT = 3 * BYTES / (RATE / 8)
const lifeline: LifelineOptions = { heartbeat: { interval: 1000, timeout: 1000 }, backpressure: { limit: 64 * 1024 * 1024 } }

interface Download {
  path: string
  /** So many messages of so many bytes, pushed at once. */
  count: number
  bytes: number
  /** How many bytes wait on the way before packets are dropped. */
  queue: number
  /** Whether the line was fast before: then the kernel takes in everything at once, and nothing moves on our side. */
  fastBefore?: boolean
  /** Sent by the app on the socket itself. */
  bySocket?: boolean
  tls?: boolean
  deflate?: boolean
}

async function download (t: TestContext, { path, count, bytes, queue, fastBefore = false, bySocket = false, tls = false, deflate = false }: Download): Promise<void> {
  const network = createNetwork(t, 'slow')
  const { slow } = network.groups
  const server = await startRemote(t, { host: '0.0.0.0', prefix: network.server, tls, lifeline: { ...lifeline, websocket: { options: { perMessageDeflate: deflate } } } })
  const fleet = await startFleet(t, slow.prefix)
  await fleet.connect(`${tls ? 'wss' : 'ws'}://${slow.host}:${server.port}/${path}`, 'ws', 1)
  const { fd } = (await server.list())[0]!
  let before = { messages: 0, bytes: 0 }
  if (fastBefore) {
    await server.flood(fd, 300, 64_000)
    await until('the line is warm', async () => (await fleet.state())[0]!.bytes === 300 * 64_000, 60_000)
    before = { messages: 300, bytes: 300 * 64_000 }
  }
  slow.slow('down', RATE, queue)
  const start = performance.now()
  assert.equal(await server.flood(fd, count, bytes, bySocket), true)
  await until('all has arrived, or the connection is over', async () => {
    const [client] = await fleet.state()
    return client!.bytes >= before.bytes + count * bytes || !client!.open || await server.size() === 0
  }, LIMIT)
  assert.deepEqual(await server.closed(), [], 'a slow peer is not a dead one')
  assert.deepEqual((await fleet.state())[0], { open: true, code: null, messages: before.messages + count, bytes: before.bytes + count * bytes })
  t.diagnostic(`${count * bytes} bytes arrived after ${Math.round(performance.now() - start)} ms; pings: ${(await server.stats()).heartbeat.pings}`)
  assert.equal(await server.exists(fd), true)
  assert.deepEqual((await server.lines()).filter((line) => line.level >= level.error), [])
}

describe('a peer behind a thin line', { concurrency: true }, () => {
  test('gets 240 KB at 64 kbit/s, in small messages, and is not taken for dead meanwhile', async (t) => {
    if (!needs(t, 'namespaces', 'tc')) return
    await download(t, { path: 'echo', count: 400, bytes: BYTES / 400, queue: 8_000 })
  })

  test('gets 240 KB at 64 kbit/s, in one message, and is not taken for dead meanwhile', async (t) => {
    if (!needs(t, 'namespaces', 'tc')) return
    await download(t, { path: 'silent', count: 1, bytes: BYTES, queue: 8_000 })
  })

  test('gets 240 KB at 64 kbit/s that the kernel took in at once, in small messages', async (t) => {
    if (!needs(t, 'namespaces', 'tc')) return
    await download(t, { path: 'silent', count: 400, bytes: BYTES / 400, queue: 8_000, fastBefore: true })
  })

  test('gets 240 KB at 64 kbit/s that the kernel took in at once, in one message', async (t) => {
    if (!needs(t, 'namespaces', 'tc')) return
    await download(t, { path: 'echo', count: 1, bytes: BYTES, queue: 8_000, fastBefore: true })
  })

  for (const how of [{ bySocket: true }, { tls: true }, { deflate: true }, { tls: true, bySocket: true }]) {
    for (const count of [1, 400]) {
      test(`gets 240 KB at 64 kbit/s in ${count} messages (${Object.keys(how).join()})`, async (t) => {
        if (!needs(t, 'namespaces', 'tc')) return
        await download(t, { path: 'silent', count, bytes: BYTES / count, queue: 8_000, ...how })
      })
    }
  }

  test('gets 4 MB at 50 KB/s, with true receipts all the while', async (t) => {
    if (!needs(t, 'namespaces', 'tc')) return
    const [count, bytes] = [64, 64 * 1024]
    const network = createNetwork(t, 'slow')
    const { slow } = network.groups
    const server = await startRemote(t, { host: '0.0.0.0', prefix: network.server, lifeline: { ...lifeline, receipts: { limit: 8 * 1024 * 1024 } } })
    const fleet = await startFleet(t, slow.prefix)
    await fleet.connect(`ws://${slow.host}:${server.port}/silent`, 'ws', 1)
    const { fd } = (await server.list())[0]!
    slow.slow('down', 400, 8_000)
    let outcomes: Outcome[] | null = null
    server.deliver(fd, count, bytes, 200_000).then((result) => { outcomes = result }, assert.ifError)
    const seen = new Set<number>()
    await until('all is answered for', async () => {
      // Asked for first: what is delivered must have come by then.
      const delivered = await server.delivered()
      const [client] = await fleet.state()
      seen.add(delivered)
      assert.ok(client!.messages >= delivered, `${delivered} are said to be delivered, ${client!.messages} have come`)
      return outcomes !== null
    }, 200_000)
    assert.deepEqual(outcomes, Array(count).fill('delivered'))
    assert.deepEqual(await server.closed(), [], 'a slow peer is not a dead one')
    assert.ok(seen.size > 10, 'receipts came along the way')
    t.diagnostic(`receipts in ${seen.size} steps`)
  })

  for (const path of ['echo', 'silent']) {
    test(`sends one message of 1 MB to /${path} over 20 s, and is not taken for dead meanwhile`, async (t) => {
      if (!needs(t, 'namespaces', 'tc')) return
      const network = createNetwork(t, 'slow')
      const { slow } = network.groups
      const server = await startRemote(t, { host: '0.0.0.0', prefix: network.server, lifeline })
      const fleet = await startFleet(t, slow.prefix)
      await fleet.connect(`ws://${slow.host}:${server.port}/${path}`, 'ws', 1)
      slow.slow('up', 400, 8_000)
      const start = performance.now()
      await fleet.send(0, 1, 1_000_000)
      const over = async (): Promise<boolean> => await server.size() === 0
      if (path === 'echo') {
        await until('it has come back', async () => (await fleet.state())[0]!.messages === 1 || await over(), 60_000)
        assert.equal((await fleet.state())[0]!.bytes, 1_000_000)
      } else {
        await until('it was let go', async () => (await server.stats()).dropped.unread === 1 || await over(), 60_000)
      }
      assert.deepEqual(await server.closed(), [])
      assert.equal(await server.size(), 1)
      t.diagnostic(`1 MB took ${Math.round(performance.now() - start)} ms`)
    })
  }
})
