/**
 * What once went wrong here, and must not again.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import fastifyWebsocket from '@fastify/websocket'
import type { FastifyInstance } from 'fastify'
import type WebSocket from 'ws'
import { Heartbeat } from '../../src/core/heartbeat.js'
import { Wheel } from '../../src/core/wheel.js'
import { readOptions } from '../../src/plugin/options.js'
import { Inbox } from '../../src/transports/websocket/inbox.js'
import { connect, ended, start, until } from '../support/app.js'

const silent = (app: FastifyInstance): unknown => app.get('/', { websocket: true }, () => {})

test('a listener takes over from a loop that was left, with what the loop had not taken', async (t) => {
  const got: string[] = []
  const { url } = await start(t, {
    routes: (app) => app.get('/', { websocket: true }, async (socket, request) => {
      for await (const { data } of app.lifeline.of(request).messages()) {
        got.push(`loop ${String(data)}`)
        if (got.length === 1) break
      }
      socket.on('message', (data) => { got.push(`listener ${String(data)}`) })
    })
  })
  const client = await connect(t, url)
  for (const text of ['1', '2', '3']) client.send(text)
  await until('all have come', () => got.length === 3)
  client.send('4')
  await until('the last has come', () => got.length === 4)
  assert.deepEqual(got, ['loop 1', 'listener 2', 'listener 3', 'listener 4'])
})

test('a listener that comes after another one has paused, left and resumed gets what was held', async (t) => {
  const got: string[] = []
  const { url } = await start(t, {
    routes: (app) => app.get('/', { websocket: true }, (socket) => {
      const first = (data: unknown): void => {
        got.push(`first ${String(data)}`)
        socket.pause()
        setImmediate(() => {
          socket.off('message', first)
          socket.resume()
          setImmediate(() => { socket.on('message', (data) => { got.push(`second ${String(data)}`) }) })
        })
      }
      socket.on('message', first)
    })
  })
  const client = await connect(t, url)
  for (const text of ['1', '2', '3']) client.send(text)
  await until('the first has come', () => got.length > 0)
  await until('all have come', () => {
    if (got.length < 3) client.send('more')
    return got.length >= 3
  })
  assert.deepEqual(got.slice(0, 2), ['first 1', 'second 2'])
})

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
  while (connection!.bufferedBytes < 2_000_000) {
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

test('a detached buffer is no message', async (t) => {
  const { app, url } = await start(t, { routes: silent })
  await connect(t, url)
  const [connection] = app.lifeline
  const bytes = new Uint8Array(8)
  structuredClone(bytes, { transfer: [bytes.buffer] })
  let reported: unknown
  app.lifeline.on('error', (_connection, error) => { reported = error })
  assert.equal(app.safePush(connection!.fd, bytes), false)
  assert.equal((reported as { code: string }).code, 'FST_ERR_LIFELINE_INVALID_DATA')
})

test('a fragment that cannot be sent does not hold up what is pushed after it', async (t) => {
  const { app, url } = await start(t, { routes: silent })
  const client = await connect(t, url)
  const [connection] = app.lifeline
  for (const socket of app.websocketServer.clients) assert.throws(() => { socket.send({} as never, { fin: false }) })
  const message = once(client, 'message')
  assert.equal(app.lifeline.push(connection!.fd, 'after it'), 'sent')
  assert.equal(String((await message)[0]), 'after it')
})

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

test('a reader that leaves a full inbox behind does not leave the peer waiting for ever', async () => {
  let held = false
  const inbox = new Inbox({ hold (on) { held = on }, wanted: () => false, left () {}, dropped () {} })
  inbox.settled()
  const messages = inbox.messages()
  for (let i = 0; i < 10; i++) inbox.add({ data: Buffer.alloc(30_000), binary: true })
  assert.equal(held, true)
  await messages.return!()
  assert.equal(held, false)
})

test('a sweep before the first turn of the wheel counts', () => {
  const wheel = new Wheel(10)
  const heartbeat = new Heartbeat(wheel, { stallTimeout: 3_000, closeTimeout: 200 }, { pings: 0, lost: 0 })
  let asks = 0
  const peer = { heard: () => 0, progress: () => 0, backlog: () => 0, phase: () => 'reading' as const, protected: false, ask () { asks++ }, peek () {}, lost () {} }
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

test('what is held while the app has paused reaches the listeners before the close event', async (t) => {
  const told: string[] = []
  const { app, url } = await start(t, {
    routes: (app) => app.get('/', { websocket: true }, (socket: WebSocket) => {
      socket.on('message', (data) => {
        told.push(String(data))
        socket.pause()
      })
      socket.on('close', () => { told.push('close') })
    })
  })
  const end = ended(app)
  const client = await connect(t, url)
  for (const text of ['1', '2', '3']) client.send(text)
  await sleep(50)
  client.terminate()
  for (const socket of app.websocketServer.clients) socket.resume()
  await end
  assert.deepEqual(told.at(-1), 'close')
  assert.deepEqual(told.slice(0, 2), ['1', '2'])
})

test('messages that can never be sent, in a loop, are one line in the log', async (t) => {
  const { app, url, errors } = await start(t, { routes: silent })
  await connect(t, url)
  const [connection] = app.lifeline
  for (let i = 0; i < 1_000; i++) app.safePush(connection!.fd, undefined)
  assert.equal(errors().length, 1)
})
