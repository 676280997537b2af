/**
 * The socket that a handler gets is a socket of ws, in all that apps do with one; what its listeners
 * get stands in listening.test.ts.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import WebSocket from 'ws'
import { echo, live, onEveryWay, pair } from './setups.js'
import type { Client } from './setups.js'

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
