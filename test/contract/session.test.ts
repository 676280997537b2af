import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { setImmediate as turnOver } from 'node:timers/promises'
import { Connection, lifeOf } from '../../src/api/connection.js'
import { nextFd } from '../../src/core/registry.js'
import type { Run } from '../../src/life/run.js'
import { Session } from '../../src/resume/session.js'
import { until } from '../support/app.js'
import { assembled, call } from '../unit/assembled.js'
import { ResumingClient } from './resuming.js'
import { contract } from './transport.js'
import type { Options, Peer, Subject } from './transport.js'
import type { MemoryWire } from './wire.js'

const minting = { mint: () => randomBytes(32).toString('base64url'), hash: (token: string) => createHash('sha256').update(token).digest('hex') }

interface Here extends Subject { session: Session, client: ResumingClient, wire: MemoryWire, house: ReturnType<typeof assembled>['house'], errors: unknown[], tokens: Set<string>, comeBack: () => { wire: MemoryWire, run: Run } }

/** @param outlives false: nobody can come back to it */
function make (t: TestContext, { receipts, limit }: Options = {}, outlives = false, kept = 100 * 1024 * 1024): Here {
  // Nothing here keeps the process alive by itself.
  const alive = setInterval(() => {}, 1000)
  t.after(() => { clearInterval(alive) })
  const { lifeline, house } = assembled({ ...(limit !== undefined && { limit, low: limit / 4 }) })
  t.after(() => { house.heartbeat.stop(); house.wheel.stop() })
  const tokens = new Set<string>()
  const session = new Session({
    terms: { id: 'id', node: 'n', window: 60_000, limit: kept, credit: 256 * 1024, payload: 1024 * 1024, beat: 20_000 },
    minting: outlives ? minting : null,
    index: tokens,
    wheel: house.wheel,
    closeTimeout: 5_000
  })
  const client = new ResumingClient()
  const wire = client.attach()
  const connection = new Connection(house, session, nextFd(), receipts ?? null, call, wire)
  session.start(lifeOf(connection))
  wire.owner = session.attach(wire, () => lifeOf(connection).run, '', null)
  lifeOf(connection).begin(null)
  const errors: unknown[] = []
  lifeline.on('error', (_connection, error) => { errors.push(error) })
  const comeBack = (): { wire: MemoryWire, run: Run } => {
    const { token, received } = client.leave()!
    const next = client.attach()
    let run!: Run
    next.owner = session.attach(next, () => (run = lifeOf(connection).attach(next, call)), '', { hash: minting.hash(token), received })
    return { wire: next, run }
  }
  const peer: Peer = { get received () { return client.received }, get told () { return wire.told }, say: (data) => { client.say(data) }, hold: (on) => { wire.hold(on) }, vanish: () => { wire.vanish() } }
  return { connection, lifeline, peer, session, client, wire, house, errors, tokens, comeBack }
}

/** A hello is behind the first turn. */
async function makeAttached (t: TestContext, options?: Options): Promise<Here> {
  const here = make(t, options)
  await until('it has its hello', () => here.client.session.attached)
  return here
}

contract('a session', { kind: 'websocket', remote: true, confirms: 'itself', binary: true, reads: true, asks: true }, makeAttached)

/** The run of the first wire has ended, and another goes on. */
async function twice (t: TestContext): Promise<Here & { first: Run, second: Run, next: MemoryWire }> {
  const here = make(t, {}, true)
  await until('it has its hello', () => here.client.session.attached)
  const first = lifeOf(here.connection).run
  const { wire: next, run: second } = here.comeBack()
  await until('it is back', () => here.client.events.includes('resume'))
  return { ...here, first, second, next }
}

test('what run 1 throws, settles or closes never reaches run 2', async (t) => {
  const { connection, first, second, next, wire, errors } = await twice(t)
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

test('a wire that another replaces is told so', async (t) => {
  const { wire, tokens } = await twice(t)
  assert.equal(wire.told?.code, 3001)
  assert.equal(tokens.size, 1)
})

test('attached aborts with each run, signal with the connection', async (t) => {
  const { connection, comeBack } = make(t, {}, true)
  await until('it has its hello', () => connection.state === 'open')
  await turnOver()
  const { signal, attached } = connection
  comeBack()
  assert.deepEqual([attached.aborted, signal.aborted], [true, false])
  assert.notEqual(connection.attached, attached)
  assert.equal(connection.attached.aborted, false)
  connection.terminate()
  await until('it is over', () => connection.state === 'closed')
  assert.deepEqual([signal.aborted, connection.attached.aborted], [true, true])
})

test('the gate: what was not taken on the first wire is not handed out there any more, and comes once on the second, when the app is done with the last', async (t) => {
  const { connection, client, wire, comeBack } = make(t, {}, true)
  await until('it has its hello', () => client.session.attached)
  for (const text of ['one', 'two', 'three']) client.say(text)
  const taken: unknown[] = []
  let goOn = (): void => {}
  const works = new Promise<void>((resolve) => { goOn = resolve })
  const reads = (async () => {
    for await (const { data } of connection.messages()) {
      taken.push(data)
      await works
      taken.push(`done with ${String(data)}`)
    }
  })()
  await until('the first is taken', () => taken.length === 1)
  const before = wire.reader.consumed
  comeBack()
  wire.say('too late')
  const readsOn = (async () => {
    for await (const { data } of connection.messages()) {
      taken.push(data)
      if (data === 'three') break
    }
  })()
  for (let i = 0; i < 20; i++) await turnOver()
  assert.deepEqual(taken, ['one'])
  goOn()
  await reads
  await readsOn
  assert.deepEqual([taken, wire.reader.consumed], [['one', 'done with one', 'two', 'three'], before])
})

test('what is pushed while there is no wire comes on the next, once and in order, and is delivered then', async (t) => {
  const { connection, client, wire, session, comeBack } = make(t, {}, true)
  connection.push('one')
  await until('it has come', () => client.received.length === 1)
  wire.hold(true)
  connection.push('two')
  wire.terminate()
  await until('it is detached', () => lifeOf(connection).run.over)
  const delivery = connection.deliver('three')
  assert.deepEqual([connection.state, session.attached], ['open', false])
  assert.equal(connection.bufferedBytes, 'onetwothree'.length)
  comeBack()
  connection.push('four')
  assert.equal((await delivery).outcome, 'delivered')
  await until('all have come', () => client.received.length === 4)
  assert.deepEqual([client.received.map(({ data }) => data), client.events], [['one', 'two', 'three', 'four'], ['open', 'resume']])
  await until('nothing waits', () => connection.bufferedBytes === 0)
})

test('the heartbeat watches the wire of the run that there is: a dead wire ends alone', async (t) => {
  const { connection, first, second, next, house } = await twice(t)
  assert.deepEqual([first.pulse.forgotten, second.pulse.forgotten], [true, false])
  house.heartbeat.lose(second.pulse)
  assert.equal(next.open, false)
  await until('it is detached', () => second.over)
  assert.deepEqual([connection.state, connection.signal.aborted, house.registry.size], ['open', false, 1])
  connection.terminate()
  await until('it is over', () => connection.state === 'closed')
  assert.equal(house.registry.size, 0)
})

test('what the peer closes with decides whether it may come back', async (t) => {
  for (const [code, ends] of [[1000, true], [4001, true], [1002, true], [1001, false], [1005, false], [3000, false]] as const) {
    const { connection, wire, client, tokens } = make(t, {}, true)
    await until('it has its hello', () => client.session.attached)
    wire.leave(code)
    await until('its wire has gone', () => lifeOf(connection).run.over)
    assert.deepEqual([connection.state, tokens.size], ends ? ['closed', 0] : ['open', 1], String(code))
    connection.terminate()
    assert.deepEqual([connection.state, tokens.size], ['closed', 0])
  }
})

test('past what is kept for a peer that may come back a push is full; room is told when the peer has taken it', async (t) => {
  const { connection, client, wire, comeBack } = make(t, {}, true, 1000)
  await until('it has its hello', () => client.session.attached)
  wire.terminate()
  await until('it is detached', () => lifeOf(connection).run.over)
  const results = Array.from({ length: 12 }, () => connection.push('x'.repeat(100)))
  // Each counts 128 beside its bytes; up to half of it anything is taken.
  assert.deepEqual(results, [...Array(4).fill('buffered'), ...Array(8).fill('full')])
  const drained = connection.drained()
  comeBack()
  assert.equal(await drained, true)
  assert.notEqual(connection.push('x'.repeat(100)), 'full')
  await until('all that was taken comes', () => client.received.length === 5)
})

test('a client that says what cannot be is ended with 1002, and may not come back', async (t) => {
  const { connection, client, wire, tokens, house } = make(t, {}, true)
  await until('it has its hello', () => client.session.attached)
  wire.say('\0a99')
  await until('it is over', () => connection.state === 'closed')
  const { code, cause } = await connection.closed
  assert.deepEqual([code, cause, tokens.size, house.registry.size], [1002, 'protocol', 0, 0])
  await until('it was told', () => wire.told?.code === 1002)
})

test('text that begins as a control frame comes as it was sent, in both directions', async (t) => {
  const { connection, client } = make(t, {}, true)
  await until('it has its hello', () => client.session.attached)
  const texts = ['\0', '\0a1', '\0\0', '\0hello']
  for (const text of texts) {
    connection.push(text)
    connection.push(Buffer.from(text), { binary: false })
    client.say(text)
  }
  await until('all have come', () => client.received.length === 8)
  assert.deepEqual(client.received.map(({ data }) => data), texts.flatMap((text) => [text, text]))
  const said: unknown[] = []
  for await (const { data } of connection.messages()) if (said.push(data) === texts.length) break
  assert.deepEqual(said, texts)
})

test('a close without a wire ends it at once; with one it comes behind all that is kept', async (t) => {
  const detached = make(t, {}, true)
  await until('it has its hello', () => detached.client.session.attached)
  detached.wire.terminate()
  await until('it is detached', () => lifeOf(detached.connection).run.over)
  detached.connection.close(4000, 'enough')
  const { code, reason, cause } = await detached.connection.closed
  assert.deepEqual([code, reason, cause, detached.tokens.size], [4000, 'enough', 'server', 0])
  const { connection, client, wire } = make(t, {}, true)
  await until('it has its hello', () => client.session.attached)
  wire.hold(true)
  for (let i = 0; i < 40; i++) connection.push('x'.repeat(10_000))
  connection.close(4000, 'enough')
  wire.hold(false)
  await connection.closed
  assert.equal(client.received.length, 40)
})

test('its time without a wire is up once, and not while it has one', async (t) => {
  const { connection, session, wire, client, tokens } = make(t, {}, true)
  await until('it has its hello', () => client.session.attached)
  session.expire()
  assert.equal(connection.state, 'open')
  wire.terminate()
  await until('it is detached', () => lifeOf(connection).run.over)
  const delivery = connection.deliver('never')
  session.expire()
  session.expire()
  assert.deepEqual([connection.state, tokens.size, connection.push('x'), (await delivery).outcome], ['closed', 0, 'gone', 'unconfirmed'])
})
