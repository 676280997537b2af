import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { stat } from 'node:fs'
import { test } from 'node:test'
import fc from 'fast-check'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { Outbox } from '../../../src/core/outbox.js'
import type { Keeping, OutboxLimits } from '../../../src/core/outbox.js'
import { toOutgoing, toShared } from '../../../src/core/outgoing.js'
import type { Outgoing } from '../../../src/core/outgoing.js'
import { Receipts } from '../../../src/core/receipts.js'
import { share } from '../../support/proof.js'

const wire = { begun: 1, want () {} }

test('after a stall a receipt that has come meanwhile counts, although the timer fires before it is read', async () => {
  const receipts = new Receipts(wire, null)
  const pending = receipts.wait(1, 10, undefined)
  // Done by the end of the stall; its callback comes in the poll phase, as what a socket reads does.
  stat('/', () => { receipts.received(1, 5) })
  const end = performance.now() + 50
  while (performance.now() < end);
  assert.deepEqual(await pending, { outcome: 'delivered', roundTrip: 5 })
})

test('who waits after the end is told at once', async () => {
  const receipts = new Receipts({ begun: 1, want () {} }, null)
  assert.deepEqual(receipts.end(), [])
  assert.deepEqual(await receipts.wait(2, 60_000, undefined), { outcome: 'gone' })
})

test('no timer, no listener is left behind by those who were answered', async () => {
  const receipts = new Receipts(wire, null)
  const controller = new AbortController()
  const timers = (): number => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length
  const before = timers()
  const listeners = (): number => getEventListeners(controller.signal, 'abort').length
  const pending = Array.from({ length: 20 }, () => receipts.wait(1, 60_000, controller.signal))
  assert.ok(timers() > before)
  assert.equal(listeners(), 1, 'one signal may be given to many')
  receipts.received(1, 1)
  await Promise.all(pending)
  assert.deepEqual([timers(), listeners()], [before, 0])
  controller.abort()
})

test('a signal ends all waits that it was given to, of whatever connection, and no other', async () => {
  const [one, other] = [new Receipts(wire, null), new Receipts(wire, null)]
  const controller = new AbortController()
  const reason = new Error('enough')
  const pending = [one, other, one].map((receipts) => receipts.wait(1, 60_000, controller.signal))
  const stays = other.wait(1, 60_000, new AbortController().signal)
  controller.abort(reason)
  for (const { reason: why } of await Promise.allSettled(pending) as PromiseRejectedResult[]) assert.equal(why, reason)
  assert.equal(getEventListeners(controller.signal, 'abort').length, 0)
  await assert.rejects(one.wait(1, 60_000, controller.signal), reason)
  assert.equal(getEventListeners(controller.signal, 'abort').length, 0)
  other.received(1, 3)
  assert.deepEqual(await stays, { outcome: 'delivered', roundTrip: 3 })
})

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** What V8 accounts for, after a collection. */
function memory (): number {
  for (let i = 0; i < 3; i++) collect()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

const uncounted: Keeping = { kept () {} }

const message = (text: string, binary = false): Outgoing => toOutgoing(binary ? Buffer.from(text) : text, undefined)

test('the outbox keeps order, bytes and times over thousands of messages, and forgets what is confirmed', () => {
  const outbox = new Outbox({ want () {} }, { limit: 1_000_000, messages: 5000 }, uncounted)
  const texts: Array<{ text: string, at: number }> = []
  let confirmed = 0
  for (let seq = 1; seq <= 20_000; seq++) {
    const next = message(`message ${seq}`, seq % 2 === 0)
    outbox.add(next, seq, false)
    assert.ok(next.at > 0)
    texts.push({ text: `message ${seq}`, at: next.at })
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

test('half of the outbox is free up to half of its messages, and up to half of its bytes', () => {
  for (const [limits, each] of [[{ limit: 1000, messages: 6 }, 1], [{ limit: 60, messages: 1000 }, 10]] as const) {
    const outbox = new Outbox({ want () {} }, limits, uncounted)
    const free: boolean[] = []
    for (let seq = 1; seq <= 6; seq++) {
      outbox.add(message('x'.repeat(each)), seq, false)
      free.push(outbox.roomy)
    }
    assert.deepEqual(free, [true, true, true, false, false, false])
    assert.equal(outbox.fits(1), false)
  }
})

test('without an outbox nothing is kept, and nothing is outstanding while nobody waits', async () => {
  const receipts = new Receipts(wire, null)
  assert.deepEqual(receipts.unconfirmed, { count: 0, bytes: 0 })
  assert.equal(receipts.outstanding, false)
  const pending = receipts.wait(1, 60_000, undefined)
  assert.equal(receipts.outstanding, true)
  receipts.received(1, 1)
  await pending
})

test('any sequence of messages for one, for many, for those who wait, and of receipts: each outbox keeps its own, in order', () => {
  const which = fc.nat({ max: 3 })
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.record({ verb: fc.constant('broadcast' as const), misses: fc.subarray([0, 1, 2, 3]), size: fc.oneof({ weight: 9, arbitrary: fc.nat({ max: 20 }) }, { weight: 1, arbitrary: fc.constant(40_000) }) }) },
    { weight: 1, arbitrary: fc.record({ verb: fc.constantFrom('push' as const, 'deliver' as const), to: which, size: fc.nat({ max: 20 }) }) },
    { weight: 2, arbitrary: fc.record({ verb: fc.constant('confirm' as const), to: which, part: fc.double({ min: 0, max: 1, noNaN: true }) }) }
  )
  let shared = 0
  fc.assert(fc.property(fc.array(step, { maxLength: 300, size: 'max' }), (steps) => {
    const outboxes = Array.from({ length: 4 }, () => ({ outbox: new Outbox({ want () {} }, { limit: Infinity, messages: Infinity }, uncounted), last: 0, expected: [] as Array<{ seq: number, data: string, listed: boolean }> }))
    let number = 0
    const give = (to: number, next: Outgoing, answered: boolean): void => {
      const { outbox, expected } = outboxes[to]!
      const seq = ++outboxes[to]!.last
      outbox.add(next, seq, answered)
      expected.push({ seq, data: next.payload as string, listed: !answered })
    }
    for (const order of steps) {
      switch (order.verb) {
        case 'broadcast': {
          const next = toShared(`${number++}`.padEnd(order.size), undefined)
          for (const to of outboxes.keys()) if (!order.misses.includes(to)) give(to, next, false)
          break
        }
        case 'confirm': {
          const { outbox, expected } = outboxes[order.to]!
          const confirmed = Math.round(expected.length * order.part)
          outbox.confirm((expected[0]?.seq ?? 1) - 1 + confirmed)
          expected.splice(0, confirmed)
          break
        }
        default: give(order.to, toOutgoing(`${number++}`.padEnd(order.size), undefined), order.verb === 'deliver')
      }
      for (const { outbox, expected } of outboxes) {
        assert.deepEqual([outbox.count, outbox.bytes], [expected.length, expected.reduce((sum, { data }) => sum + data.length, 0)])
      }
    }
    for (const { outbox, expected } of outboxes) {
      assert.deepEqual(outbox.list(0, 0).map(({ data, seq }) => ({ data, seq })), expected.filter(({ listed }) => listed).map(({ data, seq }) => ({ data, seq })))
      shared += expected.length
    }
  }), { numRuns: share(2000) })
  assert.ok(shared > 5_000, `${shared} messages`)
})

test('what many got is kept once for all, without its parts, and as it was when it was pushed', () => {
  const bytes = Buffer.from('as it was')
  const shared = toShared(bytes, undefined)
  const encoding = { partsOf: () => Buffer.alloc(10) }
  assert.equal(shared.partsBy(encoding), shared.partsBy(encoding))
  const kept = shared.keep()
  bytes.fill('x')
  assert.equal(shared.keep(), kept)
  assert.deepEqual([String(kept.payload), 'partsBy' in kept], ['as it was', false])
  const outbox = new Outbox({ want () {} }, { limit: 100, messages: 3 }, uncounted)
  outbox.add(shared, 1, false)
  assert.deepEqual(outbox.list(0, 0)[0]!.data, kept.payload)
})

test('a message that was not sent after all takes no room, is not listed, and leaves the others their numbers', () => {
  const outbox = new Outbox({ want () {} }, { limit: 100, messages: 10 }, uncounted)
  for (const [i, text] of ['a', 'bb', 'ccc'].entries()) outbox.add(message(text), i + 1, false)
  outbox.drop(2)
  outbox.drop(2)
  outbox.drop(4)
  assert.deepEqual([outbox.count, outbox.bytes], [3, 4])
  assert.deepEqual(outbox.list(0, 0).map(({ data, seq }) => [data, seq]), [['a', 1], ['ccc', 3]])
  outbox.confirm(2)
  outbox.drop(1)
  assert.deepEqual(outbox.list(0, 0).map(({ data, seq }) => [data, seq]), [['ccc', 3]])
})

test('who waits for a message that was not sent after all is told so, and nobody else', async () => {
  const receipts = new Receipts({ begun: 3, want () {} }, null)
  const [first, second] = [receipts.wait(1, 60_000, undefined), receipts.wait(2, 60_000, undefined)]
  receipts.unsent(1)
  assert.deepEqual(await first, { outcome: 'invalid' })
  receipts.received(2, 5)
  assert.deepEqual(await second, { outcome: 'delivered', roundTrip: 5 })
})

test('messages whose senders are told themselves take room, and are not listed', () => {
  const outbox = new Outbox({ want () {} }, { limit: 100, messages: 3 }, uncounted)
  outbox.add(message('a'), 1, false)
  assert.equal(outbox.fits(99), true)
  outbox.add(message('x'.repeat(99)), 2, true)
  assert.deepEqual([outbox.fits(1), outbox.roomy], [false, false])
  assert.equal(outbox.fits(0), true)
  outbox.add(message('', true), 3, false)
  assert.equal(outbox.fits(0), false)
  assert.deepEqual(outbox.list(0, 0).map(({ data, binary, seq }) => [String(data), binary, seq]), [['a', false, 1], ['', true, 3]])
  outbox.confirm(2)
  assert.deepEqual([outbox.count, outbox.bytes, outbox.roomy], [1, 0, true])
})

test('a receipt is due after a quarter of the bytes or of the messages, or after 500, once each time', () => {
  const dues = (limits: OutboxLimits, size: number, count: number): number[] => {
    const asked: number[] = []
    const outbox = new Outbox({ want: (seq) => { asked.push(seq) } }, limits, uncounted)
    for (let i = 1; i <= count; i++) outbox.add(message('x'.repeat(size)), i, false)
    return asked
  }
  assert.deepEqual(dues({ limit: 1000, messages: 100 }, 100, 10), [3, 6, 9])
  assert.deepEqual(dues({ limit: 1000, messages: 8 }, 1, 8), [2, 4, 6, 8])
  assert.deepEqual(dues({ limit: 1_000_000, messages: 10_000 }, 1, 1100), [500, 1000])
})

test('an unconfirmed message takes at most 64 bytes above its payload, and none once it is confirmed', () => {
  const [outboxes, messages] = [50, 4_100]
  const texts = Array.from({ length: messages }, (_, i) => `message ${i}`)
  const before = memory()
  const list = Array.from({ length: outboxes }, () => new Outbox({ want () {} }, { limit: Infinity, messages }, uncounted))
  for (const outbox of list) for (let i = 0; i < messages; i++) outbox.add(toOutgoing(texts[i], undefined), i + 1, false)
  const each = (memory() - before) / (outboxes * messages)
  assert.ok(each <= 64, `${each} bytes`)
  for (const outbox of list) outbox.confirm(messages)
  const left = (memory() - before) / (outboxes * messages)
  assert.ok(left <= 4, `${left} bytes are left`)
})

test('an unconfirmed message of bytes keeps no more than twice its size and 256 bytes alive, whatever it was a view of', (t) => {
  const count = 2000
  const keep = (size: number): number => {
    const outbox = new Outbox({ want () {} }, { limit: Infinity, messages: Infinity }, uncounted)
    const before = memory()
    // Each is a view of a network chunk, and between any two something else takes from the pool.
    for (let seq = 1; seq <= count; seq++) {
      outbox.add(toOutgoing(Buffer.allocUnsafeSlow(64 * 1024).subarray(0, size), undefined), seq, false)
      Buffer.allocUnsafe(1000)
    }
    const each = (memory() - before) / count
    assert.equal(outbox.count, count)
    return each
  }
  for (const size of [1, 60, 65, 100, 1000, 5000]) {
    // The middle of five: what the last one has left behind, or lets go of now, is not this.
    const each = Array.from({ length: 5 }, () => keep(size)).toSorted((a, b) => a - b)[2]!
    t.diagnostic(`${size} bytes keep ${Math.round(each)}`)
    assert.ok(each <= 2 * size + 256, `${size} bytes keep ${each}`)
  }
})

test('while the peer is not heard 16 MiB more are taken, small ones with what they cost, and a last one of any size', () => {
  const limits = { limit: 1000, messages: 10 }
  const outbox = new Outbox({ want () {} }, limits, uncounted)
  let last = 0
  const add = (next: Outgoing): void => { outbox.add(next, ++last, false) }
  for (let i = 0; i < 10; i++) add(message('x'.repeat(100)))
  assert.deepEqual([outbox.fits(1), outbox.stretches], [false, true])
  const megabyte = message('x'.repeat(1024 * 1024))
  let taken = 0
  for (; taken < 100 && outbox.stretches; taken++) add(megabyte)
  assert.equal(taken, 16)
  assert.deepEqual([outbox.stretches, outbox.count, outbox.bytes], [false, 26, 1000 + 16 * 1024 * 1024])
  outbox.confirm(20)
  assert.deepEqual([outbox.stretches, outbox.confirmed], [true, 20])
  outbox.confirm(last)
  const small = message('')
  let many = 0
  for (; many < 1_000_000 && outbox.stretches; many++) add(small)
  assert.ok(many > 16 * 1024 * 1024 / 64 && many < 17 * 1024 * 1024 / 64, `${many} empty ones`)
})

test('what is outstanding up to a message is what was sent before it, not what comes later', async () => {
  const outbox = new Outbox({ want () {} }, { limit: 1000, messages: 10 }, uncounted)
  const receipts = new Receipts({ begun: 3, want () {} }, outbox)
  assert.equal(receipts.outstandingUpTo(3), false)
  for (let seq = 1; seq <= 5; seq++) outbox.add(message('x'), seq, false)
  assert.deepEqual([receipts.outstandingUpTo(0), receipts.outstandingUpTo(3)], [false, true])
  receipts.received(2, 1)
  assert.equal(receipts.outstandingUpTo(3), true)
  receipts.received(3, 1)
  assert.deepEqual([receipts.outstandingUpTo(3), receipts.outstanding], [false, true])
  const alone = new Receipts({ begun: 3, want () {} }, null)
  const pending = alone.wait(3, 60_000, undefined)
  assert.deepEqual([alone.outstandingUpTo(2), alone.outstandingUpTo(3)], [false, true])
  alone.received(3, 1)
  assert.equal(alone.outstandingUpTo(3), false)
  await pending
})

test('what all outboxes hold is counted, through any sequence; one whose connection is over counts for nobody', () => {
  const step = fc.record({ who: fc.nat(2), verb: fc.constantFrom('add', 'add', 'add', 'confirm', 'drop', 'end'), size: fc.nat(50), part: fc.double({ min: 0, max: 1, noNaN: true }) })
  fc.assert(fc.property(fc.array(step, { maxLength: 100 }), (steps) => {
    const sum = { messages: 0, bytes: 0 }
    const keeping: Keeping = { kept: (messages, bytes) => { sum.messages += messages; sum.bytes += bytes } }
    const all = Array.from({ length: 3 }, () => ({ outbox: new Outbox({ want () {} }, { limit: Infinity, messages: Infinity }, keeping), last: 0, over: false }))
    for (const { who, verb, size, part } of steps) {
      const one = all[who]!
      const seq = Math.ceil(one.last * part)
      switch (verb) {
        case 'add': one.outbox.add(message('x'.repeat(size)), ++one.last, false); break
        case 'confirm': one.outbox.confirm(seq); break
        case 'drop': one.outbox.drop(seq); break
        case 'end': one.outbox.end(); one.over = true
      }
      const live = all.filter(({ over }) => !over).map(({ outbox }) => outbox)
      assert.deepEqual(sum, { messages: live.reduce((count, { count: more }) => count + more, 0), bytes: live.reduce((bytes, { bytes: more }) => bytes + more, 0) })
    }
  }))
})
