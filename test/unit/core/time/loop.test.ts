import assert from 'node:assert/strict'
import { test } from 'node:test'
import { later, nextTurn, tick, Turn, turn } from '../../../../src/core/time/loop.js'

function make (): { turn: Turn, ends: Array<() => void> } {
  const ends: Array<() => void> = []
  return { turn: new Turn((end) => { ends.push(end) }), ends }
}

test('whoever asks is told of the end of the turn once; who asks then, of the end of the next', () => {
  const { turn, ends } = make()
  const told: string[] = []
  turn.add({ turnEnded: () => { told.push('first'); turn.add({ turnEnded: () => { told.push('second') } }) } })
  turn.add({ turnEnded: () => { told.push('too') } })
  assert.deepEqual([told.length, ends.length], [0, 1])
  ends[0]!()
  assert.deepEqual(told, ['first', 'too'])
  ends[1]!()
  assert.deepEqual(told, ['first', 'too', 'second'])
  assert.equal(ends.length, 2)
})

test('a turn has one number, and the next another', () => {
  const { turn, ends } = make()
  const { number } = turn
  assert.equal(turn.number, number)
  ends[0]!()
  assert.notEqual(turn.number, number)
})

test('nothing is scheduled while nobody asks', () => {
  assert.equal(make().ends.length, 0)
})

test('a tick ends before the turn does', async () => {
  const told: string[] = []
  await new Promise<void>((resolve) => {
    turn.add({ turnEnded: () => { told.push('turn'); resolve() } })
    tick.add({ turnEnded: () => { told.push('tick') } })
  })
  assert.deepEqual(told, ['tick', 'turn'])
})

test('whoever waits is told in order, in the next turn of the loop and not before', async () => {
  const told: number[] = []
  for (let i = 0; i < 3; i++) later(() => { told.push(i) })
  for (let i = 0; i < 50; i++) await null
  assert.deepEqual(told, [])
  await new Promise(setImmediate)
  assert.deepEqual(told, [0, 1, 2])
})

test('however many wait, one immediate is scheduled', async () => {
  const immediates = (): number => process.getActiveResourcesInfo().filter((kind) => kind === 'Immediate').length
  const before = immediates()
  const waits = Array.from({ length: 100 }, () => nextTurn())
  assert.equal(immediates() - before, 1)
  await Promise.all(waits)
})

test('a loop that awaits it over and over lets timers run', async () => {
  const timer = { fired: false }
  setTimeout(() => { timer.fired = true }, 1)
  for (let i = 0; i < 1_000_000 && !timer.fired; i++) await nextTurn()
  assert.equal(timer.fired, true)
})

test('who asks again when told is told in the turn after', async () => {
  let turns = 0
  let again = 0
  const count = (): void => { setImmediate(() => { if (++turns < 5) count() }) }
  count()
  await new Promise<void>((resolve) => {
    const ask = (): void => { later(() => { if (++again === 3) resolve(); else ask() }) }
    ask()
  })
  assert.ok(turns >= 2, `${turns} turns`)
})

test('what one member throws comes out when all the others have been told', () => {
  const { turn, ends } = make()
  const told: number[] = []
  const error = new Error('boom')
  const add = (...what: unknown[]): void => {
    for (const [i, thrown] of what.entries()) turn.add({ turnEnded: () => { told.push(i); if (thrown !== null) throw thrown } })
  }
  add(error, null, null)
  assert.throws(ends[0]!, error)
  assert.deepEqual(told.splice(0), [0, 1, 2])
  add(null, error, undefined, null)
  assert.throws(ends[1]!, (thrown: AggregateError) => { assert.deepEqual(thrown.errors, [error, undefined]); return true })
  assert.deepEqual(told, [0, 1, 2, 3])
})

test('what one callback throws keeps nobody else waiting', async (t) => {
  const caught: unknown[] = []
  const before = process.listeners('uncaughtException')
  process.removeAllListeners('uncaughtException')
  process.on('uncaughtException', (error) => { caught.push(error) })
  t.after(() => {
    process.removeAllListeners('uncaughtException')
    for (const listener of before) process.on('uncaughtException', listener)
  })
  const error = new Error('boom')
  later(() => { throw error })
  await nextTurn()
  await new Promise(setImmediate)
  assert.deepEqual(caught, [error])
})
