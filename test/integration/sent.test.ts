/**
 * What is said of messages is said of those that were sent, as they were when they were pushed: whatever the app does to its
 * bytes then, whoever writes them, and however long they wait.
 */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { setImmediate as turnOver, setTimeout as sleep } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import WebSocket, { WebSocketServer } from 'ws'
import type { CloseInfo, Connection, Delivery, Drop, LifelineOptions } from '../../src/index.js'
import { connect, ended, opened, start, until } from '../support/app.js'
import type { App } from '../support/app.js'
import { dial } from '../support/raw-client.js'
import type { RawClient } from '../support/raw-client.js'

const silent = (app: FastifyInstance): unknown => app.get('/', { websocket: true }, () => {})

interface Here { app: App, connection: Connection, socket: WebSocket, over: Promise<CloseInfo> }

async function serve (t: TestContext, options: LifelineOptions): Promise<{ app: App, sockets: WebSocket[] }> {
  const sockets: WebSocket[] = []
  const app = await start(t, { options: { shutdown: { timeout: 200 }, ...options }, routes: (app) => { app.get('/', { websocket: true }, (socket) => { sockets.push(socket) }) } })
  return { app, sockets }
}

/** A client whose pongs can be held back, and who keeps what it gets. */
async function withClient (t: TestContext, options: LifelineOptions = {}, client: WebSocket.ClientOptions = { perMessageDeflate: false }): Promise<Here & { client: WebSocket, got: string[] }> {
  const { app, sockets } = await serve(t, options)
  const [opening, over] = [opened(app.app), ended(app.app)]
  const socket = await connect(t, app.url, client)
  const got: string[] = []
  socket.on('message', (data) => { got.push(String(data)) })
  const connection = await opening
  await until('the handler has run', () => sockets.length === 1)
  return { app, connection, socket: sockets[0]!, over, client: socket, got }
}

async function withPeer (t: TestContext, options: LifelineOptions = {}, answers = true): Promise<Here & { peer: RawClient }> {
  const { app, sockets } = await serve(t, options)
  const [opening, over] = [opened(app.app), ended(app.app)]
  const peer = await dial(t, app.url, { answers })
  const connection = await opening
  await until('the handler has run', () => sockets.length === 1)
  return { app, connection, socket: sockets[0]!, over, peer }
}

const texts = ({ received }: RawClient): string[] => received.filter(({ kind }) => kind !== 'close').map(({ data }) => String(data))

/** A class of the app's whose `send` sends later, and fails for what it is told to fail for. */
class Later extends WebSocket {
  static ms = 30
  override send (data: any, options?: any, done?: any): void {
    if (String(data) === 'throws') throw new Error('not that')
    if (String(data) === 'fails') {
      setTimeout(() => { done(new Error('not that')) }, 1)
      return
    }
    setTimeout(() => { super.send(data, options, done) }, Later.ms)
  }
}
const later: LifelineOptions = { websocket: { options: { WebSocket: Later as never } } }

describe('a message carries its number', { concurrency: true }, () => {
  for (const receipts of [false, true]) {
    test(`one that was pushed between fragments of the app's, and then given to a worker, takes no other with it (receipts ${receipts})`, async (t) => {
      const { connection, socket, peer } = await withPeer(t, { receipts })
      socket.send('a', { fin: false })
      const bytes = new Uint8Array(300).fill(7)
      assert.equal(connection.push(bytes), 'buffered')
      structuredClone(bytes.buffer, { transfer: [bytes.buffer] })
      const waiting = connection.deliver('important', { timeout: 5_000 })
      socket.send('b', { fin: true })
      assert.equal((await waiting).outcome, 'delivered')
      assert.deepEqual(texts(peer), ['ab', String(Buffer.alloc(300, 7)), 'important'])
      assert.equal((await connection.deliver('later')).outcome, 'delivered')
      assert.equal(texts(peer).at(-1), 'later')
    })
  }

  test('what waits for the end of the app\'s fragments is known to have arrived when it has', async (t) => {
    const { connection, socket } = await withPeer(t)
    socket.send('a', { fin: false })
    const waiting = connection.deliver('x', { timeout: 5_000 })
    await sleep(20)
    socket.send('b', { fin: true })
    assert.equal((await waiting).outcome, 'delivered')
  })

  test('a class of the app\'s that sends later: nothing is said to be delivered before it has been sent', async (t) => {
    const { connection, client, got } = await withClient(t, { ...later, receipts: true })
    client.on('ping', () => { got.push('ping') })
    const outcomes = await Promise.all(['one', 'two'].map(async (text) => {
      const { outcome } = await connection.deliver(text, { timeout: 5_000 })
      assert.ok(got.includes(text), `${text} is ${outcome}, and has not come`)
      return outcome
    }))
    assert.deepEqual(outcomes, ['delivered', 'delivered'])
    await until('all is confirmed', () => connection.unconfirmed.count === 0)
  })

  test('a message that a class of the app\'s cannot send is reported, and the others keep their own numbers', async (t) => {
    const { app, connection, got, over, client } = await withClient(t, { ...later, receipts: true })
    const errors: unknown[] = []
    app.app.lifeline.on('error', (_, error) => { errors.push((error as Error).message) })
    const [throws, fails, fine] = [connection.deliver('throws'), connection.deliver('fails'), connection.deliver('fine')]
    connection.push('throws')
    assert.deepEqual(await Promise.all([throws, fails]), [{ outcome: 'invalid' }, { outcome: 'invalid' }])
    assert.equal((await fine).outcome, 'delivered')
    assert.deepEqual(errors, ['not that', 'not that', 'not that'])
    assert.deepEqual(got, ['fine'])
    await until('all is confirmed', () => connection.unconfirmed.count === 0)
    client.terminate()
    assert.deepEqual((await over).unconfirmed, [])
  })

  test('one behind a Blob that cannot be read never arrives, and nothing says that it did', async (t) => {
    const { peer, connection, socket, over } = await withPeer(t, { receipts: true })
    class Unreadable extends Blob {
      override arrayBuffer (): Promise<ArrayBuffer> { return Promise.reject(new Error('the file is gone')) }
    }
    const deliveries: Array<Promise<Delivery>> = []
    socket.send(new Unreadable(['x']) as never, () => { deliveries.push(connection.deliver('told of the Blob')) })
    connection.push('pushed')
    deliveries.push(connection.deliver('delivered'))
    const { unconfirmed, cause } = await over
    assert.deepEqual((await Promise.all(deliveries)).map(({ outcome }) => outcome).filter((outcome) => outcome === 'delivered'), [])
    assert.deepEqual([deliveries.length, cause, unconfirmed.map(({ data }) => data), texts(peer)], [2, 'handler', ['pushed'], []])
  })

  test('one that ends before a class of the app\'s has sent it is not said to be gone', async (t) => {
    const { connection, peer } = await withPeer(t, later)
    const waiting = connection.deliver('x', { timeout: 5_000 })
    await turnOver()
    peer.socket.resetAndDestroy()
    assert.deepEqual(await waiting, { outcome: 'unconfirmed' })
  })
})

const thrown: Record<string, unknown> = {
  null: null,
  'a string': 'not that',
  'an Error whose members throw': Object.defineProperties(new Error('x'), { message: { get () { throw new Error('unreadable') } }, code: { get () { throw new Error('unreadable') } } }),
  'a Proxy that throws': new Proxy({}, { get () { throw new Error('unreadable') }, getPrototypeOf () { throw new Error('unreadable') } })
}
for (const [what, error] of Object.entries(thrown)) {
  test(`a class of the app's that throws ${what}, or calls back with it, is a message that was not sent, and nothing else`, async (t) => {
    class Throwing extends WebSocket {
      override send (data: any, options?: any, done?: any): void {
        if (String(data) === 'throw') throw error
        // Nothing at all is a success.
        if (String(data) === 'call back') done(error ?? false)
        else super.send(data, options, done)
      }
    }
    const { app, connection, got } = await withClient(t, { websocket: { options: { WebSocket: Throwing as never } } })
    const errors: unknown[] = []
    app.app.lifeline.on('error', (_connection, error) => { errors.push(error) })
    assert.equal(connection.push('throw'), 'invalid')
    assert.equal(app.app.safePush(connection.fd, 'throw'), false)
    assert.equal((await connection.deliver('throw')).outcome, 'invalid')
    connection.push('call back')
    assert.equal((await connection.deliver('fine')).outcome, 'delivered')
    assert.deepEqual(got, ['fine'])
    assert.ok(errors.length >= 3 && errors.every((error) => error instanceof Error))
    assert.equal(connection.state, 'open')
  })
}

describe('bytes go out as they were pushed', { concurrency: true }, () => {
  const size = 200_000
  const change: Record<string, (bytes: Uint8Array) => void> = {
    overwritten: (bytes) => { bytes.fill(9) },
    transferred: (bytes) => { structuredClone(bytes.buffer, { transfer: [bytes.buffer as ArrayBuffer] }) }
  }
  const writers: Record<string, { options: LifelineOptions, client?: WebSocket.ClientOptions }> = {
    'frames of our own': { options: {} },
    compressed: { options: { websocket: { options: { perMessageDeflate: { threshold: 0 } } } }, client: {} },
    'a class of the app\'s': { options: later }
  }
  for (const [writer, { options, client }] of Object.entries(writers)) {
    for (const [what, act] of Object.entries(change)) {
      test(`${what} after the call: large, small, to many, behind a Blob, while held; ${writer}`, async (t) => {
        const { app, connection, socket, got, over, client: there } = await withClient(t, { backpressure: { limit: 8 << 20 }, receipts: { limit: 8 << 20 }, ...options }, client)
        const number = { last: 0 }
        const sent: string[] = []
        const send = (bytes: number, how: (data: Uint8Array) => void): void => {
          const data = new Uint8Array(bytes).fill(++number.last)
          sent.push(String(Buffer.from(data)))
          how(data)
          act(data)
        }
        const push = (data: Uint8Array): void => { assert.match(connection.push(data), /sent|buffered/) }
        for (const bytes of [size, 10, size]) send(bytes, push)
        send(10, (data) => { app.app.lifeline.broadcast(data) })
        send(size, (data) => { app.app.lifeline.broadcast(data) })
        socket.send(new Blob(['blob']))
        sent.push('blob')
        for (const bytes of [10, size]) send(bytes, push)
        await until('what was behind the Blob has come', () => got.length === sent.length)
        socket.send('a', { fin: false })
        sent.push('ab')
        for (const bytes of [10, size]) send(bytes, push)
        socket.send('b', { fin: true })
        await until('all has come', () => got.length === sent.length)
        assert.deepEqual(got.map((text, i) => text === sent[i]), sent.map(() => true))
        await until('all is confirmed', () => connection.unconfirmed.count === 0)
        // And what never arrives is told as it was.
        there.pause()
        there.terminate()
        send(10, (data) => { connection.push(data) })
        const { unconfirmed } = await over
        for (const { data } of unconfirmed) assert.equal(String(data), sent.at(-1))
      })
    }
  }
})

describe('a receipt', { concurrency: true }, () => {
  test('is asked for half a second after a push at the latest, so an ordinary end leaves nothing in doubt', async (t) => {
    const { connection, over, client, got } = await withClient(t, { receipts: true, heartbeat: false })
    for (let i = 0; i < 3; i++) {
      connection.push(`message ${i}`)
      await until('it is confirmed', () => connection.unconfirmed.count === 0, 2_000)
    }
    assert.equal(got.length, 3)
    client.close()
    assert.deepEqual((await over).unconfirmed, [])
  })

  test('comes with any ping of ours: that of ping() confirms what was pushed before it', async (t) => {
    const { connection } = await withClient(t, { receipts: true, heartbeat: false })
    for (let i = 0; i < 3; i++) connection.push(`message ${i}`)
    await connection.ping()
    assert.deepEqual(connection.unconfirmed, { count: 0, bytes: 0 })
  })

  test('what does not fit is told whole', async (t) => {
    const { app, connection } = await withPeer(t, { receipts: { messages: 1 } }, false)
    const drops: Drop[] = []
    app.app.lifeline.on('drop', (_, drop) => { drops.push(drop) })
    connection.push('taken')
    const bytes = Buffer.from('bytes')
    for (const data of [{ an: 'object' }, bytes]) assert.equal(connection.push(data), 'full')
    bytes.fill(0)
    assert.deepEqual(drops, [
      { reason: 'full', messages: 1, bytes: 15, data: '{"an":"object"}', binary: false },
      { reason: 'full', messages: 1, bytes: 5, data: Buffer.from('bytes'), binary: true }
    ])
  })
})

describe('a large message that the app sends itself', { concurrency: true }, () => {
  const large = (byte: number): Buffer => Buffer.alloc(1 << 20, byte)

  test('keeps its place among pushes and smaller ones, is called back for when it has been taken, and counts in bufferedAmount', async (t) => {
    const { connection, socket, client, got } = await withClient(t, { backpressure: { limit: 16 << 20 } })
    client.pause()
    const told: string[] = []
    connection.push('1')
    socket.send('2', () => { told.push('2') })
    for (let i = 0; i < 8; i++) socket.send(large(65 + i), () => { told.push(`large ${i}`) })
    assert.ok(socket.bufferedAmount > 1 << 20, `${socket.bufferedAmount} bytes`)
    socket.send('3', { binary: true }, () => { told.push('3') })
    connection.push('4')
    socket.send(String(large(75)), () => { told.push('last') })
    assert.deepEqual(told, [])
    client.resume()
    await until('all has come', () => got.length === 13 && told.length === 11)
    assert.deepEqual(got.map((text) => text[0] + (text.length > 1 ? '*' : '')), ['1', '2', 'A*', 'B*', 'C*', 'D*', 'E*', 'F*', 'G*', 'H*', '3', '4', 'K*'])
    assert.deepEqual(told, ['2', ...Array.from({ length: 8 }, (_, i) => `large ${i}`), '3', 'last'])
    assert.equal(socket.bufferedAmount, 0)
  })

  test('leaves as it was, whatever the app does to its bytes then', async (t) => {
    const { socket, got } = await withClient(t)
    const bytes = new Uint8Array(1 << 20).fill(65)
    socket.send(bytes)
    structuredClone(bytes.buffer, { transfer: [bytes.buffer] })
    await until('it has come', () => got.length === 1)
    assert.equal(got[0], String(large(65)))
  })

  test('that never leaves is called back for with an error', async (t) => {
    const { socket, client, over } = await withClient(t)
    client.pause()
    const told: unknown[] = []
    for (let i = 0; i < 16; i++) socket.send(large(65), (error) => { told.push(error) })
    await turnOver()
    client.terminate()
    await over
    await until('all are told', () => told.length === 16)
    assert.ok(told.at(-1) instanceof Error)
  })

  test('has the options that ws would read, whatever is given as options', async (t) => {
    const { app, socket, client } = await withClient(t)
    const bare = new WebSocketServer({ port: 0, host: '127.0.0.1' })
    t.after(() => { bare.close() })
    await once(bare, 'listening')
    const there = once(bare, 'connection') as Promise<[WebSocket]>
    const other = await connect(t, `ws://127.0.0.1:${(bare.address() as AddressInfo).port}`)
    const [theirs] = await there
    t.after(() => { theirs.terminate() })
    const got = new Map<WebSocket, boolean[]>([[client, []], [other, []]])
    for (const [socket, flags] of got) socket.on('message', (_data, binary) => { flags.push(binary) })
    const options: unknown[] = [undefined, null, {}, { binary: true }, { binary: undefined }, { binary: 0 }, Object.create({ binary: true }), Object.create({ fin: false }), 'binary', 7, true, [], { mask: 0 }]
    for (const one of options) {
      for (const data of [large(65), String(large(65))]) {
        for (const socket_ of [socket, theirs]) socket_.send(data, one as never, () => {})
      }
    }
    await until('all has come', () => [...got.values()].every(({ length }) => length === 2 * options.length))
    assert.deepEqual(got.get(client), got.get(other))
    assert.deepEqual(app.errors(), [])
  })

  test('of which the shutdown waits for all that was there when it began', async (t) => {
    const { app, connection, socket, peer, over } = await withPeer(t, { shutdown: { timeout: 600_000 }, heartbeat: false })
    peer.socket.pause()
    for (let i = 0; i < 32; i++) socket.send(large(65))
    const closing = app.app.close()
    let read = 0
    // It reads half of it, which is more than was in the kernels, and rests.
    peer.socket.on('data', ({ length }) => {
      read += length
      if (read > 16 << 20 && read - length <= 16 << 20) peer.socket.pause()
    })
    peer.socket.resume()
    await until('half has come', () => read > 16 << 20)
    await sleep(100)
    assert.equal(connection.state, 'open')
    peer.socket.resume()
    await closing
    assert.equal((await over).cause, 'shutdown')
    assert.equal(texts(peer).length, 32)
  })

  test('is behind what ends the connection: a close frame waits for it', async (t) => {
    const { connection, socket, got, over } = await withClient(t)
    socket.send(large(65))
    connection.close(4000, 'done')
    assert.equal((await over).code, 4000)
    assert.equal(got.length, 1)
  })
})

for (const [how, options] of Object.entries({ 'by frames of our own': {}, 'by ws': { websocket: { options: { perMessageDeflate: true } } } })) {
  test(`fragments that the app has begun before the connection was there hold back what is pushed, ${how}`, { timeout: 10_000 }, async (t) => {
    const { app, url } = await start(t, {
      options,
      routes: (app) => app.get('/', { websocket: true }, (socket, { fd }) => {
        app.safePush(fd, 'first push')
        socket.send('middle, ', { fin: false })
        app.safePush(fd, 'second push')
        socket.send('end')
        app.safePush(fd, 'third push')
      })
    })
    app.websocketServer.prependListener('connection', (socket: WebSocket) => {
      // Whole ones begin nothing.
      socket.send('whole')
      socket.send('begin, ', { fin: false })
    })
    const client = new WebSocket(url)
    t.after(() => { client.terminate() })
    const got: string[] = []
    client.on('message', (data) => { got.push(String(data)) })
    client.on('error', (error) => { got.push(error.message) })
    await until('all have come', () => got.length === 5 || client.readyState === WebSocket.CLOSED)
    assert.deepEqual(got, ['whole', 'begin, middle, end', 'first push', 'second push', 'third push'])
  })
}

test('up to 64 KiB a message is one frame; with fragments: false, of the plugin or of a route, whatever its size, and it is known whether it has arrived', { timeout: 20_000 }, async (t) => {
  const KIB = 1024
  for (const all of [true, false]) {
    const sockets: WebSocket[] = []
    const { app, url } = await start(t, {
      options: { ...(!all && { fragments: false }), receipts: true, heartbeat: { interval: 100, timeout: 5_000 } },
      routes: (app) => {
        const take = (socket: WebSocket): void => { sockets.push(socket) }
        app.get('/', { websocket: true }, take)
        app.get('/other', { websocket: true, config: { lifeline: { fragments: !all } } }, take)
      }
    })
    for (const [path, whole] of [['/', !all], ['/other', all]] as const) {
      const [opening, over] = [opened(app), ended(app)]
      const peer = await dial(t, url + path)
      const connection = await opening
      await until('the handler has run', () => sockets.length > 0)
      const socket = sockets.pop()!
      const sizes = [64 * KIB, 64 * KIB + 1, 200 * KIB]
      for (const size of sizes) {
        connection.push('p'.repeat(size))
        app.lifeline.broadcast(Buffer.alloc(size, 'b'))
        socket.send('s'.repeat(size))
        assert.equal((await connection.deliver('d'.repeat(size))).outcome, 'delivered')
      }
      const messages = peer.received.filter(({ kind }) => kind === 'text' || kind === 'binary')
      assert.deepEqual(messages.map(({ data }) => String.fromCharCode(data[0]!)).join(''), 'pbsd'.repeat(3))
      assert.deepEqual(messages.map(({ frames }) => frames), sizes.flatMap((size) => Array(4).fill(whole ? 1 : Math.ceil(size / (64 * KIB)))))
      connection.close()
      assert.deepEqual((await over).unconfirmed, [])
    }
  }
})

test('what is sent before the connection was there, and is whole or cannot be sent, holds nothing back', async (t) => {
  const { app, url } = await start(t, { routes: (app) => app.get('/', { websocket: true }, (_socket, { fd }) => { app.safePush(fd, 'pushed') }) })
  app.websocketServer.prependListener('connection', (socket: WebSocket) => {
    socket.send('begin, ', { fin: false }, () => {})
    socket.send('end', () => {})
    assert.throws(() => { socket.send({} as never, { fin: false }) })
  })
  const client = new WebSocket(url)
  t.after(() => { client.terminate() })
  const got: string[] = []
  client.on('message', (data) => { got.push(String(data)) })
  await until('both have come', () => got.length === 2)
  assert.deepEqual(got, ['begin, end', 'pushed'])
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

test('no push gets into a message whose fragment the app sent with fin: undefined', async (t) => {
  const { app, url } = await start(t, {
    routes: (app) => app.get('/', { websocket: true }, (socket: WebSocket, request) => {
      socket.send('A', { fin: undefined } as never)
      app.safePush(request.fd, 'push')
      socket.send('B')
    })
  })
  const client = new WebSocket(url)
  t.after(() => { client.terminate() })
  const got: string[] = []
  client.on('message', (data) => { got.push(String(data)) })
  await until('both have come', () => got.length === 2)
  assert.deepEqual(got, ['AB', 'push'])
  assert.equal(app.lifeline.size, 1)
})

describe('what the app does while its own message is being sent comes behind it', { concurrency: true }, () => {
  test('its class pushes while it sends a fragment: that is none of the message', async (t) => {
    let spy: (() => void) | null = null
    class Spied extends WebSocket {
      override send (data: any, options?: any, done?: any): void {
        super.send(data, options, done)
        const now = spy
        spy = null
        now?.()
      }
    }
    const { connection, socket, client, got } = await withClient(t, { websocket: { options: { WebSocket: Spied as never } } })
    spy = () => { connection.push('audit') }
    socket.send('a', { fin: false })
    socket.send('b', { fin: true })
    await until('both are there', () => got.length === 2)
    assert.deepEqual(got, ['ab', 'audit'])
    assert.equal(client.readyState, client.OPEN)
  })

  test('an option is a getter that pushes, and says something else the next time', async (t) => {
    const { connection, socket, client, got } = await withClient(t)
    let asked = 0
    socket.send('a', { get fin () { connection.push(`pushed ${++asked}`); return asked > 1 } } as object as { fin?: boolean })
    socket.send('b')
    await until('all are there', () => got.length === 2)
    assert.deepEqual(got, ['pushed 1', 'ab'])
    assert.equal(client.readyState, client.OPEN)
  })

  test('a fragment that cannot be sent holds up nothing', async (t) => {
    class Own extends WebSocket {
      override send (data: any, options?: any, done?: any): void { super.send(data, options, done) }
    }
    for (const options of [{}, { websocket: { options: { WebSocket: Own as never } } }]) {
      const { connection, socket, got } = await withClient(t, options)
      assert.throws(() => { socket.send(Symbol('no message') as never, { fin: false }) })
      connection.push('after')
      await until('it comes', () => got.length === 1)
      assert.deepEqual(got, ['after'])
    }
  })
})

test('what a class of the app\'s returns from send is what the app gets: its rejection is the app\'s, too', async (t) => {
  class Async extends WebSocket {
    override async send (data: any): Promise<void> { await Promise.reject(new Error(`not ${data}`)) }
  }
  const { app, connection, socket } = await withClient(t, { websocket: { options: { WebSocket: Async as never } } })
  const errors: unknown[] = []
  app.app.lifeline.on('error', (_connection, error: any) => { errors.push(error.message) })
  await assert.rejects(socket.send('mine') as unknown as Promise<void>, /not mine/)
  connection.push('ours')
  await until('it is told', () => errors.length === 1)
  assert.deepEqual(errors, ['not ours'])
})

test('fastify.close() waits for what a class of the app\'s sends later', async (t) => {
  const { app, connection, got } = await withClient(t, { ...later, shutdown: { timeout: 5_000 } })
  connection.push('first')
  await until('its class has called back', () => got.length === 1)
  connection.push('bye')
  await app.app.close()
  await until('it is there', () => got.length === 2)
  assert.deepEqual(got, ['first', 'bye'])
})

for (const call of ['ping', 'pong', 'close', 'terminate'] as const) {
  for (const how of ['throws', 'rejects'] as const) {
    test(`a class of the app's whose ${call} ${how} is a failure of one connection, which ends all the same`, { timeout: 10_000 }, async (t) => {
      class Fails extends WebSocket {}
      Object.defineProperty(Fails.prototype, call, { value: how === 'throws' ? () => { throw new Error('of the class') } : async () => { await Promise.reject(new Error('of the class')) } })
      class Sends extends Fails { override send (data: any, options?: any, done?: any): void { super.send(data, options, done) } }
      const { app, connection, client } = await withClient(t, { closeTimeout: 100, websocket: { options: { WebSocket: Sends as never } } })
      const errors: string[] = []
      app.app.lifeline.on('error', (_connection, error: any) => { errors.push(error.message) })
      if (call === 'ping') connection.ping().catch(() => {})
      else if (call === 'pong') client.ping()
      else connection[call]()
      await until('it is told', () => errors.length > 0)
      assert.deepEqual([...new Set(errors)], ['of the class'])
      if (call === 'ping' || call === 'pong') await until('it ends', () => connection.state === 'closed')
      else await connection.closed
    })
  }
}
