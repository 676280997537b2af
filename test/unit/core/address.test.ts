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
  assert.equal(subscriberOf('::ffff:0102:0304'), subscriberOf('1.2.3.4'))
  assert.equal(subscriberOf('::ffff:1.2.3.4'), subscriberOf('1.2.3.4'))
})

test('of an IPv6 address the network counts', () => {
  const network = '2001:db8:0:1::/64'
  for (const address of ['2001:db8:0:1::1', '2001:0DB8:0000:0001:ffff:1:2:3', '2001:db8:0:1:a::', '2001:db8:0:1::9%eth0']) {
    assert.equal(subscriberOf(address), network)
  }
  assert.equal(subscriberOf('::1'), '0:0:0:0::/64')
  assert.equal(subscriberOf('2001:db8::'), '2001:db8:0:0::/64')
  assert.equal(subscriberOf('64:ff9b::192.0.2.7'), '64:ff9b:0:0::/64')
  for (const compatible of ['::1.2.3.4', '::102:304', '0:0:0:0:0:0:1.2.3.4']) assert.equal(subscriberOf(compatible), '0:0:0:0::/64')
})

test('the port that a proxy has written with an address does not count', () => {
  for (const port of ['1', '40000']) {
    assert.equal(subscriberOf(`192.0.2.7:${port}`), '192.0.2.7')
    assert.equal(subscriberOf(`[2001:db8::1]:${port}`), '2001:db8:0:0::/64')
  }
  assert.equal(subscriberOf('[2001:db8::1]'), '2001:db8:0:0::/64')
  assert.equal(subscriberOf('[::ffff:192.0.2.7]:443'), '192.0.2.7')
  assert.equal(subscriberOf('[fe80::1%eth0]:443'), 'fe80:0:0:0::/64')
})

test('what is no address has no subscriber, nor what two readers may take for two addresses', () => {
  const none = ['', 'unknown', '_hidden', '1:2:3:4:5:6:7:8::9:0', ':', ':::', '1::2::3', '2001:db8', '12345::', '::ffff:1.2.3', '::ffff:1.2.3.256', '[]', '[192.0.2.7', '203.0.113.7:', '192.0.2.256', '1.2.3', '127.1', '1', '010.0.0.1', '0x7f.0.0.1', '::ffff:010.0.0.1', '192.0.2.7, 192.0.2.8', `192.0.2.7%${'a'.repeat(1000)}`, 'A'.repeat(10_000)]
  for (const written of none) assert.equal(subscriberOf(written), null, written)
})

test('any string at all can be asked about, for a client may have written it', () => {
  fc.assert(fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[0-9a-f:.%[\]]{0,45}$/)), (written) => {
    const subscriber = subscriberOf(written)
    assert.ok(subscriber === null || /^(\d+\.\d+\.\d+\.\d+|[\da-f]+:[\da-f]+:[\da-f]+:[\da-f]+::\/64)$/.test(subscriber), String(subscriber))
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
