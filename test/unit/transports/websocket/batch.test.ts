import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as turnOver } from 'node:timers/promises'
import { Batch, turn } from '../../../../src/transports/websocket/batch.js'

const [a, b, c] = ['a', 'bb', 'ccc'].map((text) => Buffer.from(text)) as [Buffer, Buffer, Buffer]

test('a batch joins its frames in order, and knows their bytes', () => {
  const batch = new Batch(null, a).with(b).with(c)
  assert.equal(batch.bytes, 6)
  assert.equal(batch.join().toString(), 'abbccc')
  assert.equal(batch.join(), batch.join())
})

test('one frame is not copied', () => {
  assert.equal(new Batch(null, a).join(), a)
})

test('what follows a batch that was joined already is joined to it', () => {
  const batch = new Batch(null, a).with(b)
  batch.join()
  assert.equal(batch.with(c).join().toString(), 'abbccc')
  assert.equal(batch.join().toString(), 'abb')
})

test('whoever comes the same way within a turn holds the same batch; another way, another', async () => {
  const one = turn.first(a).withShared(b).withShared(c)
  assert.equal(turn.first(a).withShared(b).withShared(c), one)
  assert.equal(one.join().toString(), 'abbccc')
  assert.notEqual(turn.first(a).withShared(c).withShared(b), one)
  assert.notEqual(turn.first(a).with(b), turn.first(a).with(b))
  const first = turn.first(a)
  const next = first.withShared(b)
  await turnOver()
  assert.notEqual(turn.first(a), first)
  assert.notEqual(first.withShared(b), next, 'a batch that is kept does not keep what others got after it')
})

test('whoever asks is told of the end of the turn once; who asks then, of the end of the next', async () => {
  const told: string[] = []
  const again = { turnEnded: () => { told.push('again') } }
  turn.add({ turnEnded: () => { told.push('first'); turn.add(again) } })
  assert.deepEqual(told, [])
  await turnOver()
  assert.deepEqual(told, ['first'])
  await turnOver()
  assert.deepEqual(told, ['first', 'again'])
  await turnOver()
  assert.deepEqual(told, ['first', 'again'])
})
