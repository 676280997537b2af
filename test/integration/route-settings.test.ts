/**
 * What a route says in `config.lifeline` holds, whatever hooks do to the config after ours, and whenever it was
 * declared; or it is not served.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fastifyWebsocket from '@fastify/websocket'
import Fastify from 'fastify'
import type { FastifyInstance, RouteOptions } from 'fastify'
import lifeline from '../../src/index.js'
import type { LifelineRouteOptions } from '../../src/index.js'
import { connect, opened, start } from '../support/app.js'
import { refused } from '../support/refused.js'

const evil = { origin: 'https://evil.example' }
const app1 = { origin: 'https://app.example' }
const settings = { origins: 'https://app.example', receipts: true } satisfies LifelineRouteOptions

/** Whether these settings hold on a path. */
async function holds (t: import('node:test').TestContext, app: FastifyInstance, url: string): Promise<void> {
  const { status } = await refused(t, url, evil)
  assert.equal(status, 403)
  const open = opened(app)
  await connect(t, url, app1)
  const connection = await open
  connection.push('x')
  assert.equal(connection.unconfirmed.count, 1, 'receipts are on')
}

const copy = (config: object): object => JSON.parse(JSON.stringify(config))
const later: Record<string, (route: RouteOptions) => void> = {
  'puts a copy in its place': (route) => { route.config = copy(route.config!) as never },
  'puts a structured clone in its place': (route) => { route.config = structuredClone(route.config) as never },
  'replaces it, and knows nothing of us': (route) => { route.config = { rateLimit: { max: 5 } } as never },
  'deletes it': (route) => { delete route.config },
  'deletes ours': (route) => { delete route.config!.lifeline },
  'makes ours undefined': (route) => { route.config = { ...route.config, lifeline: undefined } as never },
  'replaces ours by one that says nothing': (route) => { route.config = { ...route.config, lifeline: {} } },
  'replaces ours by one that says less': (route) => { route.config = { ...route.config, lifeline: { maxAge: 60_000 } } },
  'empties ours': (route) => { for (const name of Object.keys(route.config!.lifeline!)) delete route.config!.lifeline![name as 'origins'] },
  'hides ours in a prototype': (route) => { route.config = Object.create({ lifeline: route.config!.lifeline }) },
  'makes a getter of ours': (route) => {
    const { lifeline } = route.config!
    route.config = { get lifeline () { return copy(lifeline!) } } as never
  }
}

for (const [way, before] of [['alone', undefined], ['beside @fastify/websocket of the app\'s own', async (app: any) => { await app.register(fastifyWebsocket) }]] as const) {
  for (const [what, hook] of Object.entries(later)) {
    test(`${way}: the settings of a route hold though a later hook ${what}`, async (t) => {
      const { app, url } = await start(t, {
        ...(before && { before }),
        routes: (app) => {
          app.addHook('onRoute', (route) => { if (route.method === 'GET') hook(route) })
          app.get('/', { websocket: true, config: { lifeline: { ...settings } } }, () => {})
        }
      })
      await holds(t, app, url)
    })
  }

  test(`${way}: the settings of a route hold though a hook of before ours has moved it, and a later one replaces its config`, async (t) => {
    const { app, url } = await start(t, {
      before: async (app) => {
        app.addHook('onRoute', (route) => { route.url = `/moved${route.url}` })
        await before?.(app)
      },
      routes: async (app) => {
        app.addHook('onRoute', (route) => { route.config = { rateLimit: { max: 5 } } as never })
        app.get('/here', { websocket: true, config: { lifeline: { ...settings } } }, () => {})
      }
    })
    await holds(t, app, `${url}/moved/here`)
  })

  test(`${way}: what a later hook sets for all routes holds, over what they say and the plugin does`, async (t) => {
    const { app, url } = await start(t, {
      ...(before && { before }),
      options: { receipts: true },
      routes: (app) => {
        app.addHook('onRoute', (route) => { if (route.websocket === true) route.config = { ...route.config, lifeline: { origins: 'https://app.example' } } })
        app.get('/none', { websocket: true }, () => {})
        app.get('/other', { websocket: true, config: { lifeline: { origins: 'https://evil.example' } } }, () => {})
      }
    })
    for (const path of ['/none', '/other']) await holds(t, app, url + path)
  })

  test(`${way}: what is changed after the start changes nothing`, async (t) => {
    const mutable: LifelineRouteOptions = { ...settings, origins: ['https://app.example'] }
    const { app, url } = await start(t, {
      ...(before && { before }),
      routes: (app) => {
        app.get('/', { websocket: true, config: { lifeline: mutable } }, (_socket, request) => {
          Object.assign(request.routeOptions.config, { lifeline: { origins: false } })
        })
      }
    })
    ;(mutable.origins as string[]).push('https://evil.example')
    mutable.receipts = false
    await holds(t, app, url)
    await holds(t, app, url)
    mutable.origins = false
    await holds(t, app, url)
  })

  test(`${way}: what a later hook makes invalid stops the start, with the route's name`, async (t) => {
    for (const [wrong, said] of [
      [{ origins: {} }, /route \/live, config\.lifeline: option "origins" must be false, an origin/],
      [{ orgins: 'https://app.example' }, /route \/live, config\.lifeline: option "orgins" does not exist/],
      [null, /route \/live, config\.lifeline: the options must be an object \(received null\)/],
      [{ get limits () { throw new Error('no') } }, /route \/live, config\.lifeline: the options cannot be read: Error: no/]
    ] as const) {
      const app = Fastify()
      t.after(() => app.close())
      await before?.(app)
      await app.register(lifeline)
      app.addHook('onRoute', (route) => { route.config = { ...route.config, lifeline: wrong } as never })
      app.get('/live', { websocket: true }, () => {})
      await assert.rejects(async () => { await app.ready() }, { code: 'FST_ERR_LIFELINE_OPTION', message: said })
    }
  })

  test(`${way}: routes of one URL, told apart by constraints, keep their own`, async (t) => {
    const versions = ['1.0.0', '2.0.0'] as const
    const { url } = await start(t, {
      ...(before && { before }),
      routes: (app) => {
        for (const [i, version] of versions.entries()) {
          app.get('/', { websocket: true, constraints: { version }, config: { lifeline: { origins: `https://v${i}.example` } } }, () => {})
        }
        app.get('/', { websocket: true }, () => {})
      }
    })
    for (const [i, version] of versions.entries()) {
      const from = (n: number): object => ({ origin: `https://v${n}.example`, headers: { 'accept-version': version } })
      await connect(t, url, from(i))
      assert.equal((await refused(t, url, from(1 - i))).status, 403)
    }
    await connect(t, url, evil)
  })

  for (const [how, hook] of [['share one config', null], ['say the same, and lose it to a later hook', (app: FastifyInstance) => app.addHook('onRoute', (route) => { delete route.config })]] as const) {
    test(`${way}: routes of one URL that ${how} are served by it`, async (t) => {
      const shared = { lifeline: { origins: ['https://app.example', /^https:\/\/[a-z]+\.app\.example$/] } }
      const { url } = await start(t, {
        ...(before && { before }),
        routes: (app) => {
          hook?.(app)
          for (const version of ['1.0.0', '2.0.0']) {
            const config = hook === null ? shared : { lifeline: { origins: [...shared.lifeline.origins] } }
            app.get('/', { websocket: true, constraints: { version }, config }, () => {})
          }
        }
      })
      for (const version of ['1.0.0', '2.0.0']) {
        const headers = { 'accept-version': version }
        await connect(t, url, { origin: 'https://www.app.example', headers })
        assert.equal((await refused(t, url, { origin: 'https://evil.example', headers })).status, 403)
      }
    })
  }

  test(`${way}: where it cannot be told whose a clone is, nobody is served, and it is reported`, async (t) => {
    const { app, url, errors } = await start(t, {
      ...(before && { before }),
      routes: (app) => {
        app.addHook('onRoute', (route) => { delete route.config })
        for (const version of ['1.0.0', '2.0.0']) {
          app.get('/', { websocket: true, constraints: { version }, config: { lifeline: { origins: `https://v${version[0]}.example` } } }, () => {})
        }
      }
    })
    for (let i = 0; i < 2; i++) {
      const { status, body } = await refused(t, url, { origin: 'https://v1.example', headers: { 'accept-version': '1.0.0' } })
      assert.deepEqual([status, JSON.parse(body).message], [500, 'This upgrade could not be checked'])
    }
    assert.deepEqual(errors().map(({ err }) => err!.code), ['FST_ERR_LIFELINE_OPTION'])
    assert.equal(app.lifeline.stats().opened, 0)
  })
}

test('a route declared before the plugin has its own settings, and its heartbeat its own time', async (t) => {
  const { app, url } = await start(t, {
    options: { heartbeat: { interval: 60_000, timeout: 30_000 } },
    before: async (app) => {
      await app.register(fastifyWebsocket)
      app.get('/early', { websocket: true, config: { lifeline: { ...settings, heartbeat: { interval: 100, timeout: 40 } } } }, () => {})
    },
    routes: (app) => { app.get('/late', { websocket: true }, () => {}) }
  })
  await connect(t, `${url}/late`)
  await holds(t, app, `${url}/early`)
  assert.ok(app.lifeline.heartbeat.bound - 90_000 <= 40, 'the slots are as short as that route needs')
})

test('a route declared before the plugin whose settings are invalid is refused, each time, and reported', async (t) => {
  const { app, url, errors } = await start(t, {
    before: async (app) => {
      await app.register(fastifyWebsocket)
      app.get('/', { websocket: true, config: { lifeline: { origins: '*', receipts: true } } }, () => { assert.fail('the handler ran') })
    }
  })
  const events: unknown[] = []
  app.lifeline.on('error', (connection, error) => { events.push(connection, (error as { code: string }).code) })
  for (let i = 0; i < 2; i++) {
    const { status, body } = await refused(t, url, app1)
    assert.deepEqual([status, JSON.parse(body)], [500, { statusCode: 500, error: 'Internal Server Error', message: 'This upgrade could not be checked' }])
  }
  assert.deepEqual(events, [undefined, 'FST_ERR_LIFELINE_OPTION', undefined, 'FST_ERR_LIFELINE_OPTION'])
  assert.equal(errors().length, 1)
  assert.match(errors()[0]!.msg, /route \/, config\.lifeline: option "origins" must be/)
})

test('routes of plugins that were registered before ours have their own settings, too, and the plugin\'s', async (t) => {
  const { app, url } = await start(t, {
    options: { origins: 'https://app.example', receipts: true },
    before: async (app) => {
      await app.register(fastifyWebsocket)
      await app.register(async (child) => {
        child.get('/child', { websocket: true }, () => {})
        child.get('/own', { websocket: true, config: { lifeline: { origins: 'https://evil.example' } } }, () => {})
      })
    }
  })
  await holds(t, app, `${url}/child`)
  assert.equal((await refused(t, `${url}/own`, app1)).status, 403)
  await connect(t, `${url}/own`, evil)
})

for (const given of [undefined, null, 0, -1, NaN, '1']) {
  test(`websocket.options.maxPayload: ${String(given)} does not lift the limit of messages without a word`, async (t) => {
    const websocket = { options: { maxPayload: given } }
    const app = Fastify()
    t.after(() => app.close())
    if (given === undefined || given === 0) {
      await app.register(lifeline, { websocket: websocket as never })
      assert.equal(app.websocketServer.options.maxPayload, given === 0 ? 0 : 1_048_576, 'ws documents 0 as none')
    } else {
      await assert.rejects(async () => { await app.register(lifeline, { websocket: websocket as never }) }, { code: 'FST_ERR_LIFELINE_OPTION' })
    }
  })
}

for (const name of ['maxFragments', 'maxBufferedChunks']) {
  test(`nor does websocket.options.${name}, what it may be instead`, async (t) => {
    for (const given of [null, -1, NaN, '1']) {
      const app = Fastify()
      t.after(() => app.close())
      await assert.rejects(async () => { await app.register(lifeline, { websocket: { options: { [name]: given } } as never }) }, { code: 'FST_ERR_LIFELINE_OPTION', message: new RegExp(name) })
    }
    const app = Fastify()
    t.after(() => app.close())
    await app.register(lifeline, { websocket: { options: { [name]: undefined } } as never })
    assert.ok(app.websocketServer.options[name as 'maxFragments']! > 0)
  })
}

test('two limits of the payload that are not the same are an error, for one of them would not hold', async (t) => {
  await assert.rejects(start(t, { options: { limits: { payload: 100 }, websocket: { options: { maxPayload: 10_000 } } } }), { code: 'FST_ERR_LIFELINE_OPTION', message: /limits\.payload/ })
  const { app } = await start(t, { options: { limits: { payload: 100 }, websocket: { options: { maxPayload: 100 } } } })
  assert.equal(app.websocketServer.options.maxPayload, 100)
})

test('settings that stand beside config are refused when the route is declared, and the message says where they belong', async (t) => {
  const app = Fastify()
  t.after(() => app.close())
  await app.register(lifeline)
  const misplaced = { websocket: true, lifeline: { heartbeat: false } } as const
  const wrong = { code: 'FST_ERR_LIFELINE_OPTION', message: 'fastify-lifeline: route /live: "lifeline" stands beside config, where nobody reads it; write config: { lifeline: … }' }
  assert.throws(() => app.get('/live', misplaced as never, () => {}), wrong)
  assert.throws(() => app.route({ method: 'GET', url: '/live', handler () {}, wsHandler () {}, ...misplaced } as never), wrong)
})

test('options that are no object fail the registration in words, however Fastify gets them', async (t) => {
  for (const given of [5, 'x', true, [], () => 5, async () => ({ closeTimeout: 1 })]) {
    const app = Fastify()
    t.after(() => app.close())
    await assert.rejects(async () => { await app.register(lifeline, given as never) }, { code: 'FST_ERR_LIFELINE_OPTION', message: /^fastify-lifeline: the options must be an object \(received .+\)$/ })
  }
})
