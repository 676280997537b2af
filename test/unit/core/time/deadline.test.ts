import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { Deadline } from '../../../../src/core/time/deadline.js'
import { Wheel } from '../../../../src/core/time/wheel.js'
import { Clock } from '../../clock.js'

const SLOT = 10

function make (t: TestContext): { clock: Clock, deadline: Deadline, told: number[] } {
  const clock = new Clock(t)
  const wheel = new Wheel(SLOT, clock.now, 1000)
  t.after(() => { wheel.stop() })
  const told: number[] = []
  return { clock, told, deadline: new Deadline(wheel, () => { told.push(clock.ms) }) }
}

test('it comes once, within a slot of its time, and can be put off', (t) => {
  const { clock, deadline, told } = make(t)
  deadline.in(45)
  assert.equal(deadline.waiting, true)
  clock.pass(20)
  deadline.in(45)
  clock.pass(1000)
  assert.deepEqual(told, [70])
  assert.equal(deadline.waiting, false)
})

test('after a stall it comes behind the poll phase, and what was read there can call it off', (t) => {
  const { clock, deadline, told } = make(t)
  deadline.in(SLOT)
  clock.poll = () => { deadline.cancel() }
  clock.stall(500)
  assert.equal(deadline.waiting, false)
  clock.pass(1000)
  assert.deepEqual(told, [])
  deadline.in(SLOT)
  clock.poll = () => { assert.deepEqual(told, []) }
  clock.stall(500)
  assert.equal(told.length, 1)
  deadline.in(SLOT)
  clock.poll = () => { deadline.in(SLOT) }
  clock.stall(500)
  assert.equal(told.length, 1, 'it was put off')
})

test('it is not early when it is set while the wheel has slots to make up', (t) => {
  const clock = new Clock(t)
  const wheel = new Wheel(10, clock.now, 1000)
  t.after(() => { wheel.stop() })
  let at = -1
  const other = new Deadline(wheel, () => {})
  other.in(5000)
  // The loop is busy, and sets it then.
  clock.ms += 500
  const began = clock.ms
  const deadline = new Deadline(wheel, () => { at = clock.ms })
  deadline.in(200)
  // In steps as short as what is made up for.
  clock.pass(1000, 1)
  assert.ok(at >= began + 200 - 10, `${at - began} ms`)
  assert.ok(at <= began + 800, `${at - began} ms`)
})
