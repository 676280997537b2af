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
  t.after(async () => { await app.close() })
  return app
}

async function inject (t: TestContext, app: FastifyInstance, ...args: Parameters<FastifyInstance['injectWS']>): Promise<WebSocket> {
  const client = await app.injectWS(...args) as unknown as WebSocket
  // Before the app is closed: after hooks run in their order, and the app's came first.
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
  await assert.rejects(app.injectWS('/nowhere', { headers: { authorization: 'me' } }), { message: 'Unexpected server response: 401' })
})

onEveryWay('injectWS of an unknown path, and of a path that is no URL', async (t, way) => {
  const app = await ready(t, way, (app) => app.get('/', { websocket: true }, echo))
  await assert.rejects(app.injectWS('/nowhere'), { message: 'Unexpected server response: 404' })
  await assert.rejects(app.injectWS('/%'), { message: 'Unexpected server response: 400' })
})

onEveryWay('injectWS: closing by either side carries code and reason', async (t, way) => {
  const app = await ready(t, way, (app) => app.get('/', { websocket: true }, (socket) => { socket.on('message', (data) => { socket.close(4000, data as Buffer) }) }))
  const first = await inject(t, app)
  const over = once(first, 'close')
  first.send('why')
  const [code, reason] = await over
  assert.deepEqual([code, String(reason)], [4000, 'why'])
  const second = await inject(t, app)
  const [socket] = [...app.websocketServer.clients].filter(({ readyState }) => readyState === WebSocket.OPEN)
  const ended = once(socket!, 'close')
  second.close(4001, 'bye')
  const [serverCode, serverReason] = await ended
  assert.deepEqual([serverCode, String(serverReason)], [4001, 'bye'])
})

onEveryWay('injectWS: ping and pong', async (t, way) => {
  const app = await ready(t, way, (app) => app.get('/', { websocket: true }, (socket) => { socket.on('message', () => { socket.ping('data') }) }))
  const client = await inject(t, app)
  const [socket] = app.websocketServer.clients
  const pong = once(socket!, 'pong')
  client.send('')
  assert.equal(String((await pong)[0]), 'data')
})

onEveryWay('injectWS: fastify.close() closes the client too', async (t, way) => {
  const app = await ready(t, way, (app) => app.get('/', { websocket: true }, echo))
  const client = await app.injectWS('/') as unknown as WebSocket
  const over = once(client, 'close')
  await app.close()
  const [code] = await over
  assert.equal(code, way.ours ? 1012 : 1005)
})

onEveryWay('injectWS with trustProxy', async (t, way) => {
  const app = await ready(t, way, (app) => app.get('/', { websocket: true }, echo), { trustProxy: true })
  const client = await inject(t, app, '/', { headers: { 'x-forwarded-for': '203.0.113.7' } })
  assert.equal(await answer(client, 'x'), 'x')
})

onEveryWay('injectWS into an app that listens', async (t, way) => {
  const app = await ready(t, way, (app) => app.get('/', { websocket: true }, echo))
  await app.listen({ port: 0 })
  assert.equal(await answer(await inject(t, app), 'x'), 'x')
})
