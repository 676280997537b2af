import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { causes, clampReason, isChurn, sayable } from '../../../src/core/causes.js'
import { isSendable } from '../../../src/protocol/close-codes.js'
import type { Cause } from '../../../src/core/causes.js'

test('a reason of up to 123 bytes is left as it is', () => {
  for (const reason of ['', 'bye', 'x'.repeat(123), 'é'.repeat(61), '€'.repeat(41), '😀'.repeat(30)]) {
    assert.equal(clampReason(reason), reason)
  }
})

test('a longer reason is cut at a character boundary', () => {
  assert.equal(clampReason('x'.repeat(124)), 'x'.repeat(123))
  assert.equal(clampReason('é'.repeat(62)), 'é'.repeat(61))
  assert.equal(clampReason('€'.repeat(42)), '€'.repeat(41))
  assert.equal(clampReason('😀'.repeat(31)), '😀'.repeat(30))
  assert.equal(clampReason('xx' + '😀'.repeat(31)), 'xx' + '😀'.repeat(30))
})

test('any reason, clamped, is its longest beginning that fits, and can be sent', () => {
  fc.assert(fc.property(fc.array(fc.constantFrom('x', 'é', '€', '😀', '\u0000', '\u{10ffff}'), { maxLength: 160 }).map((units) => units.join('')), (reason) => {
    const clamped = clampReason(reason)
    assert.ok(Buffer.byteLength(clamped) <= 123)
    assert.ok(reason.startsWith(clamped))
    if (clamped !== reason) {
      const next = String.fromCodePoint(reason.codePointAt(clamped.length)!)
      assert.ok(Buffer.byteLength(clamped + next) > 123)
    }
  }))
})

test('lone surrogates do no harm', () => {
  fc.assert(fc.property(fc.array(fc.constantFrom('\ud800', '\udc00', 'x', '€'), { maxLength: 160 }).map((units) => units.join('')), (reason) => {
    assert.ok(Buffer.byteLength(clampReason(reason)) <= 123)
  }))
})

test('every cause has a code that may be sent, or none, and says what it means and what to do (field 15)', () => {
  for (const [cause, { code, meaning, client }] of Object.entries(causes)) {
    assert.ok(code === null || isSendable(code), cause)
    assert.ok(meaning.length > 0 && client.length > 0, cause)
  }
})

test('all ends are churn but those that the app is to blame for', () => {
  assert.deepEqual(Object.keys(causes).filter((cause) => !isChurn(cause as Cause)), ['handler'])
})

test('bytes that have been transferred are no reason, and the code goes out all the same', () => {
  const bytes = new Uint8Array(4)
  structuredClone(bytes, { transfer: [bytes.buffer] })
  const { code, reason, wrong } = sayable(4403, bytes)
  assert.deepEqual([code, reason], [4403, ''])
  assert.match(wrong!, /close reason/)
})
