import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turnOver } from 'node:timers/promises'
import { Batches } from '../../../../src/transports/outbound/batch.js'

const all = new Batches()
const [a, b, c] = ['a', 'bb', 'ccc'].map((text) => Buffer.from(text)) as [Buffer, Buffer, Buffer]

test('a batch joins its parts in order, and knows their bytes', () => {
  const batch = all.of(a).with(b).with(c)
  assert.equal(batch.bytes, 6)
  assert.equal(batch.join().toString(), 'abbccc')
  assert.equal(batch.join(), batch.join())
})

test('one part is not copied', () => {
  assert.equal(all.of(a).join(), a)
})

test('what follows a batch that was joined already is joined to it', () => {
  const batch = all.of(a).with(b)
  batch.join()
  assert.equal(batch.with(c).join().toString(), 'abbccc')
  assert.equal(batch.join().toString(), 'abb')
})

test('whoever comes the same way within a turn holds the same batch; another way, another', async () => {
  const one = all.of(a).with(b).with(c)
  assert.equal(all.of(a).with(b).with(c), one)
  assert.equal(one.join().toString(), 'abbccc')
  assert.notEqual(all.of(a).with(c).with(b), one)
  const first = all.of(a)
  const next = first.with(b)
  await turnOver()
  assert.notEqual(all.of(a), first)
  assert.notEqual(first.with(b), next, 'a batch that is kept does not keep what others got after it')
})
