import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'

interface Figure { median: number, from: number, to: number, sure: boolean }
// Plain JavaScript, of a package of its own.
const { medianOf, ratios, verdictOf } = await import(String(new URL('../../../bench/pairs.js', import.meta.url))) as { medianOf: (values: number[]) => Figure, ratios: (these: number[], those: number[]) => number[], verdictOf: (figure: Figure) => string }

const upTo = (n: number): number[] => Array.from({ length: n }, (_, i) => i + 1)

test('the interval of the median is that of the tables: of 15 values from the 4th to the 12th', () => {
  assert.deepEqual(medianOf(upTo(15).toReversed()), { median: 8, from: 4, to: 12, sure: true })
  assert.deepEqual(medianOf(upTo(9)), { median: 5, from: 2, to: 8, sure: true })
  assert.deepEqual(medianOf(upTo(6)), { median: 3.5, from: 1, to: 6, sure: true })
  assert.deepEqual(medianOf(upTo(5)), { median: 3, from: 1, to: 5, sure: false })
  assert.deepEqual(medianOf([7]), { median: 7, from: 7, to: 7, sure: false })
})

test('it holds the true median in at least 95 of 100 samples, whatever they are drawn from', () => {
  let held = 0
  // A fixed, skewed draw: squares of a linear congruence. Its true median is a quarter.
  let state = 1
  const draw = (): number => {
    state = (state * 48_271) % 2_147_483_647
    return (state / 2_147_483_647) ** 2
  }
  for (let i = 0; i < 2000; i++) {
    const { from, to } = medianOf(Array.from({ length: 15 }, draw))
    if (from <= 0.25 && to >= 0.25) held++
  }
  assert.ok(held >= 1900, `${held} of 2000`)
})

test('the median lies within its interval, and the order of the rounds changes nothing', () => {
  fc.assert(fc.property(fc.array(fc.double({ min: 0.1, max: 10, noNaN: true }), { minLength: 1, maxLength: 40 }), (values) => {
    const figure = medianOf(values)
    assert.ok(figure.from <= figure.median && figure.median <= figure.to)
    assert.deepEqual(medianOf(values.toReversed()), figure)
  }))
})

test('a row is no worse if its interval ends below 1.05, and worse if it begins there', () => {
  const verdict = (from: number, to: number, sure = true): string => verdictOf({ median: (from + to) / 2, from, to, sure })
  assert.deepEqual([verdict(0.8, 0.99), verdict(0.9, 1.049), verdict(1, 1.05), verdict(1.05, 1.2), verdict(0.8, 0.9, false)],
    ['better', 'no worse', 'NOT CERTAIN', 'WORSE', 'too few rounds'])
  assert.deepEqual(ratios([2, 3], [4, 2]), [0.5, 1.5])
})
