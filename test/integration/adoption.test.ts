/**
 * From the answer to the handler: what fails on the way leaves no socket, takes no place, and is told.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import fastifyWebsocket from '@fastify/websocket'
import Fastify from 'fastify'
import type { FastifyInstance } from 'fastify'
import WebSocket from 'ws'
import lifeline from '../../src/index.js'
import type { Lifeline } from '../../src/index.js'
import { connect, ended, start, until } from '../support/app.js'
import { refused } from '../support/refused.js'

const proxied = { headers: { 'x-forwarded-for': '192.0.2.1' } }

test('where nobody counts by the address, one that cannot be read refuses as well: before the 101, and it keeps no place', async (t) => {
  let broken = true
  const { app, url, errors } = await start(t, {
    fastify: { disableRequestLogging: true, trustProxy: () => { if (broken) throw new Error('no table of proxies'); return true } },
    options: { limits: { connections: 1 } },
    routes: (app) => app.get('/', { websocket: true }, () => {})
  })
  for (let i = 0; i < 3; i++) assert.equal((await refused(t, url, proxied)).status, 500)
  assert.deepEqual(errors().map(({ err }) => err!.code), ['FST_ERR_LIFELINE_ADDRESS'])
  assert.equal(app.lifeline.stats().errors, 3)
  broken = false
  await connect(t, url, proxied)
  const [connection] = app.lifeline
  assert.equal(connection!.remoteAddress, '192.0.2.1')
})

test('the address is read once: trustProxy is not asked again for the line in the log', { timeout: 10_000 }, async (t) => {
  let asked = 0
  const { app, url, lines } = await start(t, {
    fastify: { disableRequestLogging: true, trustProxy: () => { if (++asked > 2) throw new Error('asked too often'); return true } },
    options: { limits: { perAddress: 1 }, origins: async () => true },
    routes: (app) => app.get('/', { websocket: true }, () => {})
  })
  await connect(t, url, proxied)
  assert.equal((await refused(t, url, proxied)).status, 429)
  assert.equal(asked, 2)
  assert.match(lines.find(({ limit }) => limit === 'perAddress')!.msg, /is reached for 192\.0\.2\.1$/)
  assert.equal(app.lifeline.size, 1)
})

let fails = false
class Failing extends WebSocket {}
// To TypeScript it is a property.
const { get } = Object.getOwnPropertyDescriptor(WebSocket.prototype, 'extensions')!
Object.defineProperty(Failing.prototype, 'extensions', {
  get (this: WebSocket) {
    if (fails) throw new Error('a class of its own')
    return get!.call(this)
  }
})
const options = { WebSocket: Failing as any }

for (const [way, before] of [['ours', null], ['the app\'s', async (app: FastifyInstance) => await app.register(fastifyWebsocket, { options })]] as const) {
  test(`when the app's class of sockets fails while one is adopted (@fastify/websocket is ${way}), it is ended and told, and keeps no place`, { timeout: 10_000 }, async (t) => {
    let handled = 0
    const { app, url, errors } = await start(t, {
      ...(before !== null && { before }),
      options: { limits: { connections: 1 }, ...(before === null && { websocket: { options } }) },
      routes: (app) => app.get('/', { websocket: true }, (socket) => { if (socket.readyState === socket.OPEN) handled++ })
    })
    fails = true
    t.after(() => { fails = false })
    const told: unknown[] = []
    app.lifeline.on('error', (_connection, error) => { told.push((error as Error).message) })
    for (let i = 0; i < 3; i++) {
      const client = new WebSocket(url)
      client.on('error', () => {})
      const [code] = await once(client, 'close')
      assert.equal(code, 1006)
    }
    assert.deepEqual(told, Array(3).fill('a class of its own'))
    assert.equal(errors().length, 1, 'one line a minute')
    fails = false
    const client = await connect(t, url)
    await until('it is handled', () => handled === 1)
    assert.equal(app.lifeline.size, 1)
    const over = ended(app)
    client.close()
    await over
    await app.close()
  })
}

test('a class that cannot say what waits is a failure of the app\'s: the connection ends for it, and no call throws', { timeout: 10_000 }, async (t) => {
  let throws = false
  class Vague extends WebSocket { override send (...args: any[]): void { Reflect.apply(super.send, this, args) } }
  const { get } = Object.getOwnPropertyDescriptor(WebSocket.prototype, 'bufferedAmount')!
  Object.defineProperty(Vague.prototype, 'bufferedAmount', {
    get (this: WebSocket) {
      if (throws) throw new Error('a class of its own')
      return get!.call(this)
    }
  })
  const { app, url, closed } = await start(t, { options: { closeTimeout: 200, websocket: { options: { WebSocket: Vague as any } } }, routes: (app) => app.get('/', { websocket: true }, () => {}) })
  t.after(() => { throws = false })
  await connect(t, url)
  const [connection] = app.lifeline
  throws = true
  assert.equal(typeof app.safePush(connection!.fd, 'x'), 'boolean')
  assert.equal(typeof app.lifeline.stats().bufferedBytes, 'number')
  await Promise.all([connection!.deliver('x'), connection!.drained(), connection!.closed])
  assert.deepEqual(closed.map(({ code, cause }) => [code, cause]), [[1011, 'handler']])
})

class Unset extends WebSocket {}
Object.defineProperty(Unset.prototype, 'setSocket', { value () { throw new Error('of the app') } })

for (const [what, { websocket = {}, before }, status] of [
  ['its class of sockets, when the answer has been written', { websocket: { options: { WebSocket: Unset as any } } }, 101],
  ['its choice among the protocols', { websocket: { options: { handleProtocols: () => { throw new Error('of the app') } } } }, 503],
  ['who else listens for connections', { before: (app: FastifyInstance) => { app.websocketServer.on('connection', () => { throw new Error('of the app') }) } }, 101]
] as Array<[string, { websocket?: object, before?: (app: FastifyInstance) => void }, number]>) {
  test(`what the app throws on the way to a connection (${what}) is told, ends the socket, and keeps no place`, { timeout: 15_000 }, async (t) => {
    const { app, url } = await start(t, {
      options: { limits: { connections: 1 }, closeTimeout: 200, websocket },
      routes: (app) => {
        before?.(app)
        app.get('/', { websocket: true }, () => { assert.fail('no handler runs') })
      }
    })
    const told: unknown[] = []
    app.lifeline.on('error', (_connection, error) => { told.push((error as Error).message) })
    for (let i = 0; i < 3; i++) {
      const client = new WebSocket(url, ['a'])
      client.on('error', () => {})
      let came = 0
      client.on('upgrade', () => { came = 101 })
      client.on('unexpected-response', (_request, { statusCode }) => { came = statusCode!; client.terminate() })
      await new Promise((resolve) => { client.once('close', resolve) })
      assert.equal(came, status)
      await until('it has no place', () => app.lifeline.size === 0)
    }
    assert.deepEqual(told, Array(3).fill('of the app'))
    await app.close()
  })
}

test('a class that sets a method on each socket, where it hides ours, is refused, and it is said which', { timeout: 10_000 }, async (t) => {
  class Hides extends WebSocket {
    override send = (data: any, options?: any, done?: any): void => { super.send(data, options, done) }
  }
  const { app, url } = await start(t, {
    options: { websocket: { options: { WebSocket: Hides as any } } },
    routes: (app) => app.get('/', { websocket: true }, () => { assert.fail('there is no connection') })
  })
  const told: unknown[] = []
  app.lifeline.on('error', (_connection, error) => { told.push(error) })
  const client = new WebSocket(url)
  client.on('error', () => {})
  assert.equal((await once(client, 'close'))[0], 1006)
  assert.deepEqual(told.map((error) => (error as { code: string }).code), ['FST_ERR_LIFELINE_OPTION'])
  assert.match(String(told[0]), /"send" on each socket, .*a method of the class/)
  assert.equal(app.lifeline.size, 0)
})

test('a socket that the app has made on our server behind our back is closed at the shutdown', { timeout: 10_000 }, async (t) => {
  const clients: WebSocket[] = []
  // Before the app is closed: it may wait for it.
  t.after(() => { clients[0]?.terminate() })
  const { app, url } = await start(t, {
    routes: (app) => app.get('/', {
      onRequest: async (request, reply) => {
        reply.hijack()
        app.websocketServer.handleUpgrade(request.raw, request.raw.socket, Buffer.alloc(0), () => {})
      }
    }, () => {})
  })
  const client = await connect(t, url)
  clients.push(client)
  assert.equal(app.lifeline.size, 0)
  const closed = once(client, 'close')
  await app.close()
  assert.equal((await closed)[0], 1012)
})

/** What @fastify/websocket alone would make of it: it is served, its pings are answered, and it can leave. */
async function isPlain (t: TestContext, url: string, lifeline: () => Lifeline, options: WebSocket.ClientOptions = {}): Promise<void> {
  const client = await connect(t, url, options)
  client.ping('there?')
  const [payload] = await once(client, 'pong')
  assert.equal(String(payload), 'there?')
  const echoed = once(client, 'message')
  client.send('hello')
  assert.equal(String((await echoed)[0]), 'hello')
  assert.equal(lifeline().size, 0)
  client.close(4000)
  assert.equal((await once(client, 'close'))[0], 4000)
}

test('routes outside of the context that the plugin was registered in are of the same server: the same limits and origins hold there', { timeout: 10_000 }, async (t) => {
  const app = Fastify()
  t.after(() => app.close())
  let ours: Lifeline | undefined
  const fds: unknown[] = []
  const routes = (app: FastifyInstance, url: string): unknown => app.get(url, { websocket: true }, (_socket, { fd }) => { fds.push(fd) })
  await app.register(fastifyWebsocket)
  routes(app, '/root')
  app.register(async (app) => { routes(app, '/sibling') })
  app.register(async (app) => {
    await app.register(lifeline, { origins: 'https://good.example', limits: { connections: 3 } })
    ours = app.lifeline
    routes(app, '/ours')
  })
  const url = (await app.listen({ port: 0, host: '127.0.0.1' })).replace('http', 'ws')
  const paths = ['/root', '/sibling', '/ours']
  for (const path of paths) assert.equal((await refused(t, url + path, { origin: 'https://evil.example' })).status, 403)
  for (const path of paths) await connect(t, url + path, { origin: 'https://good.example' })
  assert.deepEqual(fds, Array.from(ours!, ({ fd }) => fd))
  assert.equal(ours!.broadcast('to all'), 3)
  for (const path of paths) assert.equal((await refused(t, url + path)).status, 503)
})
for (const theirs of [false, true]) {
  test(`a socket that the app has made past our hooks is no connection, though it says so to the server (@fastify/websocket is ${theirs ? 'the app\'s' : 'ours'})`, { timeout: 10_000 }, async (t) => {
    const { app, url } = await start(t, {
      options: { origins: 'https://good.example' },
      before: async (app) => {
        if (theirs) await app.register(fastifyWebsocket)
        app.addHook('onRequest', async (request, reply) => {
          reply.hijack()
          app.websocketServer.handleUpgrade(request.raw, request.raw.socket, Buffer.alloc(0), (socket) => {
            app.websocketServer.emit('connection', socket, request.raw)
            socket.on('message', (data) => { socket.send(String(data)) })
          })
        })
      },
      routes: (app) => app.get('/', { websocket: true }, () => {})
    })
    await isPlain(t, url, () => app.lifeline, { origin: 'https://evil.example' })
  })
}
