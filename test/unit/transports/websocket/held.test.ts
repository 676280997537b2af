/**
 * What is kept of messages that nobody has taken yet: their content, and no more memory than twice their bytes and 256.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import fc from 'fast-check'
import { Wheel } from '../../../../src/core/time/wheel.js'
import { Held, OVERHEAD } from '../../../../src/transports/websocket/held.js'
import type { RawData } from '../../../../src/transports/websocket/held.js'
import { Inbox } from '../../../../src/transports/websocket/inbox.js'
import { Intake } from '../../../../src/transports/websocket/intake.js'
import { bytesEach } from '../../../support/memory.js'

/** A view of a larger chunk of its own, as ws gives it. */
const view = (bytes: Buffer): Buffer => {
  const chunk = Buffer.allocUnsafeSlow(4_096 + 4 * bytes.length)
  return chunk.subarray(100, 100 + bytes.copy(chunk, 100))
}

const kinds: Record<string, { of: (bytes: Buffer) => RawData, binary: boolean }> = {
  text: { of: view, binary: false },
  nodebuffer: { of: view, binary: true },
  arraybuffer: { of: (bytes) => new Uint8Array(bytes).buffer, binary: true },
  fragments: { of: (bytes) => [view(bytes.subarray(0, bytes.length / 2)), view(bytes.subarray(bytes.length / 2))], binary: true },
  blob: { of: (bytes) => new Blob([new Uint8Array(bytes)]), binary: true }
}

/** Holds what one costs that an inbox holds against what it may. */
async function cost (t: TestContext, name: string, size: number, filled: Buffer): Promise<void> {
  const { of, binary } = kinds[name]!
  const inbox = new Inbox()
  const add = (): void => { inbox.add({ data: of(filled), binary }) }
  // What is compiled and made once is not counted.
  for (let i = 0; i < 200; i++) add()
  // What others leave behind meanwhile only adds to it.
  let each = Infinity
  for (let tries = 0; tries < 3 && each > 2 * size + 256; tries++) each = Math.min(each, await bytesEach(size > 2_000 ? 300 : 3_000, add))
  t.diagnostic(`${name} of ${size}: ${Math.round(each)} bytes`)
  assert.ok(each <= 2 * size + 256, `${each} bytes`)
  assert.ok(!inbox.empty)
}

for (const name of Object.keys(kinds)) {
  test(`a message that waits costs at most twice its bytes and 256 (${name})`, async (t) => {
    for (const size of [1, 64, 100, 1_000, 10_000]) await cost(t, name, size, Buffer.alloc(size, 'a'))
  })
}

test('so does a text that is not of one-byte characters alone', async (t) => {
  for (const text of ['€', '日本語'.repeat(30), 'a'.repeat(999) + '€']) await cost(t, 'text', Buffer.byteLength(text), Buffer.from(text))
})

test('what an entry counts beside its bytes is about what it costs', async () => {
  for (const [name, counted] of [['text', OVERHEAD.text], ['nodebuffer', OVERHEAD.bytes]] as const) {
    const { of, binary } = kinds[name]!
    const inbox = new Inbox()
    const add = (): void => { inbox.add({ data: of(Buffer.alloc(10)), binary }) }
    for (let i = 0; i < 200; i++) add()
    // The middle of five: what others make, or let go of, meanwhile is not this.
    const costs: number[] = []
    for (let i = 0; i < 5; i++) costs.push(await bytesEach(8_000, add))
    const each = costs.toSorted((a, b) => a - b)[2]!
    assert.ok(Math.abs(each - 10 - counted) < 40, `${costs.join(', ')} bytes`)
    assert.ok(!inbox.empty)
  }
})

test('a ping that is answered later keeps its payload alone', async () => {
  const wheel = new Wheel(1_000)
  const rates = { messageRate: Infinity, byteRate: Infinity, pongRate: 1, payload: 1_000, policy: 'pause' } as const
  const gate = { throttle () {}, release: () => Infinity, rested: 0 }
  const owner = { answer () {}, exceeded () {} }
  const intakes = Array.from({ length: 5_000 }, () => {
    const intake = new Intake({ rates, wheel, loop: { away: 0 } }, gate, owner)
    // All but the payload is there.
    for (let i = 0; i < 2; i++) intake.pinged(Buffer.alloc(0))
    return intake
  })
  const each = await bytesEach(intakes.length, (i) => { intakes[i]!.pinged(view(Buffer.alloc(125))) })
  for (const intake of intakes) intake.end()
  assert.ok(each <= 2 * 125 + 256, `${each} bytes`)
})

test('whatever it is kept as, it comes out as it came', async () => {
  const content = fc.oneof(fc.string({ unit: 'grapheme', maxLength: 50 }).map((text) => ({ bytes: Buffer.from(text), text: true })), fc.uint8Array({ maxLength: 50 }).map((bytes) => ({ bytes: Buffer.from(bytes), text: false })))
  await fc.assert(fc.asyncProperty(content, fc.constantFrom(...Object.keys(kinds)), fc.boolean(), async ({ bytes, text }, kind, keeps) => {
    const of = text ? view : kinds[kind]!.of
    const make = (): Held => new Held({ data: of(bytes), binary: !text })
    const [ours, theirs] = [make(), make()]
    if (keeps) {
      for (const held of [ours, theirs]) held.keep()
      await new Promise(setImmediate)
    }
    assert.equal(ours.size, bytes.length)
    assert.deepEqual(await ours.toMessage(), text ? { data: bytes.toString(), binary: false } : { data: bytes, binary: true })
    for (const type of ['nodebuffer', 'arraybuffer', 'fragments', 'blob']) {
      const raw = theirs.toRaw(type)
      const got = Buffer.isBuffer(raw) ? raw : Array.isArray(raw) ? Buffer.concat(raw) : Buffer.from(raw instanceof Blob ? await raw.arrayBuffer() : raw)
      assert.deepEqual(got, bytes)
      if (text) assert.ok(Buffer.isBuffer(raw), 'text is a Buffer for listeners, as with ws')
    }
  }), { numRuns: 500 })
})

test('what is no UTF-8, because ws was told not to check, reaches a listener unchanged', () => {
  const bytes = Buffer.from([0x61, 0xff, 0xc3])
  const held = new Held({ data: view(bytes), binary: false })
  held.keep()
  assert.deepEqual(held.toRaw('nodebuffer'), bytes)
})
