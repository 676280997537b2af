/**
 * The two ways to register, and the wrong ones.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import fastifyWebsocket from '@fastify/websocket'
import Fastify from 'fastify'
import type { FastifyInstance } from 'fastify'
import lifeline, { fastifyLifeline } from '../../../src/index.js'
import type { LifelineOptions } from '../../../src/index.js'
import { alone, begin, behind, echo } from './setups.js'

const root = fileURLToPath(new URL('../../..', import.meta.url))

const notices = (lines: Array<{ level: number, msg: string }>): Array<{ level: number, msg: string }> => lines.filter(({ msg }) => msg.includes('lifeline') && msg.includes('registered'))

function make (t: { after: (fn: () => unknown) => void }): FastifyInstance {
  const app = Fastify()
  // An app whose plugins failed rejects with that.
  t.after(() => app.close().catch(() => {}))
  return app
}

test('registered alone it says nothing', async (t) => {
  const { lines } = await begin(t, alone)
  assert.equal(notices(lines).length, 0)
})

test('registered after the app\'s @fastify/websocket it says so in one info line', async (t) => {
  const { lines } = await begin(t, behind)
  assert.equal(notices(lines).length, 1)
  const { level, msg } = notices(lines)[0]!
  assert.equal(level, 30)
  assert.match(msg, /errorHandler and preClose stay in charge/)
})

test('an errorHandler and a preClose of the app\'s own stay in charge where it registered @fastify/websocket', async (t) => {
  const calls: string[] = []
  const { app, dial } = await begin(t, behind, {
    websocket: {
      errorHandler (error, socket) {
        calls.push(error.message)
        socket.close(4400)
      },
      preClose (done) {
        calls.push('preClose')
        for (const socket of app.websocketServer.clients) socket.close(4001)
        done()
      }
    },
    routes: (app) => {
      app.get('/fails', { websocket: true }, () => { throw new Error('boom') })
      app.get('/', { websocket: true }, echo)
    }
  })
  assert.equal((await (await dial('/fails')).closed).code, 4400)
  const client = await dial('/')
  await app.close()
  assert.equal((await client.closed).code, 4001)
  assert.deepEqual(calls, ['boom', 'preClose'])
})

test('limits that the app has set on its own @fastify/websocket are kept, unless ours are set too', async (t) => {
  const limits = async (websocket: object, options: LifelineOptions): Promise<[unknown, unknown]> => {
    const { app } = await begin(t, behind, { websocket: { options: websocket }, options })
    const { maxPayload, closeTimeout } = app.websocketServer.options as { maxPayload?: number, closeTimeout?: number }
    return [maxPayload, closeTimeout]
  }
  assert.deepEqual(await limits({ maxPayload: 10, closeTimeout: 20 }, {}), [10, 20])
  assert.deepEqual(await limits({ maxPayload: 10, closeTimeout: 20 }, { limits: { payload: 30 }, closeTimeout: 40 }), [30, 30_120])
  // Behind ours, which counts from when the close frame has left: stallTimeout more, and some.
  assert.deepEqual(await limits({}, {}), [1_048_576, 45_000])
})

// It throws where avvio does not catch it, as it does when @fastify/websocket is registered twice: the process ends.
test('@fastify/websocket after ours is Fastify\'s own error', async () => {
  const script = `
    import Fastify from 'fastify'
    import fastifyWebsocket from '@fastify/websocket'
    import lifeline from './src/index.ts'
    const app = Fastify()
    app.register(lifeline)
    app.register(fastifyWebsocket)
    await app.ready()`
  await assert.rejects(
    promisify(execFile)(process.execPath, ['--import', './scripts/typescript.js', '--input-type=module', '-e', script], { cwd: root, timeout: 20_000 }),
    { code: 1, stderr: /FST_ERR_DEC_ALREADY_PRESENT/ })
})

test('registering twice is FST_ERR_LIFELINE_ALREADY_REGISTERED', async (t) => {
  const app = make(t)
  await app.register(lifeline)
  await assert.rejects(async () => { await app.register(lifeline) }, { code: 'FST_ERR_LIFELINE_ALREADY_REGISTERED', statusCode: 500 })
})

test('so is registering in two sibling contexts, or in a child after its parent', async (t) => {
  const siblings = make(t)
  siblings.register(async (child) => { await child.register(lifeline) })
  siblings.register(async (child) => { await child.register(lifeline) })
  await assert.rejects(async () => { await siblings.ready() }, { code: 'FST_ERR_LIFELINE_ALREADY_REGISTERED' })
  const nested = make(t)
  await nested.register(lifeline)
  nested.register(async (child) => { await child.register(lifeline) })
  await assert.rejects(async () => { await nested.ready() }, { code: 'FST_ERR_LIFELINE_ALREADY_REGISTERED' })
})

test('two servers in one process each have their own', async (t) => {
  const first = make(t)
  const second = make(t)
  await first.register(lifeline)
  await second.register(lifeline)
  assert.notEqual(first.lifeline, second.lifeline)
})

test('registered in a child context it serves the routes of that context, and is unknown outside', async (t) => {
  let child!: FastifyInstance
  const app = make(t)
  app.get('/http', async (request) => ({ fd: request.fd ?? 'none' }))
  app.register(async (instance) => {
    child = instance
    await instance.register(lifeline)
    instance.get('/live', { websocket: true }, (socket, request) => {
      socket.on('message', () => { instance.safePush(request.fd, `fd ${String(instance.exists(request.fd))}`) })
    })
  })
  await app.ready()
  assert.equal(app.hasDecorator('lifeline'), false)
  assert.equal(child.hasDecorator('lifeline'), true)
  const client = await child.injectWS('/live') as unknown as import('ws').WebSocket
  const message = new Promise((resolve) => { client.once('message', resolve) })
  client.send('x')
  assert.equal(String(await message), 'fd true')
  client.terminate()
  assert.deepEqual((await app.inject('/http')).json(), { fd: 'none' })
})

test('registered in a child of the app\'s @fastify/websocket it works too', async (t) => {
  const { dial } = await begin(t, { ...behind, ours: false }, {
    routes: (app) => app.register(async (child) => {
      await child.register(lifeline)
      child.get('/live', { websocket: true }, (socket, request) => {
        socket.on('message', () => { child.safePush(request.fd, 'pushed') })
      })
    })
  })
  assert.equal(await (await dial('/live')).ask('x'), 'pushed')
})

test('it may be registered without await, and by a function that gives the options', async (t) => {
  const app = make(t)
  app.decorate('answer', 42)
  app.register(lifeline, () => ({ closeTimeout: 1_000 }))
  app.register(async (child) => { child.get('/', { websocket: true }, echo) })
  await app.ready()
  assert.equal((app.websocketServer.options as { closeTimeout?: number }).closeTimeout, 33_000)
})

test('the names of the plugin', () => {
  assert.equal(fastifyLifeline, lifeline)
  assert.equal((lifeline as unknown as { default: unknown }).default, lifeline)
  assert.equal((lifeline as unknown as { fastifyLifeline: unknown }).fastifyLifeline, lifeline)
})

const wrong: Array<[unknown, RegExp]> = [
  [{ heartbeat: true }, /route \/live, config\.lifeline: .*"heartbeat".*false or an object.*received true/],
  [{ heartbeat: { interval: 0 } }, /route \/live, config\.lifeline: .*"heartbeat\.interval".*received 0/],
  [{ heartbeat: { interval: '20' } }, /route \/live, config\.lifeline: .*"heartbeat\.interval".*received "20"/],
  [{ heartbeat: { timeout: 1.5 } }, /route \/live, config\.lifeline: .*"heartbeat\.timeout".*received 1\.5/],
  [{ heartbeat: { intervall: 5 } }, /route \/live, config\.lifeline: .*"heartbeat\.intervall" does not exist.*received 5/],
  [{ closeTimeout: 5 }, /route \/live, config\.lifeline: .*"closeTimeout" cannot be set for a route.*received 5/],
  ['off', /route \/live, config\.lifeline: .*received "off"/],
  [null, /route \/live, config\.lifeline: .*received null/]
]

for (const way of [alone, behind]) {
  for (const [options, message] of wrong) {
    test(`${way.name}: config.lifeline ${JSON.stringify(options)} is FST_ERR_LIFELINE_OPTION`, async (t) => {
      await begin(t, way, {
        routes: (app) => {
          assert.throws(() => app.get('/live', { websocket: true, config: { lifeline: options as object } }, echo), { code: 'FST_ERR_LIFELINE_OPTION', message })
        }
      })
    })
  }

  test(`${way.name}: config.lifeline of a prefixed route is named by its whole path`, async (t) => {
    const app = make(t)
    if (way.theirs) await app.register(fastifyWebsocket)
    await app.register(lifeline)
    app.register(async (child) => { child.get('/live', { websocket: true, config: { lifeline: { heartbeat: 5 as never } } }, echo) }, { prefix: '/api' })
    await assert.rejects(async () => { await app.ready() }, { code: 'FST_ERR_LIFELINE_OPTION', message: /route \/api\/live/ })
  })

  test(`${way.name}: config.lifeline: a heartbeat of the route's own, none, or the plugin's`, async (t) => {
    const { dial } = await begin(t, way, {
      options: { heartbeat: { interval: 60_000, timeout: 50 } },
      routes: (app) => {
        app.get('/own', { websocket: true, config: { lifeline: { heartbeat: { interval: 50 } } } }, echo)
        app.route({ method: 'GET', url: '/wsHandler', config: { lifeline: { heartbeat: { interval: 50 } } }, handler: async () => '', wsHandler: echo })
        app.get('/none', { websocket: true, config: { lifeline: { heartbeat: false } } }, echo)
        app.get('/plugin', { websocket: true }, echo)
      }
    })
    const clients = await Promise.all(['/own', '/wsHandler', '/none', '/plugin'].map((path) => dial(path, { autoPong: false })))
    const [own, handler, none, plugin] = clients
    assert.equal((await own!.closed).code, 1006)
    assert.equal((await handler!.closed).code, 1006)
    assert.equal(await none!.ask('x'), 'x')
    assert.equal(await plugin!.ask('x'), 'x')
  })

  test(`${way.name}: config.lifeline leaves the rest of config to the app`, async (t) => {
    const { dial } = await begin(t, way, {
      routes: (app) => app.get('/', { websocket: true, config: { lifeline: {}, own: 'mine' } as never }, (socket, request) => { socket.send((request.routeOptions.config as unknown as { own: string }).own) })
    })
    assert.equal(await (await dial()).text(), 'mine')
  })
}

test('require() gives the plugin, with default and fastifyLifeline, and it works', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'lifeline-'))
  t.after(() => { rmSync(folder, { recursive: true }) })
  const script = join(folder, 'app.cjs')
  writeFileSync(script, `
    const { createRequire } = require('node:module')
    const here = createRequire(${JSON.stringify(join(root, 'package.json'))})
    const lifeline = here('fastify-lifeline')
    const app = here('fastify')()
    app.register(lifeline, { closeTimeout: 100 })
    app.register(async (child) => {
      child.get('/', { websocket: true }, (socket, request) => {
        socket.on('message', (data) => { child.safePush(request.fd, 'pushed ' + data) })
      })
    })
    app.ready().then(async () => {
      const client = await app.injectWS('/')
      client.on('message', async (data) => {
        client.terminate()
        await app.close()
        console.log(JSON.stringify([typeof lifeline, lifeline.default === lifeline, lifeline.fastifyLifeline === lifeline, String(data)]))
      })
      client.send('x')
    })
  `)
  const { stdout, stderr } = await promisify(execFile)(process.execPath, ['--no-warnings', script], { timeout: 20_000 })
  assert.equal(stderr, '')
  assert.deepEqual(JSON.parse(stdout), ['function', true, true, 'pushed x'])
})
