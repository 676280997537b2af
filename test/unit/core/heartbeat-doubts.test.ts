import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Heartbeat } from '../../../src/core/heartbeat.js'
import { Wheel } from '../../../src/core/time/wheel.js'
import { Clock } from '../clock.js'
import { CADENCE, CLOSE, Counts, Fake, SLOT, STALL, whenOverdue, world } from './peer.js'
import { share } from '../../support/proof.js'

test('a live peer that answers is never lost, stalls or not', (t) => {
  fc.assert(fc.property(
    fc.integer({ min: 40, max: 2000 }), fc.integer({ min: 40, max: 2000 }), fc.array(fc.tuple(fc.integer({ min: 1, max: 3000 }), fc.integer({ min: 0, max: 20_000 })), { maxLength: 12 }),
    (interval, timeout, stalls) => {
      const clock = new Clock(t)
      const wheel = new Wheel(SLOT, clock.now)
      const heartbeat = new Heartbeat(wheel, { stallTimeout: STALL, closeTimeout: CLOSE }, new Counts(), clock.now)
      const peers = Array.from({ length: 4 }, () => new Fake(clock))
      for (const peer of peers) heartbeat.watch(peer, { interval, timeout })
      for (const [calm, stall] of stalls) {
        clock.pass(calm)
        clock.stall(stall)
      }
      clock.pass(2 * (interval + timeout))
      for (const peer of peers) assert.equal(peer.lostAt, null)
      heartbeat.stop()
      wheel.stop()
    }), { numRuns: share(500) })
})

test('after a stall a suspect gets a fresh ping and a full timeout', (t) => {
  const { clock, heartbeat } = world(t)
  const peer = new Fake(clock)
  peer.alive = false
  heartbeat.watch(peer, CADENCE)
  while (peer.asks.length === 0) clock.pass(SLOT)
  clock.pass(SLOT)
  clock.stall(60_000)
  assert.equal(peer.lostAt, null)
  const pings = peer.asks.length
  while (peer.asks.length === pings) clock.pass(SLOT)
  clock.pass(CADENCE.timeout - 1)
  assert.equal(peer.lostAt, null)
  clock.pass(SLOT)
  assert.notEqual(peer.lostAt, null)
})

test('a peer that answers the fresh ping after a stall is safe', (t) => {
  const { clock, heartbeat, counts } = world(t)
  const peer = new Fake(clock)
  peer.alive = false
  heartbeat.watch(peer, CADENCE)
  while (peer.asks.length === 0) clock.pass(SLOT)
  peer.alive = true
  clock.stall(60_000)
  clock.pass(10_000)
  assert.equal(peer.lostAt, null)
  assert.equal(counts.lost, 0)
})

test('a process that always stalls still finds the dead, after at most three fresh pings', (t) => {
  const { clock, heartbeat, wheel } = world(t)
  const peer = new Fake(clock)
  peer.alive = false
  heartbeat.watch(peer, CADENCE)
  for (let i = 0; i < 2000 && peer.lostAt === null; i++) clock.stall(CADENCE.timeout / 2)
  assert.notEqual(peer.lostAt, null)
  assert.equal(wheel.stalls, wheel.slot)
  assert.equal(peer.asks.length, 1 + 3)
})

test('a live peer in a process that always stalls is asked, answers, and lives', (t) => {
  const { clock, heartbeat } = world(t)
  const peer = new Fake(clock)
  heartbeat.watch(peer, CADENCE)
  for (let i = 0; i < 2000; i++) clock.stall(5 * SLOT)
  assert.equal(peer.lostAt, null)
})

test('with more on the way than a line of 32 kbit/s carries in timeout, an answer may come stallTimeout after the last sign of life', (t) => {
  const { clock, heartbeat } = world(t)
  const [little, much] = [new Fake(clock), new Fake(clock)]
  little.unconfirmed = 4 * CADENCE.timeout
  much.unconfirmed = 4 * CADENCE.timeout + 1
  for (const peer of [little, much]) {
    peer.alive = false
    heartbeat.watch(peer, CADENCE)
  }
  clock.pass(20_000)
  assert.equal(little.lostAt! - little.asks[0]!, CADENCE.timeout)
  // It was asked at the second look after it was last heard: half an interval later.
  assert.equal(much.lostAt! - (much.asks[0]! - CADENCE.interval / 2), STALL)
})

test('a peer that has to take in much before it can answer gets stallTimeout for each 96 KiB of it', (t) => {
  const { clock, heartbeat } = world(t)
  const peer = new Fake(clock)
  peer.alive = false
  peer.ahead = 4 * 96 * 1024
  peer.unconfirmed = 200_000
  heartbeat.watch(peer, CADENCE)
  clock.pass(40_000)
  assert.equal(peer.lostAt! - (peer.asks[0]! - CADENCE.interval / 2), 4 * STALL)
})

test('that what waits is taken is no sign of life: the kernel, or a cipher, may have taken it', (t) => {
  const { clock, heartbeat } = world(t)
  const peer = new Fake(clock)
  peer.alive = false
  heartbeat.watch(peer, CADENCE)
  for (let i = 0; i < 4; i++) {
    peer.room++
    clock.pass(CADENCE.interval / 2)
  }
  assert.notEqual(peer.lostAt, null)
})

test('a paused peer is not judged for interval + timeout; then it is read, asked, and found dead', (t) => {
  const { clock, heartbeat } = world(t)
  const peer = new Fake(clock)
  heartbeat.watch(peer, CADENCE)
  peer.now = 'paused'
  peer.alive = false
  while (!peer.peeking && clock.ms < 20_000) clock.pass(SLOT)
  assert.ok(clock.ms >= CADENCE.interval + CADENCE.timeout)
  assert.ok(clock.ms <= CADENCE.interval * 2.5 + CADENCE.timeout)
  assert.equal(peer.lostAt, null)
  const peekedAt = clock.ms
  clock.pass(CADENCE.timeout + SLOT)
  assert.equal(peer.lostAt! - peekedAt, CADENCE.timeout)
})

test('a paused peer that answers when it is peeked at lives, and is paused again', (t) => {
  const { clock, heartbeat } = world(t)
  const peer = new Fake(clock)
  heartbeat.watch(peer, CADENCE)
  peer.now = 'paused'
  let peeks = 0
  t.mock.method(peer, 'peek', (on: boolean) => { peer.peeking = on; if (on) peeks++; return true })
  clock.pass(20 * CADENCE.interval)
  assert.equal(peer.lostAt, null)
  assert.ok(peeks >= 2)
  while (peer.peeking) clock.pass(SLOT)
})

test('a paused peer that cannot be looked at is not judged, and is still asked', (t) => {
  const { clock, heartbeat } = world(t)
  const peer = new Fake(clock)
  heartbeat.watch(peer, CADENCE)
  peer.now = 'paused'
  peer.alive = false
  t.mock.method(peer, 'peek', () => false)
  clock.pass(20 * CADENCE.interval)
  assert.equal(peer.lostAt, null)
  assert.ok(peer.asks.length >= 10)
})

test('a peer that is protected is never lost, paused or not, and is still asked', (t) => {
  const { clock, heartbeat, counts } = world(t)
  const [open, paused] = [new Fake(clock), new Fake(clock)]
  paused.now = 'paused'
  for (const peer of [open, paused]) {
    peer.alive = false
    peer.protected = true
    heartbeat.watch(peer, CADENCE)
  }
  clock.pass(30 * CADENCE.interval)
  for (const peer of [open, paused]) {
    assert.equal(peer.lostAt, null)
    assert.ok(peer.asks.length >= 5)
  }
  assert.equal(paused.peeking, false)
  assert.equal(counts.lost, 0)
  open.protected = false
  clock.pass(CADENCE.interval + 2 * CADENCE.timeout)
  assert.notEqual(open.lostAt, null)
})

test('a peer that is closing is told so, is not asked, and does not count as lost', (t) => {
  const { clock, heartbeat, counts } = world(t)
  const [watched, unwatched] = [new Fake(clock), new Fake(clock)]
  heartbeat.watch(watched, CADENCE)
  heartbeat.watch(unwatched, null)
  clock.pass(100)
  watched.now = unwatched.now = 'closing'
  clock.pass(CADENCE.interval / 2 + 2 * SLOT)
  assert.ok(watched.closingAt !== null && unwatched.closingAt !== null)
  clock.pass(10 * CADENCE.interval)
  assert.deepEqual([watched.lostAt, unwatched.lostAt], [null, null])
  assert.equal(counts.lost, 0)
  assert.deepEqual(unwatched.asks, [])
})

test('a peer that begins to close while it is overdue is told so, not lost', (t) => {
  const here = world(t)
  const peer = whenOverdue(here, (_pulse, peer) => { peer.now = 'closing' })
  assert.equal(peer.lostAt, null)
  here.clock.pass(SLOT)
  assert.notEqual(peer.closingAt, null)
  here.clock.pass(10 * CADENCE.interval)
  assert.equal(peer.lostAt, null)
  assert.equal(here.counts.lost, 0)
})

test('a peer that is overdue is judged behind the poll phase, and lost', (t) => {
  const peer = whenOverdue(world(t), () => {})
  assert.notEqual(peer.lostAt, null)
})

test('a peer that is forgotten while it is overdue is not lost', (t) => {
  const here = world(t)
  const peer = whenOverdue(here, (pulse) => { here.heartbeat.forget(pulse) })
  here.clock.pass(10_000)
  assert.equal(peer.lostAt, null)
})

test('a sweep leaves alone who is paused or closing', (t) => {
  const { clock, heartbeat } = world(t)
  const peers = [new Fake(clock), new Fake(clock)]
  peers[0]!.now = 'paused'
  peers[1]!.now = 'closing'
  const pulses = peers.map((peer) => heartbeat.watch(peer, null))
  for (let i = 0; i < 5; i++) {
    clock.pass(SLOT)
    assert.equal(heartbeat.sweep(pulses, SLOT).size, 0)
  }
  assert.deepEqual(peers.map(({ asks }) => asks.length), [0, 0])
})

test('a sweep after a stall asks anew before it gives anybody back', (t) => {
  const { clock, heartbeat } = world(t)
  const peer = new Fake(clock)
  peer.alive = false
  const pulses = [heartbeat.watch(peer, null)]
  clock.pass(SLOT)
  heartbeat.sweep(pulses, 20)
  heartbeat.sweep(pulses, 20)
  clock.stall(60_000)
  clock.pass(SLOT)
  assert.equal(heartbeat.sweep(pulses, 20).size, 0)
  assert.equal(peer.asks.length, 2)
  clock.pass(2 * SLOT)
  assert.equal(heartbeat.sweep(pulses, 20).size, 1)
})

test('two sweeps with much work between them in one turn give nobody back: the loop has read nothing since the first', (t) => {
  const { clock, heartbeat } = world(t)
  const peer = new Fake(clock)
  const pulses = [heartbeat.watch(peer, null)]
  clock.pass(SLOT)
  heartbeat.sweep(pulses, 500)
  heartbeat.sweep(pulses, 500)
  // No timer fires meanwhile.
  clock.ms += 2000
  assert.equal(heartbeat.sweep(pulses, 500).size, 0)
  clock.pass(600)
  assert.equal(heartbeat.sweep(pulses, 500).size, 0)
})

test('a peer that is heard, but takes nothing of what waits for stallTimeout, is stalled; also without a cadence', (t) => {
  const { clock, heartbeat, wheel } = world(t)
  for (const cadence of [CADENCE, null]) {
    const peer = new Fake(clock)
    const since = clock.ms
    peer.buffered = 1
    // Where nobody is pinged nothing is ever confirmed.
    if (cadence === null) peer.ahead = 100_000_000
    const pulse = heartbeat.watch(peer, cadence)
    clock.pass(STALL - 2 * SLOT)
    assert.equal(peer.stalledAt, null)
    clock.pass(CADENCE.interval)
    const period = cadence === null ? CLOSE : CADENCE.interval / 2
    assert.notEqual(peer.stalledAt, null)
    assert.ok(peer.stalledAt! - since <= STALL + 2 * period + SLOT, `${peer.stalledAt! - since} ms`)
    assert.equal(peer.lostAt, null)
    heartbeat.forget(pulse)
  }
  assert.equal(wheel.stalls, 0)
})

test('a peer that takes something now and then, or for whom nothing waits in between, is not stalled', (t) => {
  const { clock, heartbeat } = world(t)
  const [slow, quick] = [new Fake(clock), new Fake(clock)]
  for (const peer of [slow, quick]) {
    peer.buffered = 1
    heartbeat.watch(peer, CADENCE)
  }
  for (let i = 0; i < 10; i++) {
    clock.pass(STALL - CADENCE.interval)
    slow.room++
    quick.buffered = 0
    clock.pass(CADENCE.interval)
    quick.buffered = 1
  }
  assert.deepEqual([slow.stalledAt, quick.stalledAt], [null, null])
})

test('a peer that is silent and takes nothing is lost, not stalled', (t) => {
  const { clock, heartbeat } = world(t)
  const peer = new Fake(clock)
  peer.alive = false
  peer.buffered = 1
  peer.unconfirmed = 100_000
  heartbeat.watch(peer, CADENCE)
  clock.pass(10_000)
  assert.equal(peer.stalledAt, null)
  assert.notEqual(peer.lostAt, null)
})

test('a ping that waits for us runs no clock: the time to answer begins when it was written', (t) => {
  const { clock, heartbeat } = world(t)
  const peer = new Fake(clock)
  peer.alive = false
  peer.inside = true
  heartbeat.watch(peer, CADENCE)
  clock.pass(20 * CADENCE.interval)
  assert.equal(peer.lostAt, null)
  peer.inside = false
  const writtenAt = peer.writtenAt = clock.ms
  clock.pass(CADENCE.timeout - SLOT)
  assert.equal(peer.lostAt, null)
  clock.pass(2 * SLOT)
  assert.notEqual(peer.lostAt, null)
  assert.ok(peer.lostAt! - writtenAt <= CADENCE.timeout + SLOT, `${peer.lostAt! - writtenAt} ms`)
})

test('what waits for the peer in one piece has stallTimeout for each 96 KiB of it, whether the peer talks or not', (t) => {
  const { clock, heartbeat } = world(t)
  const [talks, silent] = [new Fake(clock), new Fake(clock)]
  silent.alive = false
  for (const peer of [talks, silent]) {
    peer.buffered = peer.unconfirmed = peer.ahead = 4 * 96 * 1024
    heartbeat.watch(peer, CADENCE)
  }
  clock.pass(4 * STALL - 2 * SLOT)
  assert.deepEqual([talks.stalledAt, silent.lostAt], [null, null])
  clock.pass(CADENCE.interval + SLOT)
  assert.notEqual(talks.stalledAt, null)
  assert.notEqual(silent.lostAt, null)
})

test('a silent peer is found stallTimeout after it last took something, however much is on the way behind its next ping', (t) => {
  const { clock, heartbeat } = world(t)
  const peer = new Fake(clock)
  heartbeat.watch(peer, CADENCE)
  clock.pass(CADENCE.interval)
  const since = clock.ms
  peer.alive = false
  peer.buffered = peer.ahead = 64 * 1024
  peer.unconfirmed = 30 << 20
  clock.pass(STALL + CADENCE.interval)
  assert.notEqual(peer.lostAt, null)
  assert.ok(peer.lostAt! - since <= STALL + CADENCE.interval / 2 + SLOT, `${peer.lostAt! - since} ms`)
})

test('a silent peer that takes nothing of what waits is found, though its ping waits for us', (t) => {
  const { clock, heartbeat } = world(t)
  const peer = new Fake(clock)
  peer.alive = false
  peer.inside = true
  peer.buffered = 64 * 1024
  heartbeat.watch(peer, CADENCE)
  clock.pass(STALL + CADENCE.interval)
  assert.notEqual(peer.lostAt, null)
})

test('a peer on a line of 32 kbit/s is left alone while it is on its way to its next ping, little though waits in sight, whether it talks or not', (t) => {
  const { clock, heartbeat } = world(t)
  const [talks, silent] = [new Fake(clock), new Fake(clock)]
  silent.alive = false
  // As the marks lie behind 24 open ones; and a line as slow for these times as 32 kbit/s is for 30 s.
  const gap = 256 * 1024
  for (const peer of [talks, silent]) {
    peer.buffered = 64 * 1024
    peer.ahead = peer.unconfirmed = gap
    heartbeat.watch(peer, CADENCE)
  }
  for (let i = 0; i < 5; i++) {
    clock.pass(gap / 4 * STALL / 30_000)
    assert.deepEqual([talks.stalledAt, silent.lostAt, silent.stalledAt], [null, null, null])
    for (const peer of [talks, silent]) {
      peer.bytesHeard += 14
      peer.room += gap
    }
  }
  clock.pass(gap / 96 / 1024 * STALL + 2 * CADENCE.interval)
  assert.notEqual(talks.stalledAt, null)
  assert.notEqual(silent.lostAt, null)
})

test('a stall that is long for one peer is none for its neighbour: each is found within its own bound', (t) => {
  const clock = new Clock(t)
  const wheel = new Wheel(SLOT, clock.now, 2_500)
  const heartbeat = new Heartbeat(wheel, { stallTimeout: STALL, closeTimeout: CLOSE }, new Counts(), clock.now)
  const [short, long] = [{ interval: 100, timeout: 80 }, { interval: 2000, timeout: 2000 }]
  const [hurried, patient, lively] = [new Fake(clock), new Fake(clock), new Fake(clock)]
  heartbeat.watch(hurried, short)
  heartbeat.watch(patient, long)
  heartbeat.watch(lively, short)
  hurried.alive = patient.alive = false
  const blocked = 100
  // The loop is away for a tenth of a second, again and again.
  for (let i = 0; i < 200 && (hurried.lostAt === null || patient.lostAt === null); i++) {
    clock.stall(blocked)
    clock.pass(SLOT, 1)
  }
  assert.equal(lively.lostAt, null)
  assert.ok(patient.lostAt !== null && hurried.lostAt !== null)
  assert.notEqual(patient.lostAt, null)
  assert.ok(patient.lostAt! <= long.interval + long.timeout + blocked + 2 * SLOT, `${patient.lostAt} ms`)
  // Three fresh pings, each with its full time.
  assert.notEqual(hurried.lostAt, null)
  assert.ok(hurried.lostAt! <= short.interval + 4 * (short.timeout + blocked + SLOT) + 2 * SLOT, `${hurried.lostAt} ms`)
  heartbeat.stop()
  wheel.stop()
})

test('the shorter allowance is never for more than 64 KiB, however long the timeout', (t) => {
  const clock = new Clock(t)
  const wheel = new Wheel(SLOT, clock.now)
  const heartbeat = new Heartbeat(wheel, { stallTimeout: 90_000, closeTimeout: CLOSE }, new Counts(), clock.now)
  const cadence = { interval: 1000, timeout: 20_000 }
  const [little, much] = [new Fake(clock), new Fake(clock)]
  little.unconfirmed = 64 * 1024
  much.unconfirmed = 64 * 1024 + 1
  for (const peer of [little, much]) {
    peer.alive = false
    heartbeat.watch(peer, cadence)
  }
  clock.pass(100_000)
  assert.equal(little.lostAt! - little.asks[0]!, 20_000)
  assert.equal(much.lostAt! - (much.asks[0]! - cadence.interval / 2), 90_000)
  heartbeat.stop()
  wheel.stop()
})

test('a sign of life gives back the fresh pings that stalls have cost', (t) => {
  const { clock, heartbeat } = world(t)
  const peer = new Fake(clock)
  peer.alive = false
  heartbeat.watch(peer, CADENCE)
  for (let round = 0; round < 3; round++) {
    const pings = peer.asks.length
    while (peer.asks.length === pings) clock.pass(SLOT)
    for (let i = 0; i < 3; i++) {
      clock.stall(60_000)
      clock.pass(CADENCE.timeout - 3 * SLOT)
    }
    assert.equal(peer.lostAt, null)
    peer.bytesHeard++
    clock.pass(CADENCE.interval / 2)
  }
})

test('a suspect whose reading is paused is not judged for what it was suspected of before', (t) => {
  const { clock, heartbeat } = world(t)
  const peer = new Fake(clock)
  heartbeat.watch(peer, CADENCE)
  peer.alive = false
  while (peer.asks.length === 0) clock.pass(SLOT)
  peer.now = 'paused'
  clock.pass(CADENCE.interval)
  peer.now = 'reading'
  const pings = peer.asks.length
  // It is asked anew, and has its full timeout.
  while (peer.asks.length === pings && peer.lostAt === null) clock.pass(SLOT)
  assert.equal(peer.lostAt, null)
  clock.pass(CADENCE.timeout - SLOT)
  assert.equal(peer.lostAt, null)
})

test('a suspect whose reading is paused in the moment of the judgement is not lost', (t) => {
  const { clock, heartbeat } = world(t)
  const peer = whenOverdue({ clock, heartbeat }, (_pulse, peer) => { peer.now = 'paused' })
  assert.equal(peer.lostAt, null)
  clock.pass(SLOT)
  assert.equal(peer.lostAt, null)
})

test('slots that become shorter in the very moment of the judgement are those of who is judged, too', (t) => {
  const { clock, wheel, heartbeat } = world(t, 1000)
  let lookedAt = -1
  class Watched extends Fake {
    override phase (): 'reading' | 'paused' | 'closing' {
      lookedAt = clock.ms
      return super.phase()
    }
  }
  const peer = new Watched(clock)
  peer.alive = false
  const pulse = heartbeat.watch(peer, CADENCE)
  while (peer.asks.length === 0) clock.pass(SLOT)
  let refinedAt = -1
  clock.poll = () => {
    // It is to be judged behind this poll phase; something begins to wait now, and stays.
    if (lookedAt !== clock.ms || refinedAt >= 0 || clock.ms <= peer.asks[0]!) return
    refinedAt = clock.ms
    peer.bytesHeard++
    const before = wheel.slot - pulse.pinged
    wheel.refine(SLOT)
    assert.equal(wheel.slot - pulse.pinged >= 100 * before, true)
    assert.ok(wheel.slot - pulse.pinged < 100 * (before + 1), `${before} turns became ${wheel.slot - pulse.pinged}`)
  }
  for (let i = 0; i < 500; i++) clock.pass(SLOT)
  clock.poll = () => {}
  assert.ok(refinedAt >= 0)
})
