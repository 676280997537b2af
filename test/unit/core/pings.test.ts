import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Pings } from '../../../src/core/pings.js'

const answered = (pings: Pings, payload: Buffer, now: number): boolean => !Number.isNaN(pings.answer(payload, now))

test('a pong that echoes an open ping answers it, once', () => {
  const pings = new Pings()
  const payload = pings.open(1000, 0)
  assert.ok(payload.length <= 125)
  assert.equal(answered(pings, payload, 1040), true)
  assert.equal(pings.roundTrip, 40)
  assert.equal(answered(pings, payload, 1050), false)
  assert.equal(pings.roundTrip, 40)
})

test('before the first answer the round trip is unknown and nothing is confirmed', () => {
  const pings = new Pings()
  pings.open(0, 500)
  assert.equal(pings.roundTrip, NaN)
  assert.equal(pings.confirmed, 0)
})

test('an answered ping confirms what had been written before it, and closes all earlier ones', () => {
  const pings = new Pings()
  const first = pings.open(0, 100)
  const second = pings.open(1, 200)
  const third = pings.open(2, 300)
  assert.equal(answered(pings, second, 10), true)
  assert.equal(pings.confirmed, 200)
  assert.equal(answered(pings, first, 11), false)
  assert.equal(pings.confirmed, 200)
  assert.equal(answered(pings, third, 12), true)
  assert.equal(pings.confirmed, 300)
})

test('no payload but that of an open ping is an answer', () => {
  const pings = new Pings()
  const mine = pings.open(0, 100)
  fc.assert(fc.property(fc.uint8Array({ maxLength: 125 }), (bytes) => {
    fc.pre(!mine.equals(bytes))
    return !answered(pings, Buffer.from(bytes), 1)
  }))
  const ahead = Buffer.from(mine)
  ahead.writeUInt32BE(ahead.readUInt32BE(4) + 1, 4)
  assert.equal(answered(pings, ahead, 1), false)
  assert.equal(answered(pings, Buffer.concat([mine, Buffer.alloc(1)]), 1), false)
  assert.equal(pings.confirmed, 0)
})

test('the round trip is smoothed by an eighth', () => {
  const pings = new Pings()
  pings.answer(pings.open(0, 0), 80)
  pings.answer(pings.open(100, 0), 260)
  assert.equal(pings.roundTrip, 90)
})

test('it is full with 40 pings open, fewer than make a ws client end itself, until one is answered', () => {
  const pings = new Pings()
  const payloads: Buffer[] = []
  while (!pings.full) payloads.push(pings.open(0, 0))
  assert.equal(payloads.length, 40)
  assert.equal(answered(pings, payloads[9]!, 1), true)
  assert.deepEqual([pings.full, pings.waiting], [false, 30])
})

test('ahead of the first open ping is what was written before it; without one, all that is not confirmed', () => {
  const pings = new Pings()
  assert.equal(pings.ahead(0), 0)
  assert.equal(pings.ahead(70), 70)
  const [first, second, third] = [100, 150, 400].map((written) => pings.open(0, written))
  assert.deepEqual([pings.ahead(400), pings.ahead(1_000_000)], [100, 100])
  pings.answer(first!, 1)
  assert.deepEqual([pings.confirmed, pings.ahead(900)], [100, 50])
  pings.answer(second!, 2)
  assert.equal(pings.ahead(900), 250)
  pings.answer(third!, 3)
  assert.equal(pings.ahead(900), 500)
})

test('callers share the ping that is open, and get its round trip', async () => {
  const pings = new Pings()
  const sent: Buffer[] = []
  const send = (): void => { sent.push(pings.open(1000, 0)) }
  const both = [pings.ask(send), pings.ask(send)]
  assert.equal(sent.length, 1)
  assert.equal(answered(pings, sent[0]!, 1007), true)
  assert.deepEqual(await Promise.all(both), [7, 7])
  const next = pings.ask(send)
  assert.equal(sent.length, 2)
  pings.answer(sent[1]!, 1009)
  assert.equal(await next, 9)
})

test('the answer to an earlier ping is not the answer to a caller\'s', async () => {
  const pings = new Pings()
  const earlier = pings.open(0, 0)
  let mine!: Buffer
  let answered = false
  const asked = pings.ask(() => { mine = pings.open(10, 0) }).then((roundTrip) => { answered = true; return roundTrip })
  pings.answer(earlier, 20)
  await null
  assert.equal(answered, false)
  pings.answer(mine, 25)
  assert.equal(await asked, 15)
})

test('the answer to a later ping answers a caller too', async () => {
  const pings = new Pings()
  const asked = pings.ask(() => { pings.open(0, 0) })
  pings.answer(pings.open(10, 0), 30)
  assert.equal(await asked, 20)
})

test('when the transport ends, who waits gets Infinity, and no pong counts any more', async () => {
  const pings = new Pings()
  let mine!: Buffer
  const asked = pings.ask(() => { mine = pings.open(0, 0) })
  pings.end()
  assert.equal(await asked, Infinity)
  assert.equal(answered(pings, mine, 1), false)
})

test('a ping that waits for what has to be compressed first is behind it, and what it confirms is what was written for certain', () => {
  const pings = new Pings()
  const payload = pings.open(0, 100, 240_100)
  assert.equal(pings.ahead(240_100), 240_100)
  pings.answer(payload, 1)
  assert.equal(pings.confirmed, 100)
})
