import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import Fastify from 'fastify'
import lifeline from 'fastify-lifeline'
import { createClient } from 'graphql-ws'
import WebSocket from 'ws'
import { both, refused, start, until } from './support.js'
import graphqlWs from './documented/graphql-ws.js'
import mercurius from './documented/mercurius.js'

function subscriber (t, url, token) {
  const client = createClient({ url, webSocketImpl: WebSocket, retryAttempts: 0, connectionParams: { token } })
  t.after(() => client.dispose())
  return client.iterate({ query: 'subscription { ticks }' })
}

both('mercurius: a subscription is a connection, and onConnect and preValidation refuse strangers', async (t, own) => {
  const { app, ws, closed } = await start(t, mercurius, { own })
  const ticks = subscriber(t, `${ws}/graphql`, 'let me in')
  const first = ticks.next()
  await until('it is there', () => app.lifeline.size === 1)
  assert.equal([...app.lifeline.list()][0].route, '/graphql')
  const publishing = setInterval(() => { app.graphql.pubsub.publish({ topic: 'ticks', payload: { ticks: 7 } }) }, 20)
  assert.deepEqual((await first).value, { data: { ticks: 7 } })
  clearInterval(publishing)
  await assert.rejects(subscriber(t, `${ws}/graphql`, 'a guess').next())
  await until('the stranger is gone', () => closed.length === 1)
  assert.equal(await refused(`${ws}/graphql`, { headers: { 'x-banned': 'yes' } }), 403)
  assert.equal(app.lifeline.size, 1)
})

both('mercurius: config.lifeline holds for its route, and an onRequest beside it does not', async (t, own) => {
  const { default: plugin } = await import('mercurius')
  const { ws, closed } = await start(t, async (fastify) => {
    const additionalRouteOptions = { onRequest: async (request, reply) => reply.code(401).send(), config: { lifeline: { limits: { firstMessage: 200 } } } }
    await fastify.register(plugin, { schema: 'type Query { ok: Boolean }', subscription: true, additionalRouteOptions })
  }, { own })
  const client = new WebSocket(`${ws}/graphql`, 'graphql-transport-ws')
  t.after(() => { client.terminate() })
  assert.equal((await once(client, 'close'))[0], 1008)
  await until('it is over', () => closed.length === 1)
  assert.equal(closed[0].cause, 'limit')
})

both('mercurius: verifyClient alone lets everybody in', async (t, own) => {
  const { default: plugin } = await import('mercurius')
  let asked = 0
  const { app, ws } = await start(t, async (fastify) => {
    await fastify.register(plugin, { schema: 'type Query { ok: Boolean }', subscription: { verifyClient: (_info, next) => { asked++; next(false) } } })
  }, { own })
  const client = new WebSocket(`${ws}/graphql`, 'graphql-transport-ws')
  t.after(() => { client.terminate() })
  await once(client, 'open')
  assert.equal(app.lifeline.size, 1)
  assert.equal(asked, 0)
})

test('mercurius: verifyClient asks where mercurius is first', { timeout: 30_000 }, async (t) => {
  const { default: plugin } = await import('mercurius')
  const app = Fastify({ forceCloseConnections: true })
  t.after(() => app.close())
  app.register(plugin, { schema: 'type Query { ok: Boolean }', subscription: { verifyClient: ({ req }, next) => { next(req.headers['x-token'] === 'let me in') } } })
  await app.register(lifeline)
  const url = (await app.listen({ port: 0, host: '127.0.0.1' })).replace('http', 'ws')
  assert.equal(await refused(`${url}/graphql`), 401)
  const client = new WebSocket(`${url}/graphql`, 'graphql-transport-ws', { headers: { 'x-token': 'let me in' } })
  t.after(() => { client.terminate() })
  await once(client, 'open')
  assert.equal(app.lifeline.size, 1)
})

both('graphql-ws: a subscription is a connection', async (t, own) => {
  const { ws, closed } = await start(t, graphqlWs, { own })
  await assert.rejects(subscriber(t, `${ws}/graphql`, 'a guess').next())
  await until('the stranger is gone', () => closed.length === 1)
  assert.equal(closed[0].code, 4403)
  const ticks = subscriber(t, `${ws}/graphql`, 'let me in')
  assert.deepEqual((await ticks.next()).value, { data: { ticks: 1 } })
})
