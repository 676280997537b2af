/**
 * Every way in which a client leaves: the connection is over at once, with the right cause, and no
 * line at error level tells of it.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { after, before, describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { CloseInfo } from '../../src/index.js'
import { level, until } from '../support/app.js'
import { startRemote } from '../support/remote.js'
import type { Remote } from '../support/remote.js'
import { boundOf, deadline } from './support/bound.js'
import { startFleet } from './support/fleet.js'
import { needs } from '../support/needs.js'

const script = fileURLToPath(new URL('support/peer.py', import.meta.url))

async function startPython (t: TestContext, url: string): Promise<ChildProcess> {
  const python = spawn('/usr/bin/python3', [script, url], { stdio: ['pipe', 'pipe', 'inherit'] })
  t.after(async () => {
    if (python.exitCode === null && python.signalCode === null) {
      const exited = once(python, 'exit')
      python.kill('SIGKILL')
      await exited
    }
  })
  await once(python.stdout, 'data')
  return python
}

/** The only connection of the server is over, and the app can tell. */
async function isOver (server: Remote, fd: number, expected: Partial<CloseInfo>): Promise<void> {
  await until('it is over', async () => await server.size() === 0, 5000)
  const [info] = (await server.closed()).filter((one) => one.fd === fd)
  const { cause, code, reason } = info!
  assert.deepEqual({ cause, code, reason }, { reason: '', ...expected })
  assert.equal(await server.exists(fd), false)
  assert.equal(await server.safePush(fd, 'anybody?'), false)
  assert.deepEqual((await server.lines()).filter((line) => line.level >= level.error), [])
}

const onlyFd = async (server: Remote): Promise<number> => {
  const list = await server.list()
  assert.equal(list.length, 1)
  return list[0]!.fd
}

for (const path of ['echo', 'silent']) {
  describe(`a client of /${path} leaves`, () => {
    let server: Remote
    const cleanups: Array<() => unknown> = []
    before(async () => {
      // A server for all of them: what one leaves behind, the next would trip over.
      server = await startRemote({ after: (cleanup: () => unknown) => { cleanups.push(cleanup) } } as unknown as TestContext)
    })
    after(async () => { for (const cleanup of cleanups) await cleanup() })
    const url = (): string => `ws://127.0.0.1:${server.port}/${path}`

    test('ws: with a code and a reason', async (t) => {
      const fleet = await startFleet(t)
      await fleet.connect(url(), 'ws', 1)
      const fd = await onlyFd(server)
      await fleet.close(0, 4001, 'Grüße')
      await isOver(server, fd, { cause: 'client', code: 4001, reason: 'Grüße' })
    })

    test('ws: its process is killed', async (t) => {
      const fleet = await startFleet(t)
      await fleet.connect(url(), 'ws', 1)
      const fd = await onlyFd(server)
      fleet.process.kill('SIGKILL')
      await isOver(server, fd, { cause: 'reset', code: 1006 })
    })

    test('ws: its process is killed while it is being pushed to', async (t) => {
      const fleet = await startFleet(t)
      await fleet.connect(url(), 'ws', 1)
      const fd = await onlyFd(server)
      fleet.process.kill('SIGSTOP')
      // More than the kernels take: some of it waits in the server when the peer resets.
      await server.flood(fd, 100, 100_000)
      fleet.process.kill('SIGKILL')
      await isOver(server, fd, { cause: 'reset', code: 1006 })
    })

    test('ws: its socket is reset', async (t) => {
      const fleet = await startFleet(t)
      await fleet.connect(url(), 'ws', 1)
      const fd = await onlyFd(server)
      await fleet.reset(0)
      await isOver(server, fd, { cause: 'reset', code: 1006 })
    })

    for (const kind of ['mute', 'deaf'] as const) {
      test(`a raw socket (${kind}): reset`, async (t) => {
        const fleet = await startFleet(t)
        await fleet.connect(url(), kind, 1)
        const fd = await onlyFd(server)
        await server.safePush(fd, 'something that is not read')
        await fleet.reset(0)
        await isOver(server, fd, { cause: 'reset', code: 1006 })
      })

      test(`a raw socket (${kind}): ended without a close frame`, async (t) => {
        const fleet = await startFleet(t)
        await fleet.connect(url(), kind, 1)
        const fd = await onlyFd(server)
        await fleet.end(0)
        await isOver(server, fd, { cause: 'reset', code: 1006 })
      })
    }

    test('Python: with a code and a reason', async (t) => {
      if (!needs(t, 'python3-websockets')) return
      const python = await startPython(t, url())
      const fd = await onlyFd(server)
      python.stdin!.write('close 3000 adiós amigos\n')
      await isOver(server, fd, { cause: 'client', code: 3000, reason: 'adiós amigos' })
    })

    test('Python: its process is killed', async (t) => {
      if (!needs(t, 'python3-websockets')) return
      const python = await startPython(t, url())
      const fd = await onlyFd(server)
      python.kill('SIGKILL')
      await isOver(server, fd, { cause: 'reset', code: 1006 })
    })
  })
}

test('a client process that is frozen, while its kernel still acknowledges, is found by the heartbeat', async (t) => {
  const heartbeat = { interval: 1000, timeout: 1000 }
  const server = await startRemote(t, { lifeline: { heartbeat } })
  const fleet = await startFleet(t)
  await fleet.connect(`ws://127.0.0.1:${server.port}/echo`, 'ws', 50)
  await fleet.connect(`ws://127.0.0.1:${server.port}/silent`, 'ws', 50)
  const { fd } = (await server.list())[0]!
  const check = await deadline(t, server, await boundOf(server, heartbeat), heartbeat.timeout)
  const frozen = Date.now()
  fleet.process.kill('SIGSTOP')
  await until('all are found', async () => (await server.closed()).length === 100)
  const closed = await server.closed()
  await check('100 frozen peers found', closed.map(({ closedAt }) => closedAt - frozen))
  assert.deepEqual(new Set(closed.map(({ cause }) => cause)), new Set(['heartbeat']))
  assert.equal(await server.exists(fd), false)
  assert.equal(await server.safePush(fd, 'x'), false)
  assert.deepEqual((await server.lines()).filter((line) => line.level >= level.error), [])
})
