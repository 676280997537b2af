import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { FastifyRequest } from 'fastify'
import { isOrigins, readOrigins, sameOrigins } from '../../../src/plugin/origins.js'
import type { Origins } from '../../../src/plugin/origins.js'

const allows = (origins: Origins, origin: string | undefined): unknown => readOrigins(origins)!(origin, {} as FastifyRequest)

test('what a browser can never send is no origin', () => {
  for (const wrong of ['', 'app.example', 'https://app.example/', 'https://app.example/path', 'HTTPS://app.example', 'https://App.example', 'https://app.example:443', '*', 'https://*.example', 'app://x/y', 7, null, {}, [], [7], ['*'], true]) {
    assert.equal(isOrigins(wrong), false, String(wrong))
  }
  for (const right of [false, 'https://app.example', 'http://localhost:3000', 'http://[::1]:8080', 'null', 'chrome-extension://abcdef', 'capacitor://localhost', /x/, ['https://a.example', /b/], () => true]) {
    assert.equal(isOrigins(right), true, String(right))
  }
})

test('a list matches whole origins and patterns; who names none is let in', () => {
  const list = ['https://app.example', /^https:\/\/[a-z]+\.app\.example$/]
  assert.equal(allows(list, 'https://app.example'), true)
  assert.equal(allows(list, 'https://www.app.example'), true)
  assert.equal(allows(list, undefined), true)
  for (const other of ['https://app.example.evil.test', 'http://app.example', 'https://app.example:8443', 'null', '']) assert.equal(allows(list, other), false, other)
})

test('a global or sticky pattern says the same each time', () => {
  const pattern = /^https:\/\/app\.example$/g
  assert.deepEqual([1, 2, 3].map(() => allows(pattern, 'https://app.example')), [true, true, true])
})

test('off is null, and a function is asked itself', () => {
  assert.equal(readOrigins(false), null)
  assert.equal(readOrigins(undefined), null)
  assert.equal(allows((origin) => origin === undefined, undefined), true)
})

test('rules made of the same are the same, though each is a function of its own', () => {
  const rule = (): boolean => true
  const same = (one: Origins | false, other: Origins | false): boolean => sameOrigins(readOrigins(one), readOrigins(other))
  for (const [one, other] of [[false, false], [rule, rule], ['https://a.example', ['https://a.example']], [[/a/i, 'null'], [/a/i, 'null']]] as const) {
    assert.equal(same(one, other), true, String(one))
  }
  for (const [one, other] of [[false, 'null'], ['null', false], [rule, () => true], ['null', rule], [rule, 'null'], [/a/, /a/i], [['null', 'https://a.example'], 'null']] as const) {
    assert.equal(same(one, other), false, String(one))
  }
})
