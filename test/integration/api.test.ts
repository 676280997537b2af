import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { inspect } from 'node:util'
import type { FastifyInstance } from 'fastify'
import type WebSocket from 'ws'
import type { Connection } from '../../src/index.js'
import { connect, ended, level, opened, start, until } from '../support/app.js'

const silent = (app: FastifyInstance): unknown => app.get('/', { websocket: true }, () => {})

async function heard (client: WebSocket): Promise<unknown> {
  const [data, binary] = await once(client, 'message')
  return binary ? data : String(data)
}

test('whatever can be a message arrives: text as text, bytes as binary, the rest as JSON', async (t) => {
  const { app, url } = await start(t, { routes: silent })
  const client = await connect(t, url)
  const [connection] = app.lifeline
  const bytes = new Uint8Array([0, 1, 2, 3, 4, 5, 6, 7])
  const cases: Array<[unknown, unknown]> = [
    ['', ''],
    ['grüße 👋', 'grüße 👋'],
    [{ a: [1, null] }, '{"a":[1,null]}'],
    [5, '5'],
    [true, 'true'],
    [null, 'null'],
    [[], '[]'],
    [Buffer.from(bytes), Buffer.from(bytes)],
    [bytes, Buffer.from(bytes)],
    [bytes.subarray(2, 5), Buffer.from([2, 3, 4])],
    [new Uint16Array(bytes.buffer), Buffer.from(bytes)],
    [new DataView(bytes.buffer, 1, 2), Buffer.from([1, 2])],
    [bytes.buffer, Buffer.from(bytes)],
    ['x'.repeat(200_000), 'x'.repeat(200_000)],
    [Buffer.alloc(300_000, 7), Buffer.alloc(300_000, 7)]
  ]
  for (const [data, expected] of cases) {
    const message = heard(client)
    assert.equal(app.safePush(connection!.fd, data), true)
    assert.deepEqual(await message, expected)
  }
})

test('options.binary sends bytes as text, and text as binary', async (t) => {
  const { app, url } = await start(t, { routes: silent })
  const client = await connect(t, url)
  const [connection] = app.lifeline
  let message = heard(client)
  app.safePush(connection!.fd, Buffer.from('{"pre":"serialized"}'), { binary: false })
  assert.equal(await message, '{"pre":"serialized"}')
  message = heard(client)
  app.safePush(connection!.fd, 'text', { binary: true })
  assert.deepEqual(await message, Buffer.from('text'))
})

test('what is no message is refused, reported as an event each time, and logged, each once and not all', async (t) => {
  const { app, url, errors } = await start(t, { routes: silent })
  await connect(t, url)
  const [connection] = app.lifeline
  const events: string[] = []
  app.lifeline.on('error', (about, error) => { events.push(`${about?.fd === connection!.fd} ${(error as { code: string }).code}`) })
  const circular: { self?: unknown } = {}
  circular.self = circular
  const bad = [undefined, () => {}, Symbol('x'), 1n, circular, Promise.resolve(1), new Blob(['x']), { toJSON () { throw new Error('no') } }]
  for (const data of bad) {
    assert.equal(app.lifeline.push(connection!.fd, data), 'invalid')
    assert.equal(app.safePush(connection!.fd, data), false)
    assert.equal(app.lifeline.broadcast(data), 0)
  }
  assert.equal(events.length, bad.length * 3)
  assert.deepEqual([...new Set(events)], ['true FST_ERR_LIFELINE_INVALID_DATA', 'false FST_ERR_LIFELINE_INVALID_DATA'])
  assert.equal(new Set(errors().map(({ msg }) => msg)).size, 5)
  assert.equal(errors().length, 5)
  assert.equal(app.safePush('1', 'x'), false)
  assert.equal(app.safePush(null, 'x'), false)
  assert.equal(events.at(-1), 'false FST_ERR_LIFELINE_INVALID_FD')
  assert.equal(errors().length, 7)
  assert.equal(connection!.state, 'open')
  assert.equal(app.lifeline.stats().pushes.invalid, bad.length * 2 + 2)
})

test('a broadcast reaches everybody but those who are excepted', async (t) => {
  const { app, url } = await start(t, { routes: silent })
  const clients = await Promise.all(Array.from({ length: 5 }, () => connect(t, url)))
  const [first, second, third] = app.lifeline
  const got: string[] = []
  clients.forEach((client) => { client.on('message', (data) => { got.push(String(data)) }) })
  assert.equal(app.lifeline.broadcast('a'), 5)
  assert.equal(app.lifeline.broadcast('b', { except: first! }), 4)
  assert.equal(app.lifeline.broadcast('c', { except: first!.fd }), 4)
  assert.equal(app.lifeline.broadcast('d', { except: [first!, second!.fd, third!, 12] }), 2)
  third!.close()
  assert.equal(app.lifeline.broadcast('e'), 4)
  await until('all have come', () => got.length === 5 + 4 + 4 + 2 + 4)
  assert.equal(got.filter((x) => x === 'd').length, 2)
  assert.equal(app.lifeline.stats().broadcasts, 5)
})

test('list, size, get and iteration agree, in the order of the fds', async (t) => {
  const { app, url } = await start(t, { routes: silent })
  await Promise.all(Array.from({ length: 5 }, () => connect(t, url)))
  const fds = [...app.lifeline].map(({ fd }) => fd)
  assert.equal(app.lifeline.size, 5)
  assert.deepEqual(app.lifeline.list().map(({ fd }) => fd), fds)
  assert.deepEqual(fds, fds.toSorted((a, b) => a - b))
  assert.deepEqual(app.lifeline.list({ limit: 2 }).map(({ fd }) => fd), fds.slice(0, 2))
  assert.deepEqual(app.lifeline.list({ after: fds[1]!, limit: 2 }).map(({ fd }) => fd), fds.slice(2, 4))
  assert.deepEqual(app.lifeline.list({ after: fds[4]! }), [])
  assert.equal(app.lifeline.get(fds[3])!.fd, fds[3])
  for (const limit of [-1, 0.5, 1.5, NaN]) assert.throws(() => app.lifeline.list({ limit }), { code: 'FST_ERR_LIFELINE_ARGUMENT' })
  assert.throws(() => app.lifeline.list({ after: 'x' as never }), { code: 'FST_ERR_LIFELINE_ARGUMENT' })
})

test('info() is the connection as plain data', async (t) => {
  const { app, url } = await start(t, { routes: silent })
  await connect(t, url)
  const [connection] = app.lifeline
  const before = Date.now()
  await connection!.ping()
  const { fd, id, roundTrip, openedAt, lastSeenAt, ...rest } = connection!.info()
  assert.deepEqual(rest, { transport: 'websocket', state: 'open', remoteAddress: '127.0.0.1', route: '/', groups: [], bufferedBytes: 0, unconfirmed: { count: 0, bytes: 0 } })
  assert.equal(fd, connection!.fd)
  assert.equal(id, connection!.id)
  assert.ok(roundTrip! > 0 && roundTrip! < 5_000)
  assert.ok(openedAt <= before && lastSeenAt <= Date.now())
})

test('a connection knows its route and what that has matched, and whoever hears of it gets its request', async (t) => {
  const opened: unknown[] = []
  const { app, url } = await start(t, {
    routes: (app) => {
      app.lifeline.on('open', (connection, request) => { opened.push([connection.route, { ...connection.params }, request.url, app.lifeline.of(request) === connection]) })
      app.get('/rooms/:room/:seat', { websocket: true }, (_socket, request) => { (request.params as { room: string }).room = 'changed' })
      app.get('/', { websocket: true }, () => {})
    }
  })
  await connect(t, `${url}/rooms/7/a%20b?x=1`)
  await connect(t, url)
  assert.deepEqual(opened, [['/rooms/:room/:seat', { room: '7', seat: 'a b' }, '/rooms/7/a%20b?x=1', true], ['/', {}, '/', true]])
  const [connection, other] = app.lifeline
  assert.deepEqual([{ ...connection!.params }, connection!.info().route, { ...other!.params }], [{ room: '7', seat: 'a b' }, '/rooms/:room/:seat', {}])
  assert.throws(() => { (connection!.params as { room: string }).room = 'mine' }, TypeError)
})

test('listeners of one route hear of its connections alone, behind those of all, and what they throw harms nobody', async (t) => {
  const told: unknown[] = []
  const note = (who: string) => (what: string) => ({ route }: Connection) => { told.push([who, what, route]) }
  const on = { open: note('one')('open'), join: note('one')('join'), close: async () => { told.push('rejects'); throw new Error('of the route') } }
  const { app, url, lines } = await start(t, {
    routes: (app) => {
      for (const event of ['open', 'close'] as const) app.lifeline.on(event, note('all')(event))
      app.get('/one', { websocket: true, config: { lifeline: { on } } }, (_socket, request) => { app.lifeline.of(request).join('room') })
      app.get('/other', { websocket: true }, (_socket, request) => { app.lifeline.of(request).join('room') })
    }
  })
  on.open = () => { assert.fail('it was changed later') }
  for (const path of ['/one', '/other']) {
    const client = await connect(t, url + path)
    await until('it has joined', () => app.lifeline.group('room').size === 1)
    const over = ended(app)
    client.close()
    await over
  }
  await until('all was told', () => told.length >= 7)
  assert.deepEqual(told, [['all', 'open', '/one'], ['one', 'open', '/one'], ['one', 'join', '/one'], ['all', 'close', '/one'], 'rejects', ['all', 'open', '/other'], ['all', 'close', '/other']])
  assert.equal(lines.filter(({ msg }) => /listener/.test(msg)).length, 1)
})

test('a route whose listeners are none, or for no event that there is, is refused', async (t) => {
  await start(t, {
    routes: (app) => {
      for (const on of [{ clsoe () {} }, { close: true }, [], null, () => {}]) {
        assert.throws(() => { app.get('/', { websocket: true, config: { lifeline: { on: on as never } } }, () => {}) }, { code: 'FST_ERR_LIFELINE_OPTION' })
      }
    }
  })
})

test('a message that is not taken is told to the listener of its route alone as well', async (t) => {
  const told: unknown[] = []
  const drop = (_connection: Connection | undefined, { data }: { data?: unknown }): void => { told.push(data) }
  const { app, url } = await start(t, {
    options: { backpressure: { limit: 1, low: 0 }, shutdown: { timeout: 50 }, closeTimeout: 50 },
    routes: (app) => app.get('/', { websocket: true, config: { lifeline: { on: { drop } } } }, () => {})
  })
  await connect(t, url)
  const [connection] = app.lifeline
  while (connection!.bufferedBytes === 0) connection!.push(Buffer.alloc(100_000))
  assert.equal(connection!.push('not taken'), 'full')
  assert.deepEqual(told, ['not taken'])
})

test('what the app shows of its data is in info, list and members; a failure there is the app\'s, and told', async (t) => {
  const errors: unknown[] = []
  const { app, url } = await start(t, {
    options: { serializeData: ({ user, secret }: any) => { if (secret === 'fails') throw new Error('of the app'); return user && { user } } },
    routes: silent
  })
  app.lifeline.on('error', (connection, error) => { errors.push([connection!.fd, (error as Error).message]) })
  await connect(t, url)
  const [connection] = app.lifeline
  assert.equal('data' in connection!.info(), false)
  Object.assign(connection!.data, { user: 'ada', secret: 'token' })
  await connection!.join('room')
  assert.deepEqual([connection!.info().data, app.lifeline.list()[0]!.data, (await app.lifeline.members('room')).members[0]!.data], Array(3).fill({ user: 'ada' }))
  Object.assign(connection!.data, { secret: 'fails' })
  assert.equal('data' in connection!.info(), false)
  assert.deepEqual(errors, [[connection!.fd, 'of the app']])
})

test('a connection says what it is when it is inspected, and is its info as JSON', async (t) => {
  const { app, url } = await start(t, { routes: silent })
  await connect(t, url)
  const [connection] = app.lifeline
  await connection!.join('room')
  assert.equal(inspect(connection, { breakLength: Infinity }), `Connection { fd: ${connection!.fd}, state: 'open', route: '/', remoteAddress: '127.0.0.1', groups: [ 'room' ] }`)
  const { roundTrip, lastSeenAt, ...rest } = JSON.parse(JSON.stringify(connection))
  const { roundTrip: _, lastSeenAt: __, ...info } = connection!.info()
  assert.deepEqual([rest, roundTrip], [info, null])
})

test('the signals of a connection take any number of listeners, and warn of no leak', async (t) => {
  const warnings: Error[] = []
  const onWarning = (warning: Error): void => { warnings.push(warning) }
  process.on('warning', onWarning)
  t.after(() => { process.off('warning', onWarning) })
  const { app, url } = await start(t, { routes: silent })
  const client = await connect(t, url)
  const [connection] = app.lifeline
  let aborts = 0
  for (const signal of [connection!.signal, connection!.attached]) for (let i = 0; i < 20; i++) signal.addEventListener('abort', () => { aborts++ })
  client.terminate()
  await connection!.closed
  await until('all are told', () => aborts === 40)
  await new Promise(setImmediate)
  assert.deepEqual(warnings.map(({ name }) => name).filter((name) => name === 'MaxListenersExceededWarning'), [])
})

test('data is the app\'s own bag', async (t) => {
  const { app, url } = await start(t, { routes: silent })
  await connect(t, url)
  const [connection] = app.lifeline
  Object.assign(connection!.data, { user: 7 })
  assert.deepEqual(connection!.data, { user: 7 })
  connection!.data = { user: 8 } as never
  assert.deepEqual(app.lifeline.get(connection!.fd)!.data, { user: 8 })
})

test('disconnect closes by fd and by id, and says whether there was one', async (t) => {
  const { app, url } = await start(t, { routes: silent })
  for (const name of ['fd', 'id'] as const) {
    const adopted = opened(app)
    const client = await connect(t, url)
    const connection = await adopted
    assert.equal(await app.lifeline.disconnect(connection[name], 4005, 'out'), 1)
    assert.equal(await app.lifeline.disconnect(connection[name]), 0)
    const [code, reason] = await once(client, 'close')
    assert.deepEqual([code, String(reason)], [4005, 'out'])
    await connection.closed
    assert.equal(await app.lifeline.disconnect(connection[name]), 0)
  }
})

test('ping gives the round trip, to all who ask at once the same, and hides its pong from the app', async (t) => {
  const pongs: string[] = []
  const { app, url } = await start(t, {
    routes: (app) => app.get('/', { websocket: true }, (socket) => { socket.on('pong', (data) => { pongs.push(String(data)) }) })
  })
  await connect(t, url)
  const [connection] = app.lifeline
  const [first, second] = await Promise.all([connection!.ping(), connection!.ping()])
  assert.equal(first, second)
  assert.equal(Number.isFinite(first), true)
  for (const socket of app.websocketServer.clients) socket.ping('mine')
  await until('the pong of the app\'s own ping', () => pongs.length > 0)
  assert.deepEqual(pongs, ['mine'])
})

test('a ping that is never answered resolves with Infinity when the connection ends', async (t) => {
  const { app, url } = await start(t, { routes: silent })
  const client = await connect(t, url, { autoPong: false })
  const [connection] = app.lifeline
  const answer = connection!.ping()
  client.terminate()
  assert.equal(await answer, Infinity)
})

test('of(request) gives the connection of an upgraded request, and throws on an ordinary one', async (t) => {
  const seen: unknown[] = []
  const { app, url } = await start(t, {
    routes: (app) => {
      app.get('/', { websocket: true }, (_socket, request) => { seen.push(app.lifeline.of(request).fd, request.fd) })
      app.get('/http', async (request) => {
        assert.throws(() => app.lifeline.of(request), { code: 'FST_ERR_LIFELINE_NO_CONNECTION' })
        return { fd: request.fd }
      })
    }
  })
  await connect(t, url)
  assert.equal(seen[0], seen[1])
  assert.deepEqual((await app.inject('/http')).json(), { fd: 0 })
  for (const wrong of [null, undefined, {}, 5]) assert.throws(() => app.lifeline.of(wrong as never), { code: 'FST_ERR_LIFELINE_NO_CONNECTION' })
})

test('a silent peer is found by the heartbeat, a protected one is not', async (t) => {
  const { app, url, closed } = await start(t, { options: { heartbeat: { interval: 200, timeout: 100 } }, routes: silent })
  for (let i = 0; i < 4; i++) await connect(t, url, { autoPong: false })
  const [kept, released] = app.lifeline
  kept!.protect()
  released!.protect()
  released!.protect(false)
  await until('the others are gone', () => app.lifeline.size === 1)
  assert.deepEqual(closed.map(({ cause, code }) => [cause, code]), Array(3).fill(['heartbeat', 1006]))
  assert.equal(app.exists(kept!.fd), true)
  assert.equal(app.lifeline.stats().heartbeat.lost, 3)
})

test('with heartbeat: false nobody is pinged, and sweep does it on demand', async (t) => {
  const { app, url, closed } = await start(t, { options: { heartbeat: false }, routes: silent })
  let pings = 0
  const live = await connect(t, url)
  live.on('ping', () => { pings++ })
  await connect(t, url, { autoPong: false })
  const [, dead] = app.lifeline
  assert.equal(app.lifeline.heartbeat.bound, Infinity)
  assert.deepEqual(app.lifeline.sweep(), [])
  assert.deepEqual(app.lifeline.sweep(), [])
  await until('the live one was asked', () => pings === 1)
  assert.equal(dead!.state, 'open')
  assert.deepEqual(closed, [])
})

test('sweep names those who were asked and stayed silent, and ends them unless told otherwise', async (t) => {
  const { app, url, closed } = await start(t, {
    options: { heartbeat: { interval: 60_000, timeout: 50 } },
    routes: silent
  })
  await connect(t, url)
  await connect(t, url, { autoPong: false })
  const [, dead] = app.lifeline
  await until('the dead one is overdue', () => app.lifeline.sweep({ close: false }).includes(dead!.fd))
  assert.equal(dead!.state, 'open')
  assert.deepEqual(app.lifeline.sweep(), [dead!.fd])
  await dead!.closed
  assert.deepEqual(closed.map(({ fd, cause }) => [fd, cause]), [[dead!.fd, 'heartbeat']])
})

test('pushes between the fragments of a message of the app\'s own wait for its end', async (t) => {
  const { url } = await start(t, {
    routes: (app) => app.get('/', { websocket: true }, (socket, request) => {
      const { fd } = request
      socket.once('message', () => {
        socket.send('one ', { fin: false })
        app.safePush(fd, 'pushed')
        socket.send('message', { fin: true })
        app.safePush(fd, 'x'.repeat(100_000))
        socket.send('last')
      })
    })
  })
  const got: string[] = []
  const client = await connect(t, url)
  client.on('message', (data) => { got.push(String(data)) })
  client.send('go')
  await until('all have come', () => got.length === 4)
  assert.deepEqual(got, ['one message', 'pushed', 'x'.repeat(100_000), 'last'])
})

test('a peer that does not read makes pushes wait, and gets them all in order', async (t) => {
  const { app, url } = await start(t, { routes: silent })
  const client = await connect(t, url)
  client.pause()
  const [connection] = app.lifeline
  const got: number[] = []
  client.on('message', (data: Buffer) => { got.push(data.readUInt32BE(0)) })
  let count = 0
  while (connection!.bufferedBytes < 800_000) {
    const data = Buffer.alloc(50_000)
    data.writeUInt32BE(count++)
    connection!.push(data)
  }
  assert.equal(connection!.push(Buffer.alloc(4)), 'buffered')
  client.resume()
  await until('all have come', () => got.length === count + 1)
  assert.deepEqual(got.slice(0, -1), Array.from({ length: count }, (_, i) => i))
  await until('nothing waits', () => connection!.bufferedBytes === 0)
})

test('lives and deaths are debug lines, with fd and reqId', async (t) => {
  const { app, url, lines } = await start(t, { routes: silent })
  const client = await connect(t, url)
  const [connection] = app.lifeline
  client.close(4000, 'done')
  await connection!.closed
  const ours = lines.filter(({ msg }) => msg.startsWith('lifeline'))
  assert.deepEqual(ours.map(({ level: at, msg, fd, reqId, cause }) => [at, msg, fd, reqId, cause]), [
    [level.debug, 'lifeline: open', connection!.fd, 'req-1', undefined],
    [level.debug, 'lifeline: closed', connection!.fd, 'req-1', 'client']
  ])
})

test('nobody was last seen before he came, whatever the clocks say', async (t) => {
  const { app, url } = await start(t, { routes: (app) => app.get('/', { websocket: true }, () => {}) })
  await connect(t, url)
  const [connection] = app.lifeline
  t.mock.method(Date, 'now', () => connection!.openedAt - 1)
  assert.equal(connection!.lastSeenAt, connection!.openedAt)
  assert.equal(connection!.info().lastSeenAt, connection!.openedAt)
})

test('the heartbeat runs where anybody has one', async (t) => {
  const one = (heartbeat?: false | object) => (app: FastifyInstance): void => {
    app.get('/', { websocket: true, ...(heartbeat !== undefined && { config: { lifeline: { heartbeat } } }) }, () => {})
  }
  for (const [options, routes, running] of [
    [{}, one(), true], [{ heartbeat: false }, one(), false], [{ heartbeat: false }, one({}), true], [{}, one(false), true], [{ heartbeat: false }, one(false), false]
  ] as const) {
    const { app, url } = await start(t, { options, routes })
    assert.equal(app.lifeline.heartbeat.running, false)
    const client = await connect(t, url)
    assert.equal(app.lifeline.heartbeat.running, running)
    client.terminate()
  }
})

test('a serializeData that gives a Promise shows nothing, is reported, and ends no process', async (t) => {
  const { app, url } = await start(t, {
    options: { serializeData: async () => { throw new Error('of the app') } },
    routes: (app) => app.get('/', { websocket: true }, () => {})
  })
  await connect(t, url)
  const errors: string[] = []
  app.lifeline.on('error', (_connection, error) => { errors.push((error as Error).message) })
  assert.equal('data' in app.lifeline.list()[0]!, false)
  await new Promise(setImmediate)
  assert.deepEqual(errors, ['fastify-lifeline: serializeData gave a Promise: it has to answer at once'])
})
