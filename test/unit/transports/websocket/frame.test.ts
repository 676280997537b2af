import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { toOutgoing } from '../../../../src/core/outgoing.js'
import { HAND_OVER, HEADER_MAX } from '../../../../src/transports/outbound/encoding.js'
import { encode, framesOf, opcode } from '../../../../src/transports/websocket/frame.js'
import { FrameReader } from '../../../support/frames.js'
import type { Incoming } from '../../../support/frames.js'

function read (data: unknown, binary?: boolean): { message: Incoming, frames: readonly Buffer[] } {
  const made = framesOf(toOutgoing(data, binary === undefined ? {} : { binary }))
  const frames = Buffer.isBuffer(made) ? [made] : made as readonly Buffer[]
  const reader = new FrameReader()
  const messages = frames.flatMap((frame) => reader.read(frame))
  assert.equal(messages.length, 1)
  assert.equal(reader.torn, null)
  return { message: messages[0]!, frames }
}

// Where the form of the header changes, and where fragments begin.
const around = [0, 1, 124, 125, 126, 127, 65_534, 65_535, 65_536, 65_537, 131_072, 131_073, 1_000_000]

for (const size of around) {
  test(`a message of ${size} bytes is read as it was written`, () => {
    const bytes = Buffer.alloc(size, 'ab')
    assert.deepEqual(read(bytes).message, { kind: 'binary', data: bytes, frames: Math.max(1, Math.ceil(size / HAND_OVER)) })
    assert.equal(read(bytes.toString()).message.data.toString(), bytes.toString())
    for (const frame of read(bytes).frames) assert.ok(frame.length <= HAND_OVER + HEADER_MAX)
  })
}

test('any text, any bytes are read as they were written', () => {
  const text = fc.oneof(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'binary' }), fc.array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 200 }).map((units) => String.fromCharCode(...units)))
  fc.assert(fc.property(text, fc.uint8Array({ maxLength: 300 }), (string, bytes) => {
    assert.deepEqual(read(string).message, { kind: 'text', data: Buffer.from(string), frames: 1 })
    assert.deepEqual(read(bytes).message, { kind: 'binary', data: Buffer.from(bytes), frames: 1 })
    assert.deepEqual(read(string, true).message, { kind: 'binary', data: Buffer.from(string), frames: 1 })
  }))
})

test('a text whose characters have several bytes is measured in bytes, and may be cut within one', () => {
  const text = '€'.repeat(HAND_OVER / 2)
  const { message } = read(text)
  assert.equal(message.frames, 2)
  assert.equal(message.data.toString(), text)
})

test('what the app does to its bytes later changes nothing', () => {
  for (const size of [10, 200_000]) {
    const bytes = Buffer.alloc(size, 1)
    const message = toOutgoing(bytes, undefined)
    const frames = [framesOf(message)].flat() as Buffer[]
    const before = Buffer.concat(frames)
    bytes.fill(2)
    assert.ok(Buffer.concat(frames).equals(before))
  }
})

test('a control frame has its opcode', () => {
  assert.deepEqual(encode(Buffer.from('12'), 2, opcode.ping, true), Buffer.from([0x89, 2, 0x31, 0x32]))
})
