/**
 * Readers that do not read, and a server that goes on pushing: its memory stays within the limits, and
 * nobody else waits for them.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { until } from '../support/app.js'
import { startRemote } from '../support/remote.js'
import { startFleet } from './support/fleet.js'
import { needs } from '../support/needs.js'
import { createNetwork } from './support/network.js'

const MIB = 1024 * 1024
const MESSAGE = 10_000
/** What the process may take for itself while it is flooded, in bytes: garbage that is not collected yet. */
const SLACK = 64 * MIB

describe('a reader frozen by SIGSTOP under a flood', { concurrency: true }, () => {
  for (const policy of ['drop', 'close'] as const) {
    test(`policy ${policy}`, async (t) => {
      if (!needs(t, 'namespaces')) return
      const network = createNetwork(t, 'frozen', 'others')
      network.shallow()
      const { frozen, others } = network.groups
      const server = await startRemote(t, { host: '0.0.0.0', prefix: network.server, lifeline: { backpressure: { policy }, closeTimeout: 60_000 } })
      const [fleet, rest] = await Promise.all([startFleet(t, frozen.prefix), startFleet(t, others.prefix)])
      await fleet.connect(`ws://${frozen.host}:${server.port}/silent`, 'ws', 1)
      const { fd } = (await server.list())[0]!
      await rest.connect(`ws://${others.host}:${server.port}/silent`, 'ws', 20)
      const before = await server.resident()
      fleet.process.kill('SIGSTOP')

      const { taken, result, most } = await server.fill(fd, MESSAGE)
      assert.equal(result, 'full')
      assert.ok(most <= MIB && most > MIB - 2 * MESSAGE, `${most} bytes waited at most`)
      assert.equal(await server.safePush(fd, 'more'.repeat(MESSAGE)), false)
      // The others get all of 1,000 messages while it is frozen: a broadcast waits for nobody.
      for (let i = 0; i < 10; i++) {
        for (let j = 0; j < 100; j++) assert.equal(await server.broadcast('x'.repeat(1000)) >= 20, true)
      }
      await until('the others have all', async () => (await rest.state()).every(({ messages }) => messages === 1000))
      const state = (await server.list()).find((info) => info.fd === fd)!
      assert.ok(state.bufferedBytes <= MIB)
      assert.ok(await server.resident() - before < MIB + SLACK)
      assert.equal(state.state, policy === 'drop' ? 'open' : 'closing')

      const drained = server.drained(fd)
      fleet.process.kill('SIGCONT')
      assert.ok(await drained <= MIB / 4)
      if (policy === 'close') {
        await until('it is told', async () => !(await fleet.state())[0]!.open)
        assert.equal((await fleet.state())[0]!.code, 1013)
        assert.deepEqual((await server.closed()).map(({ cause, code }) => [cause, code]), [['backpressure', 1013]])
        return
      }
      const { dropped } = await server.stats()
      const total = taken + 1000 - (dropped.full - 2)
      assert.equal(await server.broadcast('goes on'), 21)
      await until('it has all that was taken', async () => (await fleet.state())[0]!.messages >= total + 1)
      assert.equal((await fleet.state())[0]!.messages, total + 1)
      assert.deepEqual(await server.closed(), [])
    })
  }
})

test('2,000 slow readers against backpressure.total: the budget holds, the largest go first, the rest live', async (t) => {
  if (!needs(t, 'namespaces')) return
  const total = 64 * MIB
  const network = createNetwork(t, 'slow', 'live')
  network.shallow()
  const { slow, live } = network.groups
  const server = await startRemote(t, { host: '0.0.0.0', prefix: network.server, lifeline: { backpressure: { total }, heartbeat: false } })
  const [fleet, readers] = await Promise.all([startFleet(t, slow.prefix), startFleet(t, live.prefix)])
  await fleet.connect(`ws://${slow.host}:${server.port}/silent`, 'deaf', 2000)
  await readers.connect(`ws://${live.host}:${server.port}/silent`, 'ws', 20)
  const before = await server.resident()

  // A hundred of them are to be the largest: together about as much as the budget.
  const largest = (await server.list()).slice(0, 100).map(({ fd }) => fd)
  for (const fd of largest) await server.flood(fd, 60, MESSAGE)
  assert.deepEqual(await server.closed(), [])
  let sent = 0
  let most = 0
  while ((await server.closed()).length < 50) {
    await server.broadcast('x'.repeat(MESSAGE))
    sent++
    assert.ok(sent < 1000, 'the budget is never reached')
    const { bufferedBytes } = await server.stats()
    most = Math.max(most, bufferedBytes)
  }
  assert.ok(most <= total, `${most} bytes waited`)
  const closed = await server.closed()
  t.diagnostic(`after ${sent} broadcasts ${closed.length} were terminated, ${Math.round(most / MIB)} MiB waited at most`)
  for (const { fd, cause } of closed) {
    assert.equal(cause, 'backpressure')
    assert.ok(largest.includes(fd))
  }
  assert.ok(closed.length < 100)
  assert.ok(await server.resident() - before < total + SLACK)
  assert.equal(await server.size(), 2020 - closed.length)
  await until('those who read have it all', async () => (await readers.state()).every(({ open, messages }) => open && messages === sent))
})
