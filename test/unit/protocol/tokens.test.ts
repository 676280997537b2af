import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Tokens } from '../../../src/protocol/tokens.js'

function make (): { tokens: Tokens, good: () => string[] } {
  const index = new Set<string>()
  let count = 0
  return { tokens: new Tokens({ mint: () => `t${++count}`, hash: (token) => `#${token}` }, index), good: () => [...index] }
}

test('each hello names another, and all are good until one is proven', () => {
  const { tokens, good } = make()
  assert.deepEqual([tokens.next(), tokens.next()], ['t1', 't2'])
  assert.deepEqual(good(), ['#t1', '#t2'])
  tokens.proven('#t1')
  assert.deepEqual(good(), ['#t1'])
})

test('the one that was proven last is good beside what was named since', () => {
  const { tokens, good } = make()
  tokens.next()
  tokens.proven('#t1')
  tokens.next()
  tokens.next()
  // The same claim again, for its answer was lost.
  tokens.proven('#t1')
  assert.deepEqual(good(), ['#t1', '#t2', '#t3'])
  tokens.proven('#t3')
  assert.deepEqual(good(), ['#t3'])
  tokens.proven('#t2')
  assert.deepEqual(good(), ['#t3'])
})

test('what nobody has proven is kept for eight hellos', () => {
  const { tokens, good } = make()
  for (let i = 0; i < 20; i++) tokens.next()
  assert.deepEqual(good(), Array.from({ length: 8 }, (_, i) => `#t${13 + i}`))
})

test('at the end none is good', () => {
  const { tokens, good } = make()
  tokens.next()
  tokens.proven('#t1')
  tokens.next()
  tokens.end()
  tokens.end()
  assert.deepEqual(good(), [])
})
