import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { setImmediate as turnOver } from 'node:timers/promises'
import { Connection, lifeOf } from '../../src/api/connection.js'
import { nextFd } from '../../src/core/registry.js'
import type { Run } from '../../src/life/run.js'
import { until } from '../support/app.js'
import { assembled, call } from '../unit/assembled.js'
import { Session } from './session.js'
import { contract } from './transport.js'
import type { Options, Peer, Subject } from './transport.js'
import { MemoryWire } from './wire.js'

interface Here extends Subject { session: Session, wire: MemoryWire, house: ReturnType<typeof assembled>['house'], errors: unknown[] }

function make (t: TestContext, { receipts, limit }: Options = {}, outlives = false): Here {
  // Nothing here keeps the process alive by itself.
  const alive = setInterval(() => {}, 1000)
  t.after(() => { clearInterval(alive) })
  const wire = new MemoryWire()
  const { lifeline, house } = assembled({ ...(limit !== undefined && { limit, low: limit / 4 }) })
  t.after(() => { house.heartbeat.stop(); house.wheel.stop() })
  const session = new Session(wire, outlives)
  const connection = new Connection(house, session, nextFd(), receipts ?? null, call, wire)
  session.start(lifeOf(connection))
  lifeOf(connection).begin(null)
  const errors: unknown[] = []
  lifeline.on('error', (_connection, error) => { errors.push(error) })
  const peer: Peer = { get received () { return wire.received }, get told () { return wire.told }, say: (data) => { wire.reader.say(data) }, hold: (on) => { wire.hold(on) }, vanish: () => { wire.vanish() } }
  return { connection, lifeline, peer, session, wire, house, errors }
}

contract('a session', { kind: 'websocket', remote: true, confirms: 'itself', binary: true, reads: true, asks: false }, async (t, options) => make(t, options))

/** The run of the first wire has ended, and another goes on. */
function twice (t: TestContext): Here & { first: Run, second: Run, next: MemoryWire } {
  const here = make(t, {}, true)
  const first = lifeOf(here.connection).run
  const next = new MemoryWire()
  const second = here.session.resume(next, call)
  return { ...here, first, second, next }
}

test('what run 1 throws, settles or closes never reaches run 2', async (t) => {
  const { connection, first, second, next, wire, errors } = twice(t)
  first.failed(new Error('late'))
  first.settled()
  first.closing(true)
  first.lost()
  assert.equal(wire.close({ code: 4000, reason: '' }, false), false)
  for (let i = 0; i < 5; i++) await turnOver()
  assert.deepEqual([connection.state, next.open, next.reader.settles, errors.map((error) => (error as Error).message)], ['open', true, 0, ['late']])
  second.settled()
  assert.equal(next.reader.settles, 1)
  second.failed(new Error('now'))
  await until('it is over', () => connection.state === 'closed')
  assert.equal(next.told?.code, 1011)
})

test('attached aborts with each run, signal with the connection', async (t) => {
  const here = make(t, {}, true)
  const { connection, session } = here
  const { signal, attached } = connection
  session.resume(new MemoryWire(), call)
  assert.deepEqual([attached.aborted, signal.aborted], [true, false])
  assert.notEqual(connection.attached, attached)
  assert.equal(connection.attached.aborted, false)
  connection.terminate()
  await until('it is over', () => connection.state === 'closed')
  assert.deepEqual([signal.aborted, connection.attached.aborted], [true, true])
})

test('the gate: what was not taken on the first wire is not handed out there any more, and comes once on the second', async (t) => {
  const { connection, session, wire } = make(t, {}, true)
  const said = ['one', 'two', 'three']
  for (const text of said) wire.reader.say(text)
  const taken: unknown[] = []
  let goOn = (): void => {}
  const works = new Promise<void>((resolve) => { goOn = resolve })
  const reads = (async () => {
    for await (const { data } of connection.messages()) {
      taken.push(data)
      await works
    }
  })()
  await until('the first is taken', () => taken.length === 1)
  const next = new MemoryWire()
  const before = wire.reader.consumed
  session.resume(next, call)
  goOn()
  await reads
  wire.reader.say('too late')
  // As a client does: what was not counted is said again.
  for (const text of said.slice(before)) next.reader.say(text)
  for await (const { data } of connection.messages()) {
    taken.push(data)
    if (taken.length === said.length) break
  }
  assert.deepEqual([taken, wire.reader.consumed], [said, before])
})

test('what is pushed while there is no wire comes on the next, once and in order, and is delivered then', async (t) => {
  const { connection, session, wire, peer } = make(t, {}, true)
  connection.push('one')
  await until('it has come', () => peer.received.length === 1)
  wire.hold(true)
  connection.push('two')
  wire.terminate()
  await until('it is detached', () => lifeOf(connection).run.over)
  const delivery = connection.deliver('three')
  assert.equal(connection.state, 'open')
  const next = new MemoryWire()
  session.resume(next, call)
  connection.push('four')
  assert.equal((await delivery).outcome, 'delivered')
  await until('all have come', () => next.received.length === 3)
  assert.deepEqual([...wire.received, ...next.received].map(({ data }) => data), ['one', 'two', 'three', 'four'])
})

test('the heartbeat watches the wire of the run that there is: a dead wire ends alone', async (t) => {
  const { connection, first, second, next, house } = twice(t)
  assert.deepEqual([first.pulse.forgotten, second.pulse.forgotten], [true, false])
  house.heartbeat.lose(second.pulse)
  assert.equal(next.open, false)
  await until('it is detached', () => second.over)
  assert.deepEqual([connection.state, connection.signal.aborted, house.registry.size], ['open', false, 1])
  connection.terminate()
  await until('it is over', () => connection.state === 'closed')
  assert.equal(house.registry.size, 0)
})
