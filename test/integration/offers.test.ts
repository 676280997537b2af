/**
 * Upgrades that are offered and not spoken here, and WebSockets where none is spoken: each is answered in its time.
 */
import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import type { IncomingMessage, Server } from 'node:http'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import fastifyWebsocket from '@fastify/websocket'
import type { FastifyInstance } from 'fastify'
import { connect, level, start, until } from '../support/app.js'
import { ask, h2c, handshake } from '../support/offer.js'
import { refused } from '../support/refused.js'

type Asking = Server & { shouldUpgradeCallback?: (request: IncomingMessage) => boolean }

/** Whether this Node.js asks which offers to take up. */
const asks = 'shouldUpgradeCallback' in createServer()

const ways = [
  ['of ours', undefined],
  ['of the app\'s', async (app: FastifyInstance) => { await app.register(fastifyWebsocket) }]
] as const

const setup = (before: (typeof ways)[number][1]): { before?: (app: FastifyInstance) => unknown } => before === undefined ? {} : { before }

// They wait more than they work.
describe('undecided, whatever the header says', { concurrency: 10, timeout: 20_000 }, () => {
  for (const upgrade of ['websocket, h2c', 'WebSocket', 'foo', 'h2c']) {
    test(`Upgrade: ${upgrade}: it has a place while it waits, and its 503 in time`, { timeout: 10_000 }, async (t) => {
      const { app, url, port } = await start(t, {
        options: { upgradeTimeout: 1_000, limits: { connections: 1 } },
        // As an app that speaks something of its own: everything is taken up.
        before: (app) => { if (asks) (app.server as Asking).shouldUpgradeCallback = () => true },
        routes: (app) => {
          app.get('/never', { preHandler: async () => await new Promise(() => {}) }, async () => 'never')
          app.get('/', { websocket: true }, () => {})
        }
      })
      const peer = ask(t, port, handshake('/never', upgrade))
      await sleep(500)
      assert.equal((await refused(t, url)).status, 503)
      await peer.ended
      assert.match(peer.heard, /^HTTP\/1\.1 503 /)
      assert.deepEqual(app.lifeline.stats().upgrades, { refused: 2, timedOut: 1 })
      await connect(t, url)
    })
  }
})

for (const [way, before] of ways) {
  const served = { skip: !asks && 'this Node.js takes up every upgrade that is offered' }

  test(`an upgrade that is offered and not spoken is passed over, and the request served (@fastify/websocket is ${way})`, { ...served, timeout: 10_000 }, async (t) => {
    const { app, url, port } = await start(t, {
      ...setup(before),
      options: { limits: { connections: 1 } },
      routes: (app) => {
        app.get('/', async () => ({ served: 'GET' }))
        app.post('/', async ({ body }) => ({ served: body }))
        app.get('/live', { websocket: true }, () => {})
      }
    })
    const peer = ask(t, port, h2c('/'))
    await until('the first is served', () => peer.heard.endsWith('{"served":"GET"}'))
    // The connection is kept, as without us.
    peer.socket.write(h2c('/', 'POST', '{"x":1}'))
    await until('the second is served', () => peer.heard.endsWith('{"served":{"x":1}}'))
    peer.socket.write(handshake('/', 'websocket, h2c'))
    await until('the third is served', () => peer.heard.split('{"served":"GET"}').length === 3)
    // No POST opens a WebSocket.
    peer.socket.write(h2c('/', 'POST', '{"y":1}').replace('h2c', 'websocket'))
    await until('the fourth is served', () => peer.heard.endsWith('{"served":{"y":1}}'))
    assert.deepEqual(app.lifeline.stats().upgrades, { refused: 0, timedOut: 0 })
    await connect(t, `${url}/live`)
    await app.close()
    assert.equal((app.server as Asking).shouldUpgradeCallback!.call(app.server, { method: 'GET', headers: { upgrade: 'websocket' } } as IncomingMessage), false)
  })

  test(`what is not spoken gets a 400 where Node.js takes up every offer (@fastify/websocket is ${way})`, { timeout: 10_000 }, async (t) => {
    const { app, port } = await start(t, {
      before: async (app) => {
        if (asks) (app.server as Asking).shouldUpgradeCallback = () => true
        await before?.(app)
      },
      routes: (app) => {
        app.get('/', async () => 'served')
        app.post('/', async () => 'served')
        app.delete('/', async () => 'served')
        app.get('/live', { websocket: true }, () => {})
      }
    })
    // What goes on behind a request is its body, and need not be there yet.
    for (const offer of [h2c('/'), h2c('/', 'DELETE'), h2c('/', 'POST', '{"x":1}').slice(0, -1), h2c('/live'), handshake('/', 'foo'), handshake('/live', 'websocket, h2c')]) {
      const peer = ask(t, port, offer)
      await peer.ended
      assert.match(peer.heard, /^HTTP\/1\.1 400 Bad Request\r\n[^]*\r\n\r\n\{"statusCode":400,"error":"Bad Request","message":"The only upgrade here is that to a WebSocket"\}$/)
    }
    assert.deepEqual(app.lifeline.stats().upgrades, { refused: 6, timedOut: 0 })
  })

  test(`a WebSocket on a route without \`websocket: true\` is refused with a 404, keeps no place, and is a line at warn once a minute (@fastify/websocket is ${way})`, { timeout: 10_000 }, async (t) => {
    let ran = 0
    const { app, url, lines } = await start(t, {
      ...setup(before),
      options: { limits: { connections: 1 } },
      routes: (app) => {
        app.get('/plain/:id', async () => { ran++; return await new Promise(() => {}) })
        app.route({ method: ['GET', 'HEAD'], url: '/either', handler: async () => 'either', wsHandler: () => {} })
        app.get('/live', { websocket: true }, () => {})
      }
    })
    for (let i = 0; i < 3; i++) {
      const { status, body } = await refused(t, `${url}/plain/${i}`)
      assert.equal(status, 404)
      assert.deepEqual(JSON.parse(body), { statusCode: 404, error: 'Not Found', message: 'This route takes no WebSocket' })
    }
    assert.equal(ran, 0)
    const { upgrades, opened } = app.lifeline.stats()
    assert.deepEqual([upgrades, opened], [{ refused: 3, timedOut: 0 }, 0])
    assert.deepEqual(lines.filter(({ level: at }) => at >= level.warn).map(({ level: at, msg, route }) => [at, msg, route]), [
      [level.warn, 'lifeline: an upgrade was refused: the route GET /plain/:id takes no WebSocket. If it should, declare it with `websocket: true`, after the registration of the plugin (await it)', 'GET /plain/:id']
    ])
    assert.equal(lines.some(({ msg }) => msg.includes('closed incoming websocket connection')), false)
    const client = await connect(t, `${url}/live`)
    client.terminate()
    await until('it has gone', () => app.lifeline.size === 0)
    await connect(t, `${url}/either`)
    await app.close()
    assert.deepEqual(lines.find(({ msg }) => msg === 'lifeline: summary of the last minute')!['refused'], { route: 3 })
  })
}

test('which offers are taken up is the app\'s to say, where it has said so, and where it listens for upgrades itself', { skip: !asks && 'this Node.js does not ask', timeout: 10_000 }, async (t) => {
  const said: Array<string | undefined> = []
  const theirs = ({ headers }: IncomingMessage): boolean => { said.push(headers.upgrade); return true }
  const { app, port } = await start(t, { before: (app) => { (app.server as Asking).shouldUpgradeCallback = theirs }, routes: (app) => app.get('/', async () => 'served') })
  assert.equal((app.server as Asking).shouldUpgradeCallback, theirs)
  await ask(t, port, h2c('/')).ended
  assert.deepEqual(said, ['h2c'])
  const listening = await start(t, {
    routes: (app) => {
      app.get('/', async () => 'served')
      app.server.on('upgrade', ({ headers }, socket) => { if (headers.upgrade === 'mine') socket.end('HTTP/1.1 101 Switching Protocols\r\n\r\nmine') })
    }
  })
  const peer = ask(t, listening.port, handshake('/', 'mine'))
  await peer.ended
  assert.match(peer.heard, /101[^]*mine$/)
})

test('an injected WebSocket on a plain route is refused as any', async (t) => {
  const { app } = await start(t, { routes: (app) => app.get('/', async () => 'plain') })
  await assert.rejects(app.injectWS('/'), /404/)
  assert.equal((await app.inject('/')).body, 'plain')
})

test('a HEAD, and an ordinary request that names an upgrade in a header alone, are served', async (t) => {
  const { app, port } = await start(t, { routes: (app) => app.get('/', async () => 'plain') })
  const peer = ask(t, port, 'GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n')
  await until('it is served', () => peer.heard.endsWith('plain'))
  assert.equal((await app.inject({ method: 'HEAD', url: '/' })).statusCode, 200)
})
