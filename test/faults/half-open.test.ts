/**
 * Peers that vanish without a word: 500 connections made dead by dropping every packet, and 500 live
 * ones beside them. Every dead one is found within the stated bound, and no live one is lost, also
 * while the server itself stalls or is stopped.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { CloseInfo } from '../../src/index.js'
import { level, until } from '../support/app.js'
import { startRemote } from '../support/remote.js'
import type { Remote } from '../support/remote.js'
import { startFleet } from './support/fleet.js'
import { needs } from '../support/needs.js'
import { createNetwork } from './support/network.js'
import { boundOf, deadline } from './support/bound.js'

const heartbeat = { interval: 2000, timeout: 1000 }
const COUNT = 500

/**
 * Half of the connections on /echo, half on /silent, whose handler never attaches a reader.
 * @param away takes the server away for a while, and gives the moment when it was back; ms since the epoch
 */
async function halfOpen (t: TestContext, away: ((server: Remote) => Promise<number>) | null): Promise<void> {
  const network = createNetwork(t, 'dead', 'live')
  const server = await startRemote(t, { host: '0.0.0.0', prefix: network.server, lifeline: { heartbeat } })
  const bound = await boundOf(server, heartbeat)
  const [dead, live] = await Promise.all([startFleet(t, network.groups.dead.prefix), startFleet(t, network.groups.live.prefix)])
  const deadFds: number[] = []
  for (const path of ['echo', 'silent']) {
    const before = new Set((await server.list()).map(({ fd }) => fd))
    await dead.connect(`ws://${network.groups.dead.host}:${server.port}/${path}`, 'ws', COUNT / 2)
    deadFds.push(...(await server.list()).map(({ fd }) => fd).filter((fd) => !before.has(fd)))
    await live.connect(`ws://${network.groups.live.host}:${server.port}/${path}`, 'ws', COUNT / 2)
  }
  assert.equal(deadFds.length, COUNT)
  assert.equal(await server.size(), 2 * COUNT)
  // Long enough for every one to have been asked at least once: the dead die in the middle of their rhythm.
  await until('every connection has answered a ping', async () => (await server.list()).every(({ roundTrip }) => roundTrip !== null))

  const dropped = network.groups.dead.blackhole()
  let from = dropped
  let check = await deadline(t, server, bound, heartbeat.timeout)
  if (away !== null) {
    // Some have been asked before the server goes away, some have not.
    await sleep(heartbeat.timeout)
    from = await away(server)
    check = await deadline(t, server, bound, heartbeat.timeout)
  }
  await until('the dead are found', async () => (await server.closed()).length >= COUNT, 30_000)
  // A live one that was to be lost by mistake would be by then.
  await sleep(bound)

  const closed = await server.closed()
  assert.deepEqual(new Set(closed.map(({ fd }) => fd)), new Set(deadFds), 'the dead are found, all of them, and nobody else')
  for (const info of closed) assert.deepEqual(reasonOf(info), { cause: 'heartbeat', code: 1006 })
  await check(`${COUNT} half-open peers found, counted from the drop or the end of the stall`, closed.map(({ closedAt }) => closedAt - from))
  for (const fd of [deadFds[0]!, deadFds.at(-1)!]) {
    assert.equal(await server.exists(fd), false)
    assert.equal(await server.safePush(fd, 'x'), false)
  }
  assert.equal((await live.state()).filter(({ open }) => open).length, COUNT, 'no live one is lost')
  assert.equal(await live.echo(COUNT / 2), COUNT / 2)
  assert.deepEqual((await server.lines()).filter((line) => line.level >= level.error), [])
}

const reasonOf = ({ cause, code }: CloseInfo): object => ({ cause, code })

test('500 half-open peers are found within the bound, and none of 500 live ones is lost (field 3)', async (t) => {
  if (!needs(t, 'namespaces')) return
  await halfOpen(t, null)
})

// Both spend most of their time away: side by side.
describe('the same, counted from the end of the stall', { concurrency: true }, () => {
  test('while the loop of the server is blocked for 10 s (field 5)', async (t) => {
    if (!needs(t, 'namespaces')) return
    await halfOpen(t, async (server) => {
      await server.stall(10_000)
      return Date.now()
    })
  })

  test('while the server process is stopped for 10 s', async (t) => {
    if (!needs(t, 'namespaces')) return
    await halfOpen(t, async (server) => {
      server.process.kill('SIGSTOP')
      await sleep(10_000)
      const back = Date.now()
      server.process.kill('SIGCONT')
      return back
    })
  })
})

test('a loop that is busy for 60 ms again and again does not stretch the bound', async (t) => {
  const server = await startRemote(t, { lifeline: { heartbeat } })
  const bound = await boundOf(server, heartbeat)
  const fleet = await startFleet(t)
  await fleet.connect(`ws://127.0.0.1:${server.port}/silent`, 'ws', 50)
  const busy = setInterval(() => { server.stall(60).catch(() => {}) }, 100)
  try {
    await sleep(500)
    const check = await deadline(t, server, bound, heartbeat.timeout)
    const frozen = Date.now()
    fleet.process.kill('SIGSTOP')
    await until('all are found', async () => (await server.closed()).length === 50, 30_000)
    await check('50 frozen peers found, with a busy loop', (await server.closed()).map(({ closedAt }) => closedAt - frozen))
  } finally {
    // Before the server goes, not after.
    clearInterval(busy)
  }
})
