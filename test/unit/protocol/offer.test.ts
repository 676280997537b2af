import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { offer, readOffer } from '../../../src/protocol/offer.js'

const token = 'Zq3kH0xM9vB2tL7cYw1RfUa8sDgPjEo4NiKmXhVbQ5e'

test('an offer comes out as it went in', () => {
  const name = fc.stringMatching(/^[\w-]{1,64}$/)
  const claim = fc.record({ node: name, token: fc.stringMatching(/^[\w-]{43}$/), received: fc.maxSafeNat() }, { noNullPrototype: true })
  fc.assert(fc.property(fc.array(fc.stringMatching(/^[a-z][a-z0-9.]{0,20}$/).filter((item) => !item.startsWith('lifeline.'))), fc.option(claim), (protocols, claim) => {
    const items = offer(protocols, claim)
    // (RFC 6455 §4.1: each is a token of RFC 7230.)
    for (const item of items) assert.match(item, /^[!#$%&'*+.^`|~\w-]+$/)
    assert.deepEqual(readOffer(items), { protocols, speaks: true, claim })
  }))
})

test('the app never sees our items', () => {
  assert.deepEqual(readOffer(['lifeline.none', 'lifeline.v1']), { protocols: [], speaks: true, claim: null })
  assert.deepEqual(readOffer(['chat.v2', 'lifeline.v1', `lifeline.resume.n.${token}.3`]).protocols, ['chat.v2'])
})

test('who does not speak the protocol claims nothing', () => {
  assert.deepEqual(readOffer(['chat.v2', `lifeline.resume.n.${token}.3`]), { protocols: ['chat.v2'], speaks: false, claim: null })
})

test('what does not parse is no claim, and no subprotocol of the app', () => {
  for (const item of ['lifeline.resume.', `lifeline.resume.n.${token}`, `lifeline.resume.n.${token}.`, `lifeline.resume.n.${token}.-1`, `lifeline.resume.n.${token}.01`, `lifeline.resume..${token}.1`,
    `lifeline.resume.n.${token}x.1`, `lifeline.resume.n.${token.slice(1)}.1`, `lifeline.resume.n/m.${token}.1`, `lifeline.resume.n.${token}.1.2`, `lifeline.resume.${'n'.repeat(65)}.${token}.1`, `lifeline.resume.n.${token}.9007199254740992`]) {
    assert.deepEqual(readOffer(['lifeline.v1', item]), { protocols: [], speaks: true, claim: null }, item)
  }
})

test('of two claims the first counts', () => {
  assert.equal(readOffer(['lifeline.v1', `lifeline.resume.a.${token}.1`, `lifeline.resume.b.${token}.2`]).claim?.node, 'a')
})
