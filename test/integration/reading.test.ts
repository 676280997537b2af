import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect as connectSocket } from 'node:net'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import fastifyWebsocket from '@fastify/websocket'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type WebSocket from 'ws'
import { OVERHEAD } from '../../src/transports/websocket/held.js'
import { connect, ended, opened, start, until } from '../support/app.js'

const HANDSHAKE = 'GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n' +
  'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n'

/** A text frame from a client, masked with zeros (RFC 6455 §5.2). */
function frame (text: string): Buffer {
  const payload = Buffer.from(text)
  assert.ok(payload.length < 126)
  return Buffer.concat([Buffer.from([0x81, 0x80 | payload.length, 0, 0, 0, 0]), payload])
}

const numbers = Array.from({ length: 50 }, (_, i) => String(i))

type Reader = (socket: WebSocket, request: FastifyRequest, app: FastifyInstance, got: string[]) => unknown

const readers: Record<string, Reader> = {
  'on(message)': (socket, _request, _app, got) => { socket.on('message', (data) => { got.push(String(data)) }) },
  addEventListener: (socket, _request, _app, got) => { socket.addEventListener('message', ({ data }) => { got.push(String(data)) }) },
  onmessage: (socket, _request, _app, got) => { socket.onmessage = ({ data }) => { got.push(String(data)) } },
  'once(message), again and again': async (socket, _request, _app, got) => {
    while (got.length < 50) got.push(String((await once(socket, 'message'))[0]))
  },
  'messages()': async (_socket, request, app, got) => {
    for await (const { data } of app.lifeline.of(request).messages()) got.push(String(data))
  },
  onMessage: (_socket, request, app, got) => { app.lifeline.of(request).onMessage(({ data }) => { got.push(String(data)) }) },
  'a loop that is left after 10, and another': async (_socket, request, app, got) => {
    const connection = app.lifeline.of(request)
    for await (const { data } of connection.messages()) if (got.push(String(data)) === 10) break
    await sleep(20)
    for await (const { data } of connection.messages()) got.push(String(data))
  }
}

for (const [name, read] of Object.entries(readers)) {
  test(`50 messages in the packet of the upgrade reach a handler that awaits 500 ms before ${name}, in order (field 9)`, async (t) => {
    const got: string[] = []
    const { app, port } = await start(t, {
      routes: (app) => app.get('/', { websocket: true }, async (socket, request) => {
        await sleep(500)
        await read(socket, request, app, got)
      })
    })
    const adopted = opened(app)
    const socket = connectSocket({ port, host: '127.0.0.1' })
    socket.resume()
    socket.write(Buffer.concat([Buffer.from(HANDSHAKE), ...numbers.map(frame)]))
    await adopted
    await until('all messages', () => got.length >= 50)
    assert.deepEqual(got, numbers)
    const end = ended(app)
    socket.destroy()
    await end
  })
}

test('messages of a client that has left again are still there for a reader that comes late', async (t) => {
  const got: string[] = []
  const { app, url } = await start(t, {
    routes: (app) => app.get('/', { websocket: true }, async (_socket, request) => {
      const connection = app.lifeline.of(request)
      await connection.closed
      for await (const { data } of connection.messages()) got.push(String(data))
      got.push('end')
    })
  })
  const end = ended(app)
  const client = await connect(t, url)
  client.send('fire')
  client.send('forget')
  client.close()
  await end
  await until('the loop has ended', () => got.includes('end'))
  assert.deepEqual(got, ['fire', 'forget', 'end'])
})

test('a route without a reader holds 64 KiB, then lets go with one drop event, and goes on reading', async (t) => {
  const drops: Array<{ messages: number, bytes: number }> = []
  const { app, url } = await start(t, {
    options: { heartbeat: { interval: 200, timeout: 100 } },
    routes: (app) => {
      app.get('/', { websocket: true }, () => {})
      app.lifeline.on('drop', (_connection, drop) => { drops.push(drop) })
    }
  })
  const client = await connect(t, url)
  const [connection] = app.lifeline
  for (let i = 0; i < 1_000; i++) client.send(Buffer.alloc(1_000))
  await connection!.ping()
  const answer = once(client, 'pong')
  client.ping()
  await answer
  assert.equal(drops.length, 1)
  // Each message counts with what it costs to hold it.
  const held = drops[0]!.bytes + drops[0]!.messages * OVERHEAD.bytes
  assert.ok(held > 60 * 1024 && held <= 66 * 1024, `${held} bytes`)
  assert.equal(app.lifeline.stats().dropped.unread, 1000)
  assert.equal(connection!.state, 'open')
})

test('a handler that is still at work makes the peer wait instead, and loses nothing', async (t) => {
  let release!: () => void
  const got: number[] = []
  const { app, url } = await start(t, {
    routes: (app) => app.get('/', { websocket: true }, async (socket) => {
      await new Promise<void>((resolve) => { release = resolve })
      socket.on('message', (data: Buffer) => { got.push(data.readUInt32BE(0)) })
    })
  })
  const client = await connect(t, url)
  const message = Buffer.alloc(10_000)
  for (let i = 0; i < 2_000; i++) {
    message.writeUInt32BE(i)
    client.send(Buffer.from(message))
  }
  await until('the socket is paused', () => [...app.websocketServer.clients][0]!.isPaused)
  assert.ok(client.bufferedAmount > 0)
  release()
  await until('all messages', () => got.length === 2_000)
  assert.deepEqual(got, Array.from({ length: 2_000 }, (_, i) => i))
})

test('a reader that falls behind slows its peer down, and gets everything in order', async (t) => {
  let most = 0
  const got: number[] = []
  const { url } = await start(t, {
    routes: (app) => app.get('/', { websocket: true }, async (socket, request) => {
      for await (const { data, binary } of app.lifeline.of(request).messages()) {
        assert.equal(binary, true)
        got.push((data as Buffer).readUInt32BE(0))
        if (socket.isPaused) most++
        await new Promise(setImmediate)
      }
    })
  })
  const client = await connect(t, url)
  for (let i = 0; i < 500; i++) {
    const message = Buffer.alloc(10_000)
    message.writeUInt32BE(i)
    client.send(message)
  }
  await until('all messages', () => got.length === 500)
  assert.ok(most > 0, 'it was never paused')
  assert.deepEqual(got, Array.from({ length: 500 }, (_, i) => i))
})

test('two readers at a time are refused', async (t) => {
  const errors: unknown[] = []
  const { url } = await start(t, {
    routes: (app) => app.get('/', { websocket: true }, (_socket, request) => {
      const connection = app.lifeline.of(request)
      connection.onMessage(() => {})
      for (const again of [() => connection.messages(), () => { connection.onMessage(() => {}) }]) {
        try {
          again()
        } catch (error) {
          errors.push((error as { code: string }).code)
        }
      }
    })
  })
  await connect(t, url)
  assert.deepEqual(errors, ['FST_ERR_LIFELINE_ALREADY_READING', 'FST_ERR_LIFELINE_ALREADY_READING'])
})

test('text comes as a string and binary as a Buffer, whatever the socket\'s binaryType', async (t) => {
  const got: unknown[] = []
  const { url } = await start(t, {
    routes: (app) => app.get('/', { websocket: true }, (socket, request) => {
      app.lifeline.of(request).onMessage((message) => {
        got.push(message)
        socket.binaryType = got.length === 2 ? 'arraybuffer' : 'fragments'
      })
    })
  })
  const client = await connect(t, url)
  client.send('text')
  for (let i = 1; i < 4; i++) {
    client.send(Buffer.from([i, i, i]))
    await until('it has come', () => got.length === i + 1)
  }
  assert.deepEqual(got, [
    { data: 'text', binary: false },
    ...[1, 2, 3].map((i) => ({ data: Buffer.from([i, i, i]), binary: true }))
  ])
})

test('pauseReading stops the messages, and resumeReading brings them, whoever reads', async (t) => {
  const got: string[] = []
  const { app, url } = await start(t, {
    routes: (app) => app.get('/', { websocket: true }, (socket) => { socket.on('message', (data) => { got.push(String(data)) }) })
  })
  const client = await connect(t, url)
  const [connection] = app.lifeline
  connection!.pauseReading()
  for (const number of numbers) client.send(number)
  await sleep(100)
  assert.deepEqual(got, [])
  connection!.resumeReading()
  await until('all messages', () => got.length === 50)
  assert.deepEqual(got, numbers)
})

test('close() resumes a paused connection, and its closing handshake is clean', async (t) => {
  const { app, url } = await start(t, { routes: (app) => app.get('/', { websocket: true }, (socket) => { socket.on('message', () => { assert.fail('read after close') }) }) })
  const client = await connect(t, url)
  const [connection] = app.lifeline
  connection!.pauseReading()
  client.send('never read')
  await sleep(50)
  const left = once(client, 'close')
  connection!.close(4001, 'enough')
  const info = await connection!.closed
  assert.deepEqual([info.code, info.reason, info.cause], [4001, 'enough', 'server'])
  assert.equal((await left)[0], 4001)
})

test('what the socket holds for a listener has the binaryType that the listener chose', async (t) => {
  const got: unknown[] = []
  const { url } = await start(t, {
    routes: (app) => {
      for (const type of ['arraybuffer', 'fragments', 'nodebuffer'] as const) {
        app.get(`/${type}`, { websocket: true }, async (socket) => {
          await sleep(50)
          socket.binaryType = type
          socket.on('message', (data) => { got.push(data) })
        })
      }
    }
  })
  for (const type of ['arraybuffer', 'fragments', 'nodebuffer']) {
    const client = await connect(t, `${url}/${type}`)
    client.send(Buffer.from('abc'))
    await until('it has come', () => got.length > 0)
    const data = got.pop()
    if (type === 'arraybuffer') assert.deepEqual(data, new Uint8Array(Buffer.from('abc')).buffer)
    else assert.deepEqual(data, type === 'fragments' ? [Buffer.from('abc')] : Buffer.from('abc'))
  }
})

test('where the end of a handler cannot be seen, a route without a reader counts as push-only after upgradeTimeout', async (t) => {
  const { app, url } = await start(t, {
    options: { upgradeTimeout: 200 },
    before: (app) => app.register(fastifyWebsocket),
    routes: (app) => app.get('/', { websocket: true }, () => {})
  })
  const client = await connect(t, url)
  const dropped = once(app.lifeline, 'drop')
  for (let i = 0; i < 100; i++) client.send(Buffer.alloc(1_000))
  const [connection, { bytes }] = await dropped
  assert.ok(bytes > 60 * 1024)
  assert.equal(connection.state, 'open')
  assert.ok(Number.isFinite(await connection.ping()))
})
