/**
 * A dead peer that is being pushed to: what the kernel still takes in must not pass for life.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { until } from '../support/app.js'
import { startRemote } from '../support/remote.js'
import { boundOf, BUSY, report } from './support/bound.js'
import { startFleet } from './support/fleet.js'
import { needs } from './support/needs.js'
import { createNetwork } from './support/network.js'

const heartbeat = { interval: 1000, timeout: 1000 }
const stallTimeout = 3000
const COUNT = 40

describe('dead peers that are pushed to every 100 ms are found within interval + max(timeout, stallTimeout) + a slot', { concurrency: true }, () => {
  for (const { path, bytes } of [{ path: 'echo', bytes: 20 }, { path: 'silent', bytes: 20 }, { path: 'silent', bytes: 20_000 }]) {
    test(`/${path}, ${bytes} bytes each`, async (t) => {
      if (!needs(t, 'namespaces')) return
      const network = createNetwork(t, 'dead')
      const server = await startRemote(t, { host: '0.0.0.0', prefix: network.server, lifeline: { heartbeat, backpressure: { stallTimeout } } })
      const fleet = await startFleet(t, network.groups.dead.prefix)
      await fleet.connect(`ws://${network.groups.dead.host}:${server.port}/${path}`, 'ws', COUNT)
      const data = 'x'.repeat(bytes)
      const push = (): void => { server.broadcast(data).catch(() => {}) }
      const pushing = setInterval(push, 100)
      t.after(() => { clearInterval(pushing) })
      await until('all are being pushed to', async () => (await fleet.state()).every(({ messages }) => messages >= 20))
      assert.equal(await server.size(), COUNT)

      const dropped = network.groups.dead.blackhole()
      // With no more than 64 KiB under way the shorter bound holds.
      const bound = await boundOf(server, heartbeat) - heartbeat.timeout + stallTimeout
      await until('all are found', async () => (await server.closed()).length === COUNT, 3 * bound)
      const closed = await server.closed()
      const times = closed.map(({ closedAt }) => closedAt - dropped)
      report(t, `${COUNT} dead peers, pushed ${bytes} bytes every 100 ms, found after`, times, bound)
      for (const { cause } of closed) assert.equal(cause, 'heartbeat')
      assert.ok(Math.max(...times) <= bound + BUSY, `the last was found ${Math.max(...times)} ms after the drop`)
      assert.equal(await server.safePush(closed[0]!.fd, data), false)
    })
  }
})
