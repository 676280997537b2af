import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Budget } from '../../../src/core/backpressure.js'
import type { Consumer } from '../../../src/core/backpressure.js'

class Slow implements Consumer {
  bufferedBytes: number
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
    const budget = new Budget(total)
    const all = Array.from({ length: 5 }, () => new Slow())
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

test('past the total the largest give way, one after the other, and no more of them than it takes', () => {
  const order: Slow[] = []
  const budget = new Budget(100)
  const [small, large, larger, last] = [10, 30, 50, 60].map((bytes) => new Slow(order, bytes)) as [Slow, Slow, Slow, Slow]
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
  const budget = new Budget(100)
  const other = new Slow([], 40)
  const one = new Slow([], 90)
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
