/**
 * Hooks around a WebSocket route, as apps know them from @fastify/websocket.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { FastifyInstance } from 'fastify'
import { alone, begin, echo, onEveryWay, upgradeRequest } from './setups.js'

onEveryWay('hooks before the handler run in their order, those after it never do', async (t, way) => {
  const ran: string[] = []
  const { app, dial } = await begin(t, way, {
    routes: (app) => {
      for (const name of ['onRequest', 'preParsing', 'preValidation', 'preHandler', 'preSerialization', 'onSend', 'onResponse', 'onTimeout', 'onError', 'onRequestAbort'] as const) {
        app.addHook(name as 'onRequest', async (_request) => { ran.push(name) })
      }
      app.get('/', { websocket: true, preHandler: async () => { ran.push('preHandler of the route') } }, (socket) => {
        ran.push('handler')
        socket.on('close', () => { ran.push('close') })
        socket.send('')
      })
    }
  })
  const client = await dial()
  await client.text()
  const [socket] = app.websocketServer.clients
  const over = once(socket!, 'close')
  client.socket.close()
  await Promise.all([over, client.closed])
  await new Promise(setImmediate)
  assert.deepEqual(ran, ['onRequest', 'preParsing', 'preValidation', 'preHandler', 'preHandler of the route', 'handler', 'close'])
})

onEveryWay('messages sent while async hooks decide are not lost', async (t, way) => {
  const { dial } = await begin(t, way, {
    routes: (app) => {
      app.addHook('preValidation', async () => { for (let i = 0; i < 20; i++) await new Promise(setImmediate) })
      app.get('/', { websocket: true }, echo)
    }
  })
  const client = await dial()
  for (let i = 0; i < 200; i++) client.socket.send(String(i))
  for (let i = 0; i < 200; i++) assert.equal(await client.text(), String(i))
})

const refusing: Record<string, { routes: (app: FastifyInstance) => unknown, status: number, body: RegExp }> = {
  'an onRequest hook replies': { routes: (app) => app.addHook('onRequest', async (_request, reply) => reply.code(401).send('not you')), status: 401, body: /^not you$/ },
  'an onRequest hook throws': { routes: (app) => app.addHook('onRequest', async () => { throw new Error('broken') }), status: 500, body: /broken/ },
  'a preValidation hook replies, later': { routes: (app) => app.addHook('preValidation', async (_request, reply) => { await new Promise(setImmediate); return reply.code(403).send({ no: 'entry' }) }), status: 403, body: /^{"no":"entry"}$/ },
  'a preHandler hook gives an error with a status code': { routes: (app) => app.addHook('preHandler', (_request, _reply, done) => { done(Object.assign(new Error('teapot'), { statusCode: 418 })) }), status: 418, body: /teapot/ },
  'a hook of the route replies': { routes: (app) => app.addHook('onRoute', (route) => { if (route.method === 'GET') route.onRequest = async (_request, reply) => reply.code(402).send() }), status: 402, body: /^$/ },
  'an onError hook replies': {
    routes: (app) => app
      .addHook('preValidation', async () => { throw new Error('broken') })
      .addHook('onError', async (_request, reply) => { await reply.code(501).send('by onError') }),
    status: 501,
    body: /broken/
  },
  'the error handler replies': {
    routes: (app) => {
      app.addHook('preValidation', async () => { throw new Error('broken') })
      app.setErrorHandler(async (_error, _request, reply) => reply.code(502).send('by the error handler'))
    },
    status: 502,
    body: /^by the error handler$/
  },
  'the schema refuses the query': { routes: () => {}, status: 400, body: /must have required property 'token'/ }
}

for (const [name, { routes, status, body }] of Object.entries(refusing)) {
  onEveryWay(`${name}: the client is told, the handler is not run`, async (t, way) => {
    let ran = false
    const { app, refused } = await begin(t, way, {
      routes: async (app) => {
        await routes(app)
        app.get('/', { websocket: true, schema: { querystring: { type: 'object', required: name.includes('schema') ? ['token'] : [] } } }, () => { ran = true })
      }
    })
    const answer = await refused()
    assert.equal(answer.status, status)
    assert.match(answer.body, body)
    assert.equal(ran, false)
    assert.equal(app.websocketServer.clients.size, 0)
  })
}

onEveryWay('a hook that replies to an HTTP request of a WebSocket route is heard', async (t, way) => {
  const { app } = await begin(t, way, {
    routes: (app) => {
      app.addHook('preValidation', async (_request, reply) => reply.code(410).send('gone'))
      app.get('/', { websocket: true }, echo)
    }
  })
  const { statusCode, body } = await app.inject('/')
  assert.deepEqual([statusCode, body], [410, 'gone'])
})

for (const [name, handler] of Object.entries({
  throws: () => { throw new Error('broken') },
  rejects: async () => { await null; throw new Error('broken') }
})) {
  onEveryWay(`onError and the error handler of HTTP are not for a WebSocket handler that ${name}`, async (t, way) => {
    const ran: string[] = []
    const { dial, lines } = await begin(t, way, {
      routes: (app) => app.register(async (child) => {
        for (const hook of ['onError', 'onSend', 'onResponse'] as const) child.addHook(hook as 'onError', async () => { ran.push(hook) })
        child.setErrorHandler(async () => { ran.push('error handler') })
        child.get('/', { websocket: true }, handler)
      })
    })
    const client = await dial()
    assert.equal((await client.closed).code, way === alone ? 1011 : 1006)
    await new Promise(setImmediate)
    assert.deepEqual(ran, [])
    assert.deepEqual(lines.filter(({ level }) => level >= 50).map(({ err }) => err?.message), ['broken'])
  })
}

for (const hook of ['onRequest', 'preValidation', 'preHandler'] as const) {
  onEveryWay(`a client that resets while an async ${hook} hook decides: the handler is not run, no error line, and others are served`, async (t, way) => {
    let enter!: () => void
    const entered = new Promise<void>((resolve) => { enter = resolve })
    let decided!: Promise<unknown>
    const { app, dial, say, lines } = await begin(t, way, {
      routes: (app) => {
        app.addHook(hook, async ({ raw, url }) => {
          if (url !== '/leaves') return
          decided = new Promise((resolve) => { raw.socket.once('close', resolve) })
          enter()
          await decided
        })
        app.get('/leaves', { websocket: true }, () => { assert.fail('the handler ran') })
        app.get('/', { websocket: true }, echo)
      }
    })
    const other = await dial()
    const client = say(upgradeRequest('/leaves'))
    await entered
    client.resetAndDestroy()
    await decided
    await new Promise(setImmediate)
    assert.equal(app.server.listening, true)
    assert.equal(await other.ask('still there'), 'still there')
    assert.equal(await (await dial()).ask('as ever'), 'as ever')
    assert.equal(app.websocketServer.clients.size, 2)
    assert.deepEqual(lines.filter(({ level }) => level >= 40), [])
  })
}

onEveryWay('onRoute hooks of the app see WebSocket routes, and may wrap their handlers', async (t, way) => {
  const seen: string[] = []
  const { dial } = await begin(t, way, {
    fastify: { exposeHeadRoutes: false },
    before: (app) => app.addHook('onRoute', (route) => {
      if (route.websocket !== true) return
      seen.push(`${route.url} ${typeof route.handler}`)
      const handler = route.handler as unknown as (this: unknown, socket: unknown, request: unknown) => unknown
      route.handler = function (this: unknown, socket: { send: (data: string) => void }, request: unknown) {
        socket.send('wrapped')
        return handler.call(this, socket, request)
      } as never
    }),
    routes: (app) => app.get('/live', { websocket: true }, (socket) => { socket.send('live') })
  })
  const client = await dial('/live')
  assert.equal(await client.text(), 'wrapped')
  assert.equal(await client.text(), 'live')
  assert.deepEqual(seen, ['/live function'])
})

onEveryWay('hooks of another encapsulated context are not run', async (t, way) => {
  const { dial, refused } = await begin(t, way, {
    routes: (app) => {
      app.register(async (child) => {
        child.addHook('onRequest', async (_request, reply) => reply.code(401).send())
        child.get('/closed', { websocket: true }, echo)
      })
      app.register(async (child) => { child.get('/open', { websocket: true }, echo) })
    }
  })
  assert.equal((await refused('/closed')).status, 401)
  assert.equal(await (await dial('/open')).ask('x'), 'x')
})
