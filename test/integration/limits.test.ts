/**
 * What peers may do: how many may come, how much they may send, how long they may stay.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { Server } from 'node:http'
import { connect as connectTcp } from 'node:net'
import type { AddressInfo } from 'node:net'
import { Writable } from 'node:stream'
import type { Duplex } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import fastifyWebsocket from '@fastify/websocket'
import WebSocket, { createWebSocketStream } from 'ws'
import { connect, ended, level, opened, start, until } from '../support/app.js'
import type { Setup } from '../support/app.js'
import type { Connection } from '../../src/index.js'
import { frame, opcode } from '../support/frames.js'
import { dial } from '../support/raw-client.js'
import { refused } from '../support/refused.js'

const silent = (path = '/') => (app: any): void => { app.get(path, { websocket: true }, () => {}) }

for (const [way, before] of [['alone', undefined], ['beside @fastify/websocket of the app\'s own', async (app: any) => { await app.register(fastifyWebsocket) }]] as const) {
  test(`${way}: past limits.connections an upgrade gets a 503 that says when to come back, and a place that is left is given again`, async (t) => {
    const { app, url, lines } = await start(t, { ...(before && { before }), options: { limits: { connections: 2 }, shutdown: { reconnect: { within: 3000 } } }, routes: silent() })
    const first = await connect(t, url)
    await connect(t, url)
    for (let i = 0; i < 5; i++) {
      const { status, retryAfter, body } = await refused(t, url)
      assert.equal(status, 503)
      assert.ok(Number(retryAfter) >= 1 && Number(retryAfter) <= 3, retryAfter)
      assert.deepEqual(JSON.parse(body), { statusCode: 503, error: 'Service Unavailable', message: 'Too many connections' })
    }
    assert.equal(app.lifeline.stats().limited.connections, 5)
    const over = ended(app)
    first.close()
    await over
    await connect(t, url)
    assert.equal((await refused(t, url)).status, 503)
    assert.equal(lines.filter(({ level: at }) => at === level.error).length, 0)
    assert.deepEqual(lines.filter(({ level: at }) => at === level.warn).map(({ msg, limit }) => [msg, limit]), [['lifeline: an upgrade was refused: limits.connections, 2, is reached', 'connections']])
  })
}

test('an app that gave its own @fastify/websocket another server: what a hook before ours refuses ends there, and a request on its own server that only names an upgrade is answered', { timeout: 10_000 }, async (t) => {
  const server = createServer()
  t.after(() => { server.close() })
  const { app, url: own } = await start(t, {
    async before (app: any) {
      app.addHook('onRequest', async (request: any, reply: any) => request.url === '/refused' ? reply.code(403).send('no') : undefined)
      await app.register(fastifyWebsocket, { options: { server } })
    },
    options: { closeTimeout: 200 },
    routes: (app) => {
      silent()(app)
      app.get('/refused', { websocket: true }, () => {})
      app.get('/plain', async () => 'plain')
    }
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}`
  await connect(t, url)
  for (let i = 0; i < 3; i++) assert.equal((await refused(t, `${url}/refused`)).status, 403)
  const count = promisify(server.getConnections.bind(server))
  await until('the refused have gone', async () => await count() === 1)
  assert.equal(app.lifeline.stats().upgrades.refused, 3)
  assert.equal(app.lifeline.size, 1)
  // One after the other on one connection, which stays.
  const peer = connectTcp(Number(new URL(own).port), '127.0.0.1')
  t.after(() => { peer.destroy() })
  let answers = ''
  peer.on('data', (bytes) => { answers += String(bytes) })
  for (let i = 1; i <= 2; i++) {
    peer.write('GET /plain HTTP/1.1\r\nHost: here\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n')
    await until('it is answered', () => answers.split('\r\n\r\nplain').length === i + 1)
  }
  assert.equal(peer.readyState, 'open')
})

test('past limits.perAddress an upgrade gets a 429; behind a proxy the addresses are those of its clients', async (t) => {
  const { app, url } = await start(t, { fastify: { trustProxy: true }, options: { limits: { perAddress: 2 } }, routes: silent() })
  const from = (address: string): WebSocket.ClientOptions => ({ headers: { 'x-forwarded-for': address } })
  const one = await connect(t, url, from('192.0.2.1'))
  await connect(t, url, from('::ffff:192.0.2.1'))
  const { status, retryAfter } = await refused(t, url, from('192.0.2.1'))
  assert.equal(status, 429)
  assert.ok(Number(retryAfter) >= 1)
  await connect(t, url, from('192.0.2.2'))
  await connect(t, url, from('2001:db8::1'))
  await connect(t, url, from('2001:db8::2'))
  assert.equal((await refused(t, url, from('2001:db8::3'))).status, 429)
  await connect(t, url, from('2001:db8:0:1::3'))
  const over = ended(app)
  one.terminate()
  await over
  await connect(t, url, from('192.0.2.1'))
  assert.equal(app.lifeline.stats().limited.perAddress, 2)
})

test('where all come through a proxy and trustProxy is not set, the log says so', async (t) => {
  const { url, lines } = await start(t, { options: { limits: { perAddress: 1 } }, routes: silent() })
  const options = { headers: { 'x-forwarded-for': '192.0.2.1' } }
  await connect(t, url, options)
  assert.equal((await refused(t, url, options)).status, 429)
  assert.match(lines.find(({ level: at }) => at === level.warn)!.msg, /is reached for 127\.0\.0\.1\. It comes through a proxy: set trustProxy of Fastify, or all its clients count as one$/)
})

test('an injected connection has no address, and counts among all', async (t) => {
  const { app } = await start(t, { options: { limits: { connections: 2, perAddress: 1 } }, routes: silent() })
  const [one] = await Promise.all([app.injectWS('/'), app.injectWS('/')])
  await assert.rejects(app.injectWS('/'), /503/)
  const over = ended(app)
  one.terminate()
  await over
  await app.injectWS('/')
})

test('a page of another origin gets a 403 before any handler runs; one line in the log, whatever it says (field 22)', async (t) => {
  const { app, url, lines, port } = await start(t, {
    options: { origins: ['https://app.example', /^http:\/\/127\.0\.0\.1:\d+$/] },
    routes: (app) => {
      app.get('/', { websocket: true }, () => {})
      app.get('/any', { websocket: true, config: { lifeline: { origins: false } } }, () => {})
      app.get('/other', { websocket: true, config: { lifeline: { origins: 'https://other.example' } } }, () => {})
      app.get('/http', async () => 'ok')
    }
  })
  const evil = 'https://app.example.evil.test'
  const { status, body } = await refused(t, url, { origin: evil })
  assert.equal(status, 403)
  assert.deepEqual(JSON.parse(body), { statusCode: 403, error: 'Forbidden', message: 'This origin may not open a WebSocket here' })
  assert.equal((await refused(t, url, { origin: 'null' })).status, 403)
  assert.equal((await refused(t, url, { origin: `https://${'x'.repeat(5000)}` })).status, 403)
  assert.equal(app.lifeline.stats().opened, 0)
  assert.equal(app.lifeline.stats().limited.origins, 3)
  await connect(t, url, { origin: 'https://app.example' })
  await connect(t, url, { origin: `http://127.0.0.1:${port}` })
  await connect(t, url)
  await connect(t, `${url}/any`, { origin: evil })
  await connect(t, `${url}/other`, { origin: 'https://other.example' })
  assert.equal((await refused(t, `${url}/other`, { origin: 'https://app.example' })).status, 403)
  assert.equal(await (await fetch(`http://127.0.0.1:${port}/http`, { headers: { origin: evil } })).text(), 'ok')
  assert.deepEqual(lines.filter(({ level: at }) => at >= level.warn).map(({ msg }) => msg), [`lifeline: an upgrade was refused: the origin "${evil}" is none of those in \`origins\``])
})

test('a function decides by the request, at once or later; what it throws refuses', async (t) => {
  const { app, url } = await start(t, {
    options: {
      origins: (origin, request) => {
        switch (request.url) {
          case '/now': return origin === 'https://app.example'
          case '/later': return sleep(5, origin === 'https://app.example')
          case '/throws': throw new Error('no')
          default: return Promise.reject(new Error('no'))
        }
      }
    },
    routes: (app) => { for (const path of ['/now', '/later', '/throws', '/rejects']) silent(path)(app) }
  })
  for (const path of ['/now', '/later']) {
    await connect(t, url + path, { origin: 'https://app.example' })
    assert.equal((await refused(t, url + path, { origin: 'https://other.example' })).status, 403)
    assert.equal((await refused(t, url + path)).status, 403)
  }
  for (const path of ['/throws', '/rejects']) assert.equal((await refused(t, url + path, { origin: 'https://app.example' })).status, 403)
  assert.equal(app.lifeline.stats().opened, 2)
})

const RATE = 50

test('with the policy close, the first message past the rate ends the connection with 1008, and no listener sees it or any other', async (t) => {
  const came: string[] = []
  const { app, url, errors } = await start(t, {
    options: { limits: { messageRate: 10, policy: 'close' } },
    routes: (app) => app.get('/', { websocket: true }, (socket) => { socket.on('message', (data) => { came.push(String(data)) }) })
  })
  const over = ended(app)
  const client = await connect(t, url)
  const told = once(client, 'close')
  for (let i = 0; i < 1000; i++) client.send(String(i))
  const { cause, code } = await over
  const [codeTold, reason] = await told
  assert.deepEqual([cause, code, codeTold, String(reason)], ['limit', 1008, 1008, 'past limits.messageRate'])
  assert.deepEqual(came, Array.from({ length: 10 }, (_, i) => String(i)))
  assert.equal(app.lifeline.stats().limited.messageRate, 1)
  assert.deepEqual(errors(), [])
})

test('byteRate counts bytes, is a route\'s own, and one message of the largest size is none too many', async (t) => {
  const { app, url } = await start(t, {
    options: { limits: { payload: 10_000 } },
    routes: (app) => {
      app.get('/', { websocket: true, config: { lifeline: { limits: { byteRate: 100, policy: 'close' } } } }, (socket) => { socket.on('message', () => {}) })
      app.get('/free', { websocket: true }, (socket, { fd }) => { socket.on('message', (data) => app.safePush(fd, data)) })
    }
  })
  const over = ended(app)
  const client = await connect(t, url)
  client.send(Buffer.alloc(10_000))
  client.send('one more byte is too much')
  assert.equal((await over).cause, 'limit')
  assert.equal(app.lifeline.stats().limited.byteRate, 1)
  const free = await connect(t, `${url}/free`)
  let echoed = 0
  free.on('message', () => { echoed++ })
  for (let i = 0; i < 10; i++) free.send(Buffer.alloc(10_000))
  await until('all came back', () => echoed === 10)
})

test('a flood of pings gets as many pongs as pongRate allows, the last of them in any case, and ends nothing', async (t) => {
  const { app, url } = await start(t, {
    options: { heartbeat: false, limits: { pongRate: 20 } },
    routes: (app) => app.get('/', { websocket: true }, (socket, { fd }) => { socket.on('message', (data) => app.safePush(fd, data)) })
  })
  const client = await dial(t, url)
  const pings = Array.from({ length: 5000 }, (_, i) => frame(opcode.ping, Buffer.from(`ping ${i}`)))
  client.socket.write(Buffer.concat([...pings, frame(opcode.text, Buffer.from('still there?'))]))
  const of = (kind: string): string[] => client.received.filter((one) => one.kind === kind).map(({ data }) => data.toString())
  await client.until(() => of('pong').includes('ping 4999'))
  assert.deepEqual(of('pong').slice(0, 20), Array.from({ length: 20 }, (_, i) => `ping ${i}`))
  assert.ok(of('pong').length < 100, `${of('pong').length} pongs`)
  await client.until(() => of('binary').length > 0)
  assert.ok(app.lifeline.stats().limited.pongRate >= 5000 - of('pong').length)
  assert.equal(app.lifeline.size, 1)
})

for (const kind of ['ping', 'pong'] as const) {
  test(`a rate holds for a flood of ${kind}s, though the heartbeat looks at who is paused, and though somebody waits for a receipt`, async (t) => {
    await Promise.all([false, true].map(async (waits) => {
      let read = 0
      const { app, url } = await start(t, {
        options: { heartbeat: { interval: 100, timeout: 100 }, limits: { messageRate: 100 } },
        routes: (app) => app.get('/', { websocket: true }, (socket) => { socket.on(kind, () => { read++ }) })
      })
      const opening = opened(app)
      const peer = await dial(t, url)
      const connection = await opening
      const block = Buffer.concat(Array.from({ length: 10_000 }, () => frame(opcode[kind])))
      const pump = (): void => { while (peer.socket.write(block)); }
      peer.socket.on('drain', pump)
      pump()
      await until('it has been slowed down', () => app.lifeline.stats().limited.messageRate > 0)
      // Several looks, and several payments.
      await (waits ? connection.deliver('x', { timeout: 1_000 }) : sleep(1_000))
      // What has come in 64 KiB is taken; beside that 1 MiB, or while somebody waits 8 MiB, each counted with 168 bytes more than it has.
      assert.ok(read < (waits ? 50_000 : 7_000) + 3 * 11_000, `${read} were read`)
      assert.equal(connection.state, 'open')
      peer.socket.removeListener('drain', pump)
    }))
  })

  test(`a flood of ${kind}s of one peer leaves the others their turn: no more than two times 64 KiB of it are taken in one`, async (t) => {
    let read = 0
    const { url } = await start(t, {
      options: { heartbeat: false },
      routes: (app) => app.get('/', { websocket: true }, (socket) => { socket.on(kind, () => { read++ }) })
    })
    const peer = await dial(t, url)
    const block = Buffer.concat(Array.from({ length: 100_000 }, () => frame(opcode[kind])))
    // What is in one turn: between two immediates.
    const turns: number[] = []
    let before = 0
    let counting = true
    const count = (): void => {
      turns.push(read - before)
      before = read
      if (counting) setImmediate(count)
    }
    setImmediate(count)
    peer.socket.write(block)
    peer.socket.write(block)
    // The kernel of the server takes some of it while nobody reads.
    for (let end = performance.now() + 100; performance.now() < end;);
    await until('all has come', () => read === 200_000)
    counting = false
    assert.ok(Math.max(...turns) <= 22_000, `${Math.max(...turns)} in one turn`)
  })
}

test('a message in more fragments than the largest has 4 KiB ends the connection with 1008, whatever comes between them', { timeout: 20_000 }, async (t) => {
  const { app, url } = await start(t, { options: { heartbeat: false }, routes: (app) => app.get('/', { websocket: true }, (socket) => { socket.on('message', () => {}) }) })
  const over = ended(app)
  const peer = await dial(t, url)
  const between = Buffer.concat(Array.from({ length: 500 }, () => frame(opcode.pong, Buffer.alloc(125))))
  const part = frame(opcode.continuation, 'x', { fin: false })
  const { arrayBuffers } = process.memoryUsage()
  let most = 0
  peer.socket.write(frame(opcode.binary, 'x', { fin: false }))
  for (let i = 0; i < 1_000 && app.lifeline.stats().limited.payload === 0; i++) {
    peer.socket.write(Buffer.concat([part, between]))
    await new Promise(setImmediate)
    most = Math.max(most, process.memoryUsage().arrayBuffers - arrayBuffers)
  }
  const { cause, code } = await over
  assert.deepEqual([cause, code], ['limit', 1008])
  // 257 of 64 KiB are 16 MiB; what the client has under way is here as well.
  assert.ok(most < 40 * 1024 * 1024, `${most} bytes`)
})

test('who sends the largest message in fragments of 4 KiB gets it through', async (t) => {
  let got = 0
  const { url } = await start(t, { options: { heartbeat: false }, routes: (app) => app.get('/', { websocket: true }, (socket) => { socket.on('message', (data: Buffer) => { got = data.length }) }) })
  const peer = await dial(t, url)
  const fragment = Buffer.alloc(4_096, 'x')
  for (let i = 0; i < 256; i++) peer.socket.write(frame(i === 0 ? opcode.binary : opcode.continuation, fragment, { fin: false }))
  peer.socket.write(frame(opcode.continuation))
  await until('it has come', () => got === 1_048_576)
})

test('connection.expire takes a time, and says so', async (t) => {
  const { app, url } = await start(t, { routes: silent() })
  const open = opened(app)
  await connect(t, url)
  const connection = await open
  for (const wrong of [undefined, null, '2030-01-01', NaN, new Date('never'), {}]) {
    assert.throws(() => { connection.expire(wrong as never) }, { code: 'FST_ERR_LIFELINE_ARGUMENT' })
  }
  for (const seconds of [1, Math.floor(Date.now() / 1000) + 3600, 99_999_999_999, new Date(Math.floor(Date.now() / 1000))]) {
    assert.throws(() => { connection.expire(seconds) }, { code: 'FST_ERR_LIFELINE_ARGUMENT', message: /ms since the epoch; this looks like seconds: \d+$/ })
  }
  assert.equal(connection.state, 'open')
  connection.expire(Infinity)
  assert.equal(connection.state, 'open')
  connection.expire(-Infinity)
  assert.equal((await connection.closed).cause, 'expired')
})

// They wait more than they work.
describe('that take their time', { concurrency: 20, timeout: 60_000 }, () => {
  for (const [way, setup] of [
    ['of ours', (server: Server) => ({ options: { websocket: { options: { server } } } })],
    ['of the app\'s', (server: Server) => ({ before: async (app: any) => await app.register(fastifyWebsocket, { options: { server } }) })]
  ] as const) {
    test(`limits, upgradeTimeout and the end of refused sockets hold on another server too, given to @fastify/websocket ${way}`, { timeout: 10_000 }, async (t) => {
      const server = createServer()
      t.after(() => { server.close() })
      const { before, options }: Setup = setup(server)
      const { app } = await start(t, {
        ...(before && { before }),
        options: { ...options, limits: { connections: 2 }, upgradeTimeout: 300, closeTimeout: 200 },
        routes: (app) => {
          app.get('/', { websocket: true }, () => {})
          app.get('/never', { websocket: true, preValidation: async () => await new Promise(() => {}) }, () => {})
        }
      })
      server.listen(0, '127.0.0.1')
      await once(server, 'listening')
      const url = `ws://127.0.0.1:${(server.address() as AddressInfo).port}`
      const client = await connect(t, url)
      assert.equal((await refused(t, `${url}/never`)).status, 503)
      assert.equal(app.lifeline.stats().upgrades.timedOut, 1)
      await connect(t, url)
      for (let i = 0; i < 3; i++) assert.equal((await refused(t, url)).status, 503)
      assert.equal(app.lifeline.stats().limited.connections, 3)
      assert.equal(app.lifeline.size, 2)
      const over = ended(app)
      client.close()
      await over
      await connect(t, url)
      const count = promisify(server.getConnections.bind(server))
      await until('the refused have gone', async () => await count() === 2)
    })
  }

  test('many that come at once, with a slow hook behind ours, never get past limits.connections', async (t) => {
    let inside = 0
    let most = 0
    const { app, url } = await start(t, {
      options: { limits: { connections: 3 } },
      routes: (app) => {
        app.addHook('preValidation', async () => { await sleep(20) })
        app.get('/', { websocket: true }, (socket) => {
          most = Math.max(most, ++inside)
          socket.on('close', () => { inside-- })
        })
      }
    })
    const outcomes = await Promise.all(Array.from({ length: 30 }, async () => {
      const socket = new WebSocket(url)
      socket.on('error', () => {})
      const opens = await Promise.race([once(socket, 'open').then(() => true), once(socket, 'unexpected-response').then(() => false)])
      t.after(() => { socket.terminate() })
      return opens
    }))
    assert.equal(outcomes.filter(Boolean).length, 3)
    assert.equal(most, 3)
    assert.equal(app.lifeline.stats().limited.connections, 27)
  })

  test('an upgrade that fails later, or whose client leaves meanwhile, gives its place back', async (t) => {
    const { app, url } = await start(t, {
      options: { limits: { connections: 1, perAddress: 1 }, upgradeTimeout: 300 },
      routes: (app) => {
        app.get('/', { websocket: true }, () => {})
        app.get('/refused', { websocket: true, preValidation: async (_request: unknown, reply: any) => reply.code(401).send() }, () => {})
        app.get('/throws', { websocket: true, preValidation: async () => { throw new Error('no') } }, () => {})
        app.get('/never', { websocket: true, preValidation: async () => await new Promise(() => {}) }, () => {})
        app.get('/hijacked', {
          websocket: true,
          preValidation: async (request: any, reply: any) => {
            reply.hijack()
            request.raw.socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')
          }
        }, () => {})
      }
    })
    for (const [path, status] of [['/refused', 401], ['/throws', 500], ['/never', 503], ['/nowhere', 404], ['/hijacked', 400]] as const) {
      assert.equal((await refused(t, url + path)).status, status)
      await until(`the place of ${path} is free`, async () => {
        const socket = new WebSocket(url)
        socket.on('error', () => {})
        const opens = await Promise.race([once(socket, 'open').then(() => true), once(socket, 'unexpected-response').then(() => false)])
        socket.terminate()
        return opens
      })
      await until('nobody is left', () => app.lifeline.size === 0)
    }
    const gone = new WebSocket(`${url}/never`)
    gone.on('error', () => {})
    await new Promise((resolve) => { setImmediate(resolve) })
    gone.terminate()
    await until('its place is free', async () => await connect(t, url).then(() => true, () => false))
  })

  test('early hints, and a hook that takes its time behind them, let nobody past limits.connections', { timeout: 10_000 }, async (t) => {
    const { app, url } = await start(t, {
      options: { limits: { connections: 1 } },
      routes: (app) => {
        app.addHook('onRequest', async (_request, reply) => {
          reply.raw.writeEarlyHints({ link: '</a.css>; rel=preload; as=style' })
          // Longer than the ledger takes to look at it.
          await sleep(600)
        })
        app.get('/', { websocket: true }, () => {})
      }
    })
    const first = connect(t, url)
    await sleep(400)
    // It is refused with its hints, or before them.
    assert.equal((await refused(t, url)).status, 503)
    await first
    assert.equal(app.lifeline.size, 1)
    const over = ended(app)
    ;(await first).close()
    await over
    await connect(t, url)
  })

  test('who takes a socket for itself has its place until that is over', { timeout: 10_000 }, async (t) => {
    let theirs: Duplex | undefined
    const { url } = await start(t, {
      options: { limits: { connections: 1 } },
      routes: (app) => {
        app.get('/', { websocket: true }, () => {})
        app.get('/taken', {
          preValidation: async (request, reply) => {
            reply.hijack()
            theirs = request.raw.socket
            app.websocketServer.handleUpgrade(request.raw, theirs, Buffer.alloc(0), () => {})
          }
        }, () => {})
      }
    })
    const client = await connect(t, `${url}/taken`)
    await sleep(600)
    assert.equal((await refused(t, url)).status, 503)
    const over = once(theirs!, 'close')
    client.terminate()
    await over
    await connect(t, url)
  })

  const readers: Record<string, (connection: Connection, socket: WebSocket, take: (data: unknown) => void) => void | Promise<void>> = {
    "socket.on('message')": (_connection, socket, take) => { socket.on('message', take) },
    'onMessage()': (connection, _socket, take) => { connection.onMessage(({ data }) => { take(data) }) },
    'messages()': async (connection, _socket, take) => { for await (const { data } of connection.messages()) take(data) },
    'next()': async (connection, _socket, take) => {
      for (let message = await connection.next(); message !== null; message = await connection.next()) take(message.data)
    },
    'a pipeline': async (_connection, socket, take) => {
      const sink = new Writable({ highWaterMark: 1, write (chunk, _encoding, done) { take(chunk); setImmediate(done) } })
      await pipeline(createWebSocketStream(socket), sink).catch(() => {})
    }
  }
  const rates = { messageRate: { messageRate: RATE }, byteRate: { payload: 10, byteRate: 4 * RATE } }

  for (const [kind, limit] of [...Object.keys(readers).map((kind) => [kind, 'messageRate'] as const), ["socket.on('message')", 'byteRate'] as const]) {
    test(`past ${limit} ${kind} gets at once what is allowed, and each of the others when it fits: all, in order (field 22)`, async (t) => {
      const came: Array<{ data: string, at: number }> = []
      const { app, url } = await start(t, {
        options: { limits: rates[limit] },
        routes: (app) => {
          app.get('/', { websocket: true }, (socket, request) => readers[kind]!(app.lifeline.of(request), socket, (data) => { came.push({ data: String(data), at: performance.now() }) }))
        }
      })
      const client = await dial(t, url)
      const sent = Array.from({ length: 2 * RATE }, (_, i) => String(i).padStart(4, '0'))
      const begin = performance.now()
      client.socket.write(Buffer.concat(sent.map((data) => frame(opcode.text, data))))
      await until('it has been slowed down', () => app.lifeline.stats().limited[limit] > 0)
      await until('it has what is allowed, at least', () => came.length >= RATE)
      await until('all have come', () => came.length === sent.length)
      assert.deepEqual(came.map(({ data }) => data), sent)
      for (const [index, { at }] of came.entries()) assert.ok(index + 1 <= RATE + RATE * (at - begin) / 1000 + 1, `the ${index + 1}th after ${at - begin} ms`)
      assert.equal(app.lifeline.size, 1)
    })
  }

  test('a peer that a rate holds back is not taken for dead, however long that takes', async (t) => {
    let came = 0
    const { app, url } = await start(t, {
      options: { heartbeat: { interval: 50, timeout: 50 }, limits: { messageRate: 20 } },
      routes: (app) => app.get('/', { websocket: true }, (socket) => { socket.on('message', () => { came++ }) })
    })
    const client = await connect(t, url)
    for (let i = 0; i < 50; i++) client.send('x')
    await until('all have come', () => came === 50)
    assert.deepEqual([app.lifeline.size, client.readyState], [1, WebSocket.OPEN])
  })

  test('fastify.close() does not wait for what a rate holds back: it is let go, and counted', { timeout: 10_000 }, async (t) => {
    let came = 0
    const { app, url, closed } = await start(t, {
      options: { limits: { messageRate: 10 } },
      routes: (app) => app.get('/', { websocket: true }, (socket) => { socket.on('message', () => { came++ }) })
    })
    const client = await connect(t, url)
    const told = once(client, 'close')
    for (let i = 0; i < 1_000; i++) client.send('x')
    await until('it is held back', () => app.lifeline.stats().limited.messageRate === 1)
    await new Promise(setImmediate)
    await app.close()
    assert.deepEqual([(await told)[0], closed[0]!.cause], [1012, 'shutdown'])
    assert.equal(came + app.lifeline.stats().dropped.unread, 1_000)
  })

  test('the pings of a peer count as messages, the answers to ours do not', async (t) => {
    const { app, url } = await start(t, {
      options: { heartbeat: { interval: 100, timeout: 1000 }, limits: { messageRate: 0.1, policy: 'close' } },
      routes: (app) => app.get('/', { websocket: true }, (socket) => { socket.on('message', () => {}) })
    })
    const client = await connect(t, url)
    for (let i = 0; i < 5; i++) await once(client, 'ping')
    assert.equal(client.readyState, WebSocket.OPEN)
    const over = ended(app)
    client.ping()
    client.pong('nobody asked')
    assert.equal((await over).cause, 'limit')
  })

  test('who says nothing within firstMessage is closed with 1008; a route may wait longer, and time while the app does not read is not counted', async (t) => {
    const { app, url } = await start(t, {
      options: { limits: { firstMessage: 400 } },
      routes: (app) => {
        app.get('/', { websocket: true }, (socket) => { socket.on('message', () => {}) })
        app.get('/push-only', { websocket: true, config: { lifeline: { limits: { firstMessage: Infinity } } } }, () => {})
        app.get('/paused', { websocket: true }, (socket) => {
          socket.pause()
          socket.on('message', () => {})
          setTimeout(() => { socket.resume() }, 700)
        })
      }
    })
    const pushOnly = await connect(t, `${url}/push-only`)
    const paused = await connect(t, `${url}/paused`)
    paused.send('hello')
    const spoke = await connect(t, url)
    spoke.send('hello')
    const over = ended(app)
    const told = once(await connect(t, url), 'close')
    const { cause, code } = await over
    const [codeTold, reason] = await told
    assert.deepEqual([cause, code, codeTold, String(reason)], ['limit', 1008, 1008, 'past limits.firstMessage'])
    await sleep(800)
    for (const client of [pushOnly, paused, spoke]) assert.equal(client.readyState, WebSocket.OPEN)
    assert.equal(app.lifeline.stats().limited.firstMessage, 1)
  })

  test('connection.expire closes with 4401 when the time has come; a later time extends it', async (t) => {
    const { app, url } = await start(t, { options: { heartbeat: { interval: 100, timeout: 1000 } }, routes: silent() })
    const open = opened(app)
    const client = await connect(t, url)
    const connection = await open
    connection.expire(Date.now() + 200)
    connection.expire(new Date(Date.now() + 3_600_000))
    await sleep(500)
    assert.equal(connection.state, 'open')
    const told = once(client, 'close')
    const at = Date.now() + 300
    connection.expire(at)
    const info = await connection.closed
    assert.deepEqual([info.cause, info.code], ['expired', 4401])
    assert.ok(Date.now() >= at)
    const [code, reason] = await told
    assert.deepEqual([code, String(reason)], [4401, 'the authorization has expired'])
    connection.expire(0)
  })

  test('past maxAge connections are shed, each at another time, and told when to come back (field 24)', async (t) => {
    const MAX = 2000
    const { closed, url } = await start(t, { options: { maxAge: MAX, heartbeat: { interval: 100, timeout: 1000 } }, routes: silent() })
    // Some may be shed before all are here.
    const told = await Promise.all(Array.from({ length: 40 }, async () => await once(await connect(t, url), 'close')))
    assert.deepEqual(new Set(told.map(([code]) => code)), new Set([1012]))
    for (const [, reason] of told) assert.match(String(reason), /^retry: \d+$/)
    assert.ok(new Set(told.map(([, reason]) => String(reason))).size > 30)
    assert.deepEqual(new Set(closed.map(({ cause }) => cause)), new Set(['age']))
    const ages = closed.map(({ openedAt, closedAt }) => closedAt - openedAt).toSorted((a, b) => a - b)
    // A slot of the wheel may be gone already when a connection opens.
    assert.ok(ages[0]! >= 0.8 * MAX - 50, `the first went after ${ages[0]} ms`)
    assert.ok(ages.at(-1)! - ages[0]! >= 0.1 * MAX, `they went within ${ages.at(-1)! - ages[0]!} ms`)
  })

  test('who only pings, and more than messageRate allows, has no more time for its first message', { timeout: 10_000 }, async (t) => {
    const { app, url } = await start(t, { options: { limits: { firstMessage: 300, messageRate: 10 } }, routes: (app) => app.get('/', { websocket: true }, () => {}) })
    const end = ended(app)
    const peer = await dial(t, url)
    peer.socket.write(Buffer.concat(Array.from({ length: 3_000 }, () => frame(opcode.ping, 'x'))))
    const { cause, code } = await end
    assert.deepEqual([cause, code], ['limit', 1008])
    assert.equal(app.lifeline.stats().limited.firstMessage, 1)
  })

  test('a reader has what the rate allows at once, and the rest when it has been paid for', async (t) => {
    const got: string[] = []
    const { app, url } = await start(t, { options: { limits: { messageRate: 10 } }, routes: (app) => app.get('/', { websocket: true }, (_socket, request) => { app.lifeline.of(request).onMessage(({ data }) => { got.push(String(data)) }) }) })
    const opening = opened(app)
    const peer = await dial(t, url)
    const connection = await opening
    peer.socket.write(Buffer.concat(Array.from({ length: 15 }, (_, i) => frame(opcode.text, `${i}`))))
    await until('the rate has been passed', () => app.lifeline.stats().limited.messageRate === 1)
    await new Promise(setImmediate)
    assert.ok(got.length >= 10 && got.length < 15, `${got.length} at once`)
    await until('all has come', () => got.length === 15)
    assert.deepEqual(got, Array.from({ length: 15 }, (_, i) => `${i}`))
    assert.equal(connection.state, 'open')
  })

  test('who is paused by the app has its time for the first message, though it has pinged too much as well', async (t) => {
    const { app, url } = await start(t, { options: { limits: { firstMessage: 300, messageRate: 2 } }, routes: (app) => app.get('/', { websocket: true }, (socket: WebSocket) => { socket.pause() }) })
    const opening = opened(app)
    const peer = await dial(t, url)
    const connection = await opening
    peer.socket.write(Buffer.concat([...Array.from({ length: 8 }, () => frame(opcode.ping, 'x')), frame(opcode.text, 'first')]))
    await sleep(1_000)
    assert.equal(connection.state, 'open')
  })
})

test('a frame of more than 2^53 bytes is past the limit', async (t) => {
  const { app, url } = await start(t, { routes: silent() })
  const client = new WebSocket(url)
  const [{ socket }] = await once(client, 'upgrade')
  client.on('error', () => {})
  const end = ended(app)
  socket.write(Buffer.from([0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]))
  assert.deepEqual([(await end).cause, (await end).code], ['limit', 1009])
})
