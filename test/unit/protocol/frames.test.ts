import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { asCount, decode, escaped, gap, hello, reasons, taken } from '../../../src/protocol/frames.js'
import type { Hello } from '../../../src/protocol/frames.js'
import { readOffer } from '../../../src/protocol/offer.js'

const greeting: Hello = { v: 1, id: 'n1.7fQ2', node: 'n1', token: 'Zq3kH0xM9vB2tL7cYw1RfUa8sDgPjEo4NiKmXhVbQ5e', resumed: true, reason: null, received: 1, protocol: '', window: 2, limit: 3, credit: 4, payload: 5, beat: 6 }

test('any text of an app comes out as it went in, and none is a control frame', () => {
  fc.assert(fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.string({ unit: fc.constantFrom('\0', 'a', 'h', '1', '{') })), (text) => {
    assert.deepEqual(decode(escaped(text)), { kind: 'message', text })
  }))
})

test('control frames come out as they went in', () => {
  assert.deepEqual(decode(hello(greeting)), { kind: 'hello', hello: greeting })
  assert.deepEqual(decode(taken(0)), { kind: 'taken', count: 0, asks: false })
  assert.deepEqual(decode(taken(Number.MAX_SAFE_INTEGER, true)), { kind: 'taken', count: Number.MAX_SAFE_INTEGER, asks: true })
  assert.deepEqual(decode(gap('full', ['room:7'])), { kind: 'gap', reason: 'full', groups: ['room:7'] })
})

test('a letter of a later version is ignored', () => {
  assert.deepEqual(decode('\0p{"room":3}'), { kind: 'unknown' })
})

test('a hello of a later version may say more, and give other reasons', () => {
  const text = `\0h${JSON.stringify({ ...greeting, resumed: false, reason: 'because', more: [1] })}`
  assert.deepEqual(decode(text), { kind: 'hello', hello: { ...greeting, resumed: false, reason: 'unknown' } })
})

describe('what cannot be read is malformed', () => {
  const without = (key: string): string => `\0h${JSON.stringify({ ...greeting, [key]: undefined })}`
  for (const text of [
    '\0', '\0a', '\0a-1', '\0a01', '\0a1.5', '\0a1e3', '\0a 1', '\0a9007199254740992', '\0a99999999999999999999', '\0r', '\0rx',
    '\0h', '\0h{', '\0hnull', '\0h[]', '\0g', '\0g{}', '\0g{"reason":"full"}', '\0g{"reason":"full","groups":[7]}', '\0g{"reason":7,"groups":[]}',
    `\0h${JSON.stringify({ ...greeting, received: -1 })}`, `\0h${JSON.stringify({ ...greeting, token: 7 })}`, `\0h${JSON.stringify({ ...greeting, window: 1.5 })}`,
    ...Object.keys(greeting).filter((key) => key !== 'reason').map(without)
  ]) {
    test(JSON.stringify(text).slice(0, 60), () => { assert.equal(decode(text).kind, 'malformed') })
  }
})

test('a count is written in one way alone', () => {
  assert.deepEqual(['0', '7', '9007199254740991'].map(asCount), [0, 7, Number.MAX_SAFE_INTEGER])
  for (const text of ['', '00', '-0', '+1', '0x1', '9007199254740992', '٣']) assert.equal(asCount(text), NaN, text)
})

describe('PROTOCOL.md', () => {
  const document = readFileSync(fileURLToPath(new URL('../../../PROTOCOL.md', import.meta.url)), 'utf8')
  const sample = document.slice(document.indexOf('## A sample')).split('\n').flatMap((line) => {
    const [, from, text] = /^(C→S|S→C) {2}(.*?)(?: {4,}\(.*\))?$/.exec(line) ?? []
    return from === undefined ? [] : [{ from, text: text!.replaceAll('␀', '\0') }]
  })

  test('its sample is what the code reads', () => {
    const seen = sample.map(({ text }) => {
      const [, items] = /Sec-WebSocket-Protocol: (.*)$/.exec(text) ?? []
      if (items === undefined) return decode(text)
      return text.startsWith('GET') ? readOffer(items.split(', ')) : items
    })
    const first = seen[2] as { hello: Hello }
    const second = seen[12] as { hello: Hello }
    assert.deepEqual(seen, [
      { protocols: [], speaks: true, claim: null },
      'lifeline.v1',
      { kind: 'hello', hello: first.hello },
      { kind: 'taken', count: 0, asks: false },
      { kind: 'message', text: 'one' },
      { kind: 'message', text: 'two' },
      { kind: 'message', text: 'hello' },
      { kind: 'taken', count: 1, asks: false },
      { kind: 'taken', count: 2, asks: false },
      { kind: 'message', text: 'three' },
      { protocols: [], speaks: true, claim: { node: 'n1', token: first.hello.token, received: 2 } },
      'lifeline.v1',
      { kind: 'hello', hello: second.hello },
      { kind: 'taken', count: 2, asks: false },
      { kind: 'message', text: 'three' },
      { kind: 'message', text: '\0this text began with U+0000' },
      { kind: 'gap', reason: 'full', groups: ['room:7'] },
      { kind: 'taken', count: 3, asks: true },
      { kind: 'taken', count: 2, asks: false }
    ])
  })

  test('it names every key of a hello, and every reason', () => {
    const table = document.slice(document.indexOf('### Hello'), document.indexOf('## Counting'))
    assert.deepEqual(Array.from(table.matchAll(/^\| `(\w+)` \|/gm), ([, key]) => key), Object.keys(greeting))
    assert.deepEqual(Array.from(/why it does not: (.*) \|/.exec(table)![1]!.matchAll(/`(\w+)`/g), ([, reason]) => reason), [...reasons])
  })
})
