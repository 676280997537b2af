/**
 * The servers that Fastify can be, and the addresses that it can have.
 */
import assert from 'node:assert/strict'
import dns from 'node:dns'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import { alone, begin, behind, certificate, echo, head, onEveryWay, upgradeRequest } from './setups.js'
import type { Client } from './setups.js'

onEveryWay('options.server: upgrades come from a server of the app\'s own', async (t, way) => {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => { server.close() })
  const { dial } = await begin(t, way, { websocket: { options: { server } }, routes: (app) => app.get('/', { websocket: true }, echo) })
  const client = await dial(`ws://127.0.0.1:${(server.address() as AddressInfo).port}/`)
  assert.equal(await client.ask('x'), 'x')
})

onEveryWay('serverFactory: the server is the app\'s', async (t, way) => {
  let made: unknown
  const { app, dial } = await begin(t, way, {
    fastify: { serverFactory: (handler: (request: IncomingMessage, response: never) => void) => { made = createServer(handler as never); return made } },
    routes: (app) => app.get('/', { websocket: true }, echo)
  })
  assert.equal(app.server, made)
  assert.equal(await (await dial()).ask('x'), 'x')
})

for (const [name, fastify] of Object.entries({ https: { https: certificate }, 'http2 with allowHTTP1': { http2: true, https: { ...certificate, allowHTTP1: true } } })) {
  onEveryWay(`${name}: wss clients talk, refusals are told, close() ends them`, async (t, way) => {
    const { app, port, dial, refused } = await begin(t, way, {
      fastify,
      websocket: { options: { verifyClient: ({ secure }: { secure: boolean }) => secure } },
      routes: (app) => {
        app.get('/', { websocket: true }, echo)
        app.get('/no', { websocket: true, onRequest: async (_request, reply) => reply.code(401).send() }, echo)
        app.get('/http', async () => 'ok')
      }
    })
    const trust = { ca: certificate.cert }
    const client = await dial(`wss://127.0.0.1:${port}/`, trust)
    assert.equal(await client.ask('x'), 'x')
    const big = 'y'.repeat(500_000)
    assert.equal(await client.ask(big), big)
    assert.equal((await refused(`wss://127.0.0.1:${port}/no`, trust)).status, 401)
    await app.close()
    assert.equal((await client.closed).code, way.ours ? 1012 : 1005)
    assert.equal(app.websocketServer.clients.size, 0)
  })
}

onEveryWay('listening on localhost, which has several addresses, clients come by every one of them', async (t, way) => {
  // Whatever this machine calls localhost: node:net asks for one address of it, Fastify for all.
  const { lookup } = dns
  t.mock.method(dns, 'lookup', (host: string, options: { all?: boolean } | (() => void), callback: (...answer: unknown[]) => void) => {
    if (host !== 'localhost') return lookup(host, options as never, callback as never)
    const loopbacks = ['127.0.0.1', '127.0.0.2'].map((address) => ({ address, family: 4 }))
    if (typeof options === 'object' && options.all === true) setImmediate(callback, null, loopbacks)
    else setImmediate(typeof options === 'function' ? options : callback, null, loopbacks[0]!.address, 4)
  })
  const { app, port, dial } = await begin(t, way, { host: 'localhost', routes: (app) => app.get('/', { websocket: true }, echo) })
  const addresses = (app.addresses() as AddressInfo[]).map(({ address }) => address)
  assert.deepEqual(addresses.toSorted(), ['127.0.0.1', '127.0.0.2'])
  const clients: Client[] = []
  for (const address of addresses) {
    const client = await dial(`ws://${address}:${port}/`)
    assert.equal(await client.ask(address), address)
    clients.push(client)
  }
  assert.equal(app.websocketServer.clients.size, 2)
  if (way.ours) assert.equal(app.lifeline.size, 2)
  await app.close()
  for (const client of clients) assert.equal((await client.closed).code, way.ours ? 1012 : 1005)
})

for (const way of [alone, behind]) {
  test(`${way.name}: remoteAddress is the peer's, behind a trusted proxy the client's`, async (t) => {
    for (const [trustProxy, expected] of [[false, '127.0.0.1'], [true, '203.0.113.7']] as const) {
      const { dial } = await begin(t, way, { fastify: { trustProxy }, routes: (app) => app.get('/', { websocket: true }, (socket, request) => { socket.send(`${app.lifeline.of(request).remoteAddress} ${request.ip}`) }) })
      assert.equal(await (await dial('/', { headers: { 'x-forwarded-for': '203.0.113.7' } })).text(), `${expected} ${expected}`)
    }
  })
}

onEveryWay('a listener for upgrade that the app added before, and that takes every socket, is not disturbed', async (t, way) => {
  const { say } = await begin(t, way, {
    before: (app) => {
      app.server.on('upgrade', (_request, socket) => {
        socket.end('HTTP/1.1 101 Mine\r\n\r\n', () => { socket.destroy() })
      })
    },
    routes: (app) => app.get('/', { websocket: true }, () => { assert.fail('it must not be called') })
  })
  const answer = await head(say(upgradeRequest('/elsewhere')))
  assert.match(answer, /^HTTP\/1.1 101 Mine/)
})
