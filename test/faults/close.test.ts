/**
 * `fastify.close()` with every kind of peer: those that answer, those that never will, and those
 * that nobody listens to.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { until } from '../support/app.js'
import { startRemote } from '../support/remote.js'
import { BUSY } from './support/bound.js'
import { startFleet } from './support/fleet.js'
import { needs } from '../support/needs.js'
import { createNetwork } from './support/network.js'

test('fastify.close() tells the live 1012, waits for no one longer than it may, and the process ends by itself (field 10)', async (t) => {
  if (!needs(t, 'namespaces')) return
  const shutdown = { timeout: 2000 }
  const closeTimeout = 1000
  const network = createNetwork(t, 'lost', 'live')
  const { lost, live } = network.groups
  const server = await startRemote(t, { host: '0.0.0.0', prefix: network.server, lifeline: { shutdown, closeTimeout, backpressure: { limit: 64 * 1024 * 1024 } } })
  const url = (host: string, path: string): string => `ws://${host}:${server.port}/${path}`
  const [blackholed, mute, paused, deaf, well] = await Promise.all(
    [lost, live, live, live, live].map((group) => startFleet(t, group.prefix)))
  // Those that are there so far are paused by the server, half of them with something unread.
  await paused!.connect(url(live.host, 'echo'), 'ws', 50)
  await paused!.connect(url(live.host, 'silent'), 'ws', 50)
  await server.pauseAll()
  for (let index = 0; index < 100; index += 2) await paused!.send(index, 10, 1000)
  await blackholed!.connect(url(lost.host, 'echo'), 'ws', 25)
  await blackholed!.connect(url(lost.host, 'silent'), 'ws', 25)
  await mute!.connect(url(live.host, 'silent'), 'mute', 50)
  const before = new Set((await server.list()).map(({ fd }) => fd))
  await deaf!.connect(url(live.host, 'silent'), 'deaf', 20)
  for (const { fd } of await server.list()) {
    // More than the kernel takes in on both sides for one that does not read.
    if (!before.has(fd)) await server.flood(fd, 100, 100_000)
  }
  await well!.connect(url(live.host, 'echo'), 'ws', 50)
  await well!.connect(url(live.host, 'silent'), 'ws', 50)
  lost.blackhole()
  assert.equal(await server.size(), 320)
  assert.ok((await server.list()).filter(({ bufferedBytes }) => bufferedBytes > 0).length >= 20, 'something waits for those that do not read')

  const closing = server.close()
  await until('the live ones are told', async () => (await well!.state()).every(({ open }) => !open))
  for (const fleet of [well!, paused!]) {
    await until('they are told', async () => (await fleet.state()).every(({ open }) => !open))
    assert.deepEqual(new Set((await fleet.state()).map(({ code }) => code)), new Set([1012]))
  }
  const took = await closing
  t.diagnostic(`fastify.close() with 320 connections took ${Math.round(took)} ms`)
  assert.ok(took <= shutdown.timeout + closeTimeout + BUSY, `it took ${took} ms`)
  const code = await Promise.race([server.exited, sleep(5000, 'it still runs', { ref: false })])
  assert.equal(code, 0)
})
