/**
 * A proxy in front, with a short idle timeout: the heartbeat keeps the idle connection open.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { level, until } from '../support/app.js'
import { startRemote } from '../support/remote.js'
import { startFleet } from './support/fleet.js'
import { startHaproxy, startNginx } from './support/proxies.js'
import { needs } from '../support/needs.js'
import { freePort } from '../support/port.js'

const listens = async (port: number): Promise<boolean> => {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => {})
  const reached = await Promise.race([once(socket, 'connect').then(() => true), once(socket, 'close').then(() => false)]).catch(() => false)
  socket.destroy()
  return reached
}

async function inFront (t: TestContext, start: typeof startNginx, upstream: number): Promise<number> {
  const port = await freePort()
  await start(t, { upstream, listen: `127.0.0.1:${port}`, idle: 3, reachable: () => listens(port) })
  return port
}

const proxies = { nginx: startNginx, haproxy: startHaproxy } as const

const each = (what: string, run: (t: TestContext, start: typeof startNginx) => Promise<void>): void => {
  for (const [name, start] of Object.entries(proxies) as Array<[keyof typeof proxies, typeof startNginx]>) {
    test(`${name}: ${what}`, async (t) => { if (needs(t, name)) await run(t, start) })
  }
}

describe('behind a proxy with an idle timeout of 3 s', { concurrency: true }, () => {
  each('an idle connection lives on, with a heartbeat of 1 s (field 16)', async (t, start) => {
    const server = await startRemote(t, { lifeline: { heartbeat: { interval: 1000, timeout: 1000 } } })
    const fleet = await startFleet(t)
    const port = await inFront(t, start, server.port)
    await fleet.connect(`ws://127.0.0.1:${port}/echo`, 'ws', 10)
    await fleet.connect(`ws://127.0.0.1:${port}/silent`, 'ws', 10)
    await sleep(11_000)
    assert.deepEqual(await server.closed(), [])
    assert.equal((await fleet.state()).every(({ open }) => open), true)
    assert.equal(await fleet.echo(10), 10)
  })

  each('with an interval that is too long, one warning says after which time connections are cut (field 16)', async (t, start) => {
    const server = await startRemote(t, { lifeline: { heartbeat: { interval: 10_000, timeout: 1000 } } })
    const fleet = await startFleet(t)
    const port = await inFront(t, start, server.port)
    await fleet.connect(`ws://127.0.0.1:${port}/echo`, 'ws', 10)
    await fleet.connect(`ws://127.0.0.1:${port}/silent`, 'ws', 10)
    await until('they are cut', async () => (await server.closed()).length === 20)
    assert.deepEqual(new Set((await server.closed()).map(({ cause }) => cause)), new Set(['reset']))
    const warnings = (await server.lines()).filter((line) => line.level === level.warn)
    assert.equal(warnings.length, 1)
    const told = /^lifeline: connections are cut after (\d\.\d) s without traffic: .* keep heartbeat\.interval \(10000 ms\) below that$/.exec(warnings[0]!.msg)
    // Neither clock begins exactly when the last byte passed: a proxy's may be some hundred ms old, and a busy machine is late.
    const seconds = Number(told?.[1])
    assert.ok(seconds > 2.5 && seconds < 4, warnings[0]!.msg)
  })

  each('the bare @fastify/websocket loses it after 3 s', async (t, start) => {
    const server = await startRemote(t, { bare: true })
    const fleet = await startFleet(t)
    const port = await inFront(t, start, server.port)
    await fleet.connect(`ws://127.0.0.1:${port}/echo`, 'ws', 10)
    const begin = performance.now()
    await until('they are cut', async () => (await fleet.state()).every(({ open }) => !open))
    const took = performance.now() - begin
    t.diagnostic(`the bare server's connections were cut after ${Math.round(took)} ms`)
    assert.ok(took > 2000, `cut after ${took} ms: by something else`)
    assert.deepEqual(new Set((await fleet.state()).map(({ code }) => code)), new Set([1006]))
  })
})
