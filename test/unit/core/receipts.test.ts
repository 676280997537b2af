import assert from 'node:assert/strict'
import { stat } from 'node:fs'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { Outbox } from '../../../src/core/outbox.js'
import type { OutboxLimits } from '../../../src/core/outbox.js'
import { toOutgoing } from '../../../src/core/outgoing.js'
import type { Outgoing } from '../../../src/core/outgoing.js'
import { Receipts } from '../../../src/core/receipts.js'

const wire = { accepted: 1, handed: 1, want () {} }

test('after a stall a receipt that has come meanwhile counts, although the timer fires before it is read', async () => {
  const receipts = new Receipts(wire, null)
  const pending = receipts.wait(10, undefined)
  // Done by the end of the stall; its callback comes in the poll phase, as what a socket reads does.
  stat('/', () => { receipts.received(1, 5) })
  const end = performance.now() + 50
  while (performance.now() < end);
  assert.deepEqual(await pending, { outcome: 'delivered', roundTrip: 5 })
})

test('who waits after the end is told at once', async () => {
  const receipts = new Receipts({ accepted: 2, handed: 1, want () {} }, null)
  assert.deepEqual(receipts.end(), [])
  assert.deepEqual(await receipts.wait(60_000, undefined), { outcome: 'gone' })
})

test('no timer, no listener is left behind by those who were answered', async () => {
  const receipts = new Receipts(wire, null)
  const controller = new AbortController()
  const timers = (): number => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length
  const before = timers()
  const pending = Array.from({ length: 10 }, () => receipts.wait(60_000, controller.signal))
  assert.ok(timers() > before)
  receipts.received(1, 1)
  await Promise.all(pending)
  assert.equal(timers(), before)
  controller.abort()
})

const message = (text: string, binary = false): Outgoing => toOutgoing(binary ? Buffer.from(text) : text, undefined, false)

test('the outbox keeps order, bytes and times over thousands of messages, and forgets what is confirmed', () => {
  const outbox = new Outbox({ want () {} }, { limit: 1_000_000, messages: 5000 })
  const texts: Array<{ text: string, at: number }> = []
  let confirmed = 0
  for (let seq = 1; seq <= 20_000; seq++) {
    const next = message(`message ${seq}`, seq % 2 === 0)
    texts.push({ text: `message ${seq}`, at: next.kept.at })
    assert.equal(outbox.take(next, false), true)
    // In waves: it grows, is shortened, and empties.
    const upTo = seq % 3000 === 0 ? seq : seq % 700 === 0 ? seq - 300 : confirmed
    outbox.confirm(upTo)
    confirmed = Math.max(confirmed, upTo)
    assert.equal(outbox.count, seq - confirmed)
    if (seq % 500 !== 0) continue
    const left = texts.slice(confirmed)
    assert.equal(outbox.bytes, left.reduce((sum, { text }) => sum + text.length, 0))
    assert.deepEqual(outbox.list(0, 0), left.map(({ text, at }, i) => {
      const which = confirmed + 1 + i
      return { data: which % 2 === 0 ? Buffer.from(text) : text, binary: which % 2 === 0, seq: which, pushedAt: at }
    }))
  }
})

test('messages whose senders are told themselves take room, and are not listed', () => {
  const outbox = new Outbox({ want () {} }, { limit: 100, messages: 3 })
  assert.equal(outbox.take(message('a'), false), true)
  assert.equal(outbox.take(message('x'.repeat(99)), true), true)
  assert.deepEqual([outbox.take(message('b'), false), outbox.roomy], [false, false])
  assert.equal(outbox.take(message('', true), false), true)
  assert.equal(outbox.take(message(''), false), false)
  assert.deepEqual(outbox.list(0, 0).map(({ data, binary, seq }) => [String(data), binary, seq]), [['a', false, 1], ['', true, 3]])
  outbox.confirm(2)
  assert.deepEqual([outbox.count, outbox.bytes, outbox.roomy], [1, 0, true])
})

test('a receipt is due after a quarter of the bytes or of the messages, or after 500, once each time', () => {
  const dues = (limits: OutboxLimits, size: number, count: number): number[] => {
    const asked: number[] = []
    const outbox = new Outbox({ want: (seq) => { asked.push(seq) } }, limits)
    for (let i = 0; i < count; i++) assert.equal(outbox.take(message('x'.repeat(size)), false), true)
    return asked
  }
  assert.deepEqual(dues({ limit: 1000, messages: 100 }, 100, 10), [3, 6, 9])
  assert.deepEqual(dues({ limit: 1000, messages: 8 }, 1, 8), [2, 4, 6, 8])
  assert.deepEqual(dues({ limit: 1_000_000, messages: 10_000 }, 1, 1100), [500, 1000])
})

test('an unconfirmed message takes at most 64 bytes above its payload, and none once it is confirmed', () => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const memory = (): number => {
    for (let i = 0; i < 3; i++) collect()
    const { heapUsed, external } = process.memoryUsage()
    return heapUsed + external
  }
  const [outboxes, messages] = [50, 4_100]
  const texts = Array.from({ length: messages }, (_, i) => `message ${i}`)
  const before = memory()
  const list = Array.from({ length: outboxes }, () => new Outbox({ want () {} }, { limit: Infinity, messages }))
  for (const outbox of list) for (let i = 0; i < messages; i++) outbox.take(toOutgoing(texts[i], undefined, false), false)
  const each = (memory() - before) / (outboxes * messages)
  assert.ok(each <= 64, `${each} bytes`)
  for (const outbox of list) outbox.confirm(outbox.last)
  const left = (memory() - before) / (outboxes * messages)
  assert.ok(left <= 4, `${left} bytes are left`)
})
