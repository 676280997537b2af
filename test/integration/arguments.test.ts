/**
 * What a call is given and cannot take: it is thrown, or reported where the call never throws, and nothing happens.
 * A slip must not reach everybody.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { runInNewContext } from 'node:vm'
import type WebSocket from 'ws'
import type { FastifyInstance } from 'fastify'
import type { Connection } from '../../src/index.js'
import { connect, start } from '../support/app.js'

const argument = { code: 'FST_ERR_LIFELINE_ARGUMENT' }

interface Room { app: FastifyInstance, connection: Connection, socket: WebSocket, request: object, got: string[], errors: () => Array<{ err?: { code?: string } }>, settled: () => Promise<void> }

/** Two connections, of which the first is in the group. */
async function room (t: TestContext): Promise<Room> {
  const got: string[] = []
  const handlers: Array<[WebSocket, object]> = []
  const { app, url, errors } = await start(t, { routes: (app) => { app.get('/', { websocket: true }, (socket, request) => { handlers.push([socket, request]) }) } })
  const clients: WebSocket[] = []
  for (let i = 0; i < 2; i++) clients.push(await connect(t, url))
  for (const client of clients) client.on('message', (data) => { got.push(String(data)) })
  const [connection, other] = app.lifeline
  await connection!.join('room')
  const [socket, request] = handlers[0]!
  return {
    app,
    connection: connection!,
    socket,
    request,
    got,
    errors,
    // What was pushed before the ping is there when it is answered.
    settled: async () => { await Promise.all([connection!.ping(), other!.ping()]) }
  }
}

test('a broadcast whose options are a slip throws, and reaches nobody', async (t) => {
  const { app, connection, socket, request, got, settled } = await room(t)
  const slips: Record<string, unknown> = {
    'a group': { group: 'room' },
    'a group that is undefined': { group: undefined },
    'one that is null': { group: null },
    'one that is no string': { group: 7 },
    'one that is empty': { group: '' },
    'a list of groups': { group: ['room'] },
    'a group by another name': { room: 'room' },
    'several groups': { groups: ['room'] },
    'a name too many': { group: 'room', only: 5 },
    'the name itself': 'room',
    'no name': '',
    'a list': ['room'],
    null: null,
    'a number': connection.fd,
    true: true,
    'a function': () => 'room',
    'a connection': connection,
    'a socket': socket,
    'a request': request,
    'a Map': new Map([['group', 'room']]),
    'a Set': new Set(['room']),
    'what inherits a group': Object.create({ group: 'room' }),
    'getters of a class': new (class { get group () { return 'room' } })(),
    'what cannot be read': new Proxy({}, { getPrototypeOf () { throw new Error('no') } }),
    'except, undefined': { except: undefined },
    'except, null': { except: null },
    'except, the fd of an ordinary request': { except: 0 },
    'except, NaN': { except: NaN },
    'except, a fraction': { except: 1.5 },
    'except, less than nothing': { except: -1 },
    'except, an fd as a string': { except: String(connection.fd) },
    'except, an id': { except: connection.id },
    'except, a socket': { except: socket },
    'except, a request': { except: request },
    'except, what looks like a connection': { except: { fd: connection.fd } },
    'except, a Set': { except: new Set([connection]) },
    'except, a list with a hole': { except: [connection, , 5] }, // eslint-disable-line no-sparse-arrays
    'except, a list with undefined': { except: [connection, undefined] },
    'except, a list with a socket': { except: [socket] },
    'except, a list in a list': { except: [[connection]] }
  }
  for (const [slip, options] of Object.entries(slips)) {
    const data = `secret: ${slip}`
    for (const send of [
      () => app.lifeline.broadcast(data, options as never), () => app.lifeline.group('room').push(data, options as never), () => app.lifeline.group('room').deliver(data, options as never)
    ]) assert.throws(send, argument, slip)
    await assert.rejects(app.lifeline.publish('room', data, options as never), argument, slip)
  }
  await settled()
  assert.deepEqual(got, [])
  assert.equal(app.lifeline.stats().broadcasts, 0)
})

test('a broadcast whose options are right goes where they say', async (t) => {
  const { app, connection, got, settled } = await room(t)
  const right: Array<[number, unknown?]> = [
    [2], [2, undefined], [2, {}], [2, Object.create(null)], [2, runInNewContext('({})')], [2, { binary: undefined }], [2, { binary: false }],
    [1, { except: connection }], [1, { except: [connection.fd] }], [2, { except: [] }], [2, { except: connection.fd + 1_000 }]
  ]
  for (const [count, options] of right) assert.equal(app.lifeline.broadcast('x', options as never), count)
  await settled()
  assert.equal(got.length, right.reduce((sum, [count]) => sum + count, 0))
})

test('a push whose options are a slip is invalid and reported, never thrown, and sends nothing', async (t) => {
  const { app, connection, got, errors, settled } = await room(t)
  const events: unknown[] = []
  app.lifeline.on('error', (about, error) => { events.push(about?.fd, (error as { code: string }).code) })
  const slips = [null, 'binary', true, 5, [], new Map(), { binry: true }, { binary: 'no' }, { binary: 1 }, { group: 'room' }, new Proxy({}, { ownKeys () { throw new Error('no') } })] as never[]
  for (const options of slips) {
    assert.equal(connection.push('x', options), 'invalid')
    assert.equal(app.lifeline.push(connection.fd, 'x', options), 'invalid')
    assert.equal(app.safePush(connection.fd, 'x', options), false)
  }
  assert.deepEqual(events, slips.flatMap(() => [1, 2, 3].flatMap(() => [connection.fd, 'FST_ERR_LIFELINE_INVALID_DATA'])))
  assert.equal(errors().length, 5)
  for (const options of [undefined, {}, { binary: undefined }, { binary: true }, Object.create(null)]) assert.equal(app.safePush(connection.fd, 'x', options), true)
  await settled()
  assert.equal(got.length, 5)
})

test('the other calls throw for what they cannot take, and do nothing', async (t) => {
  const { app, connection, got, errors, settled } = await room(t)
  const noOptions = [null, 'x', true, 5, [], new Map(), { unknown: 1 }] as never[]
  for (const options of noOptions) {
    assert.throws(() => connection.deliver('x', options), argument)
    assert.throws(() => app.lifeline.deliver(connection.fd, 'x', options), argument)
    assert.throws(() => app.lifeline.deliver(1, 'x', options), argument)
    assert.throws(() => app.lifeline.list(options), argument)
    assert.throws(() => app.lifeline.sweep(options), argument)
    assert.throws(() => connection.writable(options), argument)
  }
  for (const close of [undefined, null, 'false', 0, 1]) assert.throws(() => app.lifeline.sweep({ close } as never), argument)
  for (const on of [null, 'false', 0, 1]) assert.throws(() => { connection.protect(on as never) }, argument)
  for (const options of [{ objectMode: 'no' }, { binary: 'no' }, { highWaterMark: 1 }]) assert.throws(() => connection.writable(options as never), argument)
  for (const at of [undefined, null, 'tomorrow', NaN, new Date(NaN), { getTime: () => 5 }]) assert.throws(() => { connection.expire(at as never) }, argument)
  for (const handler of [undefined, null, {}, 'x']) assert.throws(() => { connection.onMessage(handler as never) }, argument)
  assert.equal((await connection.deliver('x', { binary: 'no' as never })).outcome, 'invalid')
  assert.equal(errors().length, 1, 'that one is reported, as of a push')
  await settled()
  assert.deepEqual(got, [])
  assert.equal(connection.state, 'open')
  connection.expire(runInNewContext('new Date(Date.now() + 3600000)') as Date)
  connection.expire(Infinity)
})

test('what stands in the place of an fd is named where that is known, and so is a swap', async (t) => {
  const { app, connection, socket, request, got, settled } = await room(t)
  const { fd } = connection
  const said: string[] = []
  app.lifeline.on('error', (_about, error) => { said.push((error as Error).message.replace(/^the message was not sent: an fd is a number,( and an id a string,)? this is /, '')) })
  const unreadable = new Proxy({}, { has () { throw new Error('no') } })
  for (const [given, name] of [
    [connection, 'a Connection, whose fd is wanted'], [request, 'a request, whose fd is wanted'], [socket, 'a WebSocket: the fd of its request is wanted'],
    [null, 'null'], [NaN, 'NaN'], [undefined, 'of type undefined'], [String(fd), 'a string of digits'], [{ fd }, 'of type object'], [unreadable, 'of type object']
  ] as const) {
    assert.equal(app.safePush(given, 'data'), false)
    assert.equal(app.lifeline.push(given, 'data'), 'invalid')
    assert.equal((await app.lifeline.deliver(given, 'data')).outcome, 'invalid')
    assert.deepEqual(said.splice(0), Array(3).fill(name))
    if (given === connection) continue
    await app.lifeline.disconnect(given as never)
    assert.deepEqual(said.splice(0), [`fastify-lifeline: disconnect: the target is an fd, an id, a Connection or { group }, not ${name}`])
    assert.equal(await app.lifeline.find(given as never), null)
    assert.deepEqual(said.splice(0), [`fastify-lifeline: find: the target is an fd or an id, not ${name}`])
  }
  for (const data of [{ hello: 'world' }, 'hello', Buffer.from('x')]) {
    assert.equal(app.safePush(data, fd), false)
    assert.deepEqual(said.splice(0), [`of type ${typeof data}; what was to be pushed is a number: the two look swapped`])
  }
  await settled()
  assert.deepEqual(got, [])
})

test('a string that never was an id, beside what could be one, is a swap; any other may have been one', async (t) => {
  const { app, connection, got, settled } = await room(t)
  const { fd, id } = connection
  const said: string[] = []
  app.lifeline.on('error', (_about, error) => { said.push((error as Error).message.replace('the message was not sent: ', '')) })
  assert.equal((await app.lifeline.deliver('hello', fd)).outcome, 'invalid')
  assert.equal(await app.lifeline.send('hello', id), 'invalid')
  assert.equal(await app.lifeline.send(String(fd), 'hello'), 'invalid')
  assert.equal(await app.lifeline.send(fd as never, 'hello'), 'invalid')
  assert.equal(await app.lifeline.disconnect(4000, fd), 0)
  assert.deepEqual(said.splice(0), [
    'an fd is a number, and an id a string, this is of type string; what was to be pushed is a number: the two look swapped',
    'an id is a string, this is of type string; what was to be pushed is an id: the two look swapped',
    'an id is a string, this is a string of digits',
    'an id is a string, this is of type number',
    `fastify-lifeline: disconnect: nobody has the fd 4000, and ${fd} is no close code: the two look swapped`
  ])
  // What somebody may have made up, or kept too long, is no mistake of the app's.
  const other = `${id.slice(0, -1)}${id.endsWith('x') ? 'y' : 'x'}`
  for (const name of ['', 'hello', other]) {
    assert.equal((await app.lifeline.deliver(name, 'data')).outcome, 'gone')
    assert.equal(await app.lifeline.send(name, 'data'), 'gone')
    assert.equal(await app.lifeline.disconnect(name), 0)
    assert.equal(await app.lifeline.find(name), null)
  }
  assert.equal((await app.lifeline.deliver(other, 5)).outcome, 'gone')
  assert.equal(await app.lifeline.send(other, id), 'gone')
  assert.equal(await app.lifeline.disconnect(4000, 4001), 0)
  await settled()
  assert.deepEqual([said, got, connection.state], [[], [], 'open'])
})

test('a close whose reason comes first is told how it goes', async (t) => {
  const { app } = await room(t)
  const said: string[] = []
  app.lifeline.on('error', (_about, error) => { said.push((error as Error).message) })
  const [one, other] = [...app.lifeline]
  one!.close('bye' as never, 4000 as never)
  await app.lifeline.disconnect(other!.fd, {} as never)
  assert.deepEqual(said, [
    'what is of type string is no close code that may be sent (RFC 6455 §7.4): 1000 was sent; the code comes first, then the reason',
    'what is of type object is no close code that may be sent (RFC 6455 §7.4): 1000 was sent'
  ])
})

test('a chunk of writable() that is no message fails it by its reason', async (t) => {
  const { app, connection } = await room(t)
  const reported: unknown[] = []
  app.lifeline.on('error', (_about, error) => { reported.push(error) })
  const writable = connection.writable({ objectMode: true })
  const failed = once(writable, 'error')
  writable.write(new Map())
  const [error] = await failed
  assert.deepEqual([error.code, error.message], ['FST_ERR_LIFELINE_INVALID_DATA', 'the message was not sent: it is a Map: read it into an array or an object first'])
  assert.deepEqual(reported, [error])
  assert.equal(app.lifeline.stats().pushes.invalid, 1)
})

test('disconnect of what is no fd, id, connection or group closes nobody, and is reported', async (t) => {
  const { app, connection, errors } = await room(t)
  for (const target of [undefined, null, [connection], true, {}]) assert.equal(await app.lifeline.disconnect(target as never), 0)
  assert.deepEqual([...new Set(errors().map(({ err }) => err!.code))], ['FST_ERR_LIFELINE_ARGUMENT'])
  assert.equal(new Set(errors().map(({ err }) => (err as { message?: string }).message)).size, errors().length)
  assert.equal(app.lifeline.stats().errors, 5)
  // Nobody is there, which is no mistake.
  for (const target of ['', 'x', 0, 5, { group: 'nobody' }]) assert.equal(await app.lifeline.disconnect(target), 0)
  assert.equal(app.lifeline.stats().errors, 5)
  assert.equal(connection.state, 'open')
})
