import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect as connectSocket } from 'node:net'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import fastifyWebsocket from '@fastify/websocket'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import WebSocket, { createWebSocketStream } from 'ws'
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
  'next(), and then messages()': async (_socket, request, app, got) => {
    const connection = app.lifeline.of(request)
    got.push(String((await connection.next())!.data))
    await sleep(20)
    got.push(String((await connection.next())!.data))
    for await (const { data } of connection.messages()) got.push(String(data))
  },
  'next(), and then on(message)': async (socket, request, app, got) => {
    got.push(String((await app.lifeline.of(request).next())!.data))
    socket.on('message', (data) => { got.push(String(data)) })
  },
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
    // Time enough for the messages to come before it has passed.
    options: { upgradeTimeout: 2_000 },
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

test('messages that are held because the app has paused are not taken for unread', async (t) => {
  const got: string[] = []
  const { app, url } = await start(t, {
    routes: (app) => app.get('/', { websocket: true }, (socket) => {
      socket.once('message', (data) => {
        got.push(String(data))
        socket.pause()
        setTimeout(() => {
          socket.on('message', (data) => { got.push(String(data)) })
          socket.resume()
        }, 100)
      })
    })
  })
  const client = await connect(t, url)
  for (let i = 0; i < 4_000; i++) client.send(String(i))
  await until('all have come', () => got.length === 4_000)
  assert.deepEqual(got, Array.from({ length: 4_000 }, (_, i) => String(i)))
  assert.equal(app.lifeline.stats().dropped.unread, 0)
})

for (const options of [{}, { websocket: { options: { perMessageDeflate: true } } }]) {
  test(`a stream of a socket that ends its own side reads all that the peer had sent (${Object.keys(options).join()})`, async (t) => {
    let read = 0
    let over!: () => void
    const ended = new Promise<void>((resolve) => { over = resolve })
    const { url } = await start(t, {
      options,
      routes: (app) => app.get('/', { websocket: true }, async (socket: WebSocket) => {
        const duplex = createWebSocketStream(socket)
        await once(duplex, 'readable')
        duplex.end('ok')
        for await (const chunk of duplex) read += chunk.length
        over()
      })
    })
    const client = new WebSocket(url)
    await once(client, 'open')
    for (let i = 0; i < 20; i++) client.send(Buffer.alloc(20_000))
    await ended
    assert.equal(read, 400_000)
  })
}

test('next() waits for the next message, says what kind it is, is null when none will come, and is one reader at a time', { timeout: 10_000 }, async (t) => {
  const { app, url } = await start(t, { routes: (app) => app.get('/', { websocket: true }, () => {}) })
  const client = await connect(t, url)
  const [connection] = app.lifeline
  const first = connection!.next()
  await assert.rejects(connection!.next(), { code: 'FST_ERR_LIFELINE_ALREADY_READING' })
  client.send('text')
  assert.deepEqual(await first, { data: 'text', binary: false })
  client.send(Buffer.from([1]))
  assert.deepEqual(await connection!.next(), { data: Buffer.from([1]), binary: true })
  const last = connection!.next()
  client.close()
  assert.equal(await last, null)
  await connection!.closed
  assert.equal(await connection!.next(), null)
})

test('onClose calls back once, when it is over or if it is, and what it throws is told as what the handler throws', { timeout: 10_000 }, async (t) => {
  const called: unknown[] = []
  const { app, url, errors } = await start(t, {
    routes: (app) => app.get('/', { websocket: true }, (_socket, request) => {
      const connection = app.lifeline.of(request)
      connection.onClose(({ cause }) => { called.push(cause, connection.state) })
      connection.onClose(async () => { throw new Error('of the app') })
    })
  })
  const told: unknown[] = []
  app.lifeline.on('error', (connection, error) => { told.push(connection!.fd, (error as Error).message) })
  const client = await connect(t, url)
  const [connection] = app.lifeline
  client.close()
  await connection!.closed
  await until('it was told', () => told.length === 2)
  connection!.onClose(({ fd }) => { called.push(fd) })
  assert.deepEqual(called, ['client', 'closed'], 'not before it has returned')
  await until('that as well', () => called.length === 3)
  assert.deepEqual([called[2], told, errors().length], [connection!.fd, [connection!.fd, 'of the app'], 1])
  for (const handler of [undefined, null, {}, 'x']) assert.throws(() => { connection!.onClose(handler as never) }, { code: 'FST_ERR_LIFELINE_ARGUMENT' })
})

for (const how of ['close', 'terminate', 'socket.terminate'] as const) {
  for (const end of [false, true]) {
    for (const kind of ['onMessage', 'messages()', 'next()'] as const) {
      test(`what waits behind a ${how} of the app's is not read by ${kind}${end ? ', nor where the peer has closed behind it' : ''}`, async (t) => {
        const got: string[] = []
        const { app, url } = await start(t, {
          options: { closeTimeout: 100 },
          routes: (app) => app.get('/', { websocket: true }, async (socket, request) => {
            const connection = app.lifeline.of(request)
            const read = ({ data }: { data: string | Buffer }): void => {
              got.push(String(data))
              if (data !== 'bad') return
              if (how === 'socket.terminate') socket.terminate()
              else connection[how]()
            }
            if (kind === 'onMessage') connection.onMessage(read)
            else if (kind === 'messages()') for await (const message of connection.messages()) read(message)
            else for (let message = await connection.next(); message !== null; message = await connection.next()) read(message)
          })
        })
        const over = ended(app)
        const client = await connect(t, url)
        const [connection] = app.lifeline
        connection!.pauseReading()
        for (const text of ['good', 'bad', 'behind', 'last']) client.send(text)
        if (end) client.close()
        await sleep(5)
        connection!.resumeReading()
        await over
        await sleep(5)
        assert.deepEqual(got, ['good', 'bad'])
      })
    }
  }
}

test('a loop over next() loses nothing, though its handler has returned and more waits than is kept for nobody', async (t) => {
  const got: number[] = []
  const { app, url } = await start(t, {
    routes: (app) => app.get('/', { websocket: true }, (_socket, request) => {
      const connection = app.lifeline.of(request)
      const loop = async (): Promise<void> => {
        for (let message = await connection.next(); message !== null; message = await connection.next()) {
          got.push(message.data.length)
          await sleep(1)
        }
      }
      loop().catch(() => {})
    })
  })
  const client = await connect(t, url)
  client.send('first')
  client.send('second')
  await until('it loops', () => got.length === 2)
  for (let i = 0; i < 300; i++) client.send('x'.repeat(1024))
  await until('all have come', () => got.length === 302)
  assert.equal(app.lifeline.stats().dropped.unread, 0)
})
