/**
 * What once went wrong here, and must not again.
 */
import assert from 'node:assert/strict'
import { openAsBlob, rmSync, writeFileSync } from 'node:fs'
import { once } from 'node:events'
import { connect as connectSocket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import fastifyWebsocket from '@fastify/websocket'
import type { FastifyInstance } from 'fastify'
import WebSocket from 'ws'
import { Heartbeat } from '../../src/core/heartbeat.js'
import { Counts } from '../unit/core/peer.js'
import { Wheel } from '../../src/core/time/wheel.js'
import { readOptions } from '../../src/plugin/options.js'
import { connect, ended, start, until } from '../support/app.js'

const silent = (app: FastifyInstance): unknown => app.get('/', { websocket: true }, () => {})

test('close() on a connection whose peer floods it, and whose handler is still at work, is clean', async (t) => {
  const { app, url } = await start(t, {
    options: { closeTimeout: 60_000 },
    routes: (app) => app.get('/', { websocket: true }, () => new Promise(() => {}))
  })
  const client = await connect(t, url)
  const [connection] = app.lifeline
  for (let i = 0; i < 50; i++) client.send(Buffer.alloc(60_000))
  connection!.close(4000)
  const [code] = await once(client, 'close')
  assert.equal(code, 4000)
  assert.equal((await connection!.closed).code, 4000)
})

test('a close() that was put off loses nothing of what waits', async (t) => {
  const { app, url } = await start(t, {
    before: (app) => app.register(fastifyWebsocket),
    routes: (app) => app.get('/', { websocket: true }, () => {})
  })
  const client = await connect(t, url)
  client.pause()
  const [connection] = app.lifeline
  let pushed = 0
  while (connection!.bufferedBytes < 500_000) {
    connection!.push(Buffer.alloc(60_000))
    pushed++
  }
  let got = 0
  client.on('message', () => { got++ })
  for (const socket of app.websocketServer.clients) socket.close()
  client.resume()
  await once(client, 'close')
  assert.equal(got, pushed)
})

const hostile: Record<string, [unknown, unknown?]> = {
  'options that cannot be read': ['x', { get binary () { throw new Error('no') } }],
  'a proxy that throws null': [new Proxy({}, { getPrototypeOf () { throw null } })], // eslint-disable-line no-throw-literal
  'a toJSON that throws what cannot be read': [{ toJSON () { throw { get message () { throw new Error('no') } } } }], // eslint-disable-line no-throw-literal
  'a toJSON whose error has a cause that cannot be read': [{ toJSON () { throw new Error('x', { cause: { get message () { throw new Error('no') } } }) } }]
}

for (const [name, [data, options]] of Object.entries(hostile)) {
  test(`safePush of ${name} is false, and does not throw`, async (t) => {
    const { app, url, errors } = await start(t, { routes: silent })
    await connect(t, url)
    const [connection] = app.lifeline
    assert.equal(app.safePush(connection!.fd, data, options as never), false)
    assert.equal(app.lifeline.broadcast(data, options as never), 0)
    assert.equal(errors().length, 1)
    assert.equal(connection!.state, 'open')
  })
}

test('a close code that ws refuses has changed nothing', async (t) => {
  const { app, url } = await start(t, { routes: silent })
  const client = await connect(t, url)
  const [connection] = app.lifeline
  const next = connection!.messages().next()
  for (const socket of app.websocketServer.clients) assert.throws(() => { socket.close(999) })
  client.send('still read')
  assert.deepEqual((await next).value, { data: 'still read', binary: false })
  const end = ended(app)
  client.terminate()
  assert.deepEqual([(await end).cause, (await end).code], ['reset', 1006])
})

test('a sweep before the first slot of the wheel is over counts', () => {
  const wheel = new Wheel(10)
  const heartbeat = new Heartbeat(wheel, { stallTimeout: 3_000, closeTimeout: 200 }, new Counts())
  let asks = 0
  const wire = { deaf: false, heard: () => 0, advance: () => 0, backlog: () => 0, span: () => 0, waiting: () => 0, phase: () => 'reading' as const, beat: () => ++asks, beatenAt: () => NaN, peek: () => false }
  const peer = { wire, protected: false, closing () {}, lost () {}, stalled () {} }
  const pulses = [heartbeat.watch(peer, null)]
  heartbeat.sweep(pulses, 100)
  heartbeat.sweep(pulses, 100)
  heartbeat.sweep(pulses, 100)
  wheel.stop()
  assert.equal(asks, 1)
})

test('an option that is undefined is its default', () => {
  const settings = readOptions({ heartbeat: { interval: undefined }, limits: { payload: undefined } } as never)
  assert.equal(settings.heartbeat!.interval, 20_000)
  assert.equal(settings.limits.payload, 1_048_576)
})

test('messages that can never be sent, in a loop, are one line in the log', async (t) => {
  const { app, url, errors } = await start(t, { routes: silent })
  await connect(t, url)
  const [connection] = app.lifeline
  for (let i = 0; i < 1_000; i++) app.safePush(connection!.fd, undefined)
  assert.equal(errors().length, 1)
})

test('a handler that throws null is a failure like any other', async (t) => {
  const { url, errors } = await start(t, {
    // eslint-disable-next-line no-throw-literal
    routes: (app) => app.get('/', { websocket: true }, () => { throw null })
  })
  const client = await connect(t, url)
  const [code] = await once(client, 'close')
  assert.equal(code, 1011)
  assert.equal(errors().length, 1)
})

test('who began the closing names the cause, not who joins in', async (t) => {
  const { app, url, closed } = await start(t, {
    routes: (app) => app.get('/', { websocket: true }, (socket, request) => {
      const connection = app.lifeline.of(request)
      socket.on('message', () => { socket.close(4000) })
      socket.on('close', () => { connection.close(4999) })
    })
  })
  let end = ended(app)
  ;(await connect(t, url)).close(4001)
  await end
  end = ended(app)
  const client = await connect(t, url)
  client.send('close me')
  await end
  assert.deepEqual(closed.map(({ cause, code }) => [cause, code]), [['client', 4001], ['server', 4000]])
})

test('an upgrade that a hook has hijacked is whose it is', async (t) => {
  const { port } = await start(t, {
    options: { upgradeTimeout: 100 },
    routes: (app) => {
      app.addHook('onRequest', async (request, reply) => {
        reply.hijack()
        request.raw.socket.write('HTTP/1.1 101 Switching Protocols\r\n\r\nmine')
        setTimeout(() => { request.raw.socket.end('still mine') }, 700)
      })
      app.get('/', async () => 'never')
    }
  })
  const socket = connectSocket({ port, host: '127.0.0.1' })
  let heard = ''
  socket.setEncoding('latin1').on('data', (chunk) => { heard += chunk })
  socket.write('GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: mine\r\n\r\n')
  await once(socket, 'close')
  assert.match(heard, /mine.*still mine$/s)
})

test('a client that gets in after the shutdown has begun is told to come back, and close() settles', async (t) => {
  let closing!: () => void
  const begun = new Promise<void>((resolve) => { closing = resolve })
  let go!: () => void
  const late = new Promise<void>((resolve) => { go = resolve })
  const { app, url } = await start(t, {
    fastify: { return503OnClosing: false },
    before: async (app) => await app.register(fastifyWebsocket, { preClose: (done) => { done() } }),
    routes: (app) => {
      silent(app)
      app.addHook('preClose', async () => { closing(); await late })
    }
  })
  const closed = app.close()
  await begun
  const client = new WebSocket(url)
  const code = await new Promise((resolve) => {
    client.on('error', () => {})
    client.on('close', resolve)
  })
  assert.equal(code, 1012)
  go()
  await closed
})

test('what cannot be read, thrown after the end, harms nothing', async (t) => {
  const { app, url, lines } = await start(t, {
    routes: (app) => app.get('/', { websocket: true }, async (_socket, request) => {
      await app.lifeline.of(request).closed
      throw { get code () { throw new Error('no') } } // eslint-disable-line no-throw-literal
    })
  })
  const client = await connect(t, url)
  client.terminate()
  await until('it is logged', () => lines.some(({ msg }) => /handler of a connection/.test(msg)))
  assert.equal(app.lifeline.stats().errors, 1)
})

test('terminating in a closing that the peer began leaves the cause with the peer', async (t) => {
  const { app, url } = await start(t, {
    routes: (app) => app.get('/', { websocket: true }, (socket: WebSocket, request) => {
      request.raw.socket.once('end', () => { socket.terminate() })
    })
  })
  const end = ended(app)
  const client = await connect(t, url)
  client.close(4001)
  assert.equal((await end).cause, 'client')
})

test('a Blob of the app that cannot be read is an error of the app, and not of the peer', async (t) => {
  const file = join(tmpdir(), `lifeline-${process.pid}`)
  writeFileSync(file, 'before')
  t.after(() => { rmSync(file) })
  const { app, url, errors } = await start(t, {
    routes: (app) => app.get('/', { websocket: true }, async (socket: WebSocket) => {
      const blob = await openAsBlob(file)
      writeFileSync(file, 'changed, and longer')
      socket.send(blob)
    })
  })
  const end = ended(app)
  await connect(t, url)
  assert.equal((await end).cause, 'handler')
  assert.equal(errors().length, 1)
})

test('a frame of more than 2^53 bytes is past the limit', async (t) => {
  const { app, url } = await start(t, { routes: silent })
  const client = new WebSocket(url)
  const [{ socket }] = await once(client, 'upgrade')
  client.on('error', () => {})
  const end = ended(app)
  socket.write(Buffer.from([0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0]))
  assert.deepEqual([(await end).cause, (await end).code], ['limit', 1009])
})

test('a peer that takes all that is pushed to it and answers no ping is found, however much that is', async (t) => {
  const { app, url } = await start(t, { options: { heartbeat: { interval: 300, timeout: 300 }, backpressure: { stallTimeout: 600 } }, routes: silent })
  const end = ended(app)
  const client = await connect(t, url, { autoPong: false })
  let bytes = 0
  client.on('message', (data: Buffer) => { bytes += data.length })
  const [connection] = app.lifeline
  const flood = setInterval(() => { for (let i = 0; i < 10; i++) connection!.push(Buffer.alloc(60_000)) }, 5)
  t.after(() => { clearInterval(flood) })
  const late = setTimeout(() => { connection!.close(4000, 'nobody found it') }, 20_000)
  t.after(() => { clearTimeout(late) })
  assert.equal((await end).cause, 'heartbeat')
  assert.ok(bytes > 10_000_000, `only ${bytes} bytes were taken`)
})
