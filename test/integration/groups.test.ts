/**
 * Groups, as an app uses them.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { setImmediate as turnOver } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import WebSocket from 'ws'
import type { Connection, LifelineOptions } from '../../src/index.js'
import { connect, start, until } from '../support/app.js'
import type { App } from '../support/app.js'

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
  assert.equal(app.lifeline.group('room:1').push('one'), 2)
  assert.equal(app.lifeline.group('room:2').push('two'), 1)
  assert.equal(app.lifeline.group('room:1').push('some', { except: first! }), 1)
  assert.equal(app.lifeline.group('room:3').push('nobody'), 0)
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
  assert.deepEqual((await app.lifeline.members('b')).members.map(({ fd }) => fd), [connection!.fd])

  client.close()
  await once(client, 'close')
  await connection!.closed
  assert.deepEqual([[...connection!.groups], app.lifeline.stats().groups, await app.lifeline.members('b')], [[], 0, { members: [], incomplete: false }])
  await connection!.join('too late')
  assert.equal(app.lifeline.stats().groups, 0)
})

test('who joins and who leaves is told, each once, and those who are over leave what they were in before they close', async (t) => {
  const { app, url } = await start(t, { routes: (app) => app.get('/', { websocket: true }, () => {}) })
  const told: unknown[] = []
  app.lifeline.on('join', ({ fd }, group) => { told.push(['join', fd, group]) })
  app.lifeline.on('leave', (connection, group) => {
    told.push(['leave', connection.fd, group])
    // Too late for who is over.
    if (group === 'b') connection.join('again')
  })
  app.lifeline.on('close', ({ fd }, { groups }) => { told.push(['close', fd, groups]) })
  const client = await connect(t, url)
  const [connection] = app.lifeline
  const { fd } = connection!
  for (const group of ['a', 'b', 'b', 'c']) await connection!.join(group)
  await connection!.leave('a')
  await connection!.leave('a')
  client.terminate()
  const { groups } = await connection!.closed
  assert.deepEqual(told, [
    ['join', fd, 'a'], ['join', fd, 'b'], ['join', fd, 'c'], ['leave', fd, 'a'], ['leave', fd, 'b'], ['leave', fd, 'c'], ['close', fd, ['b', 'c']]
  ])
  assert.deepEqual([groups, app.lifeline.stats().groups, [...connection!.groups]], [['b', 'c'], 0, []])
})

test('a message is delivered to a group: how many have it, and what became of it for the others', async (t) => {
  const { app, url } = await start(t, { options: { closeTimeout: 100, shutdown: { timeout: 100 } }, routes: (app) => app.get('/', { websocket: true }, () => {}) })
  const clients = await Promise.all([1, 2, 3, 4].map(() => connect(t, url)))
  const got = clients.map((client) => listen(client).got)
  const members = [...app.lifeline] as Connection[]
  for (const connection of members) connection.join('room')
  const room = app.lifeline.group('room')
  assert.deepEqual([room.name, room.size, [...room]], ['room', 4, members])
  const none = { delivered: 0, gone: 0, full: 0, invalid: 0, timeout: 0, unconfirmed: 0 }
  assert.deepEqual(await room.deliver({ a: 1 }, { except: members[0]! }), { ...none, delivered: 3 })
  assert.deepEqual(await app.lifeline.group('nobody').deliver('x'), none)
  assert.deepEqual(await room.deliver(() => {}), { ...none, invalid: 4 })
  assert.equal(app.lifeline.stats().errors, 1, 'that is reported once')
  // One reads nothing any more, one goes, one closes.
  clients[1]!.pause()
  clients[2]!.pause()
  members[3]!.close()
  const counts = room.deliver('last', { timeout: 300 })
  // It has left by then.
  await turnOver()
  members[2]!.terminate()
  assert.deepEqual(await counts, { ...none, delivered: 1, gone: 1, timeout: 1, unconfirmed: 1 })
  assert.equal(got.flat().filter((text) => text === '{"a":1}').length, 3)
})

test('a signal ends the wait of a whole group, and one that has aborted sends nothing', async (t) => {
  const { app, url } = await start(t, { options: { closeTimeout: 100, shutdown: { timeout: 100 } }, routes: (app) => app.get('/', { websocket: true }, () => {}) })
  const heard = await Promise.all([1, 2].map(async () => listen(await connect(t, url))))
  for (const connection of app.lifeline) connection.join('room')
  const room = app.lifeline.group('room')
  await assert.rejects(room.deliver('never', { signal: AbortSignal.abort(new Error('before')) }), { message: 'before' })
  for (const { client } of heard) client.pause()
  const controller = new AbortController()
  const waits = room.deliver('sent', { signal: controller.signal })
  controller.abort(new Error('given up'))
  await assert.rejects(waits, { message: 'given up' })
  for (const { client } of heard) client.resume()
  await until('it has come', () => heard.every(({ got }) => got.length > 0))
  assert.deepEqual(heard.map(({ got }) => got), [['sent'], ['sent']])
})

test('what a cluster will answer is answered for this node', async (t) => {
  const { app, url, closed } = await start(t, { routes: (app) => app.get('/', { websocket: true }, () => {}) })
  const heard = await Promise.all([1, 2, 3].map(async () => listen(await connect(t, url))))
  const members = [...app.lifeline] as Connection[]
  for (const connection of members.slice(1)) await connection.join('room')
  const { lifeline } = app
  assert.equal(await lifeline.count(), 3)
  assert.deepEqual((await lifeline.find(members[1]!.id))!.fd, members[1]!.fd)
  assert.deepEqual((await lifeline.find(members[1]!.fd))!.groups, ['room'])
  assert.deepEqual([await lifeline.find('nobody'), await lifeline.find(0), lifeline.get(members[2]!.id)], [null, null, members[2]])
  assert.deepEqual(await lifeline.publish('room', 'published', { except: members[1]! }), { local: 1, bus: 'none' })
  assert.ok(['sent', 'buffered'].includes(await lifeline.send(members[0]!.id, 'sent')))
  assert.deepEqual([await lifeline.send('nobody', 'x'), await lifeline.send(members[0]!.fd as never, 'x')], ['gone', 'invalid'])
  assert.equal((await lifeline.deliver(members[0]!.id, 'delivered')).outcome, 'delivered')
  assert.equal((await lifeline.deliver('nobody', 'x')).outcome, 'gone')
  await until('all has come', () => heard[2]!.got.length === 1 && heard[0]!.got.length === 2)
  assert.deepEqual(heard.map(({ got }) => got), [['sent', 'delivered'], [], ['published']])
  const ends = members.map((connection) => connection.closed)
  assert.equal(await lifeline.disconnect({ group: 'room' }, 4003, 'out'), 2)
  assert.equal(await lifeline.disconnect({ group: 'room' }), 0)
  assert.equal(await lifeline.disconnect(members[0]!, 4004), 1)
  await Promise.all(ends)
  assert.deepEqual(closed.map(({ code, reason }) => [code, reason]).toSorted(), [[4003, 'out'], [4003, 'out'], [4004, '']])
})

test('what is no name of a group is the mistake of the programmer', async (t) => {
  const { app, url } = await start(t, { routes: (app) => app.get('/', { websocket: true }, () => {}) })
  await connect(t, url)
  const [connection] = app.lifeline
  const wrong = { code: 'FST_ERR_LIFELINE_ARGUMENT' }
  assert.throws(() => connection!.join(''), wrong)
  assert.throws(() => connection!.leave(7 as never), wrong)
  assert.throws(() => app.lifeline.group(null as never), wrong)
  assert.throws(() => app.lifeline.group(''), wrong)
  await assert.rejects(app.lifeline.publish('', 'x'), wrong)
  await assert.rejects(app.lifeline.disconnect({ group: undefined as never }), wrong)
  await assert.rejects(app.lifeline.members(undefined as never), wrong)
})

const noRoom: LifelineOptions = { backpressure: { limit: 1, low: 0 }, shutdown: { timeout: 100 }, closeTimeout: 100 }
const quiet = (app: FastifyInstance): unknown => app.get('/', { websocket: true }, () => {})

/** Its `send` is the app's, and calls this first. */
let sending = (): void => {}
class Sends extends WebSocket {
  override send (...args: any[]): void {
    sending()
    Reflect.apply(super.send, this, args)
  }
}

/** Two connections in a group, and what their clients got. */
async function room (t: TestContext, options: LifelineOptions = {}): Promise<App & { members: [Connection, Connection], got: string[][], fill: (connection: Connection) => void }> {
  const app = await start(t, { options: { ...noRoom, ...options }, routes: quiet })
  const clients = await Promise.all([1, 2].map(() => connect(t, app.url)))
  const members = [...app.app.lifeline] as [Connection, Connection]
  for (const connection of members) connection.join('room')
  const got = clients.map((client) => {
    const texts: string[] = []
    client.on('message', (data: Buffer) => { if (data.length < 100) texts.push(String(data)) })
    return texts
  })
  const fill = (connection: Connection): void => {
    while (connection.bufferedBytes === 0) connection.push(Buffer.alloc(100_000))
  }
  return { ...app, members, got, fill }
}

for (const [what, join] of [['who has left the group while it is sent gets nothing', false], ['a broadcast to a group has an end, though whoever sends it leaves the group and joins it again', true]] as const) {
  test(what, async (t) => {
    t.after(() => { sending = () => {} })
    const { app, members, got } = await room(t, { backpressure: {}, websocket: { options: { WebSocket: Sends as never } } })
    let sent = 0
    sending = () => {
      if (++sent > 10) return
      members[1].leave('room')
      if (join) members[1].join('room')
    }
    assert.equal(app.lifeline.group('room').push('secret'), join ? 2 : 1)
    sending = () => {}
    for (const connection of members) connection.push('last')
    await until('all has come', () => got.every((texts) => texts.at(-1) === 'last'))
    assert.deepEqual(got.map((texts) => texts.length).sort(), join ? [2, 2] : [1, 2])
  })
}

for (const event of ['full', 'drop'] as const) {
  for (const [what, send] of Object.entries({
    'a broadcast': ({ app }: App) => { app.lifeline.broadcast('second') },
    'a push': (_app: App, other: Connection) => { other.push('second') }
  })) {
    test(`${what} by a listener for "${event}" comes after the broadcast that is under way, at whoever it reaches`, async (t) => {
      const { members: [full, other], fill, got, ...app } = await room(t, { backpressure: { limit: 1000, low: 0 } })
      fill(full)
      app.app.lifeline.once(event, () => { send(app, other) })
      assert.equal(app.app.lifeline.broadcast('first'), 1)
      await until('both have come', () => got.some((texts) => texts.length === 2))
      assert.deepEqual(got.find((texts) => texts.length === 2), ['first', 'second'])
    })
  }
}

test('what happens in a broadcast is told when all have got it, in its order, and as it was pushed', async (t) => {
  const { app, members, fill } = await room(t)
  for (const connection of members) fill(connection)
  const bytes = Buffer.from('a'.repeat(1000))
  const told: unknown[] = []
  app.lifeline.on('full', ({ fd }) => { told.push(['full', fd]); bytes.fill(0x62) })
  app.lifeline.on('drop', (connection, { data }) => { told.push(['drop', connection!.fd, String(data)]); (data as Buffer).fill(0x63) })
  assert.equal(app.lifeline.broadcast(bytes), 0)
  assert.deepEqual(told, members.flatMap(({ fd }) => [['full', fd], ['drop', fd, 'a'.repeat(1000)]]))
})

test('what a listener causes is told when all have been told of what it was told of', async (t) => {
  const { app, url } = await start(t, { routes: (app) => app.get('/', { websocket: true }, () => {}) })
  const told: string[] = []
  app.lifeline.on('open', (connection) => { connection.join('a') })
  app.lifeline.on('join', (connection) => { connection.leave('a') })
  app.lifeline.on('leave', (connection) => { connection.terminate() })
  for (const event of ['open', 'join', 'leave', 'close'] as const) app.lifeline.on(event, () => { told.push(event) })
  await connect(t, url)
  await until('it is over', () => told.includes('close'))
  assert.deepEqual(told, ['open', 'join', 'leave', 'close'])
})

test('a listener that pushes again what was refused neither keeps the loop nor fills the stack', async (t) => {
  const { app, url } = await start(t, { options: noRoom, routes: quiet })
  const client = await connect(t, url)
  client.pause()
  const [connection] = app.lifeline
  await until('it takes no more', async () => {
    while (connection!.bufferedBytes === 0) connection!.push(Buffer.alloc(100_000))
    await new Promise((resolve) => setTimeout(resolve, 20))
    return connection!.bufferedBytes > 0
  })
  let told = 0
  app.lifeline.on('drop', () => { if (++told < 20_000) connection!.push('x'.repeat(1000)) })
  assert.equal(connection!.push('x'.repeat(1000)), 'full')
  assert.equal(told, 1)
  await until('it is told of the others', () => told > 10)
})

test('what listeners cause is told, however often in a turn, and whoever it is about', async (t) => {
  const { app, members, fill } = await room(t)
  for (const connection of members) fill(connection)
  const told: string[] = []
  let n = 0
  app.lifeline.on('drop', (connection) => {
    told.push('drop')
    connection!.join(`missed ${++n}`)
  })
  app.lifeline.on('join', () => { told.push('join') })
  for (let i = 0; i < 3; i++) app.lifeline.broadcast('x'.repeat(1000))
  await until('all is told', () => told.length === 12)
  assert.deepEqual([told.filter((what) => what === 'drop').length, told.filter((what) => what === 'join').length], [6, 6])
  assert.equal(members.reduce((sum, { groups }) => sum + groups.size, 0), 2 + 6)
})

test('with the policy "close" who is full is closed while others get the broadcast, and told of when they have', async (t) => {
  const { app, members: [full, other], fill } = await room(t, { backpressure: { limit: 1000, low: 0, policy: 'close' } })
  fill(full)
  const seen: unknown[] = []
  app.lifeline.on('full', () => { seen.push(full.state, other.push('second')) })
  assert.equal(app.lifeline.broadcast('first'), 1)
  assert.deepEqual(seen, ['closing', 'buffered'])
})
