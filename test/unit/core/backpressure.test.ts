import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Budget } from '../../../src/core/backpressure.js'
import type { Consumer } from '../../../src/core/backpressure.js'

class Slow implements Consumer {
  bufferedBytes: number
  counted = 0
  gone = false
  readonly #order: Slow[]

  constructor (order: Slow[] = [], bufferedBytes = 0) {
    this.#order = order
    this.bufferedBytes = bufferedBytes
  }

  shed (): void {
    this.gone = true
    this.bufferedBytes = 0
    this.#order.push(this)
  }
}

test('the sum is what each of them last reported, through any sequence', () => {
  const step = fc.record({ who: fc.nat(4), bytes: fc.nat(50), leaves: fc.boolean() })
  fc.assert(fc.property(fc.array(step), fc.integer({ min: 50, max: 200 }), (steps, total) => {
    const all = Array.from({ length: 5 }, () => new Slow())
    const budget = new Budget(total, () => all)
    for (const { who, bytes, leaves } of steps) {
      const one = all[who]!
      if (one.gone) continue
      one.bufferedBytes = leaves ? 0 : bytes
      if (leaves) budget.forget(one)
      else budget.update(one)
      assert.equal(budget.bytes, all.reduce((sum, { bufferedBytes }) => sum + bufferedBytes, 0))
      assert.ok(budget.bytes <= total)
    }
  }))
})

test('without a bound the sum is kept all the same, and nobody gives way', () => {
  const order: Slow[] = []
  const all = [10, 30].map((bytes) => new Slow(order, bytes)) as [Slow, Slow]
  const budget = new Budget(Infinity, () => all)
  for (const one of all) budget.update(one)
  assert.equal(budget.bytes, 40)
  all[0].bufferedBytes = 1e12
  budget.update(all[0])
  budget.forget(all[1])
  assert.deepEqual([budget.bytes, order], [1e12, []])
})

test('past the total the largest give way, one after the other, and no more of them than it takes', () => {
  const order: Slow[] = []
  const all = [10, 30, 50, 60].map((bytes) => new Slow(order, bytes)) as [Slow, Slow, Slow, Slow]
  const [small, large, larger, last] = all
  const budget = new Budget(100, () => all)
  for (const one of [small, large, larger]) budget.update(one)
  assert.deepEqual([budget.bytes, order], [90, []])
  budget.update(last)
  assert.deepEqual(order, [last])
  last.gone = false
  last.bufferedBytes = 45
  budget.update(last)
  assert.deepEqual(order, [last, larger])
  assert.equal(budget.bytes, 85)
})

test('what one of them does when it gives way may change the others', () => {
  const other = new Slow([], 40)
  const one = new Slow([], 90)
  const budget = new Budget(100, () => [other, one])
  const shed = one.shed.bind(one)
  one.shed = () => {
    shed()
    other.bufferedBytes = 120
    budget.update(other)
  }
  budget.update(other)
  budget.update(one)
  assert.deepEqual([one.gone, other.gone, budget.bytes], [true, true, 0])
})

test('without a bound, what changes while they are looked at is in the sum the next time', () => {
  const all = [10, 30].map((bytes) => new Slow([], bytes)) as [Slow, Slow]
  const budget = new Budget(Infinity, () => all)
  // To be asked what waits may be to call a class of the app's.
  let asks = false
  let bytes = 30
  Object.defineProperty(all[1], 'bufferedBytes', {
    get () {
      if (asks) {
        asks = false
        all[0].bufferedBytes = 15
        budget.update(all[0])
        budget.forget(all[0])
        budget.update(all[0])
        bytes = 35
        budget.update(all[1])
      }
      return bytes
    }
  })
  for (const one of all) budget.update(one)
  asks = true
  assert.ok(budget.bytes > 0)
  assert.equal(budget.bytes, 50)
  all[0].bufferedBytes = 0
  budget.update(all[0])
  assert.equal(budget.bytes, 35)
})

test('without a bound it is asked anew each time what waits, while anything does: not all that is taken is told at once', () => {
  const all = Array.from({ length: 3 }, (_, i) => new Slow([], 10 * (i + 1)))
  const budget = new Budget(Infinity, () => all)
  for (const one of all) budget.update(one)
  assert.equal(budget.bytes, 60)
  all[2]!.bufferedBytes = 5
  assert.equal(budget.bytes, 35)
  all[2]!.bufferedBytes = 0
  assert.equal(budget.bytes, 30)
  // Who had nothing is asked again when there is something.
  all[2]!.bufferedBytes = 7
  budget.update(all[2]!)
  assert.equal(budget.bytes, 37)
  for (const one of all) budget.forget(one)
  assert.equal(budget.bytes, 0)
})

test('more of them than are asked each time are in the sum as they were told', () => {
  const all = Array.from({ length: 3_000 }, () => new Slow([], 1))
  const budget = new Budget(Infinity, () => all)
  for (const one of all) budget.update(one)
  assert.equal(budget.bytes, 3_000)
  for (const one of all) one.bufferedBytes = 2
  for (const one of all) budget.update(one)
  assert.equal(budget.bytes, 6_000)
  for (const one of all) budget.forget(one)
  assert.equal(budget.bytes, 0)
})
