import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { FdIndex } from '../../../src/core/fd-index.js'
import { share } from '../../support/proof.js'

test('any sequence of additions and removals is found as in a Map', () => {
  // A few homes only, so that they collide; and far ones, past 2^31 too.
  const fd = fc.oneof(fc.integer({ min: 1, max: 200 }), fc.integer({ min: 731_000_001, max: 731_000_400 }), fc.integer({ min: 2 ** 31 - 50, max: 2 ** 31 + 50 }))
  fc.assert(fc.property(fc.array(fc.record({ adds: fc.boolean(), fd }), { maxLength: 600 }), fc.array(fd), (steps, others) => {
    const index = new FdIndex<object>()
    const model = new Map<number, object>()
    for (const { adds, fd } of steps) {
      if (adds && !model.has(fd)) {
        model.set(fd, {})
        index.add(fd, model.get(fd)!)
      } else if (!adds) {
        model.delete(fd)
        index.remove(fd)
      }
    }
    for (const fd of [...others, ...steps.map(({ fd }) => fd)]) assert.equal(index.get(fd), model.get(fd))
  }), { numRuns: share(5000) })
})

test('it grows and shrinks, and finds all the time', () => {
  const index = new FdIndex<{ fd: number }>()
  for (let fd = 1; fd <= 20_000; fd++) index.add(fd, { fd })
  for (let fd = 1; fd <= 20_000; fd++) assert.equal(index.get(fd)?.fd, fd)
  for (let fd = 1; fd <= 20_000; fd++) {
    if (fd % 1000 !== 0) index.remove(fd)
  }
  for (let fd = 1; fd <= 20_000; fd++) assert.equal(index.get(fd)?.fd, fd % 1000 === 0 ? fd : undefined)
})

test('asked for anything at all it finds nothing, and ends', () => {
  const index = new FdIndex<object>()
  for (let fd = 1; fd <= 32; fd++) index.add(fd, {})
  for (const value of [0, -0, NaN, 1.5, -1, Infinity, 2 ** 53, '1', null, undefined, {}, 1n, Symbol('1')]) assert.equal(index.get(value), undefined)
})
