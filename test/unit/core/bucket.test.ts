import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Bucket } from '../../../src/core/bucket.js'

test('as much as the burst fits at once, and then as much as the rate', () => {
  const bucket = new Bucket(10, 3, 0)
  assert.deepEqual([0, 0, 0].map((now) => bucket.take(1, now)), [0, 0, 0])
  assert.equal(bucket.wait(0), 100)
  assert.equal(bucket.wait(60), 40)
  assert.equal(bucket.take(1, 100), 0)
  assert.equal(bucket.take(1, 100), 100)
})

test('what is taken past the rate is paid for: nothing fits until then', () => {
  const bucket = new Bucket(1000, 100, 0)
  assert.equal(bucket.take(600, 0), 500)
  assert.equal(bucket.take(0, 499), 1)
  assert.equal(bucket.wait(501), 0)
})

test('a pause saves up no more than the burst', () => {
  const bucket = new Bucket(1000, 5, 0)
  assert.equal(bucket.take(5, 1_000_000), 0)
  assert.ok(bucket.take(1, 1_000_000) > 0)
})

test('a rate below one per second still lets one through at once', () => {
  const bucket = new Bucket(0.1, 0.1, 0)
  assert.equal(bucket.take(1, 0), 0)
  assert.equal(bucket.take(1, 0), 10_000)
})

test('whoever waits as long as it is told never gets past burst + rate * time', () => {
  fc.assert(fc.property(fc.integer({ min: 1, max: 1000 }), fc.integer({ min: 1, max: 100 }), fc.array(fc.tuple(fc.integer({ min: 1, max: 50 }), fc.nat(200)), { maxLength: 200 }), (rate, burst, takes) => {
    const bucket = new Bucket(rate, burst, 0)
    let now = 0
    let taken = 0
    for (const [count, pause] of takes) {
      now += Math.max(pause, Math.ceil(bucket.wait(now)))
      // The last take may go into debt by all of itself.
      assert.ok(taken <= burst + rate * now / 1000 + 1e-6, `${taken} by ${now} ms`)
      bucket.take(count, now)
      taken += count
      now += Math.ceil(bucket.take(0, now))
    }
  }))
})
