import assert from 'node:assert/strict'
import { on, once } from 'node:events'
import { test } from 'node:test'
import { runInNewContext } from 'node:vm'
import { Awaited } from '../../../src/life/awaited.js'
import { Events } from '../../../src/api/events.js'

function emitter (): { events: Events, threw: Array<[string, unknown]> } {
  const threw: Array<[string, unknown]> = []
  return { threw, events: new Events((event, error) => { threw.push([event, error]) }, new Awaited()) }
}

const error = new Error('boom')
const info = {} as never
const connection = {} as never

test('every listener is called, in order, whatever the one before it threw', () => {
  const { events, threw } = emitter()
  const called: number[] = []
  events.on('open', () => { called.push(1); throw error })
  events.once('open', () => { called.push(2); throw error })
  events.on('open', () => { called.push(3) })
  assert.equal(events.emit('open', connection), true)
  assert.deepEqual(called, [1, 2, 3])
  assert.deepEqual(threw, [['open', error], ['open', error]])
})

test('a listener that rejects is reported', async () => {
  const { events, threw } = emitter()
  events.on('close', async () => { throw error })
  events.emit('close', connection, info)
  await new Promise(setImmediate)
  assert.deepEqual(threw, [['close', error]])
})

test('without a listener nothing happens, for "error" as for any other', () => {
  const { events, threw } = emitter()
  assert.equal(events.emit('error', undefined, error), false)
  assert.equal(events.emit('open', connection), false)
  assert.deepEqual(threw, [])
})

test('a listener for one time is called once', () => {
  const { events } = emitter()
  let calls = 0
  events.once('open', () => { calls++ })
  events.emit('open', connection)
  events.emit('open', connection)
  assert.equal(calls, 1)
  assert.equal(events.listenerCount('open'), 0)
})

test('a listener that removes others while it is called does not keep them from this event', () => {
  const { events } = emitter()
  const called: number[] = []
  events.on('open', () => { called.push(1); events.removeAllListeners('open') })
  events.on('open', () => { called.push(2) })
  events.emit('open', connection)
  assert.deepEqual(called, [1, 2])
})

test('listeners are called with the emitter as this, and with all that is told', async () => {
  const { events } = emitter()
  const told = once(events, 'close')
  let self: unknown
  events.on('close', function (this: unknown) { self = this })
  events.emit('close', connection, info)
  assert.deepEqual(await told, [connection, info])
  assert.equal(self, events)
})

test('what a listener rejects with is logged, of whatever realm its promise is, and whatever else can be awaited', async () => {
  const { events, threw } = emitter()
  const listeners: Record<string, () => unknown> = {
    'of another realm': runInNewContext('(async () => { throw "of another realm" })'),
    'a thenable': () => ({ then (_resolve: unknown, reject: (error: unknown) => void) { reject('a thenable') } }),
    'one that throws': () => ({ then () { throw 'one that throws' } }) // eslint-disable-line no-throw-literal
  }
  for (const listener of Object.values(listeners)) events.on('open', listener)
  events.emit('open', connection)
  await new Promise(setImmediate)
  assert.deepEqual(threw.map(([, error]) => error).toSorted(), Object.keys(listeners).toSorted())
})

test('who listens for an event that does not exist is told which there are, by whichever call', async () => {
  const { events } = emitter()
  const wrong = { code: 'FST_ERR_LIFELINE_ARGUMENT', message: 'fastify-lifeline: a lifeline has no event "clsoe"; its events are: open, join, leave, close, full, drain, drop, error' }
  for (const call of ['on', 'addListener', 'once', 'prependListener', 'prependOnceListener'] as const) {
    assert.throws(() => { Reflect.apply(events[call], events, ['clsoe', () => {}]) }, wrong, call)
    for (const odd of [undefined, null, 7, {}, 'toString', '__proto__']) assert.throws(() => { Reflect.apply(events[call], events, [odd, () => {}]) }, { code: wrong.code })
  }
  assert.throws(() => on(events, 'clsoe'), wrong)
  await assert.rejects(once(events, 'clsoe'), wrong)
  assert.deepEqual(events.eventNames(), [])
})

test('symbols, and the events that every emitter has, are heard as in Node.js', async () => {
  const { events, threw } = emitter()
  const heard: unknown[] = []
  const own = Symbol('own')
  events.on('newListener', (event) => { heard.push(event) })
  events.prependListener('removeListener', (event) => { heard.push(event) })
  events.once(own, (value: unknown) => { heard.push(value) })
  events.emit(own, 5)
  assert.deepEqual(heard, ['removeListener', own, own, 5])
  const next = on(events, 'close')
  events.emit('close', connection, info)
  assert.deepEqual((await next.next()).value, [connection, info])
  await next.return!()
  assert.deepEqual(threw, [])
})

test('who listens no more to what does not exist is told: his listener would stay', () => {
  const { events } = emitter()
  const listener = (): void => {}
  events.on('close', listener)
  for (const call of ['off', 'removeListener', 'removeAllListeners'] as const) {
    assert.throws(() => { events[call]('clsoe' as never, listener as never) }, { code: 'FST_ERR_LIFELINE_ARGUMENT', message: /no event "clsoe"; its events are: open, join,/ }, call)
  }
  assert.equal(events.listenerCount('close'), 1)
  events.off('close', listener)
  events.on('open', listener).removeListener('open', listener).on('drop', listener).on(Symbol.for('own'), listener).removeAllListeners('drop').removeAllListeners()
  assert.deepEqual(events.eventNames(), [])
})
