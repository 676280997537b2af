/**
 * Messages with a schema: what reaches a reader, and what becomes of the rest. What fits is what would fit as a body of the same context.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { setImmediate as turnOver } from 'node:timers/promises'
import fastifyWebsocket from '@fastify/websocket'
import Fastify from 'fastify'
import type { FastifyInstance, FastifySchema, FastifyServerOptions, RouteOptions } from 'fastify'
import type WebSocket from 'ws'
import lifeline from '../../src/index.js'
import type { Connection, InvalidMessageError, LifelineRouteOptions, Message, ParsedMessage } from '../../src/index.js'
import { connect, ended, level, start, until } from '../support/app.js'
import type { App, Setup } from '../support/app.js'

const move = { type: 'object', required: ['to'], properties: { to: { type: 'string', maxLength: 3 }, times: { type: 'integer', default: 1 } }, additionalProperties: false }

/** A route that pushes back each value that it reads. */
function echo (app: FastifyInstance, path: string, options: LifelineRouteOptions, more: object = {}): void {
  app.get(path, { websocket: true, config: { lifeline: options }, ...more }, async (_socket, request) => {
    const connection = app.lifeline.of(request) as Connection<ParsedMessage>
    for await (const { value } of connection.messages()) connection.push({ value })
  })
}

/** What becomes of one message: the value that a reader gets, or the code and reason of the close. */
async function sent (t: TestContext, url: string, data: string | Buffer, options: object = {}): Promise<unknown> {
  const client = await connect(t, url, options)
  const answer = Promise.race([
    once(client, 'message').then(([bytes]) => JSON.parse(String(bytes)).value as unknown),
    once(client, 'close').then(([code, reason]) => `${code}: ${String(reason)}`)
  ])
  client.send(data)
  return await answer
}

const one = (options: LifelineRouteOptions, fastify: FastifyServerOptions = {}): Setup => ({ fastify, routes: (app: FastifyInstance) => { echo(app, '/', options) } })

test('a reader gets the value, with its defaults, coerced, and without what the schema does not know; and the text as it came', async (t) => {
  const got: unknown[] = []
  const { url } = await start(t, {
    routes: (app) => app.get('/', { websocket: true, config: { lifeline: { message: move, codec: 'json' } } }, async (_socket, request) => {
      const connection = app.lifeline.of(request)
      got.push(await connection.next())
      connection.onMessage((message) => { got.push(message) })
    })
  })
  const client = await connect(t, url)
  client.send('{"to":"a1"}')
  client.send('{"to":5,"times":"2","more":{}}')
  await until('both are read', () => got.length === 2)
  assert.deepEqual(got, [
    { data: '{"to":"a1"}', binary: false, value: { to: 'a1', times: 1 } },
    { data: '{"to":5,"times":"2","more":{}}', binary: false, value: { to: '5', times: 2 } }
  ])
})

for (const [what, data, reason] of [
  ['does not fit', '{"to":"abcd"}', 'message/to must NOT have more than 3 characters'],
  ['is no JSON', '{"to":"a1"', 'message is not valid JSON'],
  ['is empty', '', 'message is not valid JSON'],
  ['is binary', Buffer.from('{"to":"a1"}'), 'message must be text, not binary']
] as const) {
  test(`what ${what} closes the connection with 1007, is counted, and is a line at debug at most`, async (t) => {
    const { app, url, lines, closed } = await start(t, one({ message: move }))
    const drops: unknown[] = []
    app.lifeline.on('drop', (_connection, drop) => { drops.push(drop) })
    app.lifeline.on('error', () => { assert.fail('it is no error of the app') })
    const end = ended(app)
    assert.equal(await sent(t, url, data), `1007: ${reason}`)
    await end
    assert.deepEqual(closed.map(({ cause, code, reason }) => [cause, code, reason]), [['invalid', 1007, reason]])
    const { invalid, closed: causes, errors, messages } = app.lifeline.stats()
    assert.deepEqual([invalid, causes.invalid, errors, messages.in], [1, 1, 0, 1])
    assert.deepEqual(drops, [])
    assert.deepEqual(lines.filter((line) => line.level > level.info), [])
    const line = lines.find(({ msg }) => msg === 'lifeline: a message was invalid')!
    assert.deepEqual([line.level, line.why, typeof line.fd, typeof line.reqId], [level.debug, reason, 'number', 'string'])
  })
}

test('a codec alone parses, and any JSON is a value', async (t) => {
  const { url } = await start(t, one({ codec: 'json' }))
  for (const value of [{ a: [1, null] }, 'x', 0, null, false]) assert.deepEqual(await sent(t, url, JSON.stringify(value)), value)
  assert.equal(await sent(t, url, 'x'), '1007: message is not valid JSON')
})

// What peers send to see what happens, and everyday messages; as bodies they are the judge of.
const hostile = [
  '{"to":"a1"}', '{"to":"a1","times":"7"}', '{"to":"a1","times":7.5}', '{"to":"a1","times":true}', '{"to":["a1"]}', '{"to":null}', '{"to":"a1","to":"b2"}', '{"times":1}',
  '{"to":"a1","__proto__":{"times":9}}', '{"__proto__":{"to":"a1"}}', '{"\\u005f_proto__":{"to":"a1"}}', '{"to":"a1","x":{"y":{"__proto__":null}}}',
  '{"to":"a1","constructor":{"prototype":{"times":9}}}', '{"to":"a1","constructor":5}', '{"to":"a1","x":[{"constructor":{"prototype":1}}]}', '{"to":"__proto__"}', '{"to":"a1","toString":1,"hasOwnProperty":1}',
  '{"to":"a1","times":1e400}', '{"to":"a1","times":-1e400}', '{"to":"a1","times":9007199254740993}', `{"to":"a1","times":1${'0'.repeat(400)}}`, '{"to":"a1","times":1e-400}', '{"to":"a1","times":-0}', `{"to":"a1","times":0.${'1'.repeat(5000)}}`,
  '{"to":"\\ud800"}', '{"to":"\\udc00\\ud800"}', '{"to":"\\ud83d\\ude00"}', '{"to":"\\u0000"}', '{"\\ud800":1,"to":"a"}',
  '\ufeff{"to":"a1"}', ' {"to":"a1"} ', '{"to":"a1"},', '{"to":"a1"}{}', "{'to':'a1'}", '{to:1}', '{"to":"a1",}', '// x\n{"to":"a1"}', '', ' ', 'null', 'true', '5', '"a1"', '[]', '[{"to":"a1"}]', 'NaN', 'Infinity', 'undefined', '\u0000',
  `{"to":"a1","x":${'['.repeat(500)}${']'.repeat(500)}}`, '['.repeat(50_000), `${'{"a":'.repeat(500)}1${'}'.repeat(500)}`
]

const settings: Record<string, FastifyServerOptions> = {
  'as Fastify comes': {},
  'that removes what could poison a prototype': { onProtoPoisoning: 'remove', onConstructorPoisoning: 'remove' },
  'that lets it through': { onProtoPoisoning: 'ignore', onConstructorPoisoning: 'ignore' },
  'whose ajv coerces nothing, removes nothing, and finds all errors': { ajv: { customOptions: { coerceTypes: false, removeAdditional: false, useDefaults: false, allErrors: true } } }
}

for (const [how, fastify] of Object.entries(settings)) {
  test(`a message is taken, and becomes, what the same body would, on a server ${how}`, async (t) => {
    const schemas = { move, any: {}, number: { type: 'integer' }, list: { type: 'array', items: move }, text: { type: 'string', minLength: 1 } }
    const { app, url } = await start(t, {
      fastify,
      routes: (app) => {
        for (const [name, schema] of Object.entries(schemas)) {
          const seen: string[] = []
          app.post(`/${name}`, { schema: { body: schema } }, async ({ body }) => ({ value: body }))
          app.get(`/${name}`, { websocket: true, config: { lifeline: { message: schema, onInvalid: (connection, { message }) => { connection.push({ refused: message }) } } } }, (_socket, request) => {
            const connection = app.lifeline.of(request)
            connection.onMessage(({ value }) => { seen.push('x'); connection.push({ value }) })
          })
        }
      }
    })
    let taken = 0
    for (const name of Object.keys(schemas)) {
      const client = await connect(t, `${url}/${name}`)
      for (const payload of hostile) {
        const { statusCode, body } = await app.inject({ method: 'POST', url: `/${name}`, payload, headers: { 'content-type': 'application/json' } })
        client.send(payload)
        const [bytes] = await once(client, 'message')
        const answer = JSON.parse(String(bytes)) as { refused?: string, value?: unknown }
        const said = `${name}: ${payload.slice(0, 80)}: ${body.slice(0, 200)}, and ${String(bytes).slice(0, 200)}`
        assert.equal('refused' in answer, statusCode === 400, said)
        if (statusCode === 200) {
          taken++
          assert.equal(String(bytes), body, said)
        } else if (body.includes('"FST_ERR_VALIDATION"')) {
          assert.equal(answer.refused, JSON.parse(body).message.replaceAll(/body(?=[/ ])/g, 'message'), said)
        } else {
          assert.equal(answer.refused, 'message is not valid JSON', said)
        }
      }
    }
    assert.ok(taken > 40, `${taken} were taken`)
    assert.equal(({} as { times?: number }).times, undefined)
  })
}

test('a value as deep as it can be sent is taken if the schema takes it; a schema that goes as deep refuses it, and nobody is to blame but the peer', async (t) => {
  const deep = `${'['.repeat(200_000)}${']'.repeat(200_000)}`
  const depths: number[] = []
  const { app, url, errors, closed } = await start(t, {
    routes: (app) => {
      app.get('/any', { websocket: true, config: { lifeline: { codec: 'json' } } }, (_socket, request) => {
        app.lifeline.of(request).onMessage(({ value }) => {
          let depth = 0
          for (let inner = value; Array.isArray(inner); inner = inner[0]) depth++
          depths.push(depth)
        })
      })
      echo(app, '/tree', { message: { $id: 'tree', type: 'array', items: { $ref: '#' } } })
    }
  })
  const client = await connect(t, `${url}/any`)
  client.send(deep)
  await until('it is read', () => depths.length === 1)
  assert.deepEqual(depths, [200_000])
  assert.deepEqual(await sent(t, `${url}/tree`, '[[],[[]]]'), [[], [[]]])
  assert.equal(await sent(t, `${url}/tree`, deep), '1007: message is nested too deeply')
  await until('they are over', () => closed.length >= 1)
  assert.deepEqual(errors(), [])
  assert.equal(app.lifeline.stats().errors, 0)
})

test('a reason is cut to what a close frame has room for, whatever the peer has put in it', async (t) => {
  const { url } = await start(t, one({ message: { type: 'object', additionalProperties: { type: 'number' } } }))
  for (const key of ['€'.repeat(200), '\ud800'.repeat(100), '"/~\u0000'.repeat(50), 'x'.repeat(100_000)]) {
    const answer = await sent(t, url, JSON.stringify({ [key]: {} })) as string
    assert.match(answer, /^1007: message\//)
    assert.ok(Buffer.byteLength(answer) <= 123 + 6)
  }
})

// Where a schema is compiled.

test('the compiler is that of the route\'s context, with its shared schemas, whenever they were added', async (t) => {
  const { url } = await start(t, {
    routes: async (app) => {
      app.addSchema({ $id: 'name', type: 'string', maxLength: 1 })
      // Has the compiler of the parent made, without what is added later.
      app.post('/early', { schema: { body: { $ref: 'name#' } } }, async () => {})
      echo(app, '/outer', { message: { $ref: 'name#' } })
      await app.register(async (child) => {
        echo(child, '/inner', { message: { type: 'object', properties: { name: { $ref: 'name#' }, late: { $ref: 'late#' } } } })
        await turnOver()
        child.addSchema({ $id: 'late', type: 'integer' })
      })
      await app.register(async (other) => {
        other.addSchema({ $id: 'late', type: 'boolean' })
        echo(other, '/other', { message: { type: 'array', items: { $ref: 'late#' } } })
      })
    }
  })
  assert.equal(await sent(t, `${url}/outer`, '"x"'), 'x')
  assert.match(await sent(t, `${url}/outer`, '"xy"') as string, /^1007/)
  assert.deepEqual(await sent(t, `${url}/inner`, '{"name":"x","late":1}'), { name: 'x', late: 1 })
  assert.equal(await sent(t, `${url}/inner`, '{"name":"x","late":"y"}'), '1007: message/late must be integer')
  assert.deepEqual(await sent(t, `${url}/other`, '[true]'), [true])
  assert.equal(await sent(t, `${url}/other`, '[5]'), '1007: message/0 must be boolean')
})

/** What zod looks like to an app, in five lines. */
class Shape<T> {
  readonly parse: (value: unknown) => T
  constructor (parse: (value: unknown) => T) { this.parse = parse }
  safeParse (value: unknown): object {
    try { return { success: true, data: this.parse(value) } } catch (error) { return { success: false, error } }
  }
}
const date = new Shape((value) => {
  const date = new Date(String(value))
  if (Number.isNaN(date.getTime())) throw new TypeError('is no date')
  return { year: date.getUTCFullYear() }
})
const compilers = {
  'an error': ({ schema }: { schema: unknown }) => (value: unknown) => {
    const { success, data, error } = (schema as Shape<unknown>).safeParse(value) as { success: boolean, data: unknown, error: Error }
    return success ? { value: data } : { error }
  },
  'a list of issues': ({ schema }: { schema: unknown }) => (value: unknown) => {
    const { success, data, error } = (schema as Shape<unknown>).safeParse(value) as { success: boolean, data: unknown, error: Error }
    return success ? { value: data } : { error: [{ keyword: 'custom', instancePath: '', schemaPath: '#', params: {}, message: error.message }] }
  }
}

for (const [what, compiler] of Object.entries(compilers)) {
  for (const [where, set] of [
    ['the server', (app: FastifyInstance) => { app.setValidatorCompiler(compiler as never); echo(app, '/', { message: date }) }],
    ['a context', async (app: FastifyInstance) => {
      await app.register(async (child) => { child.setValidatorCompiler(compiler as never); echo(child, '/', { message: date }) })
    }],
    ['the route', (app: FastifyInstance) => { echo(app, '/', { message: date }, { validatorCompiler: compiler }) }]
  ] as const) {
    test(`a schema of any kind works where the compiler of ${where} knows it, and its errors are ${what}`, async (t) => {
      const { url } = await start(t, { routes: set })
      assert.deepEqual(await sent(t, url, '"2026-11-27"'), { year: 2026 })
      assert.equal(await sent(t, url, '"soon"'), `1007: ${what === 'an error' ? '' : 'message '}is no date`)
    })
  }
}

test('the compiler is told as for a body', async (t) => {
  const told: object[] = []
  await start(t, one({ message: move }, { schemaController: { compilersFactory: { buildValidator: () => (route: object) => { told.push(route); return () => true } } } } as never))
  assert.deepEqual(told, [{ schema: move, method: 'GET', url: '/', httpPart: 'body' }])
})

test('what fluent-json-schema builds is a schema', async (t) => {
  for (const mark of ['isFluentSchema', Symbol.for('fluent-schema-object')]) {
    const { url } = await start(t, one({ message: { [mark]: true, valueOf: () => ({ type: 'string' }) } }))
    assert.equal(await sent(t, url, '"x"'), 'x')
    assert.equal(await sent(t, url, '[[]]'), '1007: message must be string')
  }
})

for (const [what, message, said] of [
  ['does not compile', { type: 'nothing' }, /^fastify-lifeline: route \/live, config\.lifeline: option "message" must be a schema that compiles: Error: schema is invalid/],
  ['refers to what is not there', { $ref: 'nowhere#' }, /route \/live, config\.lifeline: option "message" must be a schema that compiles: \w*Error: can't resolve reference nowhere#/],
  ['is asynchronous', { $async: true, type: 'object' }, /route \/live, config\.lifeline: option "message" must have a validator that answers at once \(received a schema with \$async\)/]
] as const) {
  test(`a schema that ${what} stops the start, with the name of the route`, async (t) => {
    const app = Fastify()
    t.after(() => app.close())
    await app.register(lifeline)
    echo(app, '/live', { message })
    await assert.rejects(async () => { await app.ready() }, { code: 'FST_ERR_LIFELINE_OPTION', message: said })
  })
}

for (const [given, said] of [[undefined, 'undefined'], [null, 'null'], [{}, 'object']] as const) {
  test(`a compiler that gives ${said} stops the start`, async (t) => {
    const app = Fastify()
    t.after(() => app.close())
    await app.register(lifeline)
    echo(app, '/live', { message: move }, { validatorCompiler: () => given })
    await assert.rejects(async () => { await app.ready() }, { code: 'FST_ERR_LIFELINE_OPTION', message: `fastify-lifeline: route /live, config.lifeline: option "message" must be a schema that compiles (its validatorCompiler gave ${said}, not a function)` })
  })
}

test('a schema that throws when it is looked at stops the start', async (t) => {
  const { proxy, revoke } = Proxy.revocable({}, {})
  const app = Fastify()
  t.after(() => app.close())
  await app.register(lifeline)
  echo(app, '/live', { message: proxy })
  revoke()
  await assert.rejects(async () => { await app.ready() }, { code: 'FST_ERR_LIFELINE_OPTION', message: /route \/live/ })
})

test('the same path over HTTP is as without us: no body is asked for, whatever the request says that it has', async (t) => {
  const { app } = await start(t, {
    routes: (app) => {
      app.route({ method: 'GET', url: '/both', config: { lifeline: { message: move } }, handler: async ({ routeOptions: { schema } }) => ({ schema: Object.keys(schema ?? {}) }), wsHandler () {} })
      app.route({ method: 'GET', url: '/more', schema: { querystring: { type: 'object', required: ['q'] } }, config: { lifeline: { message: move } }, handler: async () => 'ok', wsHandler () {} })
      echo(app, '/ws', { message: move })
    }
  })
  for (const method of ['GET', 'HEAD'] as const) {
    for (const type of [undefined, 'application/json', 'text/plain', '__proto__', 'constructor', 'toString/x', '']) {
      const headers = type === undefined ? {} : { 'content-type': type }
      assert.equal((await app.inject({ method, url: '/both', headers })).statusCode, 200, type)
      assert.equal((await app.inject({ method, url: '/more?q=1', headers })).statusCode, 200, type)
      assert.equal((await app.inject({ method, url: '/more', headers })).statusCode, 400, type)
      assert.equal((await app.inject({ method, url: '/ws', headers })).statusCode, 404, type)
    }
  }
})

test('whoever documents routes finds no body of theirs', async (t) => {
  const seen: RouteOptions[] = []
  const schema = { summary: 'moves' } as FastifySchema
  await start(t, {
    before: (app) => { app.addHook('onRoute', (route) => { seen.push(route) }) },
    routes: (app) => {
      app.route({ method: 'GET', url: '/both', schema, config: { lifeline: { message: move } }, handler: async () => {}, wsHandler () {} })
      echo(app, '/ws', { message: move })
    }
  })
  const found = seen.filter(({ method }) => method === 'GET').map((route) => route.schema)
  assert.deepEqual([...found, schema].map((one) => Object.keys(one!)), [['summary'], ['hide'], ['summary']])
})

test('an upgrade may say that it has a body of any type', async (t) => {
  const { url } = await start(t, one({ message: move }))
  for (const type of ['application/json', '__proto__', 'constructor']) {
    assert.deepEqual(await sent(t, url, '{"to":"a1"}', { headers: { 'content-type': type } }), { to: 'a1', times: 1 })
  }
})

// Where a route's settings come from.

test('a route declared before the plugin validates, and one whose schema does not compile is refused and reported', async (t) => {
  const { url, errors } = await start(t, {
    before: async (app) => {
      await app.register(fastifyWebsocket)
      app.addSchema({ $id: 'name', type: 'string' })
      for (const [path, message] of [['/early', { $ref: 'name#' }], ['/wrong', { $ref: 'nowhere#' }]] as const) {
        app.get(path, { websocket: true, config: { lifeline: { message } } }, async (_socket, request) => {
          const connection = app.lifeline.of(request) as Connection<ParsedMessage>
          for await (const { value } of connection.messages()) connection.push({ value })
        })
      }
    }
  })
  assert.equal(await sent(t, `${url}/early`, '"x"'), 'x')
  assert.equal(await sent(t, `${url}/early`, '[[]]'), '1007: message must be string')
  await assert.rejects(connect(t, `${url}/wrong`), /500/)
  assert.match(errors()[0]!.msg, /route \/wrong, config\.lifeline: option "message" must be a schema that compiles/)
})

const later: Record<string, (route: { config?: any, schema?: any }) => void> = {
  'puts a copy in its place': (route) => { route.config = structuredClone(route.config) },
  'replaces it, and knows nothing of us': (route) => { route.config = { rateLimit: { max: 5 } } },
  'replaces ours by one that says less': (route) => { route.config = { ...route.config, lifeline: { maxAge: 60_000 } } },
  'makes a getter of ours': (route) => {
    const { lifeline } = route.config
    route.config = { get lifeline () { return { ...lifeline } } }
  },
  'takes its schema away': (route) => { delete route.schema },
  'replaces its schema': (route) => { route.schema = { hide: true } }
}
for (const [what, hook] of Object.entries(later)) {
  test(`the schema holds though a later hook ${what}`, async (t) => {
    const { url } = await start(t, {
      routes: (app) => {
        app.addHook('onRoute', (route) => { if (route.method === 'GET') hook(route) })
        echo(app, '/', { message: move })
      }
    })
    assert.deepEqual(await sent(t, url, '{"to":"a1"}'), { to: 'a1', times: 1 })
    assert.match(await sent(t, url, '{}') as string, /^1007/)
  })
}

test('routes of one URL that share one config have the schemas of their contexts', async (t) => {
  const config = { lifeline: { message: { $ref: 'name#' } } }
  const { url } = await start(t, {
    routes: async (app) => {
      for (const [i, type] of ['integer', 'boolean'].entries()) {
        await app.register(async (child) => {
          child.addSchema({ $id: 'name', type })
          child.get('/', { websocket: true, constraints: { version: `${i + 1}.0.0` }, config }, async (_socket, request) => {
            const connection = app.lifeline.of(request)
            for await (const { value } of connection.messages()) connection.push({ value })
          })
        })
      }
    }
  })
  const from = (version: string): object => ({ headers: { 'accept-version': version } })
  assert.equal(await sent(t, url, '5', from('1.0.0')), 5)
  assert.equal(await sent(t, url, '5', from('2.0.0')), '1007: message must be boolean')
  assert.equal(await sent(t, url, 'true', from('2.0.0')), true)
})

test('what a later hook sets for all routes holds', async (t) => {
  const { url } = await start(t, {
    routes: (app) => {
      app.addHook('onRoute', (route) => { if (route.websocket === true) route.config = { ...route.config, lifeline: { message: { type: 'string' } } } })
      echo(app, '/', { message: move })
      echo(app, '/none', {})
    }
  })
  for (const path of ['/', '/none']) assert.equal(await sent(t, url + path, '"x"'), 'x')
})

// When it is validated, and by whom.

test('what comes before the reader is validated when it is read, in order, and what follows an invalid one is read by nobody', async (t) => {
  let release!: () => void
  const got: unknown[] = []
  const { app, url } = await start(t, {
    routes: (app) => app.get('/', { websocket: true, config: { lifeline: { message: { type: 'integer' } } } }, async (_socket, request) => {
      const connection = app.lifeline.of(request)
      await new Promise<void>((resolve) => { release = resolve })
      for await (const { value } of connection.messages()) got.push(value)
      got.push('end')
    })
  })
  const client = await connect(t, url)
  for (const text of ['1', '2', '"x"', '3', '4']) client.send(text)
  await until('all have come', () => app.lifeline.stats().messages.in === 5)
  assert.equal(app.lifeline.stats().invalid, 0)
  const end = ended(app)
  release()
  assert.equal((await end).cause, 'invalid')
  await until('the loop has ended', () => got.at(-1) === 'end')
  assert.deepEqual(got, [1, 2, 'end'])
  const { invalid, dropped } = app.lifeline.stats()
  assert.deepEqual([invalid, dropped.unread], [1, 2])
})

test('calls of next that overlap are answered in their order, whatever is invalid between', async (t) => {
  let got: unknown[] | undefined
  const { url } = await start(t, {
    routes: (app) => app.get('/', { websocket: true, config: { lifeline: { message: { type: 'integer' }, onInvalid: async () => { await turnOver() } } } }, async (_socket, request) => {
      const messages = app.lifeline.of(request).messages()
      const results = await Promise.all([1, 2, 3, 4].map(() => messages.next()))
      got = results.map(({ value }) => (value as ParsedMessage).value)
      await messages.return!()
      assert.deepEqual(await messages.next(), { done: true, value: undefined })
    })
  })
  const client = await connect(t, url)
  for (const text of ['"x"', '1', 'x', '""', '2', '3', 'y', '4']) client.send(text)
  await until('four are read', () => got !== undefined)
  assert.deepEqual(got, [1, 2, 3, 4])
})

test('a reader that leaves while it waits for a message comes to its end at once', async (t) => {
  let result: unknown
  const { url } = await start(t, {
    routes: (app) => app.get('/', { websocket: true, config: { lifeline: { message: move } } }, async (_socket, request) => {
      const messages = app.lifeline.of(request).messages()
      const next = messages.next()
      await messages.return!()
      result = await next
    })
  })
  await connect(t, url)
  await until('it has ended', () => result !== undefined)
  assert.deepEqual(result, { done: true, value: undefined })
})

test('next() passes over what onInvalid has answered, and gives null when an invalid one has ended the connection', async (t) => {
  const got: unknown[] = []
  const { url } = await start(t, {
    routes: (app) => {
      app.get('/answers', { websocket: true, config: { lifeline: { message: { type: 'integer' }, onInvalid () {} } } }, async (_socket, request) => {
        got.push((await app.lifeline.of(request).next())?.value)
      })
      app.get('/closes', { websocket: true, config: { lifeline: { message: { type: 'integer' } } } }, async (_socket, request) => {
        got.push(await app.lifeline.of(request).next())
      })
    }
  })
  const client = await connect(t, `${url}/answers`)
  client.send('"x"')
  client.send('5')
  await until('it is read', () => got.length === 1)
  ;(await connect(t, `${url}/closes`)).send('"x"')
  await until('it is over', () => got.length === 2)
  assert.deepEqual(got, [5, null])
})

test('the listeners of the socket get everything as it came', async (t) => {
  const got: string[] = []
  const { app, url } = await start(t, {
    routes: (app) => app.get('/', { websocket: true, config: { lifeline: { message: move } } }, (socket) => {
      socket.on('message', (data) => { got.push(String(data)) })
    })
  })
  const client = await connect(t, url)
  client.send('{"to":5}')
  client.send('x')
  await until('both have come', () => got.length === 2)
  assert.deepEqual([got, app.lifeline.stats().invalid, client.readyState], [['{"to":5}', 'x'], 0, client.OPEN])
})

// The app's own answer.

interface Called { error: InvalidMessageError, message: Message, connection: Connection }

async function answering (t: TestContext, onInvalid: (connection: Connection, error: InvalidMessageError, message: Message) => unknown, fastify: FastifyServerOptions = {}): Promise<App & { client: WebSocket, calls: Called[], values: unknown[] }> {
  const calls: Called[] = []
  const values: unknown[] = []
  const app = await start(t, {
    fastify,
    routes: (app) => app.get('/', {
      websocket: true,
      config: {
        lifeline: {
          message: move,
          onInvalid: (connection, error, message) => {
            calls.push({ connection, error, message })
            return onInvalid(connection, error, message)
          }
        }
      }
    }, (_socket, request) => {
      app.lifeline.of(request).onMessage(({ value }) => { values.push(value) })
    })
  })
  return { ...app, client: await connect(t, app.url), calls, values }
}

test('with onInvalid the connection stays, and the app has what it needs to answer', async (t) => {
  const { app, client, calls, values } = await answering(t, (connection, { message, validation }) => connection.push({ error: message, at: validation?.[0]?.instancePath }))
  const answers: unknown[] = []
  client.on('message', (data) => { answers.push(JSON.parse(String(data))) })
  client.send('{"to":{}}')
  client.send('x')
  client.send(Buffer.from([1, 2]))
  client.send('{"to":"a1"}')
  await until('the last is read', () => values.length === 1)
  await until('all are answered', () => answers.length === 3)
  assert.deepEqual(answers, [{ error: 'message/to must be string', at: '/to' }, { error: 'message is not valid JSON' }, { error: 'message must be text, not binary' }])
  assert.deepEqual(calls.map(({ message }) => message), [{ data: '{"to":{}}', binary: false }, { data: 'x', binary: false }, { data: Buffer.from([1, 2]), binary: true }])
  assert.deepEqual(calls.map(({ connection }) => connection), Array(3).fill([...app.lifeline][0]))
  const { invalid, closed, errors } = app.lifeline.stats()
  assert.deepEqual([invalid, closed.invalid, errors, client.readyState], [3, 0, 0, client.OPEN])
})

test('the next message waits for the promise of onInvalid', async (t) => {
  const log: string[] = []
  let go!: () => void
  const { client, values } = await answering(t, async () => {
    log.push('asked')
    await new Promise<void>((resolve) => { go = resolve })
    log.push('answered')
  })
  client.send('x')
  client.send('{"to":"a1"}')
  await until('it is asked', () => log.length === 1)
  for (let i = 0; i < 10; i++) await turnOver()
  assert.deepEqual(values, [])
  go()
  await until('the next is read', () => values.length === 1)
  assert.deepEqual(log, ['asked', 'answered'])
})

for (const [how, fails] of [
  ['throws', () => { throw new Error('asked for') }],
  ['rejects with', async () => { await turnOver(); throw new Error('asked for') }],
  ['rejects with, as a thenable of its own kind,', () => ({ then (_: unknown, reject: (error: Error) => void) { reject(new Error('asked for')) } })]
] as const) {
  test(`what onInvalid ${how} is a failure of the app's, and ends that connection with 1011`, async (t) => {
    const { app, client, values, errors, closed } = await answering(t, fails)
    const other = await connect(t, `ws://127.0.0.1:${(app.server.address() as { port: number }).port}`)
    const end = ended(app)
    client.send('x')
    client.send('{"to":"a1"}')
    assert.deepEqual([(await end).cause, closed[0]!.code], ['handler', 1011])
    assert.deepEqual(errors().map(({ err, msg }) => [err!.message, msg]), [['asked for', 'lifeline: the handler of a connection failed']])
    assert.deepEqual([values, other.readyState, app.lifeline.stats().errors], [[], other.OPEN, 1])
  })
}

test('onInvalid may close it, with a code of its own, and nothing more is read', async (t) => {
  const { app, client, calls, values } = await answering(t, (connection) => { connection.close(4400, 'no') })
  const end = ended(app)
  for (const text of ['x', 'y', '{"to":"a1"}']) client.send(text)
  const { cause, code } = await end
  assert.deepEqual([cause, code, calls.length, values], ['server', 4400, 1, []])
})

test('a validator that throws is a failure of the app\'s', async (t) => {
  const { app, url, errors } = await start(t, { routes: (app) => { echo(app, '/', { message: move }, { validatorCompiler: () => () => { throw new Error('asked for') } }) } })
  assert.equal(await sent(t, url, '{}'), '1011: ')
  assert.deepEqual(errors().map(({ err }) => err!.message), ['asked for'])
  assert.deepEqual([app.lifeline.stats().invalid, app.lifeline.stats().errors], [0, 1])
})

test('so is one that answers with a promise: it says so, and its rejection reaches nobody', async (t) => {
  const { url, errors } = await start(t, { routes: (app) => { echo(app, '/live', { message: move }, { validatorCompiler: () => async () => { throw new Error('later') } }) } })
  assert.equal(await sent(t, `${url}/live`, '{}'), '1011: ')
  assert.deepEqual(errors().map(({ err }) => [err!.code, err!.message]), [['FST_ERR_LIFELINE_OPTION', 'fastify-lifeline: route /live, config.lifeline: option "message" must have a validator that answers at once (received a Promise)']])
})

// Floods.

test('a flood of invalid messages ends at the first: no other is looked at', async (t) => {
  let compared = 0
  const { app, url, closed, lines } = await start(t, {
    routes: (app) => { echo(app, '/', { message: move }, { validatorCompiler: () => () => { compared++; return false } }) }
  })
  const client = await connect(t, url)
  const end = ended(app)
  for (let i = 0; i < 20_000; i++) client.send('{}')
  await end
  assert.deepEqual([compared, app.lifeline.stats().invalid, closed[0]!.cause], [1, 1, 'invalid'])
  assert.equal(lines.filter(({ msg }) => msg === 'lifeline: a message was invalid').length, 1)
})

test('a flood that onInvalid answers leaves all others their turn', async (t) => {
  const { app, client, calls } = await answering(t, () => {}, { logger: false })
  const FLOOD = 20_000
  for (let i = 0; i < FLOOD; i++) client.send('x')
  let most = 0
  while (calls.length < FLOOD) {
    const before = calls.length
    await turnOver()
    most = Math.max(most, calls.length - before)
  }
  // What a reader has in one turn: 256 KiB, with what it costs to hold it.
  assert.ok(most < 4_000, `${most} in one turn`)
  assert.equal(app.lifeline.stats().invalid, FLOOD)
})

// Slips.

for (const [what, given, said] of [
  ['message', { message: true }, 'option "message" must be a schema (an object) (received true)'],
  ['message', { message: 'string' }, 'option "message" must be a schema (an object) (received "string")'],
  ['message', { message: null }, 'option "message" must be a schema (an object) (received null)'],
  ['message', { message: [] }, 'option "message" must be a schema (an object) (received an array)'],
  ['codec', { codec: 'msgpack' }, 'option "codec" must be one of json (received "msgpack")'],
  ['codec', { codec: false }, 'option "codec" must be one of json (received false)'],
  ['onInvalid', { message: {}, onInvalid: true }, 'option "onInvalid" must be a function (received true)'],
  ['onInvalid', { onInvalid () {} }, 'option "onInvalid" must stand beside "message" or "codec", for else no message is invalid (received a function)'],
  ['schema', { schema: {} }, 'option "schema" does not exist (received an object); known here: heartbeat, receipts, fragments, origins, maxAge, limits, message, codec, onInvalid, on']
] as const) {
  test(`a wrong ${what} throws when the route is declared: ${said}`, async (t) => {
    const app = Fastify()
    t.after(() => app.close())
    await app.register(lifeline)
    assert.throws(() => { echo(app, '/live', given as never) }, { code: 'FST_ERR_LIFELINE_OPTION', message: `fastify-lifeline: route /live, config.lifeline: ${said}` })
  })
}

/** What a client of ours may put behind an invalid message: more, and that it has left. */
for (const end of ['nothing', 'a close frame', 'a reset'] as const) {
  for (const [what, options] of [
    ['closes', {}],
    ['is answered by what throws', { onInvalid () { throw new Error('boom') } }],
    ['is answered by a close', { onInvalid (connection: Connection) { connection.close(4400) } }],
    ['is answered by an end', { onInvalid (connection: Connection) { connection.terminate() } }]
  ] as const) {
    test(`nothing behind an invalid message is read, with ${end} behind it, where that ${what}`, async (t) => {
      const values: unknown[] = []
      const { app, url } = await start(t, {
        routes: (app) => app.get('/', { websocket: true, config: { lifeline: { message: move, ...options } as LifelineRouteOptions } }, (_socket, request) => {
          app.lifeline.of(request).onMessage(({ data }) => { values.push(data) })
        })
      })
      const over = ended(app)
      const client = await connect(t, url)
      const [connection] = app.lifeline
      connection!.pauseReading()
      for (const text of ['{"to":"a"}', 'junk', '{"to":"b"}', '{"to":"c"}']) client.send(text)
      if (end === 'a close frame') client.close()
      if (end === 'a reset') await new Promise((resolve) => { client.send('{"to":"d"}', resolve) })
      if (end === 'a reset') client.terminate()
      await turnOver()
      connection!.resumeReading()
      await over
      for (let i = 0; i < 10; i++) await turnOver()
      assert.deepEqual(values, ['{"to":"a"}'])
    })
  }
}

test('one invalid message is answered after the other, also when the client has left', async (t) => {
  let atOnce = 0
  let most = 0
  const { app, client, calls } = await answering(t, async () => {
    most = Math.max(most, ++atOnce)
    await new Promise((resolve) => { setTimeout(resolve, 20) })
    atOnce--
  })
  const over = ended(app)
  for (let i = 0; i < 5; i++) client.send('junk')
  client.close()
  await over
  await until('all are answered', () => calls.length === 5 && atOnce === 0)
  assert.equal(most, 1)
})
