import assert from 'node:assert/strict'
import { test } from 'node:test'
import { causes } from '../../../src/core/causes.js'
import { Tally } from '../../../src/observe/tally.js'

test('ends are counted for every cause, from 0', () => {
  assert.deepEqual(Object.keys(new Tally().closed), Object.keys(causes))
  assert.ok(Object.values(new Tally().closed).every((count) => count === 0))
})

test('two servers of one process do not share their counters', () => {
  const [one, other] = [new Tally(), new Tally()]
  one.closed.reset++
  one.pushes.sent++
  one.upgrades.refused++
  one.heartbeat.pings++
  assert.deepEqual(other, new Tally())
})
