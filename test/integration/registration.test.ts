/**
 * A registration that fails does so before anything is in place: the app may mend its mistake, and try again.
 */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import fastifyWebsocket from '@fastify/websocket'
import Fastify from 'fastify'
import type { FastifyInstance } from 'fastify'
import WebSocket from 'ws'
import lifeline from '../../src/index.js'
import type { LifelineOptions } from '../../src/index.js'

const theirs = (options: object) => async (app: FastifyInstance): Promise<void> => { await app.register(fastifyWebsocket, { options }) }
const none = (): void => {}

for (const [what, before, options, code, mend] of [
  ['an option of no effect', theirs({}), { websocket: { errorHandler: none } }, 'FST_ERR_LIFELINE_OPTION', none],
  ['a closeTimeout that @fastify/websocket was given', theirs({ closeTimeout: '500' }), {}, 'FST_ERR_LIFELINE_OPTION', (app: FastifyInstance) => { Object.assign(app.websocketServer.options, { closeTimeout: 500 }) }],
  ['a maxPayload that @fastify/websocket was given', theirs({ maxPayload: 'none' }), {}, 'FST_ERR_LIFELINE_OPTION', (app: FastifyInstance) => { Object.assign(app.websocketServer.options, { maxPayload: 500 }) }],
  ['what is no class of sockets, among what @fastify/websocket was given', theirs({ WebSocket: undefined }), {}, 'FST_ERR_LIFELINE_OPTION', (app: FastifyInstance) => { Object.assign(app.websocketServer.options, { WebSocket }) }],
  ['a websocketServer that is none', (app: FastifyInstance) => { app.decorate('websocketServer', null as never) }, {}, 'FST_ERR_LIFELINE_OPTION', null],
  ['a class that is none of sockets', none, { websocket: { options: { WebSocket: class {} } } }, 'FST_ERR_LIFELINE_OPTION', none],
  ['what @fastify/websocket refuses', none, { websocket: { options: { port: 0 } } }, 'FST_ERR_LIFELINE_OPTION', none],
  ['a name that is taken', (app: FastifyInstance) => { app.decorate('safePush', none as never) }, {}, 'FST_ERR_DEC_ALREADY_PRESENT', (app: FastifyInstance) => { delete (app as Partial<FastifyInstance>).safePush }],
  ['a name of @fastify/websocket that is taken', (app: FastifyInstance) => { app.decorate('injectWS', none as never) }, {}, 'FST_ERR_DEC_ALREADY_PRESENT', (app: FastifyInstance) => { delete (app as Partial<FastifyInstance>).injectWS }],
  ['a name of a request that is taken', (app: FastifyInstance) => { app.decorateRequest('fd', 7) }, {}, 'FST_ERR_DEC_ALREADY_PRESENT', null],
  ['a name of a request of @fastify/websocket that is taken', (app: FastifyInstance) => { app.decorateRequest('ws', false) }, {}, 'FST_ERR_DEC_ALREADY_PRESENT', null]
] as const) {
  test(`a registration that fails (for ${what}) leaves nothing behind`, async (t) => {
    const app = Fastify()
    t.after(() => app.close())
    await before(app)
    const listeners = app.server.listenerCount('upgrade')
    const left: unknown[] = []
    const fails = (then: () => void): void => {
      // Whoever awaits it hears of it as well; but then avvio says it again and again.
      app.register(lifeline, options as LifelineOptions).after((error) => {
        left.push([(error as { code?: string } | null)?.code, app.server.listenerCount('upgrade'), app.hasDecorator('lifeline'), app.hasDecorator('exists')])
        then()
      })
    }
    fails(() => {
      fails(() => {
        if (mend === null) return
        mend(app)
        app.register(lifeline)
        app.register(async (app) => { app.get('/', { websocket: true }, () => {}) })
      })
    })
    await app.ready()
    assert.deepEqual(left, Array(2).fill([code, listeners, false, false]))
    if (mend === null) return
    const client = await app.injectWS('/')
    assert.equal(app.lifeline.size, 1)
    client.terminate()
  })
}

const sends = (socket: WebSocket): void => { socket.send('hi') }

for (const [what, declare] of [
  ['declared before the registration', async (app: FastifyInstance) => { app.get('/a', { websocket: true }, sends); await app.register(lifeline) }],
  ['declared behind a registration that nobody awaited', (app: FastifyInstance) => { app.register(lifeline); app.get('/a', { websocket: true }, sends) }],
  ['declared so with a wsHandler', (app: FastifyInstance) => { app.register(lifeline); app.route({ method: 'GET', url: '/a', handler: async () => '', wsHandler: sends }) }],
  ['declared in a plugin before', (app: FastifyInstance) => { app.register(async (app) => { app.get('/a', { websocket: true }, sends) }); app.register(lifeline) }],
  ['declared where nobody awaited @fastify/websocket', (app: FastifyInstance) => { app.register(fastifyWebsocket); app.get('/a', { websocket: true }, sends); app.register(lifeline) }]
] as const) {
  test(`WebSocket routes that are ${what} fail the start, by name`, async (t) => {
    const app = Fastify()
    t.after(() => app.close())
    await declare(app)
    app.register(async (app) => { app.get('/b', { websocket: true }, sends) })
    await assert.rejects(async () => { await app.ready() }, {
      code: 'FST_ERR_LIFELINE_EARLY_ROUTES',
      message: 'WebSocket routes were declared before fastify-lifeline was registered: GET /a. Write `await fastify.register(lifeline)` first, or declare them in a plugin that is registered after it'
    })
  })
}

test('of many early routes the first are named; other routes may come early, and so may those of a context without the plugin', async (t) => {
  const app = Fastify()
  t.after(() => app.close())
  for (let i = 0; i < 7; i++) app.get(`/${i}`, { websocket: true }, sends)
  await app.register(lifeline)
  await assert.rejects(async () => { await app.ready() }, ({ message }: Error) => message.includes(': GET /0, GET /1, GET /2, GET /3, GET /4 and 2 more. '))
  const other = Fastify()
  t.after(() => other.close())
  other.get('/', async () => 'plain')
  other.register(async (app) => { app.register(async (app) => { await app.register(lifeline) }) })
  other.get('/elsewhere', { websocket: true }, sends)
  await other.ready()
  assert.equal((await other.inject('/')).body, 'plain')
})

test('where the instance is older than this module, an early route refuses upgrades, and a line in the log says why', async () => {
  const lines: string[] = []
  const { stdout } = spawnSync(process.execPath, ['--import', './scripts/typescript.js', '--input-type=module', '-e', `
    import Fastify from 'fastify'
    import WebSocket from 'ws'
    const app = Fastify({ logger: { level: 'warn' } })
    const { default: lifeline } = await import('./src/index.ts')
    app.register(lifeline)
    app.get('/', { websocket: true }, (socket) => { socket.send('hi') })
    await app.listen({ port: 0 })
    new WebSocket('ws://127.0.0.1:' + app.server.address().port).on('unexpected-response', (request, { statusCode }) => {
      console.log(JSON.stringify({ statusCode }))
      request.destroy()
      app.close()
    }).on('error', () => {})
  `], { cwd: fileURLToPath(new URL('../..', import.meta.url)), encoding: 'utf8', timeout: 60_000 })
  lines.push(...stdout.trim().split('\n'))
  assert.deepEqual(lines.map((line) => JSON.parse(line)).map(({ statusCode, msg }) => statusCode ?? msg).sort(), [
    404,
    'lifeline: an upgrade was refused: the route GET / takes no WebSocket. If it should, declare it with `websocket: true`, after the registration of the plugin (await it)'
  ])
})
