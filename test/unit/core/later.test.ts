import assert from 'node:assert/strict'
import { test } from 'node:test'
import { later, nextTurn } from '../../../src/core/later.js'

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
