import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { subscriberOf } from '../../../src/core/address.js'

test('an IPv4 address is its own subscriber, in whichever form it comes', () => {
  assert.equal(subscriberOf('192.0.2.7'), '192.0.2.7')
  assert.equal(subscriberOf('::ffff:192.0.2.7'), '192.0.2.7')
  assert.equal(subscriberOf('::FFFF:192.0.2.7'), '192.0.2.7')
  assert.equal(subscriberOf('::ffff:c000:207'), '192.0.2.7')
  assert.equal(subscriberOf('0:0:0:0:0:ffff:192.0.2.7'), '192.0.2.7')
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

test('the port that a proxy has written with an address does not count', () => {
  for (const port of ['1', '40000']) {
    assert.equal(subscriberOf(`192.0.2.7:${port}`), '192.0.2.7')
    assert.equal(subscriberOf(`[2001:db8::1]:${port}`), '2001:db8:0:0::/64')
  }
  assert.equal(subscriberOf('[2001:db8::1]'), '2001:db8:0:0::/64')
})

test('what is no address stays what it is', () => {
  for (const written of ['unknown', '1:2:3:4:5:6:7:8::9:0', ':', ':::', '1::2::3', '2001:db8', '::ffff:1.2.3']) assert.equal(subscriberOf(written), written)
  assert.equal(subscriberOf('[]'), '')
})

test('any string at all has a subscriber, for a client may have written it', () => {
  fc.assert(fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[0-9a-f:.%[\]]{0,45}$/)), (written) => {
    assert.equal(typeof subscriberOf(written), 'string')
  }))
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
    const mapped = (address: string): boolean => /^\[::ffff:[0-9a-f]+:[0-9a-f]+\]$/.test(new URL(`http://[${address}]`).hostname)
    fc.pre(!mapped(a) && !mapped(b))
    assert.equal(subscriberOf(a), `${bits(a)}::/64`)
    assert.equal(subscriberOf(a) === subscriberOf(b), bits(a) === bits(b))
  }))
})
