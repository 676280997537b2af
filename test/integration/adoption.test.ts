/**
 * From the answer to the handler: what fails on the way leaves no socket, takes no place, and is told.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import fastifyWebsocket from '@fastify/websocket'
import type { FastifyInstance } from 'fastify'
import WebSocket from 'ws'
import { connect, ended, start, until } from '../support/app.js'
import { refused } from '../support/refused.js'

const proxied = { headers: { 'x-forwarded-for': '192.0.2.1' } }

test('where nobody counts by the address, one that cannot be read refuses as well: before the 101, and it keeps no place', async (t) => {
  let broken = true
  const { app, url, errors } = await start(t, {
    fastify: { disableRequestLogging: true, trustProxy: () => { if (broken) throw new Error('no table of proxies'); return true } },
    options: { limits: { connections: 1 } },
    routes: (app) => app.get('/', { websocket: true }, () => {})
  })
  for (let i = 0; i < 3; i++) assert.equal((await refused(t, url, proxied)).status, 500)
  assert.deepEqual(errors().map(({ err }) => err!.code), ['FST_ERR_LIFELINE_ADDRESS'])
  assert.equal(app.lifeline.stats().errors, 3)
  broken = false
  await connect(t, url, proxied)
  const [connection] = app.lifeline
  assert.equal(connection!.remoteAddress, '192.0.2.1')
})

test('the address is read once: trustProxy is not asked again for the line in the log', { timeout: 10_000 }, async (t) => {
  let asked = 0
  const { app, url, lines } = await start(t, {
    fastify: { disableRequestLogging: true, trustProxy: () => { if (++asked > 2) throw new Error('asked too often'); return true } },
    options: { limits: { perAddress: 1 }, origins: async () => true },
    routes: (app) => app.get('/', { websocket: true }, () => {})
  })
  await connect(t, url, proxied)
  assert.equal((await refused(t, url, proxied)).status, 429)
  assert.equal(asked, 2)
  assert.match(lines.find(({ limit }) => limit === 'perAddress')!.msg, /is reached for 192\.0\.2\.1$/)
  assert.equal(app.lifeline.size, 1)
})

let fails = false
class Failing extends WebSocket {}
// To TypeScript it is a property.
const { get } = Object.getOwnPropertyDescriptor(WebSocket.prototype, 'extensions')!
Object.defineProperty(Failing.prototype, 'extensions', {
  get (this: WebSocket) {
    if (fails) throw new Error('a class of its own')
    return get!.call(this)
  }
})
const options = { WebSocket: Failing as any }

for (const [way, before] of [['ours', null], ['the app\'s', async (app: FastifyInstance) => await app.register(fastifyWebsocket, { options })]] as const) {
  test(`when the app's class of sockets fails while one is adopted (@fastify/websocket is ${way}), it is ended and told, and keeps no place`, { timeout: 10_000 }, async (t) => {
    let handled = 0
    const { app, url, errors } = await start(t, {
      ...(before !== null && { before }),
      options: { limits: { connections: 1 }, ...(before === null && { websocket: { options } }) },
      routes: (app) => app.get('/', { websocket: true }, (socket) => { if (socket.readyState === socket.OPEN) handled++ })
    })
    fails = true
    t.after(() => { fails = false })
    const told: unknown[] = []
    app.lifeline.on('error', (_connection, error) => { told.push((error as Error).message) })
    for (let i = 0; i < 3; i++) {
      const client = new WebSocket(url)
      client.on('error', () => {})
      const [code] = await once(client, 'close')
      assert.equal(code, 1006)
    }
    assert.deepEqual(told, Array(3).fill('a class of its own'))
    assert.equal(errors().length, 1, 'one line a minute')
    fails = false
    const client = await connect(t, url)
    await until('it is handled', () => handled === 1)
    assert.equal(app.lifeline.size, 1)
    const over = ended(app)
    client.close()
    await over
    await app.close()
  })
}

test('a socket that the app has made on our server behind our back is closed at the shutdown', { timeout: 10_000 }, async (t) => {
  const clients: WebSocket[] = []
  // Before the app is closed: it may wait for it.
  t.after(() => { clients[0]?.terminate() })
  const { app, url } = await start(t, {
    routes: (app) => app.get('/', {
      onRequest: async (request, reply) => {
        reply.hijack()
        app.websocketServer.handleUpgrade(request.raw, request.raw.socket, Buffer.alloc(0), () => {})
      }
    }, () => {})
  })
  const client = await connect(t, url)
  clients.push(client)
  assert.equal(app.lifeline.size, 0)
  const closed = once(client, 'close')
  await app.close()
  assert.equal((await closed)[0], 1012)
})
