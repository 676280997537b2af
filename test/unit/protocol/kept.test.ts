import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Kept } from '../../../src/protocol/kept.js'

test('it keeps what is not confirmed, by its number', () => {
  // 'add', or how many more are confirmed.
  fc.assert(fc.property(fc.array(fc.oneof(fc.constant('add' as const), fc.nat(4)), { maxLength: 200 }), (steps) => {
    const kept = new Kept<string>()
    const all: string[] = []
    let base = 0
    for (const step of steps) {
      if (step === 'add') {
        all.push(`m${all.length + 1}`)
        assert.equal(kept.add(all.at(-1)!, all.length), all.length)
      } else {
        const count = Math.min(all.length, base + step)
        const gone: string[] = []
        kept.confirm(count, gone)
        assert.deepEqual(gone, all.slice(base, count))
        base = count
      }
      assert.deepEqual([kept.base, kept.last, kept.length], [base, all.length, all.length - base])
      assert.equal(kept.bytes, all.slice(base).reduce((sum, _message, i) => sum + base + i + 1, 0))
      for (let seq = 0; seq <= all.length + 1; seq++) {
        const is = seq > base && seq <= all.length
        assert.deepEqual([kept.at(seq), kept.sizeOf(seq)], is ? [all[seq - 1], seq] : [undefined, 0])
      }
    }
  }))
})

test('a count that was confirmed before changes nothing', () => {
  const kept = new Kept<string>()
  for (const message of ['a', 'b', 'c']) kept.add(message, 1)
  kept.confirm(2)
  kept.confirm(1)
  kept.confirm(0)
  assert.deepEqual([kept.base, kept.at(3), kept.bytes], [2, 'c', 1])
})

test('what somebody was answered for is kept, and not told again', () => {
  const kept = new Kept<string>()
  for (const message of ['a', 'b', 'c']) kept.add(message, 1)
  kept.answered(2)
  kept.answered(7)
  kept.confirm(1)
  kept.answered(1)
  assert.deepEqual([kept.unanswered, kept.at(2), kept.bytes], [['c'], 'b', 2])
})
