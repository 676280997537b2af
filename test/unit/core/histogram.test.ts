import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Histogram } from '../../../src/core/histogram.js'

test('what is equal to a bound is within it, and what is above all of them is counted as well', () => {
  const histogram = new Histogram()
  for (const ms of [0, 1, 1.01, 2.5, 10_000, 10_000.5, 60_000]) histogram.observe(ms)
  const { buckets, counts, sum, count } = histogram.read()
  assert.equal(counts.length, buckets.length + 1)
  assert.deepEqual([counts[0], counts[1], counts.at(-2), counts.at(-1)], [2, 2, 1, 2])
  assert.deepEqual([sum, count], [0 + 1 + 1.01 + 2.5 + 10_000 + 10_000.5 + 60_000, 7])
})

test('what came early is not late: the sum only grows', () => {
  const histogram = new Histogram()
  for (const ms of [5, -3]) histogram.observe(ms)
  assert.deepEqual([histogram.read().sum, histogram.read().count, histogram.read().counts[0]], [5, 2, 1])
})

test('what is read is a copy', () => {
  const histogram = new Histogram()
  const read = histogram.read()
  read.counts[0] = 7
  read.buckets.length = 0
  assert.equal(histogram.read().counts[0], 0)
  assert.notEqual(histogram.read().buckets.length, 0)
})
