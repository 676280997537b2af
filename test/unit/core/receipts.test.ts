import assert from 'node:assert/strict'
import { stat } from 'node:fs'
import { test } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { Outbox } from '../../../src/core/outbox.js'
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

test('the outbox keeps order, bytes and times over thousands of messages, and forgets what is confirmed', () => {
  const outbox = new Outbox({ limit: 1_000_000, messages: 5000 })
  let confirmed = 0
  for (let seq = 1; seq <= 20_000; seq++) {
    outbox.add(`message ${seq}`, seq % 2 === 0, 20, seq)
    // In waves: it grows, wraps around, and empties.
    const upTo = seq % 3000 === 0 ? seq : seq % 700 === 0 ? seq - 300 : confirmed
    outbox.confirm(upTo)
    confirmed = Math.max(confirmed, upTo)
    assert.equal(outbox.count, seq - confirmed)
    assert.equal(outbox.bytes, 20 * (seq - confirmed))
    if (seq % 500 !== 0) continue
    assert.deepEqual(outbox.list(), Array.from({ length: seq - confirmed }, (_, i) => {
      const which = confirmed + 1 + i
      return { data: `message ${which}`, binary: which % 2 === 0, seq: which, pushedAt: which }
    }))
  }
})

test('messages whose senders are told themselves take room, and are not listed', () => {
  const outbox = new Outbox({ limit: 100, messages: 3 })
  outbox.add('a', false, 1, 0)
  outbox.add(null, false, 99, 0)
  assert.deepEqual([outbox.fits(0), outbox.fits(1), outbox.roomy], [true, false, false])
  outbox.add('', true, 0, 0)
  assert.equal(outbox.fits(0), false)
  assert.deepEqual(outbox.list().map(({ data, binary, seq }) => [data, binary, seq]), [['a', false, 1], ['', true, 3]])
  outbox.confirm(2)
  assert.deepEqual([outbox.count, outbox.bytes, outbox.fits(100), outbox.roomy], [1, 0, true, true])
})

test('an unconfirmed message takes at most 64 bytes above its payload, and none once it is confirmed', () => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const memory = (): number => {
    for (let i = 0; i < 3; i++) collect()
    const { heapUsed, external } = process.memoryUsage()
    return heapUsed + external
  }
  // Just past a power of two, where the ring has most room to spare.
  const [outboxes, messages] = [50, 4_100]
  const before = memory()
  const list = Array.from({ length: outboxes }, () => new Outbox({ limit: Infinity, messages }))
  for (const outbox of list) for (let i = 0; i < messages; i++) outbox.add('the same for all', false, 16, Date.now())
  const each = (memory() - before) / (outboxes * messages)
  assert.ok(each <= 64, `${each} bytes`)
  for (const outbox of list) outbox.confirm(outbox.last)
  const left = (memory() - before) / (outboxes * messages)
  assert.ok(left <= 4, `${left} bytes are left`)
})
