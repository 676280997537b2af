import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turnOver } from 'node:timers/promises'
import { Batch } from '../../../../src/transports/websocket/batch.js'

const [a, b, c] = ['a', 'bb', 'ccc'].map((text) => Buffer.from(text)) as [Buffer, Buffer, Buffer]

test('a batch joins its frames in order, and knows their bytes', () => {
  const batch = Batch.of(a).with(b).with(c)
  assert.equal(batch.bytes, 6)
  assert.equal(batch.join().toString(), 'abbccc')
  assert.equal(batch.join(), batch.join())
})

test('one frame is not copied', () => {
  assert.equal(Batch.of(a).join(), a)
})

test('what follows a batch that was joined already is joined to it', () => {
  const batch = Batch.of(a).with(b)
  batch.join()
  assert.equal(batch.with(c).join().toString(), 'abbccc')
  assert.equal(batch.join().toString(), 'abb')
})

test('whoever comes the same way within a turn holds the same batch; another way, another', async () => {
  const one = Batch.of(a).with(b).with(c)
  assert.equal(Batch.of(a).with(b).with(c), one)
  assert.equal(one.join().toString(), 'abbccc')
  assert.notEqual(Batch.of(a).with(c).with(b), one)
  const first = Batch.of(a)
  const next = first.with(b)
  await turnOver()
  assert.notEqual(Batch.of(a), first)
  assert.notEqual(first.with(b), next, 'a batch that is kept does not keep what others got after it')
})
