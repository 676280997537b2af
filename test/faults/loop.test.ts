/**
 * A handler that is slower than the heartbeat's bound is no dead peer: also while reading is paused
 * because it has fallen behind, and no pong can be heard.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { until } from '../support/app.js'
import { startRemote } from '../support/remote.js'
import { report } from './support/bound.js'
import { startFleet } from './support/fleet.js'

// Clients that share two cores with everything else need a while for their answers.
const heartbeat = { interval: 500, timeout: 1500 }
// About: nothing here turns on a slot more or less.
const BOUND = heartbeat.interval + heartbeat.timeout
const SLOW = 4000

describe('a for-await handler that takes 4 s for each message, with a bound of 2 s', { concurrency: true }, () => {
  test('keeps its connection, and all answers arrive', async (t) => {
    const server = await startRemote(t, { lifeline: { heartbeat } })
    const fleet = await startFleet(t)
    await fleet.connect(`ws://127.0.0.1:${server.port}/loop?ms=${SLOW}`, 'ws', 10)
    await Promise.all(Array.from({ length: 10 }, (_, index) => fleet.send(index, 3, 10)))
    await until('all is answered, or one is over', async () =>
      (await fleet.state()).every(({ messages }) => messages === 3) || (await server.closed()).length > 0, 5 * SLOW)
    assert.deepEqual(await server.closed(), [])
    assert.equal(await server.size(), 10)
  })

  // 3 MB is more than the reader's 256 KiB and the first buffers of the kernel together: reading rests for seconds.
  for (const [count, bytes] of [[6, 500_000], [1200, 2500]] as const) {
    test(`keeps its connection while ${count} messages of ${bytes} bytes wait and reading is paused`, async (t) => {
      const ms = Math.ceil(6 * SLOW / count)
      const server = await startRemote(t, { lifeline: { heartbeat } })
      const fleet = await startFleet(t)
      await fleet.connect(`ws://127.0.0.1:${server.port}/loop?ms=${ms}`, 'ws', 5)
      await Promise.all(Array.from({ length: 5 }, (_, index) => fleet.send(index, count, bytes)))
      await until('all is answered, or one is over', async () =>
        (await fleet.state()).every(({ messages }) => messages === count) || (await server.closed()).length > 0, 4 * count * ms)
      assert.deepEqual(await server.closed(), [])
      for (const client of await fleet.state()) assert.equal(client.bytes, count * bytes)
    })
  }

  test('keeps a connection whose reading the app has paused for many times the bound', async (t) => {
    const server = await startRemote(t, { lifeline: { heartbeat } })
    const fleet = await startFleet(t)
    await fleet.connect(`ws://127.0.0.1:${server.port}/echo`, 'ws', 5)
    await fleet.connect(`ws://127.0.0.1:${server.port}/silent`, 'ws', 5)
    await server.pauseAll()
    // No more comes than what is sent before: a pause that is looked through must not lose it.
    await Promise.all(Array.from({ length: 5 }, (_, index) => fleet.send(index, 20, 1000)))
    await sleep(4 * BOUND)
    assert.deepEqual(await server.closed(), [])
    assert.equal((await fleet.state()).every(({ open, messages }) => open && messages === 0), true)
  })

  // Paused ones are left alone for interval + timeout, then judged like any other.
  for (const { how, signal, cause } of [{ how: 'frozen', signal: 'SIGSTOP', cause: 'heartbeat' }, { how: 'killed', signal: 'SIGKILL', cause: 'reset' }] as const) {
    test(`the peer is found, also behind a slow handler and a paused reader, when it is ${how}`, async (t) => {
      const server = await startRemote(t, { lifeline: { heartbeat } })
      const fleet = await startFleet(t)
      await fleet.connect(`ws://127.0.0.1:${server.port}/loop?ms=60000`, 'ws', 5)
      await fleet.connect(`ws://127.0.0.1:${server.port}/echo`, 'ws', 5)
      await Promise.all(Array.from({ length: 5 }, (_, index) => fleet.send(index, 2, 10)))
      await server.pauseAll()
      const gone = Date.now()
      fleet.process.kill(signal)
      await until('they are found', async () => (await server.closed()).length === 10, 6 * BOUND)
      const closed = await server.closed()
      report(t, `10 paused peers, ${how}, found after`, closed.map(({ closedAt }) => closedAt - gone), 2 * BOUND)
      assert.deepEqual(new Set(closed.map((info) => info.cause)), new Set([cause]))
    })
  }
})
