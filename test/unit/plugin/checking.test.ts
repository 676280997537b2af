import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readOptions, readRouteOptions } from '../../../src/plugin/options.js'
import type { LifelineOptions } from '../../../src/plugin/options.js'

const read = (options: unknown): unknown => readOptions(options as LifelineOptions)
const breaks = (options: unknown, said: string): void => {
  assert.throws(() => read(options), { code: 'FST_ERR_LIFELINE_OPTION', message: `fastify-lifeline: ${said}` })
}

test('of a list of origins the entry is named that is wrong, and what it is', () => {
  const rule = 'must be an origin as browsers send it ("https://app.example.com", without a path), or a RegExp'
  for (const [entry, shown] of [['*', '"*"'], ['https://b.example/', '"https://b.example/"'], [7, '7'], [null, 'null'], [undefined, 'undefined'], [['https://b.example'], 'an array'], [() => true, 'a function'], [Symbol('x'), 'Symbol(x)']] as const) {
    breaks({ origins: ['https://a.example', /b/, entry, 'https://c.example'] }, `option "origins[2]" ${rule} (received ${shown})`)
  }
  assert.throws(() => readRouteOptions({ origins: ['https://app.example', '*'] }, '/live', readOptions({})), { message: `fastify-lifeline: route /live, config.lifeline: option "origins[1]" ${rule} (received "*")` })
  const revoked = Proxy.revocable(['*'], {})
  revoked.revoke()
  breaks({ origins: ['https://a.example', revoked.proxy] }, `option "origins[1]" ${rule} (received what cannot be read)`)
  assert.throws(() => read({ origins: revoked.proxy }), { code: 'FST_ERR_LIFELINE_OPTION', message: /"origins" must be .* \(received what cannot be read\)$/ })
})

test('options that are no object are refused in words, also a Promise of some, of which nothing would be read', () => {
  for (const [given, shown] of [[5, '5'], ['x', '"x"'], [true, 'true'], [[], 'an array'], [null, 'null']] as const) breaks(given, `the options must be an object (received ${shown})`)
  breaks(Promise.resolve({ closeTimeout: 1 }), 'the options must be an object (received a Promise: await it first)')
})
