import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runInNewContext } from 'node:vm'
import { checkBoolean, checkOptions, wrongOptions } from '../../../src/core/arguments.js'

const known = new Set(['one', 'two'])

test('a plain object of known names is right, whatever realm it is of', () => {
  for (const options of [{}, { one: 1 }, { one: undefined, two: 2 }, Object.create(null), runInNewContext('({ one: 1 })')]) assert.equal(wrongOptions(options, known), null)
})

test('what is wrong is said in words, and nothing throws', () => {
  for (const [options, said] of [
    [null, 'its options are a plain object, not null'],
    [[], 'its options are a plain object, not an array'],
    [runInNewContext('[]'), 'its options are a plain object, not an array'],
    ['x', 'its options are a plain object, not of type string'],
    [() => {}, 'its options are a plain object, not of type function'],
    [new Map(), 'its options are a plain object, not one of a class'],
    [Object.create({ one: 1 }), 'its options are a plain object, not one of a class'],
    [{ three: 3 }, 'it has no option "three"; known are: one, two'],
    [new Proxy({}, { getPrototypeOf () { throw new Error('no') } }), 'its options cannot be read: Error: no']
  ] as const) assert.equal(wrongOptions(options, known), said)
  assert.throws(() => { checkOptions('call', { three: 3 }, known) }, { code: 'FST_ERR_LIFELINE_ARGUMENT', message: 'fastify-lifeline: call: it has no option "three"; known are: one, two' })
  assert.throws(() => { checkBoolean('call: on', 'x') }, { code: 'FST_ERR_LIFELINE_ARGUMENT', message: 'fastify-lifeline: call: on is true or false, not of type string' })
})

test('what is added to all objects is no option of any', (t) => {
  const everything = Object.prototype as unknown as Record<string, unknown>
  t.after(() => { delete everything.polluted })
  everything.polluted = 5
  assert.equal(wrongOptions({ one: 1 }, known), null)
})
