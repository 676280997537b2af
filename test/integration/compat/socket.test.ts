/**
 * The socket that a handler gets is a socket of ws, in all that apps do with one.
 */
import assert from 'node:assert/strict'
import { on, once } from 'node:events'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { FastifyRequest } from 'fastify'
import WebSocket, { createWebSocketStream } from 'ws'
import { begin, echo, onEveryWay, upgradeRequest } from './setups.js'
import type { Begun, Client, Way } from './setups.js'
import type { TestContext } from 'node:test'

type Live = (socket: WebSocket, request: FastifyRequest) => unknown

const live = (t: TestContext, way: Way, handler: Live): Promise<Begun> =>
  begin(t, way, { routes: (app) => app.get('/', { websocket: true }, (socket, request) => { handler(socket, request) }) })

/** One connection: its client, and its socket on the server. */
async function pair (t: TestContext, way: Way, handler: Live = () => {}): Promise<{ client: Client, socket: WebSocket, begun: Begun }> {
  let made!: (socket: WebSocket) => void
  const socket = new Promise<WebSocket>((resolve) => { made = resolve })
  const begun = await live(t, way, (own, request) => {
    made(own)
    return handler(own, request)
  })
  return { client: await begun.dial(), socket: await socket, begun }
}

onEveryWay('it is an instance of WebSocket, open, with the members of one', async (t, way) => {
  const { client, socket } = await pair(t, way)
  assert.equal(socket instanceof WebSocket, true)
  const { readyState, OPEN, CONNECTING, CLOSED, protocol, extensions, url, binaryType, bufferedAmount, isPaused } = socket
  assert.deepEqual({ readyState, OPEN, CONNECTING, CLOSED, protocol, extensions, binaryType, bufferedAmount, isPaused }, {
    readyState: 1, OPEN: 1, CONNECTING: 0, CLOSED: 3, protocol: '', extensions: '', binaryType: 'nodebuffer', bufferedAmount: 0, isPaused: false
  })
  assert.equal(url, undefined)
  client.socket.close()
  await once(socket, 'close')
  assert.equal(socket.readyState, WebSocket.CLOSED)
})

onEveryWay('send takes text, bytes, views, ArrayBuffers, Blobs, options and callbacks', async (t, way) => {
  const { client, socket } = await pair(t, way)
  const bytes = Buffer.from('bytes')
  const texts: Array<[unknown, object?]> = [['text'], [bytes, { binary: false }], [Buffer.from('compressed?'), { compress: true, binary: false }]]
  const binaries: Array<[unknown, object?]> = [
    [bytes], [new Uint8Array(bytes)], [new Uint8Array(bytes).buffer], [new DataView(new Uint8Array(bytes).buffer)], ['bytes', { binary: true }], [new Blob(['bytes'])], [[bytes.subarray(0, 2), bytes.subarray(2)]]
  ]
  for (const [data, options] of texts) {
    socket.send(data as string, options as never)
    assert.equal((await client.message()).binary, false)
  }
  for (const [data, options] of binaries.slice(0, -1)) {
    await new Promise<void>((resolve, reject) => {
      const done = (error?: Error): void => { if (error) reject(error); else resolve() }
      if (options === undefined) socket.send(data as Buffer, done)
      else socket.send(data as Buffer, options as never, done)
    })
    assert.deepEqual(await client.message(), { data: bytes, binary: true })
  }
})

onEveryWay('what is sent after a Blob, and around it, arrives in order', async (t, way) => {
  const { client, socket } = await pair(t, way)
  socket.send('one')
  socket.send(new Blob(['two']))
  socket.send('three')
  socket.send(new Blob(['four']))
  assert.deepEqual([await client.text(), await client.text(), await client.text(), await client.text()], ['one', 'two', 'three', 'four'])
})

onEveryWay('fragments (fin: false) arrive as one message', async (t, way) => {
  const { client, socket } = await pair(t, way)
  socket.send('a', { fin: false })
  socket.send('b', { fin: false })
  socket.ping()
  socket.send('c', { fin: true })
  socket.send('next')
  assert.equal(await client.text(), 'abc')
  assert.equal(await client.text(), 'next')
})

onEveryWay('ping and pong carry their data, and their events come', async (t, way) => {
  const { client, socket } = await pair(t, way)
  const pinged = once(client.socket, 'ping')
  const ponged = once(socket, 'pong')
  socket.ping('are you there')
  assert.equal(String((await pinged)[0]), 'are you there')
  assert.equal(String((await ponged)[0]), 'are you there')
  const serverPinged = once(socket, 'ping')
  const clientPonged = once(client.socket, 'pong')
  client.socket.ping('and you')
  assert.equal(String((await serverPinged)[0]), 'and you')
  assert.equal(String((await clientPonged)[0]), 'and you')
  const unasked = once(client.socket, 'pong')
  socket.pong(Buffer.from('unasked'))
  assert.equal(String((await unasked)[0]), 'unasked')
})

const endings: Record<string, { end: (socket: WebSocket, client: Client) => void, code: number, reason?: string, atServer?: number, serverReason?: string }> = {
  'close()': { end: (socket) => { socket.close() }, code: 1005 },
  'close(1000)': { end: (socket) => { socket.close(1000) }, code: 1000 },
  'close(4321, reason)': { end: (socket) => { socket.close(4321, 'wärum') }, code: 4321, reason: 'wärum' },
  'close(1001, Buffer)': { end: (socket) => { socket.close(1001, Buffer.from('bytes')) }, code: 1001, reason: 'bytes' },
  'close twice': { end: (socket) => { socket.close(4001); socket.close(4002) }, code: 4001 },
  'send and close': { end: (socket) => { socket.send('last'); socket.close(4000) }, code: 4000 },
  'terminate()': { end: (socket) => { socket.terminate() }, code: 1006, atServer: 1006 },
  'close() and terminate()': { end: (socket) => { socket.close(4000); socket.terminate() }, code: 4000, atServer: 1006 },
  'the client closes': { end: (_socket, client) => { client.socket.close() }, code: 1005 },
  'the client closes with a code': { end: (_socket, client) => { client.socket.close(4999, 'bye') }, code: 4999, reason: 'bye' },
  'the client terminates': { end: (_socket, client) => { client.socket.terminate() }, code: 1006 }
}

for (const [name, { end, code, reason = '', atServer = code }] of Object.entries(endings)) {
  onEveryWay(`${name}: code and reason, on both sides`, async (t, way) => {
    const { client, socket, begun } = await pair(t, way)
    const over = once(socket, 'close')
    end(socket, client)
    assert.deepEqual(await client.closed, { code, reason })
    const [serverCode, serverReason] = await over
    assert.equal(serverCode, atServer)
    assert.equal(String(serverReason), atServer === code ? reason : '')
    assert.equal(begun.app.websocketServer.clients.size, 0)
  })
}

onEveryWay('close refuses codes and reasons that ws refuses, and the socket stays open', async (t, way) => {
  const { client, socket } = await pair(t, way, echo)
  assert.throws(() => { socket.close(1006) }, TypeError)
  assert.throws(() => { socket.close(999) }, TypeError)
  assert.throws(() => { socket.close(1000, 'x'.repeat(124)) }, RangeError)
  assert.equal(socket.readyState, WebSocket.OPEN)
  assert.equal(await client.ask('x'), 'x')
})

onEveryWay('sending on a closed socket throws nothing and calls back with an error', async (t, way) => {
  const { client, socket } = await pair(t, way)
  client.socket.close()
  await once(socket, 'close')
  socket.send('lost')
  const error = await new Promise((resolve) => { socket.send('lost', resolve) })
  assert.match(String(error), /not open/)
  socket.close()
  socket.terminate()
  socket.pause()
  socket.resume()
})

onEveryWay('after close() readyState is CLOSING, messages that were under way still come, then close', async (t, way) => {
  const events: string[] = []
  const { client, socket } = await pair(t, way, (socket) => {
    socket.on('message', (data) => {
      events.push(String(data))
      if (events.length > 1) return
      socket.close(4000)
      events.push(`state ${socket.readyState}`)
    })
    socket.on('close', () => { events.push('close') })
  })
  const over = once(socket, 'close')
  for (const text of ['one', 'two', 'three']) client.socket.send(text)
  await over
  assert.deepEqual(events, ['one', 'state 2', 'two', 'three', 'close'])
})

onEveryWay('binaryType: nodebuffer, arraybuffer, fragments, blob', async (t, way) => {
  const kinds: string[] = []
  const { client, socket } = await pair(t, way)
  socket.on('message', (data: unknown, binary: boolean) => {
    kinds.push(Array.isArray(data) ? 'fragments' : (data as object).constructor.name)
    assert.equal(binary, true)
    socket.send('next')
  })
  for (const type of ['nodebuffer', 'arraybuffer', 'fragments', 'blob'] as const) {
    socket.binaryType = type as never
    assert.equal(socket.binaryType, type)
    assert.equal(await client.ask(Buffer.from('x')), 'next')
  }
  assert.deepEqual(kinds, ['Buffer', 'ArrayBuffer', 'fragments', 'Blob'])
  socket.binaryType = 'nonsense' as never
  assert.equal(socket.binaryType, 'blob')
})

onEveryWay('pause and resume: nothing is lost, nothing overtakes', async (t, way) => {
  const got: string[] = []
  const { client, socket } = await pair(t, way, (socket) => {
    socket.on('message', (data) => {
      got.push(String(data))
      if (got.length % 10 !== 0) return
      socket.pause()
      assert.equal(socket.isPaused, true)
      setImmediate(() => { socket.resume() })
    })
  })
  for (let i = 0; i < 100; i++) client.socket.send(String(i))
  client.socket.close(1000)
  await once(socket, 'close')
  assert.deepEqual(got, Array.from({ length: 100 }, (_, i) => String(i)))
})

onEveryWay('listeners of every kind get messages, in the order in which they were added', async (t, way) => {
  const got: string[] = []
  const never = (): void => { got.push('never') }
  const twice = (): void => { got.push('twice') }
  const { client, socket } = await pair(t, way, (socket) => {
    socket.on('message', (data, binary) => { got.push(`on ${String(data)} ${binary}`) })
    socket.once('message', () => { got.push('once') })
    socket.addListener('message', never)
    socket.removeListener('message', never)
    socket.prependListener('message', () => { got.push('first') })
    socket.addEventListener('message', ({ data, type, target }) => { got.push(`event ${String(data)} ${type} ${target === socket}`) })
    socket.addEventListener('message', twice as never)
    socket.addEventListener('message', twice as never)
    socket.addEventListener('message', never as never)
    socket.removeEventListener('message', never as never)
    socket.addEventListener('message', { handleEvent: () => { got.push('object') } } as never)
    socket.onmessage = never
    socket.onmessage = ({ data }) => {
      got.push(`onmessage ${String(data)}`)
      socket.send('done')
    }
  })
  assert.equal(await client.ask('a'), 'done')
  assert.deepEqual(got.splice(0), ['first', 'on a false', 'once', 'event a message true', 'twice', 'object', 'onmessage a'])
  assert.equal(await client.ask('b'), 'done')
  assert.deepEqual(got, ['first', 'on b false', 'event b message true', 'twice', 'object', 'onmessage b'])
  const { onmessage } = socket
  assert.equal(typeof onmessage, 'function')
  socket.onmessage = null
  assert.equal(socket.onmessage, null)
})

onEveryWay('listeners keep their identity: off, listeners, rawListeners, listenerCount', async (t, way) => {
  const { socket } = await pair(t, way)
  const listener = (): void => {}
  socket.on('message', listener)
  socket.once('message', listener)
  assert.deepEqual(socket.listeners('message'), [listener, listener])
  assert.equal(socket.rawListeners('message')[0], listener)
  assert.equal(socket.listenerCount('message'), 2)
  socket.off('message', listener)
  socket.off('message', listener)
  assert.equal(socket.listenerCount('message'), 0)
  socket.onclose = listener
  assert.equal(socket.onclose, listener)
})

onEveryWay('open, close and error events of the DOM kind', async (t, way) => {
  const events: unknown[] = []
  const { client, socket } = await pair(t, way, (socket) => {
    socket.addEventListener('close', ({ code, reason, wasClean }) => { events.push([code, reason, wasClean]) })
    socket.onclose = ({ type }) => { events.push(type) }
  })
  const over = once(socket, 'close')
  client.socket.close(4000, 'why')
  await over
  assert.deepEqual(events, [[4000, 'why', true], 'close'])
})

onEveryWay('events.once and events.on read messages', async (t, way) => {
  const { client, socket } = await pair(t, way, async (socket) => {
    const [first] = await once(socket, 'message')
    socket.send(`first ${String(first)}`)
    for await (const [data] of on(socket, 'message', { close: ['close'] } as never)) socket.send(`then ${String(data)}`)
  })
  assert.equal(await client.ask('a'), 'first a')
  assert.equal(await client.ask('b'), 'then b')
  assert.equal(await client.ask('c'), 'then c')
  client.socket.close()
  await once(socket, 'close')
})

onEveryWay('createWebSocketStream reads and writes, with backpressure, and ends', async (t, way) => {
  const { client, socket } = await pair(t, way, (socket) => {
    const stream = createWebSocketStream(socket, { highWaterMark: 1024 })
    stream.pipe(stream)
  })
  const duplex = createWebSocketStream(client.socket)
  const total = 512 * 1024
  let got = 0
  duplex.on('data', (chunk: Buffer) => {
    got += chunk.length
    if (got === total) duplex.end()
  })
  const over = once(socket, 'close')
  for (let i = 0; i < 512; i++) duplex.write(Buffer.alloc(1024, i))
  await over
  assert.equal(got, total)
})

onEveryWay('createWebSocketStream in a pipeline: what the server streams arrives whole', async (t, way) => {
  const begun = await live(t, way, (socket) => pipeline(Readable.from(Array.from({ length: 100 }, (_, i) => `${i};`)), createWebSocketStream(socket, { encoding: 'utf8', decodeStrings: false })))
  const client = await begun.dial()
  let text = ''
  while (!text.endsWith('99;')) text += await client.text()
  assert.equal(text, Array.from({ length: 100 }, (_, i) => `${i};`).join(''))
})

onEveryWay('many messages in one turn come one by one and in order', async (t, way) => {
  const { dial } = await live(t, way, echo)
  const client = await dial()
  const texts = Array.from({ length: 1000 }, (_, i) => `${i} ${'x'.repeat(i % 200)}`)
  for (const text of texts) client.socket.send(text)
  for (const text of texts) assert.equal(await client.text(), text)
})

onEveryWay('large messages go both ways', async (t, way) => {
  const { dial } = await live(t, way, echo)
  const client = await dial()
  const bytes = Buffer.alloc(900 * 1024, 7)
  client.socket.send(bytes)
  assert.deepEqual((await client.message()).data, bytes)
})

onEveryWay('a message in the same packet as the upgrade is heard', async (t, way) => {
  const { say } = await live(t, way, (socket) => { socket.on('message', (data) => { socket.close(1000, String(data)) }) })
  const masked = Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0x68, 0x69])
  const client = say('')
  client.write(Buffer.concat([Buffer.from(upgradeRequest('/')), masked]))
  let bytes = Buffer.alloc(0)
  for await (const chunk of client) {
    bytes = Buffer.concat([bytes, chunk])
    if (bytes.includes('hi')) break
  }
  assert.match(bytes.toString('latin1'), /^HTTP\/1\.1 101 .*\x88\x04\x03\xe8hi$/s) // eslint-disable-line no-control-regex
})

const wire: Record<string, { frame: Buffer, code: string, error: string }> = {
  'a reserved bit': { frame: Buffer.from([0xa2, 0x80, 0, 0, 0, 0]), code: '03ea', error: 'WS_ERR_UNEXPECTED_RSV_2_3' },
  'an unmasked frame': { frame: Buffer.from([0x81, 0x01, 0x61]), code: '03ea', error: 'WS_ERR_EXPECTED_MASK' },
  'text that is no UTF-8': { frame: Buffer.from([0x81, 0x81, 0, 0, 0, 0, 0xff]), code: '03ef', error: 'WS_ERR_INVALID_UTF8' }
}

for (const [name, { frame, code, error }] of Object.entries(wire)) {
  onEveryWay(`${name} from the peer is an error event, answered with the close code of RFC 6455`, async (t, way) => {
    const errors: unknown[] = []
    const { app, say } = await live(t, way, (socket) => {
      socket.on('error', (error: Error & { code?: string }) => { errors.push(error.code) })
    })
    const client = say(upgradeRequest('/'))
    let bytes = ''
    client.setEncoding('hex').on('data', (chunk: string) => { bytes += chunk })
    await once(client, 'data')
    const [socket] = app.websocketServer.clients
    const over = new Promise((resolve) => { socket!.once('close', resolve) })
    client.write(frame)
    await Promise.all([over, once(client, 'close')])
    assert.deepEqual(errors, [error])
    assert.match(bytes, new RegExp(`8802${code}$`))
    assert.equal(app.websocketServer.clients.size, 0)
  })
}

onEveryWay('the app may listen to connection and headers of websocketServer', async (t, way) => {
  const events: string[] = []
  const { app, dial } = await live(t, way, () => { events.push('handler') })
  app.websocketServer.on('headers', (headers, request) => {
    events.push(`headers ${request.url}`)
    headers.push('x-own: mine')
  })
  app.websocketServer.on('connection', (socket, request) => { events.push(`connection ${request.url} ${socket.readyState}`) })
  const client = await dial('/')
  assert.equal(client.response?.headers['x-own'], 'mine')
  assert.deepEqual(events, ['headers /', 'connection / 1', 'handler'])
  assert.equal(app.websocketServer.clients.size, 1)
})

onEveryWay('the recipe of the ws README, isAlive and terminate, works beside us', async (t, way) => {
  const { app, dial } = await live(t, way, (socket) => {
    Object.assign(socket, { isAlive: true })
    socket.on('pong', () => { Object.assign(socket, { isAlive: true }) })
  })
  const good = await dial()
  const bad = await dial()
  bad.socket.pause()
  const sockets = [...app.websocketServer.clients] as Array<WebSocket & { isAlive: boolean }>
  const ponged = once(sockets[0]!, 'pong')
  for (const socket of sockets) {
    socket.isAlive = false
    socket.ping()
  }
  await ponged
  assert.deepEqual(sockets.map(({ isAlive }) => isAlive), [true, false])
  const over = once(sockets[1]!, 'close')
  for (const socket of sockets) if (!socket.isAlive) socket.terminate()
  await over
  assert.equal(good.socket.readyState, WebSocket.OPEN)
})
