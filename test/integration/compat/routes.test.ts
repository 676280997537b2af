/**
 * Routes and the request, as apps know them from @fastify/websocket.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { alone, begin, behind, echo, onEveryWay, register } from './setups.js'
import Fastify from 'fastify'

declare module 'fastify' {
  interface FastifyRequest { user: string }
  interface FastifyInstance { answer: number }
}

onEveryWay('a route with websocket: true talks to its client', async (t, way) => {
  const { dial } = await begin(t, way, { routes: (app) => app.get('/echo', { websocket: true }, echo) })
  const client = await dial('/echo')
  assert.equal(await client.ask('hello'), 'hello')
  const bytes = Buffer.from([0, 1, 255])
  client.socket.send(bytes)
  assert.deepEqual(await client.message(), { data: bytes, binary: true })
})

onEveryWay('an HTTP request to a route with websocket: true gets a 404 without a body', async (t, way) => {
  const { app } = await begin(t, way, { routes: (app) => app.get('/echo', { websocket: true }, echo) })
  const { statusCode, body } = await app.inject('/echo')
  assert.equal(statusCode, 404)
  assert.equal(body, '')
})

onEveryWay('handler and wsHandler of one route are chosen by the request', async (t, way) => {
  const { app, dial } = await begin(t, way, {
    routes: (app) => app.route({
      method: 'GET',
      url: '/both',
      handler: async () => 'by http',
      wsHandler: (socket) => { socket.send('by websocket') }
    })
  })
  assert.equal(await (await dial('/both')).text(), 'by websocket')
  assert.equal((await app.inject('/both')).body, 'by http')
})

for (const method of ['GET', ['GET'], ['GET', 'HEAD']] as const) {
  onEveryWay(`route({ websocket: true, method: ${JSON.stringify(method)} }) is a WebSocket route, injected too; its HEAD is a 404`, async (t, way) => {
    const { app, dial } = await begin(t, way, { routes: (app) => app.route({ method: method as 'GET', url: '/', websocket: true, handler: echo }) })
    assert.equal(await (await dial()).ask('x'), 'x')
    const injected = await app.injectWS('/')
    const answer = once(injected, 'message')
    injected.send('hi')
    assert.equal(String((await answer)[0]), 'hi')
    injected.terminate()
    for (const verb of ['GET', 'HEAD'] as const) assert.equal((await app.inject({ method: verb, url: '/' })).statusCode, 404)
  })
}

onEveryWay('wildcards take what no other route has', async (t, way) => {
  const { dial, app } = await begin(t, way, {
    routes: (app) => {
      app.get('/*', { websocket: true }, (socket, request) => { socket.send(`any ${(request.params as { '*': string })['*']}`) })
      app.get('/known', { websocket: true }, (socket) => { socket.send('known') })
      app.route({ method: 'GET', url: '/mixed/*', handler: async () => ({ hello: 'http' }), wsHandler: (socket) => { socket.send('mixed') } })
    }
  })
  assert.equal(await (await dial('/some/where')).text(), 'any some/where')
  assert.equal(await (await dial('/known')).text(), 'known')
  assert.equal(await (await dial('/mixed/1')).text(), 'mixed')
  assert.deepEqual((await app.inject('/mixed/1')).json(), { hello: 'http' })
})

onEveryWay('an upgrade of an unknown path gets a 404, by the app\'s own handler if it has one', async (t, way) => {
  const { refused } = await begin(t, way, {
    routes: (app) => app.register(async (child) => {
      child.setNotFoundHandler((request, reply) => { reply.code(404).send(`no ${request.url}, ws ${request.ws}`) })
    }, { prefix: '/child' })
  })
  assert.equal((await refused('/nowhere')).status, 404)
  const { status, body } = await refused('/child/nowhere')
  assert.equal(status, 404)
  assert.equal(body, 'no /child/nowhere, ws true')
})

for (const prefixTrailingSlash of ['both', 'slash', 'no-slash'] as const) {
  onEveryWay(`prefixes, with prefixTrailingSlash ${prefixTrailingSlash}`, async (t, way) => {
    const { dial, refused } = await begin(t, way, {
      routes: (app) => app.register(async (child) => {
        child.route({ method: 'GET', url: '/', prefixTrailingSlash, websocket: true, handler: (socket, request) => { socket.send(request.url) } })
        child.get('/echo', { websocket: true }, (socket) => { socket.send('echo') })
      }, { prefix: '/api' })
    })
    assert.equal(await (await dial('/api/echo')).text(), 'echo')
    for (const [path, by] of [['/api', 'no-slash'], ['/api/', 'slash']] as const) {
      if (prefixTrailingSlash === 'both' || prefixTrailingSlash === by) assert.equal(await (await dial(path)).text(), path)
      else assert.equal((await refused(path)).status, 404)
    }
  })
}

onEveryWay('`this` in handlers is the instance that the route was declared in', async (t, way) => {
  const seen: unknown[] = []
  const instances: FastifyInstance[] = []
  const { app, dial } = await begin(t, way, {
    routes: (app) => app.register(async (child) => {
      child.decorate('answer', 42)
      instances.push(child)
      child.get('/one', { websocket: true }, function (socket) {
        seen.push(this)
        socket.send(String(this.answer))
      })
      child.route({ method: 'GET', url: '/two', handler () {}, wsHandler (socket) { seen.push(this); socket.send('') } })
      child.get('/http', async function () { return this.prefix })
    }, { prefix: '/in' })
  })
  assert.equal(await (await dial('/in/one')).text(), '42')
  await (await dial('/in/two')).text()
  assert.equal(seen[0], instances[0])
  assert.equal(seen[1], instances[0])
  assert.equal((await app.inject('/in/http')).body, '/in')
})

onEveryWay('request.ws, params, query, headers, decorators and the id are there', async (t, way) => {
  const { app, dial } = await begin(t, way, {
    before: (app) => app.decorateRequest('user', 'nobody'),
    routes: (app) => {
      app.addHook('onRequest', async (request) => { request.user = `user of ${request.id}` })
      app.get<{ Params: { id: string }, Querystring: { q: string } }>('/room/:id', { websocket: true }, (socket, request) => {
        const { ws, params, query, headers, user, id, ip, method, url, routeOptions } = request
        socket.send(JSON.stringify({ ws, params, query, own: headers['x-own'], user, id, ip, method, url, route: routeOptions.url }))
      })
      app.get('/http', async (request) => ({ ws: request.ws }))
    }
  })
  assert.deepEqual((await app.inject('/http')).json(), { ws: false })
  const client = await dial('/room/7?q=1', { headers: { 'x-own': 'mine' } })
  assert.deepEqual(JSON.parse(await client.text()), {
    ws: true, params: { id: '7' }, query: { q: '1' }, own: 'mine', user: 'user of req-2', id: 'req-2', ip: '127.0.0.1', method: 'GET', url: '/room/7?q=1', route: '/room/:id'
  })
})

onEveryWay('a schema validates params and query, and hides the route from documentation', async (t, way) => {
  const hidden: unknown[] = []
  const { dial, refused } = await begin(t, way, {
    routes: (app) => {
      app.addHook('onRequest', async (request) => { hidden.push((request.routeOptions.schema as { hide?: boolean }).hide) })
      app.get<{ Params: { id: number } }>('/:id', { websocket: true, schema: { params: { type: 'object', properties: { id: { type: 'integer' } } } } }, (socket, request) => {
        socket.send(`${typeof request.params.id} ${request.params.id}`)
      })
    }
  })
  assert.equal(await (await dial('/12')).text(), 'number 12')
  assert.equal((await refused('/twelve')).status, 400)
  assert.deepEqual(hidden, [true, true])
})

for (const exposeHeadRoutes of [true, false]) {
  onEveryWay(`exposeHeadRoutes: ${exposeHeadRoutes}: HEAD of a WebSocket route is a 404, of a mixed one what HTTP says`, async (t, way) => {
    let ran = false
    const { app, dial } = await begin(t, way, {
      fastify: { exposeHeadRoutes },
      routes: (app) => {
        app.get('/live', { websocket: true }, (socket) => { ran = true; socket.send('live') })
        app.route({ method: 'GET', url: '/both', handler: async () => 'text', wsHandler: (socket) => { socket.send('both') } })
        app.route({ method: ['GET', 'HEAD'], url: '/listed', handler: async () => 'text', wsHandler: (socket) => { socket.send('listed') } })
      }
    })
    assert.equal((await app.inject({ method: 'HEAD', url: '/live' })).statusCode, 404)
    assert.equal(ran, false)
    const both = await app.inject({ method: 'HEAD', url: '/both' })
    assert.equal(both.statusCode, exposeHeadRoutes ? 200 : 404)
    assert.equal((await app.inject({ method: 'HEAD', url: '/listed' })).statusCode, 200)
    assert.equal(await (await dial('/live')).text(), 'live')
    assert.equal(await (await dial('/both')).text(), 'both')
    assert.equal(await (await dial('/listed')).text(), 'listed')
  })
}

onEveryWay('a WebSocket route for another method than GET, or with a handler that is no function, is refused when it is declared', async (t, way) => {
  await begin(t, way, {
    routes: (app) => {
      assert.throws(() => app.post('/', { websocket: true } as never, echo as never), { message: 'websocket handler can only be declared in GET method' })
      assert.throws(() => app.route({ method: ['GET', 'POST'], url: '/', websocket: true, handler: echo as never }), { message: 'websocket handler can only be declared in GET method' })
      assert.throws(() => app.route({ method: 'GET', url: '/w', handler: async () => '', wsHandler: 'hello' as never }), { message: 'invalid wsHandler function' })
    }
  })
})

onEveryWay('other requests of a keep-alive connection, errors and pages go on as before', async (t, way) => {
  const { app } = await begin(t, way, {
    routes: (app) => {
      app.get('/json', async () => ({ hello: 'world' }))
      app.get('/fail', async () => { throw new Error('broken') })
    }
  })
  assert.deepEqual((await app.inject('/json')).json(), { hello: 'world' })
  const failed = await app.inject('/fail')
  assert.equal(failed.statusCode, 500)
  assert.equal(failed.json().message, 'broken')
  assert.equal((await app.inject('/none')).statusCode, 404)
})

onEveryWay('one handler function serves several routes, in two apps of one process', async (t, way) => {
  const first = await begin(t, way, { routes: (app) => { app.get('/a', { websocket: true }, echo); app.get('/b', { websocket: true }, echo) } })
  const second = await begin(t, way, { routes: (app) => app.get('/a', { websocket: true }, echo) })
  const clients = await Promise.all([first.dial('/a'), first.dial('/b'), second.dial('/a')])
  assert.deepEqual(await Promise.all(clients.map((client, index) => client.ask(String(index)))), ['0', '1', '2'])
  clients[0]!.socket.terminate()
  clients[1]!.socket.terminate()
  await first.app.close()
  assert.equal(await clients[2]!.ask('still there'), 'still there')
})

onEveryWay('routes of plugins, encapsulated or not, declared before ready', async (t, way) => {
  const { dial } = await begin(t, way, {
    routes: (app) => {
      app.register(fp(async (child) => { child.get('/shared', { websocket: true }, echo) }))
      app.register(async (child) => {
        child.register(async (grandchild) => { grandchild.get('/deep', { websocket: true }, echo) }, { prefix: '/two' })
      }, { prefix: '/one' })
    }
  })
  assert.equal(await (await dial('/shared')).ask('x'), 'x')
  assert.equal(await (await dial('/one/two/deep')).ask('y'), 'y')
})

onEveryWay('constraints and rewriteUrl choose the route', async (t, way) => {
  const { dial } = await begin(t, way, {
    fastify: { rewriteUrl: (request: { url?: string }) => request.url === '/old' ? '/new' : request.url! },
    routes: (app) => {
      app.get('/new', { websocket: true, constraints: { host: 'one.example' } }, (socket) => { socket.send('one') })
      app.get('/new', { websocket: true }, (socket) => { socket.send('any') })
    }
  })
  assert.equal(await (await dial('/old', { headers: { host: 'one.example' } })).text(), 'one')
  assert.equal(await (await dial('/old')).text(), 'any')
})

onEveryWay('with the logger off everything works', async (t, way) => {
  const { dial, app } = await begin(t, way, { fastify: { logger: false }, routes: (app) => app.get('/', { websocket: true }, echo) })
  const client = await dial()
  assert.equal(await client.ask('x'), 'x')
  client.socket.terminate()
  await app.close()
})

for (const way of [alone, behind]) {
  test(`${way.name}: routes see their fd, ordinary requests 0`, async (t) => {
    const { app, dial } = await begin(t, way, {
      routes: (app) => {
        app.get('/', { websocket: true }, (socket, request) => { socket.send(String(request.fd === app.lifeline.of(request).fd && request.fd > 0)) })
        app.get('/http', async (request) => request.fd)
      }
    })
    assert.equal(await (await dial()).text(), 'true')
    assert.equal((await app.inject('/http')).body, '0')
  })
}

onEveryWay('an app that is registered but never listens is closed at once', async (_t, way) => {
  const app = Fastify()
  await register(app, way)
  app.get('/', { websocket: true }, echo)
  await app.ready()
  await app.close()
})
