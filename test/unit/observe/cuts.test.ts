import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Cuts } from '../../../src/observe/cuts.js'

const note = (cuts: Cuts, times: number[]): boolean[] => times.map((idle) => cuts.note(idle))

test('the tenth reset after the same idle time, within 2 %, is told, once', () => {
  const cuts = new Cuts()
  const times = Array.from({ length: 30 }, (_, i) => 60_000 + 40 * (i % 20))
  assert.deepEqual(note(cuts, times).flatMap((told, i) => told ? [i] : []), [9])
})

test('another time is told too', () => {
  const cuts = new Cuts()
  note(cuts, Array(10).fill(60_000))
  assert.equal(note(cuts, Array(10).fill(30_000)).at(-1), true)
})

test('resets at all kinds of times are not told', () => {
  const cuts = new Cuts()
  const times = Array.from({ length: 2_000 }, (_, i) => 1000 + (i * 7919) % 19_000)
  assert.equal(note(cuts, times).includes(true), false)
})

test('who was not idle, or not even for a second, does not count', () => {
  const cuts = new Cuts()
  assert.equal(note(cuts, Array(50).fill(NaN)).includes(true), false)
  assert.equal(note(cuts, Array(50).fill(999)).includes(true), false)
})

test('what a busy machine hears late is no other time', () => {
  const cuts = new Cuts()
  const times = Array.from({ length: 40 }, (_, i) => 3000 + (i < 20 ? 0 : 12 * (i - 20)))
  assert.deepEqual(note(cuts, times).flatMap((told, i) => told ? [i] : []), [9])
})
