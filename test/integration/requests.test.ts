/**
 * A connection is found by all that an app may hold of it, and is kept alive by none of that.
 */
import assert from 'node:assert/strict'
import type { IncomingMessage } from 'node:http'
import { test } from 'node:test'
import fastifyWebsocket from '@fastify/websocket'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import WebSocket, { WebSocketServer } from 'ws'
import { connect, ended, opened, start } from '../support/app.js'
import { collect } from '../support/memory.js'

for (const [way, before] of [['of ours', undefined], ['of the app\'s', async (app: FastifyInstance) => { await app.register(fastifyWebsocket) }]] as const) {
  test(`of() takes the socket and the raw request as well as the request, from the first word of it on and when it is over (@fastify/websocket is ${way})`, { timeout: 10_000 }, async (t) => {
    const seen: unknown[] = []
    let socket!: WebSocket
    let raw!: IncomingMessage
    const { app, url } = await start(t, {
      ...(before && { before }),
      routes: (app) => {
        app.addHook('onRequest', async (request) => { raw = request.raw })
        app.lifeline.on('open', (connection) => { seen.push(app.lifeline.of(raw) === connection) })
        app.get('/', { websocket: true }, (theirs, request) => {
          socket = theirs
          const connection = app.lifeline.of(request)
          seen.push(app.lifeline.of(theirs) === connection, app.lifeline.of(request.raw) === connection)
        })
      }
    })
    const opening = opened(app)
    const client = await connect(t, url)
    const connection = await opening
    assert.deepEqual(seen, [true, true, true])
    const over = ended(app)
    client.terminate()
    await over
    assert.deepEqual([app.lifeline.of(socket), app.lifeline.of(raw)], [connection, connection])
  })
}

test('of() says whether `websocket: true` may have been forgotten, and where; what is no connection of ours is none', async (t) => {
  const errors: unknown[] = []
  const { app, url } = await start(t, {
    routes: (app) => {
      const ask = async (request: FastifyRequest): Promise<void> => {
        try {
          app.lifeline.of(request)
        } catch (error) {
          errors.push(error)
        }
      }
      app.get('/plain/:id', ask)
      app.route({ method: 'GET', url: '/either', handler: ask, wsHandler: () => {} })
      app.setNotFoundHandler(ask)
    }
  })
  for (const path of ['/plain/1', '/either', '/nowhere']) await app.inject(path)
  assert.deepEqual(errors.map((error) => (error as Error).message), [
    'this request has no connection: its route, GET /plain/:id, is declared without `websocket: true`. Was that forgotten?',
    'this request has no connection: it is an ordinary one, or was refused, or is not there yet: its hooks run before there is a connection',
    'this request has no connection: it is an ordinary one, or was refused, or is not there yet: its hooks run before there is a connection'
  ])
  const foreign = new WebSocketServer({ noServer: true })
  t.after(() => { foreign.close() })
  const client = await connect(t, `${url}/either`)
  for (const wrong of [client, foreign, {}, null, 5]) assert.throws(() => app.lifeline.of(wrong as never), { code: 'FST_ERR_LIFELINE_NO_CONNECTION' })
})

test('a connection that is idle keeps neither request nor reply, nor the raw ones; nor is it kept when it is over', { timeout: 20_000 }, async (t) => {
  const COUNT = 50
  const kept: Record<string, Array<WeakRef<object>>> = { request: [], reply: [], raw: [], connection: [], socket: [] }
  const { app, url } = await start(t, {
    routes: (app) => {
      app.addHook('onRequest', async (request, reply) => {
        kept['request']!.push(new WeakRef(request))
        kept['reply']!.push(new WeakRef(reply), new WeakRef(reply.raw))
        kept['raw']!.push(new WeakRef(request.raw))
      })
      app.get('/', { websocket: true }, (socket, request) => {
        socket.on('message', () => {})
        kept['connection']!.push(new WeakRef(app.lifeline.of(request.raw)))
        kept['socket']!.push(new WeakRef(socket))
      })
    }
  })
  const left = async (): Promise<Record<string, number>> => {
    await collect()
    return Object.fromEntries(Object.entries(kept).map(([name, refs]) => [name, refs.filter((ref) => ref.deref() !== undefined).length]))
  }
  const clients: WebSocket[] = []
  while (clients.length < COUNT) clients.push(await connect(t, url))
  const idle = await left()
  // The last may still be on the stack, or in code that was just made faster.
  for (const name of ['request', 'reply', 'raw']) assert.ok(idle[name]! <= COUNT / 10, `${name}: ${idle[name]} of ${COUNT} are kept`)
  assert.deepEqual([idle['connection'], idle['socket']], [COUNT, COUNT])
  for (const client of clients) client.terminate()
  while (app.lifeline.size > 0) await ended(app)
  const over = await left()
  for (const [name, count] of Object.entries(over)) assert.ok(count <= COUNT / 10, `${name}: ${count} of ${COUNT} are kept when all is over`)
})
