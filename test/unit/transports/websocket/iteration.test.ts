import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Held } from '../../../../src/transports/websocket/held.js'
import type { RawMessage } from '../../../../src/transports/websocket/held.js'
import { HIGH_WATER } from '../../../../src/transports/websocket/inbox.js'
import { Iteration } from '../../../../src/transports/websocket/iteration.js'
import type { Message } from '../../../../src/transports/transport.js'

class FakeSource {
  readonly iteration = new Iteration(this)
  over = false
  lefts = 0
  #queue: Held[] = []

  next (): Held | undefined { return this.#queue.shift() }
  left (): void { this.lefts++ }

  add (message: RawMessage): void {
    this.#queue.push(new Held(message))
    this.iteration.wake()
  }

  end (): void {
    this.over = true
    this.iteration.wake()
  }
}

const text = (data: string): RawMessage => ({ data: Buffer.from(data), binary: false })

async function readAll (messages: AsyncIterable<Message>): Promise<Message['data'][]> {
  const all: Message['data'][] = []
  for await (const { data } of messages) all.push(data)
  return all
}

test('text comes as a string and bytes as a Buffer, whatever binaryType ws has', async () => {
  const source = new FakeSource()
  source.add(text('hé'))
  for (const data of [Buffer.from([1, 2]), new Uint8Array([1, 2]).buffer, [Buffer.from([1]), Buffer.from([2])]]) source.add({ data, binary: true })
  source.end()
  const all: Message[] = []
  for await (const message of source.iteration.messages()) all.push(message)
  assert.deepEqual(all, [{ data: 'hé', binary: false }, ...Array(3).fill({ data: Buffer.from([1, 2]), binary: true })])
})

test('what came before the reader is read first, in order, and what comes later wakes it', async () => {
  const source = new FakeSource()
  source.add(text('1'))
  source.add(text('2'))
  const read = readAll(source.iteration.messages())
  await new Promise(setImmediate)
  source.add(text('3'))
  await new Promise(setImmediate)
  source.add(text('4'))
  source.end()
  assert.deepEqual(await read, ['1', '2', '3', '4'])
})

test('any mix of arrivals and reads gives every message once and in order', async () => {
  await fc.assert(fc.asyncProperty(fc.array(fc.constantFrom('add', 'read', 'wait'), { maxLength: 60 }), async (steps) => {
    const source = new FakeSource()
    const messages = source.iteration.messages()
    const reads: Array<Promise<IteratorResult<Message>>> = []
    let added = 0
    for (const step of steps) {
      if (step === 'add') source.add(text(String(added++)))
      else if (step === 'read') reads.push(messages.next())
      else await null
    }
    source.end()
    const early = (await Promise.all(reads)).filter(({ done }) => done !== true).map(({ value }) => value.data)
    assert.deepEqual([...early, ...await readAll(messages)], Array.from({ length: added }, (_, i) => String(i)))
  }))
})

test('there is one reader at a time; another may follow it', async () => {
  const source = new FakeSource()
  const { iteration } = source
  const first = iteration.messages()
  assert.equal(iteration.reading, true)
  assert.throws(() => iteration.messages(), { code: 'FST_ERR_LIFELINE_ALREADY_READING' })
  source.add(text('1'))
  source.add(text('2'))
  assert.equal((await first.next()).value.data, '1')
  // What leaving a loop does.
  await first.return!()
  assert.deepEqual([iteration.reading, source.lefts], [false, 1])
  source.end()
  assert.deepEqual([await readAll(iteration.messages()), source.lefts], [['2'], 2])
  await first.return!()
  assert.equal(source.lefts, 2)
})

test('a reader that is told to return while it waits is done', async () => {
  const { iteration } = new FakeSource()
  const messages = iteration.messages()
  const waiting = messages.next()
  await messages.return!()
  assert.deepEqual(await waiting, { done: true, value: undefined })
  assert.equal(iteration.reading, false)
  assert.deepEqual(await messages.next(), { done: true, value: undefined })
})

test('when no more comes, a waiting reader is done; what there is can still be read', async () => {
  const source = new FakeSource()
  const waiting = readAll(source.iteration.messages())
  source.end()
  assert.deepEqual(await waiting, [])
  source.add(text('late'))
  assert.deepEqual(await readAll(source.iteration.messages()), ['late'])
})

test('a loop that awaits nothing else takes no more than 256 KiB in one turn of the event loop, nor do many that take one each', async () => {
  for (const atOnce of [Infinity, 1]) {
    const source = new FakeSource()
    for (let i = 0; i < 1_000; i++) source.add(text('x'.repeat(2_000)))
    source.end()
    let turned = 0
    let taken = 0
    let most = 0
    const count = (): void => {
      turned++
      most = Math.max(most, taken)
      taken = 0
      if (turned < 1_000) setImmediate(count)
    }
    setImmediate(count)
    for (let before = -1, all = 0; all > before;) {
      before = all
      for await (const message of source.iteration.messages()) {
        taken += message.data.length
        if (++all - before === atOnce) break
      }
    }
    turned = 1_000
    assert.ok(most > 0 && most <= HIGH_WATER + 4_000, `${most} bytes`)
  }
})
