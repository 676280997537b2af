import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { subscriberOf } from '../../../src/core/address.js'

test('an IPv4 address is its own subscriber, in whichever form it comes', () => {
  assert.equal(subscriberOf('192.0.2.7'), '192.0.2.7')
  assert.equal(subscriberOf('::ffff:192.0.2.7'), '192.0.2.7')
  assert.equal(subscriberOf('::FFFF:192.0.2.7'), '192.0.2.7')
})

test('of an IPv6 address the network counts', () => {
  const network = '2001:db8:0:1::/64'
  for (const address of ['2001:db8:0:1::1', '2001:0DB8:0000:0001:ffff:1:2:3', '2001:db8:0:1:a::', '2001:db8:0:1::9%eth0']) {
    assert.equal(subscriberOf(address), network)
  }
  assert.equal(subscriberOf('::1'), '0:0:0:0::/64')
  assert.equal(subscriberOf('2001:db8::'), '2001:db8:0:0::/64')
  assert.equal(subscriberOf('64:ff9b::192.0.2.7'), '64:ff9b:0:0::/64')
})

test('what is no address stays what it is', () => {
  assert.equal(subscriberOf('unknown'), 'unknown')
})

test('two addresses are of one subscriber if, and only if, their first 64 bits are the same', () => {
  fc.assert(fc.property(fc.ipV6(), fc.ipV6(), (a, b) => {
    const bits = (address: string): string => {
      // URL writes an IPv6 host in the shortest form, without dots.
      const [head, tail] = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::')
      const left = head === '' ? [] : head!.split(':')
      const right = tail === undefined || tail === '' ? [] : tail.split(':')
      const all = tail === undefined ? left : [...left, ...Array<string>(8 - left.length - right.length).fill('0'), ...right]
      return all.slice(0, 4).join(':')
    }
    const mapped = (address: string): boolean => /^::ffff:\d+\./i.test(address)
    fc.pre(!mapped(a) && !mapped(b))
    assert.equal(subscriberOf(a), `${bits(a)}::/64`)
    assert.equal(subscriberOf(a) === subscriberOf(b), bits(a) === bits(b))
  }))
})
