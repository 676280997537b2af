/**
 * What a preClose hook of the app's may still send: a goodbye to everybody, whether it was registered before this plugin or after it,
 * and whoever registered @fastify/websocket. It comes before the close frame.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import fastifyWebsocket from '@fastify/websocket'
import Fastify from 'fastify'
import type { FastifyInstance, FastifyServerOptions } from 'fastify'
import WebSocket from 'ws'
import lifeline from '../../src/index.js'
import type { CloseInfo, LifelineOptions } from '../../src/index.js'
import { connect, keepLog, level, until } from '../support/app.js'
import { refused } from '../support/refused.js'

type Hook = (app: FastifyInstance) => unknown

interface Place {
  /** Whether the app registers @fastify/websocket. */
  theirs: boolean
  /** Behind what the hook is registered; child: in a context of its own, before the plugin or after it. */
  at: 'nothing' | 'child before' | 'theirs' | 'ours' | 'child after'
}

const places: Record<string, Place> = {
  'before the plugin': { theirs: false, at: 'nothing' },
  'after the plugin': { theirs: false, at: 'ours' },
  'before the plugin, in a context of its own': { theirs: false, at: 'child before' },
  'before the app\'s @fastify/websocket': { theirs: true, at: 'nothing' },
  'between the app\'s @fastify/websocket and the plugin': { theirs: true, at: 'theirs' },
  'after the plugin, which comes after the app\'s @fastify/websocket': { theirs: true, at: 'ours' }
}

interface Setup { options?: LifelineOptions, fastify?: FastifyServerOptions, host?: string | null, onClose?: Hook }

async function begin (t: TestContext, { theirs, at }: Place, hook: Hook, { options = {}, fastify = {}, host = '127.0.0.1', onClose }: Setup = {}) {
  const { stream, lines } = keepLog()
  const app = Fastify({ logger: { level: 'debug', stream }, ...fastify } as FastifyServerOptions) as unknown as FastifyInstance
  t.after(() => app.close().catch(() => {}))
  const preClose = async (): Promise<void> => { await hook(app) }
  const child = async (): Promise<void> => { await app.register(async (child) => { child.addHook('preClose', preClose) }) }
  if (at === 'nothing') app.addHook('preClose', preClose)
  if (at === 'child before') await child()
  if (theirs) await app.register(fastifyWebsocket)
  if (at === 'theirs') app.addHook('preClose', preClose)
  await app.register(lifeline, options)
  if (at === 'ours') app.addHook('preClose', preClose)
  if (at === 'child after') await child()
  if (onClose !== undefined) app.addHook('onClose', async () => { await onClose(app) })
  const closed: CloseInfo[] = []
  app.lifeline.on('close', (_connection, info) => { closed.push(info) })
  app.get('/', { websocket: true }, (_socket, request) => { app.lifeline.of(request).join('all') })
  if (host === null) await app.ready()
  else await app.listen({ port: 0, host })
  const { port } = (app.server.address() ?? {}) as Partial<AddressInfo>
  return { app, url: `ws://${host}:${port}`, closed, errors: () => lines.filter((line) => line.level >= level.error) }
}

/** All that a client gets, its close code at the end. */
function gets (client: WebSocket): { all: unknown[], over: Promise<unknown> } {
  const all: unknown[] = []
  client.on('message', (data) => { all.push(String(data)) })
  client.on('close', (code) => { all.push(code) })
  return { all, over: once(client, 'close') }
}

const say: Record<string, (app: FastifyInstance) => unknown> = {
  broadcast: (app) => { assert.equal(app.lifeline.broadcast('goodbye'), 2) },
  'group(name).push': (app) => { assert.equal(app.lifeline.group('all').push('goodbye'), 2) },
  'connection.push': (app) => { for (const connection of app.lifeline) connection.push('goodbye') },
  'group(name).deliver': async (app) => { assert.equal((await app.lifeline.group('all').deliver('goodbye', { timeout: 2000 })).delivered, 2) },
  'socket.send': (app) => { for (const client of app.websocketServer.clients) client.send('goodbye') }
}

for (const [name, place] of Object.entries(places)) {
  for (const [verb, goodbye] of Object.entries(say)) {
    for (const late of verb === 'broadcast' ? [false, true] : [true]) {
      test(`a preClose hook ${name}: ${verb}${late ? ', after an await' : ''} comes before the close frame`, { timeout: 10_000 }, async (t) => {
        const { app, url, closed, errors } = await begin(t, place, async (app) => {
          if (late) await sleep(50)
          await goodbye(app)
        })
        const clients = [gets(await connect(t, url)), gets(await connect(t, url))]
        await app.close()
        await Promise.all(clients.map(({ over }) => over))
        assert.deepEqual(clients.map(({ all }) => all), [['goodbye', 1012], ['goodbye', 1012]])
        assert.deepEqual(closed.map(({ cause, code }) => [cause, code]), [['shutdown', 1012], ['shutdown', 1012]])
        assert.deepEqual(errors(), [])
      })
    }
  }

  test(`a preClose hook ${name}: who comes while it runs gets a 503, and who is there can be talked with`, { timeout: 10_000 }, async (t) => {
    const refusals: number[] = []
    let url = ''
    let heard = ''
    const begun = await begin(t, place, async (app) => {
      const client = new WebSocket(url)
      client.on('error', () => {})
      client.on('unexpected-response', (_request, response) => { refusals.push(response.statusCode!) })
      client.on('open', () => { refusals.push(101) })
      const [connection] = app.lifeline
      connection!.push('anything else?')
      heard = String((await connection!.next())?.data)
      connection!.push('goodbye')
    })
    url = begun.url
    const client = await connect(t, url)
    const { all, over } = gets(client)
    client.once('message', () => { client.send('no') })
    await begun.app.close()
    await over
    assert.equal(heard, 'no')
    assert.deepEqual(all, ['anything else?', 'goodbye', 1012])
    await until('it is refused', () => refusals.length > 0)
    assert.deepEqual(refusals, [503])
  })
}

for (const [name, place] of Object.entries(places).filter(([, { at }]) => at === 'theirs' || at === 'ours')) {
  test(`a preClose hook ${name} that throws fails fastify.close(), and all are told 1012`, { timeout: 10_000 }, async (t) => {
    const { app, url, closed } = await begin(t, place, () => { throw new Error('no goodbye') })
    const { all, over } = gets(await connect(t, url))
    await assert.rejects(app.close(), /no goodbye/)
    await over
    assert.deepEqual(all, [1012])
    assert.deepEqual(closed.map(({ cause }) => cause), ['shutdown'])
  })
}

for (const theirs of [false, true]) {
  const how = theirs ? 'after the app\'s @fastify/websocket' : 'alone'

  test(`${how}: a hook that never ends keeps the connections for shutdown.timeout, and no longer`, { timeout: 10_000 }, async (t) => {
    const { app, url } = await begin(t, { theirs, at: 'ours' }, () => new Promise(() => {}), { options: { shutdown: { timeout: 300 } }, fastify: { pluginTimeout: 1000 } })
    const { all, over } = gets(await connect(t, url))
    const began = performance.now()
    const closing = assert.rejects(app.close())
    await over
    assert.deepEqual(all, [1012])
    const took = performance.now() - began
    assert.ok(took >= 280 && took < 900, `${took} ms`)
    await closing
  })

  test(`${how}: what a hook says to a slow client has the shutdown's time`, { timeout: 10_000 }, async (t) => {
    const { app, url, closed } = await begin(t, { theirs, at: 'ours' }, (app) => {
      for (const connection of app.lifeline) connection.push(Buffer.alloc(20_000_000))
      app.lifeline.broadcast('goodbye')
    }, { options: { backpressure: { limit: 30_000_000 }, shutdown: { timeout: 5000 } } })
    const client = await connect(t, url, { maxPayload: 0 })
    client.pause()
    const sizes: number[] = []
    client.on('message', (data: Buffer) => { sizes.push(data.length) })
    const over = once(client, 'close')
    const closing = app.close()
    await sleep(500)
    assert.equal(closed.length, 0)
    client.resume()
    assert.equal((await over)[0], 1012)
    assert.deepEqual(sizes, [20_000_000, 7])
    await closing
  })

  test(`${how}: a goodbye comes on an injected socket of a server that does not listen`, { timeout: 10_000 }, async (t) => {
    const { app, closed } = await begin(t, { theirs, at: 'ours' }, async (app) => {
      await sleep(50)
      app.lifeline.broadcast('goodbye')
    }, { host: null })
    const { all, over } = gets(await app.injectWS('/'))
    await app.close()
    await over
    assert.deepEqual(all, ['goodbye', 1012])
    assert.deepEqual(closed.map(({ cause }) => cause), ['shutdown'])
  })

  test(`${how}: where the app has closed its server before, fastify.close() ends who is there without delay`, { timeout: 10_000 }, async (t) => {
    const { app, url } = await begin(t, { theirs, at: 'nothing' }, () => {})
    const { all, over } = gets(await connect(t, url))
    app.server.close()
    await sleep(50)
    assert.deepEqual(all, [])
    const began = performance.now()
    await app.close()
    await over
    assert.deepEqual(all, [1012])
    assert.ok(performance.now() - began < 1000)
  })

  test(`${how}: a hook in a context of its own that was registered after the plugin comes when they have been closed`, async (t) => {
    let left = NaN
    const { app, url } = await begin(t, { theirs, at: 'child after' }, (app) => { left = app.lifeline.size })
    const { all, over } = gets(await connect(t, url))
    await app.close()
    await over
    assert.deepEqual(all, [1012])
    assert.equal(left, 0)
  })

  test(`${how}: the hooks of onClose come when all connections are over`, { timeout: 10_000 }, async (t) => {
    let left = NaN
    const { app, url } = await begin(t, { theirs, at: 'ours' }, async (app) => {
      await sleep(50)
      app.lifeline.broadcast('goodbye')
    }, { onClose: (app) => { left = app.lifeline.size } })
    await connect(t, url)
    await app.close()
    assert.equal(left, 0)
  })
}

test('while Fastify itself lets requests in (return503OnClosing: false), who comes while a hook runs is refused all the same', { timeout: 10_000 }, async (t) => {
  let url = ''
  let status = 0
  const begun = await begin(t, { theirs: false, at: 'ours' }, async () => { status = (await refused(t, url)).status }, { fastify: { return503OnClosing: false } })
  url = begun.url
  const { all, over } = gets(await connect(t, url))
  await begun.app.close()
  await over
  assert.equal(status, 503)
  assert.deepEqual(all, [1012])
})

test('who comes while a hook from before the plugin runs, and Fastify lets requests in, is there to be told', { timeout: 10_000 }, async (t) => {
  let url = ''
  let late: ReturnType<typeof gets> | undefined
  const begun = await begin(t, { theirs: false, at: 'nothing' }, async (app) => {
    late = gets(await connect(t, url))
    app.lifeline.broadcast('goodbye')
  }, { fastify: { return503OnClosing: false } })
  url = begun.url
  await begun.app.close()
  await late!.over
  assert.deepEqual(late!.all, ['goodbye', 1012])
})
