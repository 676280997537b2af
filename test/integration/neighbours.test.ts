/**
 * What goes with other owners of a server: their own settings and handlers, copies of @fastify/websocket, and strangers who listen for
 * the same upgrades.
 */
import assert from 'node:assert/strict'
import { channel } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { ServerResponse } from 'node:http'
import type { IncomingMessage, Server } from 'node:http'
import { createRequire } from 'node:module'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { test } from 'node:test'
import fastifyWebsocket from '@fastify/websocket'
import Fastify from 'fastify'
import type { FastifyInstance } from 'fastify'
import WebSocket, { WebSocketServer } from 'ws'
import lifeline from '../../src/index.js'
import type { Connection, LifelineOptions } from '../../src/index.js'
import { connect, keepLog, level, until } from '../support/app.js'
import type { LogLine } from '../support/app.js'
import { ask, begin, constellations, echo, elsewhere, evil, good } from '../support/owners.js'
import { refused } from '../support/refused.js'

test('a plugin that registers @fastify/websocket where it finds none, as mercurius does, is served in either order', { timeout: 10_000 }, async (t) => {
  for (const first of ['theirs', 'ours']) {
    const { stream, lines } = keepLog()
    const app = Fastify({ logger: { level: 'info', stream } }) as unknown as FastifyInstance
    t.after(() => app.close())
    const graphql = async (app: FastifyInstance): Promise<void> => {
      // Not to be broken: encapsulated, and registered by whom it finds no `websocketServer` of.
      app.register(async (app) => {
        if (app.websocketServer === undefined) await app.register(fastifyWebsocket, { options: { maxPayload: 1_048_576, verifyClient: ({ req }: { req: IncomingMessage }) => req.headers['x-token'] === 'good' } })
        app.route({ method: 'GET', url: '/graphql', handler: async () => 'page', wsHandler: (socket) => { echo(socket, undefined as never) } })
      })
    }
    if (first === 'theirs') app.register(graphql)
    await app.register(lifeline, { limits: { connections: 1 } })
    if (first === 'ours') app.register(graphql)
    const url = (await app.listen({ port: 0, host: '127.0.0.1' })).replace('http', 'ws')
    if (first === 'theirs') assert.equal((await refused(t, `${url}/graphql`)).status, 401, 'its own check holds')
    await until('that one has no place', async () => { try { return await connect(t, `${url}/graphql`, { headers: { 'x-token': 'good' } }) } catch { return false } })
    assert.equal(app.lifeline.size, 1)
    assert.equal((await refused(t, `${url}/graphql`, { headers: { 'x-token': 'good' } })).status, 503)
    assert.equal((await app.inject('/graphql')).body, 'page')
    const notices = lines.filter(({ msg }) => msg.includes('registered 2 times'))
    assert.deepEqual(notices.map(({ level: at }) => at), first === 'theirs' ? [level.info] : [])
  }
})

test('nobody listens to what Fastify says of all handlers where all WebSockets come past our hooks', { timeout: 10_000 }, async (t) => {
  const app = Fastify()
  t.after(() => app.close())
  await app.register(lifeline)
  await app.ready()
  assert.equal(channel('tracing:fastify.request.handler:start').hasSubscribers, false)
})

test('two apps of one process keep to their own', { timeout: 10_000 }, async (t) => {
  const [first, second] = [await begin(t, constellations['siblings, theirs first']!), await begin(t, constellations['siblings, ours first']!)]
  await connect(t, first.url)
  await connect(t, first.own)
  await connect(t, second.url)
  assert.deepEqual([first.lifeline.size, second.lifeline.size], [2, 1])
  await first.app.close()
  await connect(t, second.url)
  assert.equal(second.lifeline.size, 2)
})

test('settings of a route in another context hold; a slip in them is a 500, and told', { timeout: 10_000 }, async (t) => {
  const { url, lifeline } = await begin(t, constellations['siblings, theirs first']!, {
    options: { limits: { firstMessage: 60_000 } },
    route: { config: { lifeline: { origins: good.origin, on: { open: (connection: Connection) => { connection.data = { of: 'theirs' } as never } } } } } as never,
    beside: (app) => { app.get('/slip', { websocket: true, config: { lifeline: { origns: 5 } as never } }, () => { assert.fail('no handler runs') }) }
  })
  const errors: Error[] = []
  lifeline.on('error', (_connection, error) => { errors.push(error as Error) })
  assert.equal((await refused(t, url, evil)).status, 403)
  await connect(t, url, good)
  const [connection] = lifeline
  assert.deepEqual(connection!.data, { of: 'theirs' })
  assert.equal((await refused(t, url.replace('/theirs/x', '/slip'))).status, 500)
  assert.deepEqual(errors.map((error) => (error as Error & { code?: string }).code), ['FST_ERR_LIFELINE_OPTION'])
  assert.equal(lifeline.size, 1)
})

test('what ws was given there and we cannot take is told, and nobody gets in past us', { timeout: 10_000 }, async (t) => {
  const { url, own, lifeline } = await begin(t, constellations['siblings, theirs first']!, { options: { limits: { connections: 1 } }, websocket: { options: { maxPayload: -1 } }, handler: () => { assert.fail('no handler runs') } })
  const errors: string[] = []
  lifeline.on('error', (_connection, error) => { errors.push(String(error)) })
  for (let i = 0; i < 2; i++) assert.equal((await refused(t, url)).status, 503)
  assert.equal(errors.length, 2)
  assert.match(errors[0]!, /maxPayload/)
  await connect(t, own)
})

test('its own errorHandler hears there of what a handler throws, and its own preClose closes', { timeout: 10_000 }, async (t) => {
  const calls: string[] = []
  const { app, url, lifeline } = await begin(t, constellations['siblings, theirs first']!, {
    websocket: {
      errorHandler: (error, socket) => { calls.push(error.message); socket.close(4400) },
      preClose (done) { calls.push('preClose'); for (const socket of this.websocketServer.clients) socket.close(4001); done() }
    },
    handler: (_socket, { headers }) => { if (headers['x-fail'] !== undefined) throw new Error('boom') }
  })
  assert.equal((await once(await connect(t, url, { headers: { 'x-fail': 'yes' } }), 'close'))[0], 4400)
  await until('it has gone', () => lifeline.size === 0)
  const client = await connect(t, url)
  const over = once(client, 'close')
  await app.close()
  assert.ok([1012, 4001].includes((await over)[0]), 'whoever is first')
  assert.deepEqual(calls, ['boom', 'preClose'])
})

test('what hooks refuse there, or nobody decides, leaves no socket; and a plain route there opens nothing that stays', { timeout: 15_000 }, async (t) => {
  const { app, url, lifeline } = await begin(t, constellations['siblings, theirs first']!, {
    options: { upgradeTimeout: 300 },
    beside: (app) => {
      app.get('/no', { websocket: true, onRequest: async (_request, reply) => reply.code(401).send() }, () => {})
      app.get('/never', { websocket: true, onRequest: async () => await new Promise(() => {}) }, () => {})
      app.get('/plain', async () => 'plain')
    }
  })
  const at = (path: string): string => url.replace('/theirs/x', path)
  assert.equal((await refused(t, at('/no'))).status, 401)
  assert.equal((await refused(t, at('/never'))).status, 503)
  const client = await connect(t, at('/plain'))
  if (client.readyState !== client.CLOSED) await once(client, 'close')
  await until('all have gone', () => lifeline.size === 0)
  const open = await new Promise((resolve) => { app.server.getConnections((_error, count) => { resolve(count) }) })
  assert.equal(open, 0)
})

test('injected into another context it is a connection as well', { timeout: 10_000 }, async (t) => {
  let theirs: FastifyInstance | undefined
  const { lifeline } = await begin(t, constellations['siblings, theirs first']!, { options: { origins: (origin) => Promise.resolve(origin === good.origin) }, beside: (app) => { theirs = app } })
  await assert.rejects(theirs!.injectWS('/theirs/x'), /403/)
  const client = await theirs!.injectWS('/theirs/x', { headers: good } as never) as unknown as WebSocket
  assert.equal(await ask(client), 'echo x')
  assert.equal(lifeline.size, 1)
  client.terminate()
})

test('what the app throws on the way to a connection there is told, and keeps no place', { timeout: 15_000 }, async (t) => {
  for (const origins of [false, async () => true] as Array<NonNullable<LifelineOptions['origins']>>) {
    const { url, lifeline } = await begin(t, constellations['siblings, theirs first']!, {
      options: { limits: { connections: 1 }, origins },
      websocket: { options: { handleProtocols: () => { throw new Error('of the app') } } },
      handler: () => { assert.fail('no handler runs') }
    })
    const errors: string[] = []
    lifeline.on('error', (_connection, error) => { errors.push((error as Error).message) })
    for (let i = 0; i < 3; i++) {
      const client = new WebSocket(url, ['a'])
      client.on('error', () => {})
      const [, { statusCode }] = await once(client, 'unexpected-response') as [unknown, IncomingMessage]
      client.terminate()
      assert.equal(statusCode, 503)
      await until('it has no place', () => errors.length === i + 1)
    }
    assert.deepEqual(errors, Array(3).fill('of the app'))
  }
})

for (const name of ['theirs in a child, before ours', 'siblings, theirs first', 'siblings, ours first']) {
  test(`${name}: with a copy of @fastify/websocket of its own each serves its own`, { timeout: 10_000 }, async (t) => {
    const here = createRequire(import.meta.url)
    const path = here.resolve('@fastify/websocket')
    const loaded = here.cache[path]
    delete here.cache[path]
    const copy = here(path) as typeof fastifyWebsocket
    here.cache[path] = loaded
    assert.notEqual(copy, fastifyWebsocket)
    const { url, own, lifeline, lines } = await begin(t, constellations[name]!, {
      options: { limits: { connections: 4 } },
      plugin: copy,
      // By itself it finds its request only after all have heard of the upgrade.
      beside: (app) => { app.addHook('preHandler', async () => { await new Promise(setImmediate) }) }
    })
    for (let i = 0; i < 2; i++) {
      assert.equal(await ask(await connect(t, own)), 'echo x')
      assert.equal(await ask(await connect(t, url)), 'echo x')
    }
    assert.equal(lifeline.size, 4)
    for (const path of [url, own]) assert.equal((await refused(t, path)).status, 503)
    assert.deepEqual(lines.filter(({ level: at }) => at >= level.error), [])
  })
}

const strange = (lines: LogLine[]): LogLine[] => lines.filter(({ msg }) => msg.includes('something else than @fastify/websocket'))

const strangers: Record<string, (server: Server) => unknown> = {
  'a WebSocketServer': (server) => new WebSocketServer({ server, path: '/other' }),
  'a listener for a path': (server) => { server.on('upgrade', ({ url }: IncomingMessage, socket: Duplex) => { if (url === '/other') socket.destroy() }) },
  'a listener for once': (server) => { server.once('upgrade', () => {}) },
  'a bound one': (server) => { server.on('upgrade', () => {}) }
}

for (const [what, add] of Object.entries(strangers)) {
  for (const when of ['before us', 'after us', 'after the start']) {
    test(`${what} beside us, added ${when}, is one line at warn that says what to do; and our own routes go on`, { timeout: 10_000 }, async (t) => {
      const { stream, lines } = keepLog()
      const app = Fastify({ logger: { level: 'info', stream } }) as unknown as FastifyInstance
      t.after(() => app.close())
      if (when === 'before us') add(app.server)
      await app.register(lifeline)
      if (when === 'after us') add(app.server)
      app.get('/', { websocket: true }, (socket) => { socket.on('message', () => { socket.send('pong') }) })
      const url = (await app.listen({ port: 0, host: '127.0.0.1' })).replace('http', 'ws')
      if (when === 'after the start') {
        assert.deepEqual(strange(lines), [])
        add(app.server)
      }
      add(app.server)
      assert.deepEqual(strange(lines).map(({ level: at }) => at), [level.warn])
      assert.match(strange(lines)[0]!.msg, /a server of its own.*reply\.hijack\(\).*handleUpgrade/)
      // That of ws answers a 400 to what is not for it: no route of ours has a chance beside it.
      if (what !== 'a WebSocketServer') assert.equal(await ask(await connect(t, url)), 'pong')
    })
  }
}

test('no @fastify/websocket is a stranger, wherever it is registered, nor is a server of its own', { timeout: 15_000 }, async (t) => {
  for (const build of Object.values(constellations)) {
    const { server, port } = await elsewhere(t)
    for (const setup of [{}, { websocket: { options: { server } }, port }]) {
      const { lines, warnings } = await begin(t, build, setup)
      assert.deepEqual([strange(lines), warnings()], [[], []])
    }
  }
})

for (const [registered, early] of [[false, false], [false, true], [true, false], [true, true]] as const) {
  test(`a stranger who has Fastify route his upgrades, as @fastify/http-proxy does, answers them in his own route, and in no other${early ? ', declared before the plugin' : ''}${registered ? ' (the app has registered @fastify/websocket)' : ''}`, { timeout: 10_000 }, async (t) => {
    const app = Fastify()
    t.after(() => app.close())
    const theirs = new WebSocketServer({ noServer: true })
    app.addHook('preClose', async () => { for (const client of theirs.clients) client.terminate() })
    const heads = new WeakMap<IncomingMessage, Buffer>()
    app.server.on('upgrade', (request, socket, head) => {
      if (!/^\/(theirs|page)/.test(request.url!)) return
      heads.set(request, head)
      const response = new ServerResponse(request)
      response.assignSocket(socket as Socket)
      app.routing(request, response)
      response.on('finish', () => { socket.destroy() })
    })
    const echoes = (socket: WebSocket): void => { socket.on('message', (data: Buffer) => { socket.send(`theirs: ${String(data)}`) }) }
    const route = (): void => {
      app.get('/theirs', (request, reply) => {
        reply.hijack()
        theirs.handleUpgrade(request.raw, request.raw.socket, heads.get(request.raw)!, echoes)
      })
    }
    if (early) route()
    if (registered) await app.register(fastifyWebsocket)
    await app.register(lifeline, { limits: { connections: 2 }, origins: (origin) => origin !== 'https://evil.example' })
    if (!early) route()
    app.get('/ours', { websocket: true }, (socket) => { socket.on('message', (data: Buffer) => { socket.send(`ours: ${String(data)}`) }) })
    app.get('/plain', async () => 'a page')
    app.get('/page', async () => 'a page')
    const url = (await app.listen({ port: 0, host: '127.0.0.1' })).replace('http', 'ws')
    for (const who of ['theirs', 'ours']) {
      const client = await connect(t, `${url}/${who}`)
      client.send('hi')
      assert.equal(String((await once(client, 'message'))[0]), `${who}: hi`)
    }
    assert.equal(app.lifeline.size, 1)
    assert.equal((await refused(t, `${url}/theirs`)).status, 503, 'both have their places')
    for (const client of theirs.clients) client.terminate()
    await until('his place is free again; and what he has not had routed is refused', async () => (await refused(t, `${url}/plain`)).status === 404)
    assert.equal((await refused(t, `${url}/theirs`, { origin: 'https://evil.example' })).status, 403)
    assert.equal((await refused(t, `${url}/page`)).status, 200, 'as it is without us')
    await connect(t, `${url}/theirs`)
  })
}

test('what the warning says works: Fastify routes the path, and a hook hands the upgrade over', { timeout: 10_000 }, async (t) => {
  const other = new WebSocketServer({ noServer: true })
  other.on('connection', (socket) => { socket.on('message', () => { socket.send('other') }) })
  const { stream, lines } = keepLog()
  const app = Fastify({ logger: { level: 'info', stream } }) as unknown as FastifyInstance
  t.after(() => app.close())
  await app.register(lifeline, { upgradeTimeout: 200, limits: { connections: 2 } })
  app.get('/', { websocket: true }, (socket) => { echo(socket, undefined as never) })
  app.get('/other/*', {
    onRequest: async (request, reply) => {
      reply.hijack()
      other.handleUpgrade(request.raw, request.raw.socket, Buffer.alloc(0), (socket) => { other.emit('connection', socket, request.raw) })
    }
  }, async () => {})
  app.addHook('preClose', async () => { for (const socket of other.clients) socket.terminate() })
  const url = (await app.listen({ port: 0, host: '127.0.0.1' })).replace('http', 'ws')
  const there = await connect(t, `${url}/other/x`)
  const here = await connect(t, url)
  assert.deepEqual([await ask(there), await ask(here)], ['other', 'echo x'])
  await new Promise((resolve) => { setTimeout(resolve, 600) })
  assert.deepEqual([await ask(there), await ask(here)], ['other', 'echo x'])
  assert.equal(app.lifeline.size, 1)
  // It counts: whoever came in by our hooks has its place.
  assert.equal((await refused(t, url)).status, 503)
  assert.deepEqual(strange(lines), [])
})
