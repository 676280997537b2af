/**
 * Peers that are alive behind a thin line: what is on its way to or from them is life enough.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import type { LifelineOptions } from '../../src/index.js'
import { level, until } from '../support/app.js'
import { startRemote } from '../support/remote.js'
import { startFleet } from './support/fleet.js'
import { needs } from './support/needs.js'
import { createNetwork } from './support/network.js'

// 64 kbit/s: 8,000 bytes a second. stallTimeout is left at its default, 30 s.
const RATE = 64
const BYTES = 600_000
const LIMIT = 3 * BYTES / (RATE / 8)
const lifeline: LifelineOptions = { heartbeat: { interval: 1000, timeout: 1000 } }

/** The server pushes so many messages of so many bytes at once, through a queue of so many bytes on the way. */
async function download (t: TestContext, path: string, count: number, bytes: number, queue: number): Promise<void> {
  const network = createNetwork(t, 'slow')
  const { slow } = network.groups
  const server = await startRemote(t, { host: '0.0.0.0', prefix: network.server, lifeline })
  const fleet = await startFleet(t, slow.prefix)
  await fleet.connect(`ws://${slow.host}:${server.port}/${path}`, 'ws', 1)
  const { fd } = (await server.list())[0]!
  if (path === 'silent') {
    await server.flood(fd, 300, 64_000)
    await until('warm', async () => (await fleet.state())[0]!.bytes === 300 * 64000)
  }
  slow.slow(RATE, queue)
  const start = performance.now()
  assert.equal(await server.flood(fd, count, bytes), true)
  if (process.env.TRACE) setInterval(async () => { try { console.log(path, count, queue, Math.round(performance.now() - start), (await fleet.state())[0]!.bytes, JSON.stringify([(await server.list()).map((i: any) => [i.bufferedBytes, i.roundTrip]), await server.closed()])) } catch {} }, 5000).unref()
  await until('all has arrived, or the connection is over', async () => {
    const [client] = await fleet.state()
    return client!.bytes >= 300 * 64000 + count * bytes || !client!.open || await server.size() === 0
  }, LIMIT)
  assert.deepEqual(await server.closed(), [], 'a slow peer is not a dead one')
  assert.deepEqual((await fleet.state())[0], { open: true, code: null, messages: 300 + count, bytes: 300 * 64000 + count * bytes })
  t.diagnostic(`${count * bytes} bytes arrived after ${Math.round(performance.now() - start)} ms; pings: ${(await server.stats()).heartbeat.pings}`)
  assert.equal(await server.exists(fd), true)
  assert.deepEqual((await server.lines()).filter((line) => line.level >= level.error), [])
}

describe('a peer behind 64 kbit/s', { concurrency: true }, () => {
  test('gets 600 KB in one message, and is not taken for dead meanwhile', async (t) => {
    if (!needs(t, 'namespaces', 'tc')) return
    await download(t, 'silent', 1, BYTES, 8_000)
  })

  // A long queue loses nothing, so the kernel takes in all of it early, and nothing moves on our side for a minute.
  test('gets 600 KB behind a queue that holds them all, and is not taken for dead meanwhile', async (t) => {
    if (!needs(t, 'namespaces', 'tc')) return
    await download(t, 'silent', 600, BYTES / 600, 1_000_000)
  })
})
