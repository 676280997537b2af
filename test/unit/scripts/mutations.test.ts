import assert from 'node:assert/strict'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

interface Mutant { from: number, to: number, line: number, before: string, after: string }

const { apply, comesBy, mutantsOf, sample }: {
  apply: (text: string, mutant: Mutant) => string
  comesBy: (functions: Array<{ ranges: Array<{ startOffset: number, endOffset: number, count: number }> }>, place: number) => boolean
  mutantsOf: (text: string) => Mutant[]
  sample: <T>(list: T[], count: number, seed: number) => T[]
} = await import(fileURLToPath(new URL('../../../scripts/mutations.js', import.meta.url)))

const all = (text: string): string[] => mutantsOf(text).map((mutant) => apply(text, mutant))

test('one token at a time becomes another, and the rest stays', () => {
  assert.deepEqual(all('a === b'), ['a !== b'])
  assert.deepEqual(all('a < b'), ['a <= b', 'a > b'])
  assert.deepEqual(all('a && b'), ['a || b'])
  assert.deepEqual(all('a ?? b'), ['a && b'])
  assert.deepEqual(all('this.n++'), ['this.n--'])
  assert.deepEqual(all('a += b'), ['a -= b'])
  assert.deepEqual(all('x = !a'), ['x = a'])
  assert.deepEqual(all('x = true'), ['x = false'])
  assert.deepEqual(all('x = 0'), ['x = 1'])
  assert.deepEqual(all('x = 64'), ['x = (64 + 1)'])
  assert.deepEqual(all('call()'), [';'])
  assert.deepEqual(all('if (a) b = c'), ['if (!(a)) b = c'])
})

test('types, imports and words that are put together are left alone', () => {
  for (const text of ["import a from 'a'", 'type A = 0 | 1', 'interface A { b: true }', "x = 'a' + b", 'let a: A<0>']) assert.deepEqual(all(text), [], text)
})

test('the same seed tries the same, another others, and each at most once', () => {
  const list = Array.from({ length: 100 }, (_, i) => i)
  assert.deepEqual(sample(list, 10, 7), sample(list, 10, 7))
  assert.notDeepEqual(sample(list, 10, 7), sample(list, 10, 8))
  assert.equal(new Set(sample(list, 200, 1)).size, 100)
})

test('a place was run if the narrowest range around it was', () => {
  const range = (startOffset: number, endOffset: number, count: number): { startOffset: number, endOffset: number, count: number } => ({ startOffset, endOffset, count })
  const functions = [{ ranges: [range(0, 100, 1)] }, { ranges: [range(10, 50, 3), range(20, 30, 0)] }, { ranges: [range(60, 80, 0)] }]
  assert.deepEqual([5, 10, 20, 29, 30, 60, 79, 80, 100].map((place) => comesBy(functions, place)), [true, true, false, false, true, false, false, true, false])
})
