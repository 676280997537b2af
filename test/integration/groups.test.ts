/**
 * Groups, as an app uses them.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import type WebSocket from 'ws'
import { connect, start, until } from '../support/app.js'

interface Heard { client: WebSocket, got: string[] }

const listen = (client: WebSocket): Heard => {
  const got: string[] = []
  client.on('message', (data) => { got.push(String(data)) })
  return { client, got }
}

test('a broadcast to a group reaches its members, except those left out', async (t) => {
  const { app, url } = await start(t, {
    routes: (app) => app.get('/:room', { websocket: true }, (_socket, request) => {
      app.lifeline.of(request).join(`room:${(request.params as { room: string }).room}`)
    })
  })
  const [a, b, c] = await Promise.all(['/1', '/1', '/2'].map(async (path) => listen(await connect(t, url + path)))) as [Heard, Heard, Heard]
  assert.equal(app.lifeline.group('room:1').size, 2)
  const [first] = app.lifeline.group('room:1')
  assert.equal(app.lifeline.broadcast('one', { group: 'room:1' }), 2)
  assert.equal(app.lifeline.broadcast('two', { group: 'room:2' }), 1)
  assert.equal(app.lifeline.broadcast('some', { group: 'room:1', except: first! }), 1)
  assert.equal(app.lifeline.broadcast('nobody', { group: 'room:3' }), 0)
  assert.equal(app.lifeline.broadcast('all'), 3)
  for (const { got } of [a, b, c]) await until('the last has come', () => got.at(-1) === 'all')
  assert.deepEqual([a.got, b.got].toSorted(), [['one', 'all'], ['one', 'some', 'all']])
  assert.deepEqual(c.got, ['two', 'all'])
})

test('join, leave and the end: groups say who is there, and empty ones leave nothing behind', async (t) => {
  const { app, url } = await start(t, { routes: (app) => app.get('/', { websocket: true }, () => {}) })
  const client = await connect(t, url)
  const [connection] = app.lifeline
  assert.deepEqual([...connection!.groups], [])
  await connection!.join('a')
  await connection!.join('b')
  await connection!.join('b')
  assert.deepEqual([...connection!.groups], ['a', 'b'])
  assert.equal(app.lifeline.stats().groups, 2)
  await connection!.leave('a')
  await connection!.leave('never joined')
  assert.deepEqual([[...connection!.groups], app.lifeline.stats().groups, app.lifeline.group('a').size], [['b'], 1, 0])
  assert.deepEqual((await app.lifeline.members('b')).map(({ fd }) => fd), [connection!.fd])

  client.close()
  await once(client, 'close')
  await connection!.closed
  assert.deepEqual([[...connection!.groups], app.lifeline.stats().groups, await app.lifeline.members('b')], [[], 0, []])
  await connection!.join('too late')
  assert.equal(app.lifeline.stats().groups, 0)
})

test('what is no name of a group is the mistake of the programmer', async (t) => {
  const { app, url } = await start(t, { routes: (app) => app.get('/', { websocket: true }, () => {}) })
  await connect(t, url)
  const [connection] = app.lifeline
  const wrong = { code: 'FST_ERR_LIFELINE_ARGUMENT' }
  assert.throws(() => connection!.join(''), wrong)
  assert.throws(() => connection!.leave(7 as never), wrong)
  assert.throws(() => app.lifeline.group(null as never), wrong)
  assert.throws(() => app.lifeline.broadcast('x', { group: '' }), wrong)
  await assert.rejects(app.lifeline.members(undefined as never), wrong)
})

test('a broadcast to a group has an end, though a listener leaves the group and joins it again at each message', async (t) => {
  const { app, url } = await start(t, { options: { backpressure: { limit: 1, low: 0 }, shutdown: { timeout: 100 }, closeTimeout: 100 }, routes: (app) => app.get('/', { websocket: true }, () => {}) })
  for (const client of await Promise.all([1, 2].map(() => connect(t, url)))) client.pause()
  for (const connection of app.lifeline) {
    connection.join('room')
    while (connection.bufferedBytes === 0) connection.push(Buffer.alloc(100_000))
  }
  let drops = 0
  app.lifeline.on('drop', (connection) => {
    if (++drops > 10) return
    connection!.leave('room')
    connection!.join('room')
  })
  assert.equal(app.lifeline.broadcast('x', { group: 'room' }), 0)
  assert.equal(drops, 2)
  assert.equal(app.lifeline.group('room').size, 2)
})

test('who has left the group while it is told gets nothing', async (t) => {
  const { app, url } = await start(t, { options: { backpressure: { limit: 1, low: 0 }, shutdown: { timeout: 100 }, closeTimeout: 100 }, routes: (app) => app.get('/', { websocket: true }, () => {}) })
  const clients = await Promise.all([1, 2].map(() => connect(t, url)))
  const [full, other] = app.lifeline
  for (const connection of [full!, other!]) connection.join('room')
  for (const client of clients) client.pause()
  while (full!.bufferedBytes === 0) full!.push(Buffer.alloc(100_000))
  app.lifeline.on('drop', () => { other!.leave('room') })
  assert.equal(app.lifeline.broadcast('secret', { group: 'room' }), 0)
  assert.equal(other!.bufferedBytes, 0)
})
