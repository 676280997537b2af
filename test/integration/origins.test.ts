/**
 * `origins` on a server: only a yes opens the door, whichever way the app registers, and the places are counted right.
 */
import assert from 'node:assert/strict'
import { connect as connectSocket } from 'node:net'
import { test } from 'node:test'
import fastifyWebsocket from '@fastify/websocket'
import type { FastifyRequest } from 'fastify'
import { connect, level, start, until } from '../support/app.js'
import { refused } from '../support/refused.js'

const evil = { origin: 'https://evil.example' }
const silent = (app: any): void => { app.get('/', { websocket: true }, () => {}) }

const unsure: Record<string, () => unknown> = {
  'throws undefined': () => { throw undefined }, // eslint-disable-line no-throw-literal
  'throws null, later': async () => { throw null }, // eslint-disable-line no-throw-literal
  'is rejected with an Error': async () => { throw new Error('db password is hunter2') },
  'throws an Error with a status': () => { throw Object.assign(new Error('db password is hunter2'), { statusCode: 200 }) },
  'says "no"': async () => 'no'
}

for (const [way, before] of [['alone', undefined], ['beside @fastify/websocket of the app\'s own', async (app: any) => { await app.register(fastifyWebsocket) }]] as const) {
  for (const [what, origins] of Object.entries(unsure)) {
    test(`${way}: where the function ${what}, everybody is refused with a fixed text, each is reported, and one line a minute is logged`, async (t) => {
      const { app, url, lines, errors } = await start(t, { ...(before && { before }), options: { origins: origins as never, limits: { connections: 1 } }, routes: silent })
      const events: Array<[unknown, string]> = []
      app.lifeline.on('error', (connection, error) => { events.push([connection, (error as { code: string }).code]) })
      for (let i = 0; i < 3; i++) {
        const { status, body } = await refused(t, url, evil)
        assert.equal(status, 403)
        assert.deepEqual(JSON.parse(body), { statusCode: 403, error: 'Forbidden', message: 'This origin may not open a WebSocket here' })
      }
      assert.deepEqual(events, Array(3).fill([undefined, 'FST_ERR_LIFELINE_ORIGINS']))
      assert.equal(errors().length, 1)
      assert.equal(lines.filter(({ level: at }) => at === level.warn).length, 0)
      const { opened, limited, upgrades } = app.lifeline.stats()
      assert.deepEqual([opened, limited.origins, limited.connections, upgrades.refused], [0, 3, 0, 3])
    })
  }

  test(`${way}: a function that never decides is ended by upgradeTimeout; what it says afterwards takes no place`, async (t) => {
    const decisions: Array<(said: boolean) => void> = []
    const { app, url, errors } = await start(t, {
      ...(before && { before }),
      options: { upgradeTimeout: 50, limits: { connections: 1 }, origins: (origin) => origin === 'https://app.example' || new Promise((resolve) => { decisions.push(resolve) }) },
      routes: silent
    })
    assert.equal((await refused(t, url, evil)).status, 503)
    assert.equal((await refused(t, url, evil)).status, 503)
    assert.equal(app.lifeline.stats().upgrades.timedOut, 2)
    decisions[0]!(true)
    decisions[1]!(false)
    await new Promise(setImmediate)
    assert.deepEqual([app.lifeline.size, app.lifeline.stats().limited.origins], [0, 0])
    await connect(t, url, { origin: 'https://app.example' })
    assert.equal((await refused(t, url, { origin: 'https://app.example' })).status, 503)
    assert.deepEqual(errors(), [])
  })

  test(`${way}: who resets while it is decided takes no place`, async (t) => {
    const decisions: Array<(said: boolean) => void> = []
    const left: Array<Promise<unknown>> = []
    const { app, url, port } = await start(t, {
      ...(before && { before }),
      options: {
        limits: { connections: 1, perAddress: 1 },
        origins: (origin, request: FastifyRequest) => {
          if (origin === 'https://app.example') return true
          left.push(new Promise((resolve) => { request.raw.socket.once('close', resolve) }))
          return new Promise((resolve) => { decisions.push(resolve) })
        }
      },
      routes: silent
    })
    for (let i = 0; i < 20; i++) {
      const socket = connectSocket({ port, host: '127.0.0.1' })
      socket.on('error', () => {})
      socket.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: https://evil.example\r\n\r\n')
      await until('it is asked', () => decisions.length === i + 1)
      socket.resetAndDestroy()
      await left[i]
      // In the very turn in which it is known to have left.
      decisions[i]!(true)
    }
    await connect(t, url, { origin: 'https://app.example' })
    assert.equal((await refused(t, url, { origin: 'https://app.example' })).status, 503)
    assert.equal(app.lifeline.stats().opened, 1)
  })
}

test('two who are decided on in one turn do not share the last place', async (t) => {
  const decisions: Array<(said: boolean) => void> = []
  const { app, url } = await start(t, {
    options: { limits: { connections: 1 }, origins: () => new Promise((resolve) => { decisions.push(resolve) }) },
    routes: silent
  })
  const tries = [refused(t, url, evil), refused(t, url, evil)]
  await until('both are asked', () => decisions.length === 2)
  for (const decide of decisions) decide(true)
  const outcomes = await Promise.allSettled(tries)
  assert.deepEqual(outcomes.map(({ status }) => status).toSorted(), ['fulfilled', 'rejected'])
  assert.equal(app.lifeline.stats().limited.connections, 1)
  assert.equal(app.lifeline.size, 1)
})

test('a trustProxy function that throws nothing lets nobody past limits.perAddress', async (t) => {
  // Fastify's own log lines ask for the address, too.
  const { app, url, errors } = await start(t, { fastify: { disableRequestLogging: true, trustProxy: () => { throw undefined } }, options: { limits: { perAddress: 1 } }, routes: silent }) // eslint-disable-line no-throw-literal
  for (let i = 0; i < 2; i++) {
    const { status, body } = await refused(t, url, { headers: { 'x-forwarded-for': '192.0.2.1' } })
    assert.deepEqual([status, JSON.parse(body).message], [500, 'This upgrade could not be checked'])
  }
  assert.equal(app.lifeline.stats().opened, 0)
  assert.deepEqual(errors().map(({ err }) => err!.code), ['FST_ERR_LIFELINE_ADDRESS'])
})

test('a header that is no address is counted by what it is, and is no error', async (t) => {
  const { url, errors } = await start(t, { fastify: { trustProxy: true }, options: { limits: { perAddress: 1 } }, routes: silent })
  const from = (address: string): object => ({ headers: { 'x-forwarded-for': address } })
  await connect(t, url, from('1:2:3:4:5:6:7:8::9:0'))
  assert.equal((await refused(t, url, from('1:2:3:4:5:6:7:8::9:0'))).status, 429)
  await connect(t, url, from('203.0.113.7:40000'))
  assert.equal((await refused(t, url, from('203.0.113.7:40001'))).status, 429)
  assert.deepEqual(errors(), [])
})

test('a socket of another class, put in the place of ours, keeps its place until it has ended', async (t) => {
  const { app, url } = await start(t, { options: { limits: { connections: 1 } }, routes: silent })
  const { WebSocket } = await import('ws')
  ;(app.websocketServer.options as { WebSocket: unknown }).WebSocket = WebSocket
  const first = await connect(t, url)
  assert.equal((await refused(t, url)).status, 503)
  first.terminate()
  await until('its place is free', () => connect(t, url).then(() => true, () => false))
})
