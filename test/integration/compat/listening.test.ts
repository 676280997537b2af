/**
 * What a socket that a handler gets tells its listeners, and when: as a socket of ws does.
 */
import assert from 'node:assert/strict'
import { on, once } from 'node:events'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createWebSocketStream } from 'ws'
import { echo, live, onEveryWay, pair, upgradeRequest } from './setups.js'

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
