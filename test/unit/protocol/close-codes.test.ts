import assert from 'node:assert/strict'
import { test } from 'node:test'
import { causes } from '../../../src/core/causes.js'
import { closeCode, closeCodes, isSendable, nextOf } from '../../../src/protocol/close-codes.js'
import type { CloseCodeName } from '../../../src/protocol/close-codes.js'

test('the codes that may be sent are those of RFC 6455 §7.4 and the IANA registry, of all 65,536', () => {
  // 1004 is reserved; 1005, 1006 and 1015 are for reports only; 1016-2999 are for the protocol's future.
  const assigned = new Set([1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014])
  for (let code = 0; code <= 65_535; code++) {
    assert.equal(isSendable(code), assigned.has(code) || (code >= 3000 && code <= 4999), String(code))
  }
})

test('what is no whole number is no code', () => {
  for (const code of [NaN, Infinity, -Infinity, -1000, 1000.5, 1e9, '1000', null, undefined, {}, Symbol('1000'), 1000n]) {
    assert.equal(isSendable(code as number), false)
  }
})

test('the names are those of the RFC and of the IANA registry', () => {
  const { unauthorized, ...registered } = closeCode
  assert.deepEqual(registered, {
    normal: 1000,
    goingAway: 1001,
    protocolError: 1002,
    unsupportedData: 1003,
    noStatus: 1005,
    abnormal: 1006,
    invalidPayload: 1007,
    policyViolation: 1008,
    tooBig: 1009,
    mandatoryExtension: 1010,
    internalError: 1011,
    serviceRestart: 1012,
    tryAgainLater: 1013,
    badGateway: 1014
  })
  assert.equal(unauthorized, 4401)
})

test('every code has a row, is sent or reported, and its cause is one that there is', () => {
  for (const [name, code] of Object.entries(closeCode)) {
    const { cause, advice } = closeCodes[name as CloseCodeName]
    assert.ok(isSendable(code) || code === closeCode.noStatus || code === closeCode.abnormal, name)
    assert.ok(cause === null || cause in causes, name)
    assert.ok(advice.length > 0, name)
  }
})

test('the code of a cause names that cause, or one that shares its code', () => {
  const shared = { age: 'shutdown' } as Record<string, string>
  for (const [cause, { code }] of Object.entries(causes)) {
    if (code === null) continue
    const [name] = Object.entries(closeCode).find(([, value]) => value === code)!
    assert.equal(closeCodes[name as CloseCodeName].cause, shared[cause] ?? cause)
  }
})

test('a client comes back unless the code says that it is final; of any code it knows what to do', () => {
  const final = [1000, 1002, 1003, 1007, 1008, 1010, 3500, 4999]
  for (const code of final) assert.equal(nextOf(code), 'final', String(code))
  for (const code of [1001, 1005, 1006, 1009, 1011, 1012, 1013, 1014, 3000, 3499, 1015, 2999, 5000, 0]) assert.equal(nextOf(code), 'back', String(code))
  assert.equal(nextOf(4401), 'fresh')
})
