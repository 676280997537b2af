import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { bytesOf, Held, OVERHEAD } from '../../../../src/transports/websocket/held.js'
import type { RawMessage } from '../../../../src/transports/websocket/held.js'
import { Inbox } from '../../../../src/transports/websocket/inbox.js'

const text = (data: string): RawMessage => ({ data: Buffer.from(data), binary: false })

async function takeAll (inbox: Inbox): Promise<unknown[]> {
  const all: unknown[] = []
  for (let held = inbox.take(); held !== undefined; held = inbox.take()) all.push((await held.toMessage()).data)
  return all
}

test('any mix of arrivals, takes and turns of the loop gives every message once and in order, and counts what is left', async () => {
  await fc.assert(fc.asyncProperty(fc.array(fc.constantFrom('add', 'add', 'take', 'turn'), { maxLength: 60 }), async (steps) => {
    const inbox = new Inbox()
    const taken: unknown[] = []
    let added = 0
    for (const step of steps) {
      if (step === 'add') inbox.add(text(`${10 + added++}`))
      else if (step === 'take') taken.push(...[inbox.take()].filter((held) => held !== undefined))
      else await new Promise(setImmediate)
      const left = added - taken.length
      assert.deepEqual([inbox.consumed, inbox.bytes, inbox.empty], [taken.length, left * (2 + OVERHEAD.text), left === 0])
    }
    const early = await Promise.all(taken.map(async (held) => (await (held as Held).toMessage()).data))
    assert.deepEqual([...early, ...await takeAll(inbox)], Array.from({ length: added }, (_, i) => `${10 + i}`))
  }))
})

test('whatever has to wait for its time, and whatever else happens, the next is ripe when its time has come, and no sooner', () => {
  fc.assert(fc.property(fc.array(fc.oneof(
    { weight: 4, arbitrary: fc.record({ verb: fc.constant('add' as const), wait: fc.constantFrom(0, 0, 1, 7.5, 20) }) },
    { weight: 3, arbitrary: fc.record({ verb: fc.constant('take' as const), ripe: fc.boolean() }) },
    { weight: 3, arbitrary: fc.record({ verb: fc.constant('ripen' as const), after: fc.nat(10) }) },
    { weight: 1, arbitrary: fc.record({ verb: fc.constant('clear' as const) }) }
  ), { maxLength: 60 }), (steps) => {
    const inbox = new Inbox()
    // The times of those that are held; -Infinity: it has come.
    let model: number[] = []
    let now = 100
    for (const step of steps) {
      if (step.verb === 'add') {
        // Times only grow, and what comes behind one that waits waits as long.
        const last = model.at(-1) ?? -Infinity
        const time = step.wait === 0 ? 0 : Math.max(last, now) + step.wait
        inbox.add(text('x'), time)
        model.push(last === -Infinity && time === 0 ? -Infinity : Math.max(last, Math.ceil(time)))
      } else if (step.verb === 'take') {
        // At the end they are taken though they are not ripe.
        if (!step.ripe || inbox.ripe) assert.equal(inbox.take() !== undefined, model.shift() !== undefined)
      } else if (step.verb === 'ripen') {
        now += step.after
        model = model.map((time) => time <= now ? -Infinity : time)
        const next = inbox.ripen(now)
        assert.equal(next, model.find((time) => time > now) ?? Infinity)
      } else {
        inbox.clear()
        model = []
      }
      assert.deepEqual([inbox.ripe, inbox.empty], [model[0] === -Infinity, model.length === 0])
    }
  }))
})

test('the size of a message is that of its bytes, whatever they come in', () => {
  for (const data of [Buffer.alloc(3), new ArrayBuffer(3), [Buffer.alloc(1), Buffer.alloc(2)]]) {
    assert.equal(bytesOf(data), 3)
  }
})

test('the mark stands behind what is held when it is set', async () => {
  const inbox = new Inbox()
  assert.equal(inbox.beforeMark, false)
  for (const data of ['1', '2', '3']) inbox.add(text(data))
  inbox.take()
  inbox.mark()
  inbox.add(text('4'))
  const got: unknown[] = []
  while (inbox.beforeMark) got.push((await inbox.take()!.toMessage()).data)
  assert.deepEqual([got, await takeAll(inbox)], [['2', '3'], ['4']])
  inbox.add(text('5'))
  assert.equal(inbox.beforeMark, false)
  inbox.mark()
  assert.equal(inbox.beforeMark, true)
})

test('what is cleared was not taken; what listeners have heard of it is not lost, and nothing of it stands before the mark', () => {
  const inbox = new Inbox()
  for (const data of ['12', '345', '6789']) inbox.add(text(data))
  inbox.add({ ...text('heard'), heard: true })
  inbox.take()
  inbox.mark()
  assert.deepEqual(inbox.clear(), { messages: 2, bytes: 7 })
  assert.deepEqual([inbox.empty, inbox.bytes, inbox.consumed, inbox.take()], [true, 0, 1, undefined])
  inbox.add(text('later'))
  assert.equal(inbox.beforeMark, false)
})

test('what comes in the turn in which all was cleared is kept as well', async () => {
  const chunk = Buffer.alloc(64 * 1024, 7)
  const inbox = new Inbox()
  for (let i = 0; i < 3; i++) inbox.add({ data: chunk.subarray(0, 10), binary: true })
  inbox.clear()
  inbox.add({ data: chunk.subarray(0, 10), binary: true })
  await new Promise(setImmediate)
  const { data } = await inbox.take()!.toMessage() as { data: Buffer }
  assert.deepEqual([data.length, data.buffer.byteLength], [10, 10])
})

test('bytes that stay are no view of all that came with them; those that are most of it are not copied', async () => {
  const chunk = Buffer.alloc(64 * 1024, 7)
  for (const [size, kept] of [[10, 10], [40_000, chunk.length]] as const) {
    const held = new Held({ data: chunk.subarray(0, size), binary: true })
    held.keep()
    const { data } = await held.toMessage() as { data: Buffer }
    assert.deepEqual([data.length, data.buffer.byteLength, data[size - 1]], [size, kept, 7])
  }
})
