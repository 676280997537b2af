import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { bytesOf, Held, OVERHEAD } from '../../../../src/transports/websocket/held.js'
import type { RawMessage } from '../../../../src/transports/websocket/held.js'
import { HELD_MAX, HIGH_WATER, Inbox } from '../../../../src/transports/websocket/inbox.js'
import type { Message } from '../../../../src/transports/transport.js'

class FakeGate {
  held = false
  holds = 0
  lefts = 0
  listening = false
  sateds: boolean[] = []
  drops: Array<[number, number]> = []

  hold (on: boolean): void {
    assert.notEqual(on, this.held, 'the gate is told of changes only')
    this.held = on
    this.holds++
  }

  expected (): boolean { return this.listening }
  sated (on: boolean): void { this.sateds.push(on) }
  left (): void { this.lefts++ }
  dropped (messages: number, bytes: number): void { this.drops.push([messages, bytes]) }
  ignored (): void {}
}

function make (): { gate: FakeGate, inbox: Inbox } {
  const gate = new FakeGate()
  return { gate, inbox: new Inbox(gate) }
}

const text = (data: string): RawMessage => ({ data: Buffer.from(data), binary: false })
const bytes = (size: number): RawMessage => ({ data: Buffer.alloc(size), binary: true })

async function readAll (messages: AsyncIterable<Message>): Promise<Message['data'][]> {
  const all: Message['data'][] = []
  for await (const { data } of messages) all.push(data)
  return all
}

test('text comes as a string and bytes as a Buffer, whatever binaryType ws has', async () => {
  const { inbox } = make()
  inbox.add(text('hé'))
  for (const data of [Buffer.from([1, 2]), new Uint8Array([1, 2]).buffer, [Buffer.from([1]), Buffer.from([2])]]) inbox.add({ data, binary: true })
  inbox.end()
  const all: Message[] = []
  for await (const message of inbox.messages()) all.push(message)
  assert.deepEqual(all, [{ data: 'hé', binary: false }, ...Array(3).fill({ data: Buffer.from([1, 2]), binary: true })])
})

test('the size of a message is that of its bytes, whatever they come in', () => {
  for (const data of [Buffer.alloc(3), new ArrayBuffer(3), [Buffer.alloc(1), Buffer.alloc(2)]]) {
    assert.equal(bytesOf(data), 3)
  }
})

test('what came before the reader is read first, in order, and what comes later wakes it', async () => {
  const { inbox } = make()
  inbox.add(text('1'))
  inbox.add(text('2'))
  const read = readAll(inbox.messages())
  await new Promise(setImmediate)
  inbox.add(text('3'))
  await new Promise(setImmediate)
  inbox.add(text('4'))
  inbox.end()
  assert.deepEqual(await read, ['1', '2', '3', '4'])
})

test('any mix of arrivals and reads gives every message once and in order', async () => {
  await fc.assert(fc.asyncProperty(fc.array(fc.constantFrom('add', 'read', 'wait'), { maxLength: 60 }), async (steps) => {
    const { inbox } = make()
    const messages = inbox.messages()
    const reads: Array<Promise<IteratorResult<Message>>> = []
    let added = 0
    for (const step of steps) {
      if (step === 'add') inbox.add(text(String(added++)))
      else if (step === 'read') reads.push(messages.next())
      else await null
    }
    inbox.end()
    const early = (await Promise.all(reads)).filter(({ done }) => done !== true).map(({ value }) => value.data)
    assert.deepEqual([...early, ...await readAll(messages)], Array.from({ length: added }, (_, i) => String(i)))
  }))
})

test('there is one reader at a time; another may follow it', async () => {
  const { inbox } = make()
  const first = inbox.messages()
  assert.throws(() => inbox.messages(), { code: 'FST_ERR_LIFELINE_ALREADY_READING' })
  inbox.add(text('1'))
  inbox.add(text('2'))
  assert.equal((await first.next()).value.data, '1')
  // What leaving a loop does.
  await first.return!()
  assert.equal(inbox.reading, false)
  inbox.end()
  assert.deepEqual(await readAll(inbox.messages()), ['2'])
})

test('a reader that is told to return while it waits is done', async () => {
  const { inbox } = make()
  const messages = inbox.messages()
  const waiting = messages.next()
  await messages.return!()
  assert.deepEqual(await waiting, { done: true, value: undefined })
  assert.equal(inbox.reading, false)
  assert.deepEqual(await messages.next(), { done: true, value: undefined })
})

test('when no more comes, a waiting reader is done; what is held can still be read', async () => {
  const { inbox } = make()
  const waiting = readAll(inbox.messages())
  inbox.end()
  assert.deepEqual(await waiting, [])
  inbox.add(text('late'))
  assert.deepEqual(await readAll(inbox.messages()), ['late'])
})

test('while a reader may still come, reading rests past 64 KiB, and nothing is dropped', async () => {
  const { gate, inbox } = make()
  inbox.add(bytes(HELD_MAX - OVERHEAD.bytes))
  assert.equal(gate.held, false)
  inbox.add(bytes(0))
  assert.equal(gate.held, true)
  assert.deepEqual(gate.drops, [])
  await inbox.messages().next()
  assert.equal(gate.held, false)
})

test('past 64 KiB, with the handler settled and no reader, what is held is dropped, once, and reading goes on', () => {
  const { gate, inbox } = make()
  inbox.add(bytes(40_000))
  inbox.settled()
  assert.equal(inbox.empty, false)
  inbox.add(bytes(40_000))
  assert.deepEqual(gate.drops, [[2, 80_000]])
  assert.equal(gate.held, false)
  for (let i = 0; i < 10; i++) inbox.add(bytes(40_000))
  assert.equal(inbox.empty, true)
  assert.equal(gate.drops.length, 1)
})

test('a handler that settles without a reader, past 64 KiB, sets the socket free', () => {
  const { gate, inbox } = make()
  inbox.add(bytes(80_000))
  assert.equal(gate.held, true)
  inbox.settled()
  assert.equal(gate.held, false)
  assert.deepEqual(gate.drops, [[1, 80_000]])
})

test('what a listener waits for is not dropped', () => {
  const { gate, inbox } = make()
  gate.listening = true
  inbox.settled()
  inbox.add(bytes(80_000))
  assert.deepEqual(gate.drops, [])
  assert.equal(gate.held, true)
})

test('a flood of empty messages counts as well', () => {
  const { gate, inbox } = make()
  inbox.settled()
  for (let i = 0; i < HELD_MAX; i++) inbox.add(bytes(0))
  assert.equal(gate.drops.length, 1)
})

test('a reader that comes after the drop reads what comes from then on', async () => {
  const { inbox } = make()
  inbox.settled()
  inbox.add(bytes(80_000))
  inbox.add(text('lost'))
  const read = readAll(inbox.messages())
  inbox.add(text('found'))
  inbox.end()
  assert.deepEqual(await read, ['found'])
})

test('reading rests when a reader is more than 256 KiB behind, and goes on below half of it', async () => {
  const { gate, inbox } = make()
  const messages = inbox.messages()
  const size = 32 * 1024 - OVERHEAD.bytes
  for (let i = 0; i < 8; i++) inbox.add(bytes(size))
  assert.equal(gate.held, false)
  inbox.add(bytes(size))
  assert.equal(gate.held, true)
  let taken = 0
  while (gate.held) {
    await messages.next()
    taken++
  }
  assert.ok((9 - taken) * 32 * 1024 < HIGH_WATER / 2)
  assert.equal(taken, 6)
  assert.equal(gate.holds, 2)
})

test('a discard lets go of what is held, which is counted, and of the socket', () => {
  const { gate, inbox } = make()
  inbox.add(bytes(80_000))
  inbox.discard()
  assert.equal(inbox.take(), undefined)
  assert.equal(gate.held, false)
  assert.deepEqual(gate.drops, [[1, 80_000]])
})

test('it tells when as much is held as may be, and when no longer', async () => {
  const { gate, inbox } = make()
  const messages = inbox.messages()
  const size = 1024 * 1024
  for (let i = 0; i < 7; i++) inbox.add(bytes(size))
  assert.deepEqual([inbox.sated, gate.sateds], [false, []])
  for (let i = 0; i < 3; i++) inbox.add(bytes(size))
  assert.deepEqual([inbox.sated, gate.sateds], [true, [true]])
  for (let i = 0; i < 2; i++) await messages.next()
  assert.deepEqual([inbox.sated, gate.sateds, inbox.consumed], [true, [true], 2])
  await messages.next()
  assert.deepEqual([inbox.sated, gate.sateds], [false, [true, false]])
  inbox.add(bytes(size))
  inbox.discard()
  assert.deepEqual([gate.sateds, inbox.bytes], [[true, false, true, false], 0])
})

test('a loop that awaits nothing else takes no more than 256 KiB in one turn of the event loop', async () => {
  const { inbox } = make()
  for (let i = 0; i < 1_000; i++) inbox.add(text('x'.repeat(2_000)))
  inbox.end()
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
  for await (const message of inbox.messages()) taken += message.data.length
  turned = 1_000
  assert.ok(most > 0 && most <= HIGH_WATER + 4_000, `${most} bytes`)
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

test('while it is held the reader gets what had come by then, and nothing of what comes', async () => {
  const { inbox } = make()
  for (let i = 0; i < 3; i++) inbox.add(text(`${i}`))
  const got: unknown[] = []
  const reading = (async () => { for await (const { data } of inbox.messages()) got.push(data) })()
  inbox.hold(true)
  inbox.add(text('3'))
  inbox.hold(true)
  inbox.add(text('4'))
  await new Promise(setImmediate)
  assert.deepEqual(got, ['0', '1', '2'])
  inbox.hold(false)
  await new Promise(setImmediate)
  assert.deepEqual(got, ['0', '1', '2', '3', '4'])
  inbox.hold(true)
  inbox.add(text('5'))
  inbox.end()
  await reading
  assert.equal(got.at(-1), '5')
})
