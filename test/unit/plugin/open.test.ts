/**
 * With the least that a transport can be: nothing here is a WebSocket.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { PassThrough } from 'node:stream'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import type { FastifyRequest } from 'fastify'
import type { Connection } from '../../../src/api/connection.js'
import { kConnection } from '../../../src/api/request.js'
import { Wheel } from '../../../src/core/time/wheel.js'
import { open } from '../../../src/plugin/open.js'
import type { Arrival } from '../../../src/plugin/open.js'
import { readOptions } from '../../../src/plugin/options.js'
import type { LifelineOptions } from '../../../src/plugin/options.js'
import type { Shutdown } from '../../../src/plugin/shutdown.js'
import type { TransportOwner } from '../../../src/transports/transport.js'
import { LineTransport } from '../../contract/line.js'
import { assembled, silent } from '../assembled.js'
import { Clock } from '../clock.js'

const SLOT = 10

const requested = (): FastifyRequest => ({ fd: 0, [kConnection]: null, log: silent, params: {}, routeOptions: { url: '/' } }) as unknown as FastifyRequest

function setUp (t: TestContext, options: LifelineOptions = {}, shutdown = { begun: false }) {
  const clock = new Clock(t)
  const { lifeline, house } = assembled({}, Infinity, new Wheel(SLOT, clock.now))
  t.after(() => { house.wheel.stop() })
  const arrive = (more: Partial<Arrival> = {}): { connection: Connection, said: () => string, stream: PassThrough } => {
    const stream = new PassThrough()
    const transport = new LineTransport(stream as unknown as Socket)
    let opened: Connection | undefined
    lifeline.once('open', (connection) => { opened = connection })
    open({ house, shutdown: shutdown as Shutdown, reconnect: { after: 0, within: 0 } }, {
      transport,
      start: (owner) => { transport.start(owner) },
      request: requested(),
      keys: [],
      settings: readOptions(options),
      place: { ip: '192.0.2.1', leave: null },
      patience: 1000,
      parser: null,
      onError: null,
      ...more
    })
    return { connection: opened!, said: () => String(stream.read() ?? ''), stream }
  }
  return { clock, lifeline, arrive }
}

test('when it is told of, it is whole: its request leads to it, and it has its address', (t) => {
  const { lifeline, arrive } = setUp(t)
  const request = requested()
  let seen: unknown[] = []
  lifeline.on('open', (connection) => { seen = [request.fd === connection.fd, lifeline.of(request) === connection, connection.remoteAddress, lifeline.exists(connection.fd)] })
  arrive({ request })
  assert.deepEqual(seen, [true, true, '192.0.2.1', true])
})

test('its place is given back once, when it is over', async (t) => {
  let left = 0
  const { arrive } = setUp(t)
  const { connection } = arrive({ place: { ip: '', leave: () => { left++ } } })
  assert.equal(left, 0)
  connection.terminate()
  await connection.closed
  assert.equal(left, 1)
})

for (const begun of [false, true]) {
  test(`one whose transport cannot be started is over, gives its place back, and is not told of (${begun ? 'though the transport says that it has ended' : 'nor heard of again'})`, async (t) => {
    let left = 0
    const { lifeline, arrive } = setUp(t)
    const told: string[] = []
    for (const event of ['open', 'close'] as const) lifeline.on(event, () => { told.push(event) })
    const request = requested()
    const stream = new PassThrough()
    const transport = new LineTransport(stream as unknown as Socket)
    const failure = new Error('a class of its own')
    const fails = (owner: TransportOwner): void => {
      if (begun) transport.start(owner)
      throw failure
    }
    assert.throws(() => { arrive({ request, transport, start: fails, place: { ip: '', leave: () => { left++ } } }) }, failure)
    assert.deepEqual([lifeline.size, [...lifeline].length, left, request.fd], [0, 0, 1, 0])
    await once(stream.destroy(), 'close')
    const { opened, closed } = lifeline.stats()
    assert.deepEqual([told, opened, Object.values(closed).every((times) => times === 0), left], [[], 0, true, 1])
  })
}

test('who comes when the shutdown has begun is told of, and closed at once', (t) => {
  const { arrive } = setUp(t, {}, { begun: true })
  const { connection, said } = arrive()
  assert.deepEqual([connection.state, JSON.parse(said()).code], ['closing', 1012])
})

test('one that is old enough is closed, in the last fifth of its time', (t) => {
  const { clock, arrive } = setUp(t, { maxAge: 1000 })
  const { connection, said } = arrive()
  clock.pass(800 - SLOT)
  assert.equal(connection.state, 'open')
  clock.pass(200 + 2 * SLOT)
  assert.deepEqual([connection.state, JSON.parse(said()).code], ['closing', 1012])
})

test('whose peer sends no messages is not waited for to send the first', (t) => {
  const { clock, arrive } = setUp(t, { limits: { firstMessage: 100 } })
  const { connection } = arrive()
  clock.pass(1000)
  assert.equal(connection.state, 'open')
})
