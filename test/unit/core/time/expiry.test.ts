import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { Expiry } from '../../../../src/core/time/expiry.js'
import { Wheel } from '../../../../src/core/time/wheel.js'
import { Clock } from '../../clock.js'

/** A wall clock beside the monotonic one, which can be set. */
function setUp (t: TestContext): { expiry: Expiry, clock: Clock, wheel: Wheel, over: () => number, set: (ms: number) => void, wall: () => number } {
  const clock = new Clock(t)
  const wheel = new Wheel(10, clock.now)
  let set = 1_000_000_000_000
  const wall = (): number => set + clock.ms
  t.mock.method(Date, 'now', wall)
  let over = 0
  const expiry = new Expiry(wheel, () => { over++ })
  return { expiry, clock, wheel, over: () => over, set: (ms) => { set += ms }, wall }
}

test('it calls back when the time has come, once', (t) => {
  const { expiry, clock, over, wall } = setUp(t)
  expiry.at(wall() + 1000)
  clock.pass(990)
  assert.equal(over(), 0)
  clock.pass(30)
  assert.equal(over(), 1)
  clock.pass(100_000)
  assert.equal(over(), 1)
})

test('a later time puts it off, an earlier one brings it on, one that has passed is now, and Infinity is never', (t) => {
  const { expiry, clock, wheel, over, wall } = setUp(t)
  expiry.at(wall() + 1000)
  expiry.at(wall() + 5000)
  clock.pass(4000)
  assert.equal(over(), 0)
  expiry.at(wall() + 100)
  clock.pass(130)
  assert.equal(over(), 1)
  expiry.at(wall() - 1)
  assert.equal(over(), 2)
  expiry.at(wall() + 100)
  expiry.at(Infinity)
  clock.pass(200_000)
  assert.equal(over(), 2)
  assert.equal(wheel.running, false)
})

test('a wall clock that jumps ahead is noticed within ten seconds, and one that is put back gives time', (t) => {
  const { expiry, clock, over, set, wall } = setUp(t)
  expiry.at(wall() + 3_600_000)
  clock.pass(1000)
  set(3_600_000)
  clock.pass(10_000)
  assert.equal(over(), 1)
  expiry.at(wall() + 1000)
  set(-60_000)
  clock.pass(50_000)
  assert.equal(over(), 1)
  clock.pass(11_050)
  assert.equal(over(), 2)
})

test('cancelled, it waits for nothing', (t) => {
  const { expiry, clock, wheel, over, wall } = setUp(t)
  expiry.at(wall() + 1000)
  expiry.cancel()
  clock.pass(5000)
  assert.equal(over(), 0)
  assert.equal(wheel.running, false)
})
