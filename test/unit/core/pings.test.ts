import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Pings } from '../../../src/core/pings.js'

/** Opens one that is written at once. */
function open (pings: Pings, now: number, written: number, given = written): Buffer {
  const payload = pings.open({ written, given, handed: 0 })
  pings.written(pings.newest, now)
  return payload
}

const answered = (pings: Pings, payload: Buffer, now: number): boolean => (pings.answer(payload, now) ?? NaN) >= 0

test('a pong that echoes an open ping answers it, once', () => {
  const pings = new Pings()
  const payload = open(pings, 1000, 0)
  assert.ok(payload.length <= 125)
  assert.equal(answered(pings, payload, 1040), true)
  assert.equal(pings.roundTrip, 40)
  assert.equal(answered(pings, payload, 1050), false)
  assert.equal(pings.roundTrip, 40)
})

test('of one ping nothing can be made up for the next, and what is made up changes nothing', () => {
  const pings = new Pings()
  const first = open(pings, 0, 10)
  const second = open(pings, 0, 20)
  const forged = Buffer.concat([first.subarray(0, 4), second.subarray(4)])
  // (One time in 2^30 both are the same.)
  assert.notDeepEqual(forged, second)
  assert.deepEqual([answered(pings, forged, 1), pings.confirmed, answered(pings, first, 1), answered(pings, second, 1)], [false, 0, true, true])
})

test('before the first answer the round trip is unknown and nothing is confirmed', () => {
  const pings = new Pings()
  open(pings, 0, 500)
  assert.equal(pings.roundTrip, NaN)
  assert.equal(pings.confirmed, 0)
})

test('an answered ping confirms what had been written before it, and closes all earlier ones', () => {
  const pings = new Pings()
  const first = open(pings, 0, 100)
  const second = open(pings, 1, 200)
  const third = open(pings, 2, 300)
  assert.equal(answered(pings, second, 10), true)
  assert.equal(pings.confirmed, 200)
  assert.equal(answered(pings, first, 11), false)
  assert.equal(pings.confirmed, 200)
  assert.equal(answered(pings, third, 12), true)
  assert.equal(pings.confirmed, 300)
})

test('no payload but that of an open ping is an answer', () => {
  const pings = new Pings()
  const mine = open(pings, 0, 100)
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
  pings.answer(open(pings, 0, 0), 80)
  pings.answer(open(pings, 100, 0), 260)
  assert.equal(pings.roundTrip, 90)
})

/** Opens pings, one an ms, until there is no room for more. @param heard what is heard at the time */
test('no more than 40 are known: past that one between two others is forgotten, never the first, and those that are left are spread', () => {
  const pings = new Pings()
  const payloads: Buffer[] = []
  for (let i = 0; i < 40; i++) payloads.push(open(pings, i, 100 * i))
  assert.equal(pings.waiting, 40)
  // These are closest: they have nothing between them.
  for (let i = 0; i < 100; i++) payloads.push(open(pings, 40 + i, 3900))
  assert.deepEqual([pings.waiting, pings.ahead(4000)], [40, 0])
  for (let i = 0; i < 39; i++) assert.equal(answered(pings, payloads[i]!, 1000), true, `ping ${i}`)
  assert.equal(answered(pings, payloads[39 + 50]!, 1000), false, 'one that was forgotten')
  assert.equal(answered(pings, payloads.at(-1)!, 1000), true, 'the newest says all that those before it would have')
  assert.deepEqual([pings.confirmed, pings.waiting], [3900, 0])
})

test('however much is on its way, what is known is spread over it', () => {
  const pings = new Pings()
  const payloads: Buffer[] = []
  for (let i = 0; i < 400; i++) payloads.push(open(pings, i, 100 * i))
  let confirmed = 0
  for (const payload of payloads) {
    if (!answered(pings, payload, 1000)) continue
    assert.ok(pings.confirmed - confirmed <= 2 * 100 * 400 / 40, `${pings.confirmed - confirmed} bytes in one`)
    confirmed = pings.confirmed
  }
  assert.equal(confirmed, 39_900)
})

test('a slow line that answers is seen to take what comes, though it is pinged twice as often as it answers', () => {
  const pings = new Pings()
  const gap = 256 * 1024
  let written = 0
  const payloads: Buffer[] = []
  const send = (now: number): void => { payloads.push(open(pings, now, written += gap)) }
  for (let i = 0; i < 40; i++) send(0)
  let unseen = 0
  for (let i = 1; i <= 200; i++) {
    send(i)
    send(i)
    unseen = answered(pings, payloads[i - 1]!, i) ? 0 : unseen + 1
    assert.ok(unseen < 2 + i / 20, `${unseen} in a row`)
  }
})

test('how many went out since anything was heard', () => {
  const pings = new Pings()
  assert.equal(pings.unheard(0), 0)
  for (let i = 0; i < 50; i++) open(pings, i, i)
  assert.deepEqual([pings.unheard(0), pings.unheard(1), pings.unheard(1)], [50, 0, 0])
  open(pings, 51, 51)
  assert.equal(pings.unheard(1), 1)
})

test('a suspect whose ping was forgotten has the time of the next', () => {
  const pings = new Pings()
  for (let i = 0; i < 40; i++) open(pings, 10 * i, 100 * i)
  const suspect = 38
  assert.equal(pings.writtenAt(suspect), 370)
  for (let i = 40; i < 60; i++) open(pings, 10 * i, 3700)
  assert.equal(pings.writtenAt(suspect) >= 370, true)
})

test('the pong to a ping that was forgotten is ours, once, and says nothing new; one that comes again, or out of order, is not', () => {
  const pings = new Pings()
  const payloads: Buffer[] = []
  for (let i = 0; i < 80; i++) payloads.push(open(pings, i, 100 * Math.min(i, 39)))
  const said = payloads.map((payload) => pings.answer(payload, 100))
  assert.equal(said.filter((roundTrip) => roundTrip === null).length, 40)
  assert.equal(said.some(Number.isNaN), false)
  assert.equal(pings.confirmed, 3900)
  for (const payload of payloads) assert.equal(Number.isNaN(pings.answer(payload, 100)), true)
  const forged = Buffer.from(payloads[0]!)
  forged.writeUInt32BE(81, 4)
  assert.equal(Number.isNaN(pings.answer(forged, 100)), true)
})

test('one who asks while none can go out is owed a ping', async () => {
  const pings = new Pings()
  const asked = pings.ask(() => {})
  assert.equal(pings.owed, true)
  const payload = open(pings, 5, 5)
  assert.equal(pings.owed, false)
  pings.answer(payload, 12)
  assert.equal(await asked, 7)
})

test('a ping that waits for us has no time until it is written, and no round trip before that', () => {
  const pings = new Pings()
  const payload = pings.open({ written: 0, given: 100, handed: 3 })
  assert.ok(Number.isNaN(pings.writtenAt(1)))
  pings.written(1, 500)
  pings.written(1, 900)
  assert.equal(pings.writtenAt(1), 500)
  assert.equal(pings.answer(payload, 540), 40)
  assert.equal(pings.received, 3)
  assert.equal(pings.writtenAt(1), -Infinity)
})

test('those for receipts count while they are open and young', () => {
  const pings = new Pings()
  for (const now of [0, 10]) {
    pings.open({ written: 0, given: 0, handed: 0 }, true)
    pings.written(pings.newest, now)
  }
  open(pings, 20, 0)
  pings.open({ written: 0, given: 0, handed: 0 }, true)
  assert.deepEqual([20, 1000, 1009, 5000].map((now) => pings.receipts(now, 1000)), [3, 2, 2, 1])
})

test('ahead of the first open ping is what was written before it; without one, all that is not confirmed', () => {
  const pings = new Pings()
  assert.equal(pings.ahead(0), 0)
  assert.equal(pings.ahead(70), 70)
  const [first, second, third] = [100, 150, 400].map((written) => open(pings, 0, written))
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
  const send = (): void => { sent.push(open(pings, 1000, 0)) }
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
  const earlier = open(pings, 0, 0)
  let mine!: Buffer
  let answered = false
  const asked = pings.ask(() => { mine = open(pings, 10, 0) }).then((roundTrip) => { answered = true; return roundTrip })
  pings.answer(earlier, 20)
  await null
  assert.equal(answered, false)
  pings.answer(mine, 25)
  assert.equal(await asked, 15)
})

test('the answer to a later ping answers a caller too', async () => {
  const pings = new Pings()
  const asked = pings.ask(() => { open(pings, 0, 0) })
  pings.answer(open(pings, 10, 0), 30)
  assert.equal(await asked, 20)
})

test('when the transport ends, who waits gets Infinity, and no pong counts any more', async () => {
  const pings = new Pings()
  let mine!: Buffer
  const asked = pings.ask(() => { mine = open(pings, 0, 0) })
  pings.end()
  assert.equal(await asked, Infinity)
  assert.equal(answered(pings, mine, 1), false)
})

test('a ping that waits for what has to be compressed first is behind it, and what it confirms is what was written for certain', () => {
  const pings = new Pings()
  const payload = open(pings, 0, 100, 240_100)
  assert.equal(pings.ahead(240_100), 240_100)
  pings.answer(payload, 1)
  assert.equal(pings.confirmed, 100)
})
