/**
 * injectWS: a WebSocket without a port.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { TestContext } from 'node:test'
import Fastify from 'fastify'
import type { FastifyInstance, FastifyServerOptions } from 'fastify'
import WebSocket from 'ws'
import { echo, onEveryWay, register } from './setups.js'
import type { Way } from './setups.js'

async function ready (t: TestContext, way: Way, routes: (app: FastifyInstance) => unknown, options: FastifyServerOptions = {}): Promise<FastifyInstance> {
  const app = Fastify(options)
  await register(app, way)
  await routes(app)
  await app.ready()
  t.after(async () => {
    for (const client of app.websocketServer.clients) client.terminate()
    await app.close()
  })
  return app
}

async function inject (t: TestContext, app: FastifyInstance, ...args: Parameters<FastifyInstance['injectWS']>): Promise<WebSocket> {
  const client = await app.injectWS(...args) as unknown as WebSocket
  client.on('error', () => {})
  t.after(() => { client.terminate() })
  return client
}

const answer = async (client: WebSocket, text: string): Promise<string> => {
  const message = once(client, 'message')
  client.send(text)
  return String((await message)[0])
}

onEveryWay('injectWS talks to the route of its path, / without one', async (t, way) => {
  const app = await ready(t, way, (app) => {
    app.get('/', { websocket: true }, (socket) => { socket.on('message', (data) => { socket.send(`root ${String(data)}`) }) })
    app.get('/one', { websocket: true }, (socket) => { socket.on('message', (data) => { socket.send(`one ${String(data)}`) }) })
    app.get('/two', { websocket: true }, (socket, request) => { socket.on('message', () => { socket.send(JSON.stringify(request.query)) }) })
  })
  assert.equal(await answer(await inject(t, app), 'x'), 'root x')
  assert.equal(await answer(await inject(t, app, '/one'), 'x'), 'one x')
  assert.equal(await answer(await inject(t, app, '/two?a=1'), 'x'), '{"a":"1"}')
})

onEveryWay('injectWS: onInit before, onOpen after the upgrade, with the socket that is returned', async (t, way) => {
  const app = await ready(t, way, (app) => app.get('/', { websocket: true }, (socket) => { socket.send('at once') }))
  const told: unknown[] = []
  const messages: string[] = []
  const client = await inject(t, app, '/', {}, {
    onInit (socket) { told.push(['init', socket.readyState], socket); socket.on('message', (data) => { messages.push(String(data)) }) },
    onOpen (socket) { told.push(['open', socket.readyState], socket) }
  })
  assert.deepEqual([told[0], told[2]], [['init', 0], ['open', 1]])
  assert.equal(told[1], client)
  assert.equal(told[3], client)
  while (messages.length === 0) await once(client, 'message')
  assert.deepEqual(messages, ['at once'])
})

onEveryWay('injectWS: the upgrade context brings headers and is refused by hooks', async (t, way) => {
  const app = await ready(t, way, (app) => {
    app.addHook('preValidation', async (request, reply) => {
      if (request.headers.authorization !== 'me') return reply.code(401).send()
    })
    app.get('/', { websocket: true }, (socket, request) => { socket.on('message', () => { socket.send(request.headers['x-own'] ?? '') }) })
  })
  assert.equal(await answer(await inject(t, app, '/', { headers: { authorization: 'me', 'x-own': 'mine' } }), ''), 'mine')
  await assert.rejects(app.injectWS('/'), { message: 'Unexpected server response: 401' })
})

onEveryWay('injectWS of an unknown path, and of a path that is no URL', async (t, way) => {
  const app = await ready(t, way, (app) => app.get('/', { websocket: true }, echo))
  await assert.rejects(app.injectWS('/nowhere'), { message: 'Unexpected server response: 404' })
  await assert.rejects(app.injectWS('/%'), { message: 'Unexpected server response: 400' })
})

onEveryWay('injectWS: the client hears code and reason of a close, the server that the client terminates', async (t, way) => {
  let served: WebSocket | undefined
  const app = await ready(t, way, (app) => app.get('/', { websocket: true }, (socket) => {
    served = socket
    socket.on('message', (data: Buffer) => { socket.close(4000, data) })
  }))
  const first = await inject(t, app)
  const over = once(first, 'close')
  first.send('why')
  const [code, reason] = await over
  assert.deepEqual([code, String(reason)], [4000, 'why'])
  const second = await inject(t, app)
  const ended = once(served!, 'close')
  second.terminate()
  assert.equal((await ended)[0], 1006)
})

// The injected client does not answer pings: @fastify/websocket makes it without ws's autoPong.
onEveryWay('injectWS: pings arrive on both sides', async (t, way) => {
  let served: WebSocket | undefined
  const app = await ready(t, way, (app) => app.get('/', { websocket: true }, (socket) => { served = socket }))
  const client = await inject(t, app)
  const pinged = once(client, 'ping')
  served!.ping('data')
  assert.equal(String((await pinged)[0]), 'data')
  const ponged = once(client, 'pong')
  client.ping('back')
  assert.equal(String((await ponged)[0]), 'back')
})

onEveryWay('injectWS: a client that says nothing stays, whatever the heartbeat', async (t, way) => {
  const app = Fastify()
  await register(app, way, undefined, { heartbeat: { interval: 50, timeout: 50 } })
  app.get('/', { websocket: true }, echo)
  await app.ready()
  t.after(async () => { await app.close() })
  const client = await app.injectWS('/') as unknown as WebSocket
  const end = once(client, 'close').then(([code]) => `closed with ${code}`)
  // The time in which the heartbeat would have found it dead, twice.
  const stays = new Promise((resolve) => { setTimeout(resolve, 300, 'stays') })
  assert.equal(await Promise.race([end, stays]), 'stays')
  client.terminate()
})

onEveryWay('injectWS: fastify.close() tells the client, and does not wait for the answer that an injected client never gives', async (t, way) => {
  const app = await ready(t, way, (app) => app.get('/', { websocket: true }, echo))
  const client = await app.injectWS('/') as unknown as WebSocket
  const over = once(client, 'close')
  const start = performance.now()
  await app.close()
  const [code] = await over
  assert.equal(code, way.ours ? 1012 : 1005)
  assert.equal(performance.now() - start < 2_000, true)
})

onEveryWay('injectWS with trustProxy', async (t, way) => {
  const app = await ready(t, way, (app) => app.get('/', { websocket: true }, echo), { trustProxy: true })
  // An upgrade that fails half-way is answered by nothing: it must not end the process of the test.
  const alive = setInterval(() => {}, 1_000)
  t.after(() => { clearInterval(alive) })
  const client = await inject(t, app, '/', { headers: { 'x-forwarded-for': '203.0.113.7' } })
  assert.equal(await answer(client, 'x'), 'x')
})

onEveryWay('injectWS into an app that listens', async (t, way) => {
  const app = await ready(t, way, (app) => app.get('/', { websocket: true }, echo))
  await app.listen({ port: 0 })
  assert.equal(await answer(await inject(t, app), 'x'), 'x')
})
