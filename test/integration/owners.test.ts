/**
 * @fastify/websocket in another context than ours, registered before us or after, with a server of its own or without: by the server, not
 * by the context, it is decided what becomes a connection.
 */
import assert from 'node:assert/strict'
import { channel } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import fastifyWebsocket from '@fastify/websocket'
import Fastify from 'fastify'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import WebSocket from 'ws'
import lifeline from '../../src/index.js'
import type { Connection, Lifeline } from '../../src/index.js'
import { connect, until } from '../support/app.js'
import { ask, begin, constellations, elsewhere, evil, good } from '../support/owners.js'
import type { Begun, Setup } from '../support/owners.js'
import { refused } from '../support/refused.js'

for (const [name, build] of [...Object.entries(constellations), ...Object.entries(constellations).map(([name, build]) => [`${name}; with a server of its own`, build] as const)]) {
  const own = name.endsWith('of its own')
  const setUp = async (t: TestContext, setup: Setup = {}): Promise<Begun> => {
    if (!own) return await begin(t, build, setup)
    const { server, port } = await elsewhere(t)
    return await begin(t, build, { ...setup, websocket: { ...setup.websocket, options: { ...setup.websocket?.options, server } }, port })
  }

  test(`${name}: its connections are seen, and limited together with ours`, { timeout: 15_000 }, async (t) => {
    const { app, url, own, lifeline, requests } = await setUp(t, { options: { limits: { connections: 3, payload: 1000 }, origins: good.origin } })
    const opened: Array<[Connection, FastifyRequest]> = []
    lifeline.on('open', (connection, request) => { opened.push([connection, request]) })
    for (const path of [url, own]) {
      const { status, body } = await refused(t, path, evil)
      assert.deepEqual([status, JSON.parse(body)], [403, { statusCode: 403, error: 'Forbidden', message: 'This origin may not open a WebSocket here' }])
    }
    const first = await connect(t, url, good)
    const second = await connect(t, own, good)
    const third = await connect(t, url, good)
    for (const client of [first, second, third]) assert.equal(await ask(client), 'echo x')
    assert.equal(lifeline.size, 3)
    for (const path of [url, own]) {
      const { status, retryAfter } = await refused(t, path, good)
      assert.equal(status, 503)
      assert.match(retryAfter!, /^\d+$/)
    }
    assert.deepEqual(lifeline.stats().upgrades, { refused: 4, timedOut: 0 })
    const { connections, origins } = lifeline.stats().limited
    assert.deepEqual({ connections, origins }, { connections: 2, origins: 2 })
    assert.deepEqual(requests.map((request) => request.fd), opened.map(([{ fd }]) => fd))
    assert.deepEqual(requests, opened.map(([, request]) => request))
    const [connection] = opened[0]!
    assert.equal(lifeline.of(requests[0]!), connection)
    assert.deepEqual([connection.route, connection.params, connection.remoteAddress], ['/theirs/:name', { name: 'x' }, '127.0.0.1'])
    assert.equal((await connection.deliver('hello')).outcome, 'delivered')
    assert.equal(lifeline.broadcast('to all'), 3)
    // Its limits are ours as well.
    const over = once(first, 'close')
    first.send('y'.repeat(1001))
    assert.equal((await over)[0], 1009)
    await until('its place is free', () => lifeline.size === 2)
    assert.equal(await ask(await connect(t, url, good)), 'echo x')
    const told = once(third, 'close')
    await app.close()
    assert.equal((await told)[0], 1012)
    assert.equal(lifeline.size, 0)
    assert.equal(channel('tracing:fastify.request.handler:start').hasSubscribers, false)
  })

  test(`${name}: its connections are supervised, and found when they are dead`, { timeout: 15_000 }, async (t) => {
    const { url, lifeline, lines } = await setUp(t, {
      options: { heartbeat: { interval: 100, timeout: 100 } },
      handler: (socket) => { socket.on('message', () => { throw new Error('of the app') }) }
    })
    const causes: string[] = []
    lifeline.on('close', (_connection, { cause }) => { causes.push(cause) })
    const failing = await connect(t, url)
    const over = once(failing, 'close')
    failing.send('x')
    assert.equal((await over)[0], 1011)
    const silent = await connect(t, url, { autoPong: false } as WebSocket.ClientOptions)
    assert.equal((await once(silent, 'close'))[0], 1006)
    await until('both are told', () => causes.length === 2)
    assert.deepEqual(causes, ['handler', 'heartbeat'])
    assert.equal(lines.filter(({ msg }) => msg === 'lifeline: the handler of a connection failed').length, 1)
  })

  test(`${name}: the hooks of an upgrade run once, whoever's it is, and nobody fails on the way`, { timeout: 15_000 }, async (t) => {
    const { url, own, hooks, requests, lifeline } = await setUp(t)
    for (let i = 0; i < 5; i++) {
      assert.equal(await ask(await connect(t, url)), 'echo x')
      assert.equal(await ask(await connect(t, own)), 'echo x')
    }
    assert.deepEqual([hooks(), requests.length, lifeline.size], [10, 10, 10])
    assert.deepEqual(lifeline.stats().upgrades, { refused: 0, timedOut: 0 })
  })

  test(`${name}: a check that takes its time holds the door there as well`, { timeout: 15_000 }, async (t) => {
    const say: Array<(said: boolean) => void> = []
    const { url, lifeline } = await setUp(t, {
      options: { limits: { connections: 1 }, upgradeTimeout: 500, origins: () => new Promise<boolean>((resolve) => { say.push(resolve) }) }
    })
    const asked = async (path = url): Promise<Promise<unknown>> => {
      const client = new WebSocket(path)
      client.on('error', () => {})
      t.after(() => { client.terminate() })
      const before = say.length
      const answered = new Promise((resolve) => {
        client.on('open', () => { resolve('open') })
        client.on('unexpected-response', (_request, { statusCode }) => { resolve(statusCode); client.terminate() })
      })
      await until('it is asked about', () => say.length === before + 1)
      return [answered, client] as never
    }
    const [no] = await asked() as unknown as [Promise<unknown>]
    say[0]!(false)
    assert.equal(await no, 403)
    const [, left] = await asked() as unknown as [unknown, WebSocket]
    left.terminate()
    await until('its time is up', () => lifeline.stats().upgrades.refused === 2)
    say[1]!(true)
    const [late] = await asked() as unknown as [Promise<unknown>]
    assert.equal(await late, 503)
    say[2]!(true)
    // None of them has kept a place.
    const [yes] = await asked() as unknown as [Promise<unknown>]
    say[3]!(true)
    assert.equal(await yes, 'open')
    assert.equal(lifeline.size, 1)
    // Who leaves is missed when its time is up.
    assert.deepEqual(lifeline.stats().upgrades, { refused: 3, timedOut: 2 })
  })
}

test('a route of ours that is reached through the server of another registration is bounded as any other, and leaves no socket', { timeout: 20_000 }, async (t) => {
  const { server, port } = await elsewhere(t)
  const app = Fastify()
  t.after(() => app.close())
  await app.register(async (child) => { await child.register(fastifyWebsocket, { options: { server } }) })
  await app.register(lifeline, { limits: { connections: 1 }, origins: good.origin, upgradeTimeout: 200, closeTimeout: 200 })
  app.get('/ours', { websocket: true }, () => {})
  app.get('/undecided', { websocket: true, onRequest: () => new Promise<void>(() => {}) }, () => {})
  await app.listen({ port: 0, host: '127.0.0.1' })
  const url = `ws://127.0.0.1:${port}/ours`
  const client = await connect(t, url, good)
  assert.equal(app.lifeline.size, 1)
  assert.equal((await refused(t, url, good)).status, 503)
  assert.equal((await refused(t, url, evil)).status, 403)
  const over = once(client, 'close')
  client.close()
  await over
  assert.equal((await refused(t, `ws://127.0.0.1:${port}/undecided`, good)).status, 503)
  assert.deepEqual(app.lifeline.stats().upgrades, { refused: 3, timedOut: 1 })
  await until('no socket is left', async () => await new Promise((resolve) => { server.getConnections((_error, count) => { resolve(count === 0) }) }))
})

test('a registration that has another name, in a sibling with a server of its own, is bounded as well', { timeout: 20_000 }, async (t) => {
  const { server, port } = await elsewhere(t)
  const app = Fastify()
  t.after(() => app.close())
  let found: Lifeline | undefined
  await app.register(async (child) => {
    await child.register(lifeline, { limits: { connections: 1 }, origins: good.origin, closeTimeout: 200 })
    found = child.lifeline
    child.get('/ours', { websocket: true }, () => {})
  })
  await app.register(async (child) => {
    const renamed = fp((instance: FastifyInstance, options: object, done: () => void) => { fastifyWebsocket(instance as never, options as never, done as never) }, { name: 'my-realtime' })
    await child.register(renamed, { options: { server } } as never)
    child.get('/theirs', { websocket: true }, () => {})
  })
  await app.listen({ port: 0, host: '127.0.0.1' })
  const url = `ws://127.0.0.1:${port}/theirs`
  assert.equal((await refused(t, url, evil)).status, 403)
  await connect(t, url, good)
  assert.equal(found!.size, 1)
  assert.equal((await refused(t, url, good)).status, 503)
})
