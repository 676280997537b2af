/**
 * A dead peer that is being pushed to: what the kernel still takes in must not pass for life.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { until } from '../support/app.js'
import { startRemote } from '../support/remote.js'
import { boundOf, deadline } from './support/bound.js'
import { startFleet } from './support/fleet.js'
import { needs } from '../support/needs.js'
import { createNetwork } from './support/network.js'

const heartbeat = { interval: 1000, timeout: 1000 }
const stallTimeout = 3000
const COUNT = 40

describe('dead peers that are pushed to every 100 ms are found within interval + max(timeout, stallTimeout) + a slot', { concurrency: true }, () => {
  for (const { path, bytes, tls = false, deflate = false } of [{ path: 'echo', bytes: 20 }, { path: 'silent', bytes: 20 }, { path: 'silent', bytes: 20_000 }, { path: 'silent', bytes: 20, tls: true }, { path: 'silent', bytes: 20, deflate: true }]) {
    test(`/${path}, ${bytes} bytes each${tls ? ', over TLS' : ''}${deflate ? ', compressed' : ''}`, async (t) => {
      if (!needs(t, 'namespaces')) return
      const network = createNetwork(t, 'dead')
      const server = await startRemote(t, { host: '0.0.0.0', prefix: network.server, tls, lifeline: { heartbeat, backpressure: { stallTimeout }, websocket: { options: { perMessageDeflate: deflate } } } })
      const fleet = await startFleet(t, network.groups.dead.prefix)
      await fleet.connect(`${tls ? 'wss' : 'ws'}://${network.groups.dead.host}:${server.port}/${path}`, 'ws', COUNT)
      const data = 'x'.repeat(bytes)
      const push = (): void => { server.broadcast(data).catch(() => {}) }
      const pushing = setInterval(push, 100)
      t.after(() => { clearInterval(pushing) })
      await until('all are being pushed to', async () => (await fleet.state()).every(({ messages }) => messages >= 20))
      assert.equal(await server.size(), COUNT)

      // With no more than 64 KiB under way the shorter bound holds.
      const bound = await boundOf(server, heartbeat) - heartbeat.timeout + stallTimeout
      const check = await deadline(t, server, bound, stallTimeout)
      const dropped = network.groups.dead.blackhole()
      await until('all are found', async () => (await server.closed()).length === COUNT, 30_000)
      const closed = await server.closed()
      await check(`${COUNT} dead peers, pushed ${bytes} bytes every 100 ms, found`, closed.map(({ closedAt }) => closedAt - dropped))
      for (const { cause } of closed) assert.equal(cause, 'heartbeat')
      assert.equal(await server.safePush(closed[0]!.fd, data), false)
    })
  }
})
