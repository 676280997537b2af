/**
 * What waits for slow readers: bounded for each, bounded for all, and said exactly.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import type WebSocket from 'ws'
import type { Connection, Drop, LifelineOptions } from '../../src/index.js'
import { connect, ended, opened, start, until } from '../support/app.js'
import { closeFrame } from '../support/frames.js'
import { dial } from '../support/raw-client.js'

const KIB = 1024
const limit = 256 * KIB
/** At the end of a test nobody waits for those who do not read. */
const quick = { shutdown: { timeout: 20 }, closeTimeout: 20 }
const routes = (app: FastifyInstance): unknown => app.get('/', { websocket: true }, () => {})

/** Pushes messages of so many bytes until one is not taken; gives how many were. */
function fill (connection: Connection, bytes = 10_000): number {
  const message = Buffer.alloc(bytes)
  let taken = 0
  for (;;) {
    const waiting = connection.bufferedBytes
    const result = connection.push(message)
    if (result === 'full') {
      assert.ok(waiting > limit / 4 && waiting + bytes > limit, `full at ${waiting}`)
      return taken
    }
    assert.ok(result === 'sent' || result === 'buffered', result)
    assert.ok(waiting <= limit / 4 || waiting + bytes <= limit, `taken at ${waiting}`)
    taken++
  }
}

const count = (client: WebSocket): { messages: number, bytes: number } => {
  const got = { messages: 0, bytes: 0 }
  client.on('message', (data: Buffer) => {
    got.messages++
    got.bytes += data.length
  })
  return got
}

for (const [extension, options] of [['bare', {}], ['compressed', { websocket: { options: { perMessageDeflate: { threshold: 0 } } } }]] as const) {
  test(`drop: a slow reader takes up to the limit; when it reads on, all that was taken comes, and the stream goes on (${extension}) (field 6)`, async (t) => {
    const { app, url, closed } = await start(t, { options: { backpressure: { limit }, ...quick, ...options }, routes })
    const told: string[] = []
    const drops: Drop[] = []
    app.lifeline.on('full', () => { told.push('full') })
    app.lifeline.on('drain', () => { told.push('drain') })
    app.lifeline.on('drop', (_connection, drop) => { drops.push(drop) })
    const client = await connect(t, url)
    const got = count(client)
    const [connection] = app.lifeline
    client.pause()
    // Compression is not done at once: what it holds counts too.
    const taken = fill(connection!)
    assert.deepEqual([connection!.push('x'.repeat(10_000)), app.safePush(connection!.fd, Buffer.alloc(10_000))], ['full', false])
    assert.deepEqual(told, ['full'])
    // What was not taken is told whole: the app can send it another way.
    assert.deepEqual(drops.map(({ data, ...drop }) => [drop, String(data)[0]]), [
      [{ reason: 'full', messages: 1, bytes: 10_000, binary: true }, '\0'],
      [{ reason: 'full', messages: 1, bytes: 10_000, binary: false }, 'x'],
      [{ reason: 'full', messages: 1, bytes: 10_000, binary: true }, '\0']
    ])
    assert.equal(app.lifeline.stats().pushes.full, 3)
    assert.equal(app.lifeline.stats().dropped.full, 3)
    assert.equal(app.lifeline.stats().bufferedBytes, connection!.bufferedBytes)
    assert.ok(connection!.bufferedBytes > limit / 4 && connection!.bufferedBytes <= limit)
    assert.equal(connection!.info().bufferedBytes, connection!.bufferedBytes)

    const drained = connection!.drained().then(() => { assert.ok(connection!.bufferedBytes <= limit / 4) })
    client.resume()
    await drained
    assert.deepEqual(told, ['full', 'drain'])
    assert.notEqual(connection!.push('last'), 'full')
    await until('all has come', () => got.messages === taken + 1)
    assert.equal(got.bytes, taken * 10_000 + 4)
    assert.deepEqual(closed, [])
  })
}

test('drained() resolves at once when nothing waits, and when the connection ends', async (t) => {
  const { app, url } = await start(t, { options: { backpressure: { limit }, ...quick }, routes })
  const client = await connect(t, url)
  const [connection] = app.lifeline
  await connection!.drained()
  client.pause()
  fill(connection!)
  const drained = connection!.drained()
  connection!.terminate()
  await drained
  assert.equal(connection!.bufferedBytes, 0)
  await connection!.closed
  await connection!.drained()
})

test('a message that is larger than the limit is taken while no more than low waits', async (t) => {
  const { app, url } = await start(t, { options: { backpressure: { limit }, ...quick }, routes })
  const client = await connect(t, url)
  const got = count(client)
  const [connection] = app.lifeline
  assert.notEqual(connection!.push(Buffer.alloc(20 * limit)), 'full')
  await until('it has come', () => got.bytes === 20 * limit)
})

test('close: the first message past the limit ends the connection with 1013, and what waited is dropped', async (t) => {
  const { app, url } = await start(t, { options: { backpressure: { limit, policy: 'close' } }, routes })
  const told: string[] = []
  app.lifeline.on('full', () => { told.push('full') })
  app.lifeline.on('drain', () => { told.push('drain') })
  const client = await connect(t, url)
  const [connection] = app.lifeline
  client.pause()
  const taken = fill(connection!)
  assert.equal(connection!.state, 'closing')
  assert.ok(connection!.bufferedBytes < limit / 2, `${connection!.bufferedBytes} bytes wait`)
  assert.equal(connection!.push('more'), 'gone')
  const end = ended(app)
  const got = count(client)
  client.resume()
  const [code] = await once(client, 'close')
  assert.equal(code, 1013)
  const { cause } = await end
  assert.deepEqual([cause, (await connection!.closed).code], ['backpressure', 1013])
  assert.ok(got.messages < taken)
  assert.deepEqual(told, ['full'])
  assert.equal(app.lifeline.stats().closed.backpressure, 1)
})

test('a broadcast leaves out who is full, says so in its count, and holds nobody up', async (t) => {
  const { app, url } = await start(t, { options: { backpressure: { limit }, ...quick }, routes })
  const clients = await Promise.all([1, 2, 3].map(() => connect(t, url)))
  const [slow] = app.lifeline
  clients[0]!.pause()
  fill(slow!)
  const others = clients.slice(1).map((client) => once(client, 'message'))
  assert.equal(app.lifeline.broadcast(Buffer.alloc(10_000)), 2)
  for (const [data] of await Promise.all(others)) assert.equal((data as Buffer).length, 10_000)
})

test('total: past it the largest are terminated, and the rest live', async (t) => {
  const { app, url, closed } = await start(t, { options: { backpressure: { limit: 10 * limit, total: 2 * limit }, ...quick }, routes })
  const clients = await Promise.all([1, 2, 3].map(() => connect(t, url)))
  const [large, small, reads] = app.lifeline
  clients[0]!.pause()
  clients[1]!.pause()
  while (small!.bufferedBytes < limit / 2) small!.push(Buffer.alloc(10_000))
  while (large!.state === 'open') {
    assert.notEqual(large!.push(Buffer.alloc(10_000)), 'gone')
    assert.ok(app.lifeline.stats().bufferedBytes <= 2 * limit)
  }
  assert.equal(app.exists(large!.fd), false)
  const { cause, code } = await large!.closed
  assert.deepEqual([cause, code], ['backpressure', 1006])
  assert.deepEqual([small!.state, reads!.state], ['open', 'open'])
  assert.equal(closed.length, 1)
})

test('total: the message that makes its own connection give way was taken, and is told of once', async (t) => {
  const { app, url, closed } = await start(t, { options: { backpressure: { limit: 10 * limit, total: limit }, receipts: { limit: 1000 * limit }, ...quick }, routes })
  const client = await connect(t, url)
  const [connection] = app.lifeline
  client.pause()
  const drops: unknown[] = []
  app.lifeline.on('drop', (_connection, drop) => { drops.push(drop) })
  const results: string[] = []
  while (connection!.state === 'open' && results.length < 5000) results.push(connection!.push(`${results.length}`.padEnd(10_000)))
  await connection!.closed
  assert.deepEqual([results.at(-1), drops, closed[0]!.cause], ['buffered', [], 'backpressure'])
  assert.equal(closed[0]!.unconfirmed.length, results.length)
  assert.equal(Number(closed[0]!.unconfirmed.at(-1)!.data), results.length - 1)
  assert.deepEqual([app.lifeline.stats().pushes.full, app.lifeline.stats().dropped.full], [0, 0])
})

for (const [what, size] of [['large', 100_000], ['small', 1_000]] as const) {
  test(`total: what the app sends by itself counts as well (${what} messages)`, async (t) => {
    const sockets: WebSocket[] = []
    const { app, url } = await start(t, {
      options: { backpressure: { limit: 10 * limit, total: 2 * limit }, ...quick },
      routes: (app) => app.get('/', { websocket: true }, (ws: WebSocket) => { sockets.push(ws) })
    })
    for (const client of await Promise.all([1, 2].map(() => connect(t, url)))) client.pause()
    const [large, other] = app.lifeline
    const end = ended(app)
    // The kernel takes some megabytes before anything waits here.
    for (let i = 0; large!.state === 'open' && i * size < 64 * KIB * KIB; i++) sockets[0]!.send(Buffer.alloc(size))
    assert.equal(large!.state, 'closing')
    assert.equal((await end).cause, 'backpressure')
    assert.equal(other!.state, 'open')
    assert.ok(app.lifeline.stats().bufferedBytes <= 2 * limit)
  })
}

test('what the app sends by itself counts as waiting, and drained() waits for it', async (t) => {
  let socket!: WebSocket
  const { app, url } = await start(t, {
    options: { backpressure: { limit }, ...quick },
    routes: (app) => app.get('/', { websocket: true }, (ws: WebSocket) => { socket = ws })
  })
  const client = await connect(t, url)
  const [connection] = app.lifeline
  client.pause()
  while (connection!.bufferedBytes <= limit) socket.send(Buffer.alloc(100_000))
  assert.equal(connection!.push('x'), 'full')
  const drained = connection!.drained()
  client.resume()
  await drained
  assert.ok(connection!.bufferedBytes <= limit / 4)
})

test('pipeline(source, connection.writable()) flows at the speed of the peer', async (t) => {
  const { app, url } = await start(t, { options: { backpressure: { limit }, ...quick }, routes })
  const client = await connect(t, url)
  const [connection] = app.lifeline
  let made = 0
  let most = 0
  const source = Readable.from((function * () {
    for (; made < 2_000; made++) {
      most = Math.max(most, connection!.bufferedBytes)
      yield Buffer.alloc(10_000, made % 256)
    }
  })())
  client.pause()
  const flows = pipeline(source, connection!.writable())
  await until('it rests', () => connection!.bufferedBytes > limit / 4)
  const rested = made
  assert.ok(rested < 2_000)
  let wrong = 0
  let got = 0
  client.on('message', (data: Buffer) => { if (data[0] !== got++ % 256 || data.length !== 10_000) wrong++ })
  client.resume()
  await flows
  await until('all has come', () => got === 2_000)
  assert.equal(wrong, 0)
  assert.ok(most <= limit, `${most} bytes waited`)
  assert.equal(connection!.state, 'open')
  assert.equal(app.lifeline.stats().pushes.full, 0)
})

test('a chunk that meets a full connection waits for its turn: it is no push that was refused', async (t) => {
  const { app, url } = await start(t, { options: { backpressure: { limit }, ...quick }, routes })
  const client = await connect(t, url)
  const [connection] = app.lifeline
  const told: string[] = []
  for (const event of ['full', 'drop'] as const) app.lifeline.on(event, () => { told.push(event) })
  client.pause()
  // Past `low`, and so near the limit that the chunk does not fit.
  while (connection!.bufferedBytes <= limit / 2) connection!.push(Buffer.alloc(limit / 2))
  const before = app.lifeline.stats().pushes
  const got = new Promise((resolve) => { client.on('message', (data: Buffer) => { if (data.length === limit - 1) resolve(true) }) })
  const written = new Promise((resolve) => { connection!.writable().write(Buffer.alloc(limit - 1), resolve) })
  await new Promise((resolve) => { setImmediate(resolve) })
  assert.deepEqual(app.lifeline.stats().pushes, before, 'it has not been pushed yet')
  client.resume()
  assert.equal(await written, null)
  assert.equal(await got, true)
  const { pushes, dropped } = app.lifeline.stats()
  assert.equal(pushes.sent + pushes.buffered, before.sent + before.buffered + 1)
  assert.deepEqual([pushes.full, dropped.full, told], [0, 0, []])
})

for (const policy of ['drop', 'close'] as const) {
  for (const receipts of [false, true]) {
    test(`several writables share the room of a connection (policy: ${policy}, receipts: ${receipts}): all comes, in the order of each, and never more than the limit waits`, { timeout: 20_000 }, async (t) => {
      const { app, url } = await start(t, { options: { backpressure: { limit: 100_000, low: 10_000, policy }, ...(receipts && { receipts: { limit: 200_000 } }), ...quick }, routes })
      const client = await connect(t, url)
      const [connection] = app.lifeline
      let most = 0
      const got = new Map<number, number>()
      let wrong = 0
      client.on('message', (data: Buffer) => {
        const next = got.get(data[0]!) ?? 0
        if (data[1] !== next) wrong++
        got.set(data[0]!, next + 1)
      })
      const source = (name: number): Readable => Readable.from((function * () {
        for (let i = 0; i < 100; i++) {
          most = Math.max(most, connection!.bufferedBytes)
          yield Buffer.concat([Buffer.from([name, i]), Buffer.alloc(80_000)])
        }
      })())
      await Promise.all([1, 2, 3].map(async (name) => { await pipeline(source(name), connection!.writable()) }))
      await until('all has come', () => [...got.values()].every((count) => count === 100) && got.size === 3)
      assert.equal(wrong, 0)
      assert.ok(most <= 100_000, `${most} bytes waited`)
      const { pushes, dropped } = app.lifeline.stats()
      assert.deepEqual([pushes.full, dropped.full, pushes.sent + pushes.buffered], [0, 0, 300])
      assert.equal(connection!.state, 'open')
    })
  }
}

test('writable() takes objects in object mode, and strings as text', async (t) => {
  const { app, url } = await start(t, { routes })
  const client = await connect(t, url)
  const got: unknown[] = []
  client.on('message', (data, binary) => { got.push([String(data), binary]) })
  const [connection] = app.lifeline
  await pipeline(Readable.from(['text']), connection!.writable())
  await pipeline(Readable.from([{ a: 1 }, 'b']), connection!.writable({ objectMode: true }))
  await pipeline(Readable.from([Buffer.from('bytes')]), connection!.writable({ binary: false }))
  await until('all has come', () => got.length === 4)
  assert.deepEqual(got, [['text', false], ['{"a":1}', false], ['b', false], ['bytes', false]])
})

test('pipeline to a peer that leaves, is gone, or to whom something cannot be sent, is rejected', async (t) => {
  const { app, url } = await start(t, { options: { backpressure: { limit }, ...quick }, routes })
  const client = await connect(t, url)
  const [connection] = app.lifeline
  await assert.rejects(pipeline(Readable.from([() => {}]), connection!.writable({ objectMode: true })), { code: 'FST_ERR_LIFELINE_INVALID_DATA' })
  client.pause()
  const endless = Readable.from((function * () { for (;;) yield Buffer.alloc(10_000) })())
  const flows = pipeline(endless, connection!.writable())
  await until('it rests', () => connection!.bufferedBytes > limit / 4)
  client.terminate()
  await assert.rejects(flows, { code: 'ERR_STREAM_PREMATURE_CLOSE' })
  assert.equal(endless.destroyed, true)
  const late = connection!.writable()
  await once(late, 'close')
  assert.equal(late.destroyed, true)
})

for (const who of ['the client', 'the app'] as const) {
  test(`a handler whose pipeline ends because ${who} closes has not failed, though the other side takes its time`, { timeout: 10_000 }, async (t) => {
    const handled: unknown[] = []
    const { app, url, closed, errors } = await start(t, {
      options: { closeTimeout: 200 },
      routes: (app) => app.get('/', { websocket: true }, async (_socket, request) => {
        const ticks = Readable.from((async function * () { for (;;) { await delay(1); yield 'tick' } })())
        try {
          await pipeline(ticks, app.lifeline.of(request).writable())
        } catch (error) {
          handled.push((error as { code: string }).code)
          throw error
        }
      })
    })
    const told: unknown[] = []
    app.lifeline.on('error', (_connection, error) => { told.push(error) })
    // It answers no close frame, and keeps its side open.
    const peer = await dial(t, url)
    peer.socket.pause()
    const [connection] = app.lifeline
    if (who === 'the app') connection!.close()
    else peer.socket.write(closeFrame(1000))
    await until('it is over', () => closed.length === 1)
    await until('the handler has ended', () => handled.length === 1)
    assert.deepEqual([handled, told, errors().length], [['ERR_STREAM_PREMATURE_CLOSE'], [], 0])
    assert.equal(closed[0]!.cause, who === 'the app' ? 'server' : 'client')
  })
}

test('writing in the turn in which the connection closes destroys the stream, and throws nothing', async (t) => {
  const { app, url } = await start(t, { routes })
  await connect(t, url)
  const [connection] = app.lifeline
  const writable = connection!.writable()
  connection!.close()
  writable.write('x')
  await once(writable, 'close')
  assert.equal(writable.destroyed, true)
})

for (const heartbeat of [{ interval: 100, timeout: 100 }, false] as const) {
  test(`a peer that speaks, but takes nothing of what waits for stallTimeout, is ended (heartbeat: ${heartbeat !== false})`, { timeout: 10_000 }, async (t) => {
    const { app, url } = await start(t, { options: { heartbeat, backpressure: { limit, stallTimeout: 400 }, ...quick }, routes })
    const client = await connect(t, url)
    const [connection] = app.lifeline
    client.pause()
    fill(connection!)
    const speaking = setInterval(() => { client.send('I am here') }, 50)
    t.after(() => { clearInterval(speaking) })
    const { cause, code, openedAt, closedAt } = await ended(app)
    assert.deepEqual([cause, code], ['stalled', 1006])
    assert.ok(closedAt - openedAt >= 400)
  })
}

const ways: Record<string, { options: LifelineOptions, begin?: (socket: WebSocket) => void }> = {
  bare: { options: {} },
  compressed: { options: { websocket: { options: { perMessageDeflate: { threshold: 0 } } } } },
  'between fragments of the app\'s': { options: {}, begin: (socket) => { socket.send('a', { fin: false }) } },
  'behind a Blob of the app\'s': { options: {}, begin: (socket) => { socket.send(Object.assign(new Blob(['x']), { arrayBuffer: () => new Promise(() => {}) }) as never) } }
}
for (const [way, { options, begin }] of Object.entries(ways)) {
  test(`messages without a byte have a bound too (${way})`, async (t) => {
    let socket!: WebSocket
    const { app, url } = await start(t, { options: { backpressure: { limit }, ...quick, ...options }, routes: (app) => app.get('/', { websocket: true }, (ws: WebSocket) => { socket = ws }) })
    const client = await connect(t, url)
    const [connection] = app.lifeline
    client.pause()
    begin?.(socket)
    // More than the kernels take of it.
    const most = { bare: 40, compressed: 8 }[way] ?? 1
    let pushed = 0
    for (; pushed < most * limit && connection!.push('') !== 'full'; pushed++) if (pushed % 10_000 === 0) await new Promise(setImmediate)
    assert.ok(pushed < most * limit, `${pushed} were taken`)
  })
}

test('a peer that reads on takes very many small messages in no time (compressed)', async (t) => {
  const { app, url } = await start(t, { options: { backpressure: { limit: 64 * limit }, ...quick, ...ways.compressed!.options }, routes })
  const client = await connect(t, url)
  const got = count(client)
  const [connection] = app.lifeline
  client.pause()
  const many = 10_000
  for (let i = 0; i < many; i++) connection!.push('x')
  let longest = 0
  let last = performance.now()
  const timer = setInterval(() => { longest = Math.max(longest, performance.now() - last); last = performance.now() }, 1)
  t.after(() => { clearInterval(timer) })
  client.resume()
  await until('all has come', () => got.messages === many, 60_000)
  t.diagnostic(`the longest turn: ${Math.round(longest)} ms`)
})

test('a write that waits when the connection ends, or comes after it, is called back with an error', { timeout: 10_000 }, async (t) => {
  const { app, url } = await start(t, { options: { backpressure: { limit, stallTimeout: 300 }, ...quick }, routes })
  const client = await connect(t, url)
  const [connection] = app.lifeline
  client.pause()
  fill(connection!)
  const waits = connection!.writable()
  const late = new Promise((resolve) => { waits.write('x'.repeat(limit), resolve) })
  const closing = connection!.writable()
  connection!.close()
  const after = new Promise((resolve) => { closing.write('x', resolve) })
  for (const error of await Promise.all([late, after])) assert.equal((error as { code: string }).code, 'ERR_STREAM_PREMATURE_CLOSE')
})

test('a peer that takes all that is pushed to it and answers no ping is found, however much that is', async (t) => {
  const { app, url } = await start(t, { options: { heartbeat: { interval: 300, timeout: 300 }, backpressure: { stallTimeout: 600 } }, routes })
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

test('a listener that pushes again what was refused keeps nobody from their turn; what it causes is told behind what it was told of', { timeout: 10_000 }, async (t) => {
  const { app, url } = await start(t, { options: { ...quick, backpressure: { limit: 100_000, low: 0 } }, routes: (app) => app.get('/', { websocket: true }, () => {}) })
  const opening = opened(app)
  const client = await connect(t, url)
  const connection = await opening
  client.pause()
  while (connection.bufferedBytes < 60_000) {
    connection.push(Buffer.alloc(30_000))
    await new Promise(setImmediate)
  }
  const told: string[] = []
  app.lifeline.once('full', () => { told.push('full'); connection.push('b'.repeat(100_000)) })
  app.lifeline.on('drop', (_connection, { data }) => {
    told.push(`drop ${String(data)[0]!}`)
    connection.push('c'.repeat(100_000))
  })
  assert.equal(connection.push('a'.repeat(100_000)), 'full')
  await new Promise((resolve) => { setTimeout(resolve, 50) })
  app.lifeline.removeAllListeners('drop')
  assert.deepEqual(told.slice(0, 4), ['full', 'drop a', 'drop b', 'drop c'])
})

test('while one listener goes on for ever about its connection, others are told of theirs when it happens', { timeout: 10_000 }, async (t) => {
  const told: string[] = []
  const { app, url } = await start(t, {
    options: { ...quick, backpressure: { limit: 100_000, low: 0 } },
    routes: (app) => {
      app.get('/slow', { websocket: true }, () => {})
      app.get('/', { websocket: true }, () => { told.push('handler') })
    }
  })
  const opening = opened(app)
  const client = await connect(t, `${url}/slow`)
  const slow = await opening
  client.pause()
  while (slow.push(Buffer.alloc(90_000)) !== 'full') await new Promise(setImmediate)
  let drops = 0
  app.lifeline.on('drop', (connection, { data }) => { drops++; connection!.push(data) })
  app.lifeline.on('open', () => { told.push('open') })
  slow.push(Buffer.alloc(90_000))
  for (let i = 0; i < 3; i++) await connect(t, url)
  await until('all are handled', () => told.length === 6)
  app.lifeline.removeAllListeners('drop')
  assert.deepEqual(told, ['open', 'handler', 'open', 'handler', 'open', 'handler'])
  assert.ok(drops > 3)
})

test('a chunk that waits when the connection ends has not been written', { timeout: 10_000 }, async (t) => {
  const { app, url } = await start(t, { options: { backpressure: { limit: 100_000, low: 0 } }, routes: (app) => app.get('/', { websocket: true }, () => {}) })
  const opening = opened(app)
  const client = await connect(t, url)
  const connection = await opening
  client.pause()
  while (connection.bufferedBytes === 0) connection.push(Buffer.alloc(50_000))
  const writable = connection.writable()
  const told: unknown[] = []
  writable.write('waits', (error) => { told.push((error as NodeJS.ErrnoException | null)?.code) })
  connection.terminate()
  await until('it is told', () => told.length === 1)
  assert.deepEqual(told, ['ERR_STREAM_PREMATURE_CLOSE'])
})

test('nor has one when the peer resets behind a message of the app\'s own, or the connection closes past its limit', { timeout: 10_000 }, async (t) => {
  for (const how of ['reset', 'policy'] as const) {
    const { app, url } = await start(t, { options: { closeTimeout: 100, backpressure: { limit: 100_000, low: 0, policy: how === 'policy' ? 'close' : 'drop' } }, routes: (app) => app.get('/', { websocket: true }, (socket) => { sockets.push(socket) }) })
    const sockets: WebSocket[] = []
    const opening = opened(app)
    const client = await connect(t, url)
    const connection = await opening
    client.pause()
    // The kernels are full.
    while (connection.bufferedBytes < 60_000) {
      connection.push(Buffer.alloc(30_000))
      await new Promise(setImmediate)
    }
    const told: unknown[] = []
    connection.writable().write('waits', (error) => { told.push((error as NodeJS.ErrnoException | null)?.code) })
    sockets[0]!.send('behind it')
    if (how === 'reset') client.terminate()
    else while (connection.push(Buffer.alloc(50_000)) !== 'full');
    await until('it is told', () => told.length === 1)
    assert.deepEqual(told, ['ERR_STREAM_PREMATURE_CLOSE'])
  }
})

test('a string that is written with an encoding stands for bytes', async (t) => {
  const { app, url } = await start(t, { routes: (app) => app.get('/', { websocket: true }, () => {}) })
  const opening = opened(app)
  const client = await connect(t, url)
  const got: unknown[] = []
  client.on('message', (data, binary) => { got.push(binary ? [...data as Buffer] : String(data)) })
  const writable = (await opening).writable()
  writable.write('0102', 'hex')
  writable.write('0102', 'utf8')
  writable.write('AQI=', 'base64')
  await until('all are there', () => got.length === 3)
  assert.deepEqual(got, [[1, 2], '0102', [1, 2]])
})

test('with heartbeat: false a ping goes behind every 64 KiB all the same: it shows that a slow peer takes them', async (t) => {
  const { app, url } = await start(t, { options: { heartbeat: false }, routes: (app) => app.get('/', { websocket: true }, () => {}) })
  const opening = opened(app)
  const peer = await dial(t, url)
  const connection = await opening
  for (let i = 0; i < 10; i++) {
    connection.push(Buffer.alloc(70_000))
    await connection.drained()
  }
  await until('they have come', () => peer.pings.length >= 5)
})
