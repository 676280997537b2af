/**
 * Options of @fastify/websocket and of ws.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { test } from 'node:test'
import type { WebsocketPluginOptions } from '@fastify/websocket'
import Fastify from 'fastify'
import WebSocket from 'ws'
import type { LifelineOptions } from '../../../src/index.js'
import { alone, begin, behind, echo, head, onEveryWay, register, upgradeRequest, ways } from './setups.js'

onEveryWay('verifyClient lets in and refuses, synchronously', async (t, way) => {
  const seen: unknown[] = []
  const { dial, refused } = await begin(t, way, {
    websocket: {
      options: {
        verifyClient ({ origin, secure, req }: { origin: string, secure: boolean, req: IncomingMessage }) {
          seen.push([origin, secure, req.url])
          return req.headers['x-key'] === 'good'
        }
      }
    },
    routes: (app) => app.get('/', { websocket: true }, echo)
  })
  assert.equal(await (await dial('/', { headers: { 'x-key': 'good' }, origin: 'http://a.example' })).ask('x'), 'x')
  assert.equal((await refused('/')).status, 401)
  assert.deepEqual(seen, [['http://a.example', false, '/'], [undefined, false, '/']])
})

onEveryWay('verifyClient decides later, with code, message and headers', async (t, way) => {
  let ran = 0
  const { dial, refused } = await begin(t, way, {
    websocket: {
      options: {
        verifyClient ({ req }, done) {
          setImmediate(() => { done(req.url === '/?good', 499 - 96, 'no entry', { 'x-why': 'because' }) })
        }
      }
    },
    routes: (app) => app.get('/', { websocket: true }, (socket) => { ran++; echo(socket) })
  })
  assert.equal(await (await dial('/?good')).ask('x'), 'x')
  const { status, body, headers } = await refused('/?bad')
  assert.deepEqual([status, body, headers['x-why']], [403, 'no entry', 'because'])
  assert.equal(ran, 1)
})

onEveryWay('subprotocols: the first that is offered, unless handleProtocols chooses', async (t, way) => {
  const routes = (app: Parameters<NonNullable<Parameters<typeof begin>[2]>['routes'] & {}>[0]): unknown => app.get('/', { websocket: true }, (socket) => { socket.send(socket.protocol) })
  const plain = await begin(t, way, { routes })
  const first = await plain.dial('/', { protocols: ['one', 'two'] })
  assert.equal(first.socket.protocol, 'one')
  assert.equal(await first.text(), 'one')
  const choosing = await begin(t, way, { routes, websocket: { options: { handleProtocols: (protocols: Set<string>) => protocols.has('two') ? 'two' : false } } })
  const second = await choosing.dial('/', { protocols: ['one', 'two'] })
  assert.equal(second.socket.protocol, 'two')
  assert.equal(await second.text(), 'two')
})

onEveryWay('perMessageDeflate is negotiated and used', async (t, way) => {
  const { dial } = await begin(t, way, {
    websocket: { options: { perMessageDeflate: { threshold: 0 } } },
    routes: (app) => app.get('/', { websocket: true }, (socket) => {
      socket.send(socket.extensions)
      echo(socket)
    })
  })
  const client = await dial('/', { perMessageDeflate: true })
  assert.equal(await client.text(), 'permessage-deflate')
  for (const text of ['a', 'b'.repeat(100_000), 'ä'.repeat(1000)]) assert.equal(await client.ask(text), text)
  const plain = await dial('/', { perMessageDeflate: false })
  assert.equal(await plain.text(), '')
  assert.equal(await plain.ask('plain'), 'plain')
})

onEveryWay('a WebSocket class of the app\'s own makes the sockets', async (t, way) => {
  class Own extends WebSocket {
    greeting = 'hello'
    greet (): string { return this.greeting }
    override send (data: Parameters<WebSocket['send']>[0]): void { super.send(`own ${String(data)}`, () => {}) }
  }
  const { dial } = await begin(t, way, {
    websocket: { options: { WebSocket: Own as never } },
    routes: (app) => app.get('/', { websocket: true }, (socket) => {
      socket.send(socket instanceof Own ? socket.greet() : 'not mine')
      socket.on('message', (data: Buffer) => { socket.send(data) })
    })
  })
  const client = await dial()
  assert.equal(await client.text(), 'own hello')
  assert.equal(await client.ask('x'), 'own x')
})

onEveryWay('maxPayload of the app\'s own is kept, below our limit and above it', async (t, way) => {
  for (const maxPayload of [1_000, 2_000_000]) {
    const { dial } = await begin(t, way, { websocket: { options: { maxPayload } }, routes: (app) => app.get('/', { websocket: true }, echo) })
    const client = await dial()
    client.socket.send(Buffer.alloc(maxPayload))
    assert.equal((await client.message()).data.length, maxPayload)
    client.announce(maxPayload + 1)
    assert.equal((await client.closed).code, 1009)
  }
})

for (const way of [alone, behind]) {
  test(`${way.name}: of an unfinished message ws may keep what goes with the largest, unless the app says otherwise`, async (t) => {
    const parts = async (websocket: object, options: LifelineOptions = {}): Promise<[unknown, unknown]> => {
      const { app } = await begin(t, way, { websocket: { options: websocket }, options })
      const { maxFragments, maxBufferedChunks } = app.websocketServer.options
      return [maxFragments, maxBufferedChunks]
    }
    assert.deepEqual(await parts({}), [257, 32_768])
    assert.deepEqual(await parts({}, { limits: { payload: 10_000 } }), [64, 1_024])
    assert.deepEqual(await parts({ maxPayload: 2_097_152 }), [513, 65_536])
    assert.deepEqual(await parts({ maxFragments: 1_000 }), [1_000, 32_768])
    assert.deepEqual(await parts({ maxBufferedChunks: 1_000 }), [257, 1_000])
  })
}

onEveryWay('clientTracking: false: clients is not there, sockets work', async (t, way) => {
  const { app, dial } = await begin(t, way, { websocket: { options: { clientTracking: false } }, routes: (app) => app.get('/', { websocket: true }, echo) })
  assert.equal(app.websocketServer.clients, undefined)
  const client = await dial()
  assert.equal(await client.ask('x'), 'x')
  client.socket.terminate()
})

onEveryWay('autoPong: false leaves pongs to the app', async (t, way) => {
  const { dial } = await begin(t, way, {
    websocket: { options: { autoPong: false } },
    routes: (app) => app.get('/', { websocket: true }, (socket) => { socket.on('ping', (data) => { socket.pong(`own ${String(data)}`) }) })
  })
  const client = await dial()
  const pong = once(client.socket, 'pong')
  client.socket.ping('x')
  assert.equal(String((await pong)[0]), 'own x')
})

onEveryWay('the path option of ws is warned about, and is obeyed', async (t, way) => {
  const { dial, refused, lines } = await begin(t, way, { websocket: { options: { path: '/only' } as never }, routes: (app) => app.get('/*', { websocket: true }, echo) })
  assert.equal(lines.filter(({ msg, level }) => level === 40 && msg.includes('path option')).length, 1)
  assert.equal(await (await dial('/only')).ask('x'), 'x')
  assert.equal((await refused('/other')).status, 400)
})

for (const way of ways) {
  test(`${way.name}: the noServer option is refused`, async (t) => {
    const app = Fastify()
    t.after(() => app.close())
    await assert.rejects(register(app, way, { options: { noServer: true } }), /noServer/)
  })

  for (const name of ['errorHandler', 'preClose'] as const) {
    test(`${way.name}: ${name} must be a function`, async (t) => {
      const app = Fastify()
      t.after(() => app.close())
      await assert.rejects(register(app, way, { [name]: 'no function' } as WebsocketPluginOptions), new RegExp(`${name}.*function`))
    })
  }
}

for (const [name, headers, status] of [
  ['another version', { 'Sec-WebSocket-Version': '12' }, '400'],
  ['no version', { 'Sec-WebSocket-Version': '' }, '400'],
  ['no key', { 'Sec-WebSocket-Key': '' }, '400'],
  ['a wrong key', { 'Sec-WebSocket-Key': 'short' }, '400'],
  ['a malformed subprotocol', { 'Sec-WebSocket-Protocol': 'a,,b' }, '400'],
  ['version 8', { 'Sec-WebSocket-Version': '8' }, '101']
] as Array<[string, Record<string, string>, string]>) {
  onEveryWay(`an upgrade with ${name} gets ${status}`, async (t, way) => {
    let ran = false
    const { say } = await begin(t, way, { routes: (app) => app.get('/', { websocket: true }, () => { ran = true }) })
    const answer = await head(say(upgradeRequest('/', headers)))
    assert.match(answer, new RegExp(`^HTTP/1.1 ${status} `))
    assert.equal(ran, status === '101')
    if (name.includes('version') && status === '400') assert.match(answer, /Sec-WebSocket-Version: 13, 8/)
  })
}

onEveryWay('a listener for wsClientError answers in place of ws', async (t, way) => {
  const { app, say } = await begin(t, way, { routes: (app) => app.get('/', { websocket: true }, echo) })
  app.websocketServer.on('wsClientError', (error: Error, socket) => { socket.end(`HTTP/1.1 418 Teapot\r\n\r\n${error.message}`) })
  assert.match(await head(say(upgradeRequest('/', { 'Sec-WebSocket-Key': 'x' }))), /^HTTP\/1.1 418 Teapot/)
})

onEveryWay('an errorHandler of the app\'s gets what a handler throws and rejects, with socket, request and reply', async (t, way) => {
  const calls: unknown[] = []
  let child: unknown
  const { dial } = await begin(t, way, {
    websocket: {
      errorHandler (this: unknown, error, socket, request, reply) {
        calls.push([error.message, request.url, request.ws, typeof reply.send, this === child, socket.readyState])
        socket.close(4400, 'mine')
      }
    },
    routes: (app) => app.register(async (instance) => {
      child = instance
      instance.get('/throws', { websocket: true }, () => { throw new Error('thrown') })
      instance.get('/rejects', { websocket: true }, async () => { await null; throw new Error('rejected') })
      instance.get('/*', { websocket: true }, () => { throw new Error('wildcard') })
    })
  })
  for (const path of ['/throws', '/rejects', '/other']) assert.deepEqual(await (await dial(path)).closed, { code: 4400, reason: 'mine' })
  assert.deepEqual(calls, [
    ['thrown', '/throws', true, 'function', true, 1],
    ['rejected', '/rejects', true, 'function', true, 1],
    ['wildcard', '/other', true, 'function', true, 1]
  ])
})

onEveryWay('an errorHandler of the app\'s gets what the peer does to the wire', async (t, way) => {
  const codes: unknown[] = []
  let told!: () => void
  const called = new Promise<void>((resolve) => { told = resolve })
  const { say } = await begin(t, way, {
    websocket: {
      errorHandler (error: Error & { code?: string }, socket, request) {
        codes.push([error.code, request.url])
        socket.terminate()
        told()
      }
    },
    routes: (app) => app.get('/live', { websocket: true }, () => {})
  })
  const client = say(upgradeRequest('/live'))
  await once(client, 'data')
  client.write(Buffer.from([0xa2, 0x00]))
  await called
  assert.deepEqual(codes, [['WS_ERR_UNEXPECTED_RSV_2_3', '/live']])
})

for (const kind of ['callback', 'promise'] as const) {
  onEveryWay(`a preClose of the app's, with a ${kind}, is called once, as a hook of the instance, and its codes count`, async (t, way) => {
    const calls: unknown[] = []
    const preClose = kind === 'callback'
      ? function (this: unknown, done: () => void) {
        calls.push(this === begun.app)
        for (const socket of begun.app.websocketServer.clients) socket.close(4001, 'mine')
        done()
      }
      : async () => {
        calls.push(true)
        await null
        for (const socket of begun.app.websocketServer.clients) socket.close(4001, 'mine')
      }
    const begun = await begin(t, way, { websocket: { preClose }, routes: (app) => app.get('/', { websocket: true }, echo) })
    const client = await begun.dial()
    await begun.app.close()
    assert.deepEqual(await client.closed, { code: 4001, reason: 'mine' })
    assert.deepEqual(calls, [true])
  })
}
