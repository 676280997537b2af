import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Heartbeat } from '../../../src/core/heartbeat.js'
import { Entry, Wheel } from '../../../src/core/time/wheel.js'
import { Clock } from '../clock.js'
import { CADENCE, Counts, Fake, SLOT, STALL, whenOverdue, world } from './peer.js'
import { share } from '../../support/proof.js'

test('a live peer that answers is never lost, stalls or not', (t) => {
  fc.assert(fc.property(
    fc.integer({ min: 40, max: 2000 }), fc.integer({ min: 40, max: 2000 }), fc.array(fc.tuple(fc.integer({ min: 1, max: 3000 }), fc.integer({ min: 0, max: 20_000 })), { maxLength: 12 }),
    (interval, timeout, stalls) => {
      const clock = new Clock(t)
      const wheel = new Wheel(SLOT, clock.now)
      const heartbeat = new Heartbeat(wheel, STALL, new Counts(), clock.now)
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

test('an answer may take as much longer as stallTimeout has 96 KiB before the question; for a ping or a few, no longer', (t) => {
  const { clock, heartbeat } = world(t)
  for (const [bytes, extra] of [[0, 0], [64, 0], [1024, STALL / 96], [32 * 1024, STALL / 3], [64 * 1024, 2 * STALL / 3], [4 * 96 * 1024, 4 * STALL]] as const) {
    const peer = new Fake(clock)
    peer.alive = false
    peer.ahead = bytes
    const pulse = heartbeat.watch(peer, CADENCE)
    clock.pass(40_000)
    assert.notEqual(peer.lostAt, null)
    assert.equal(peer.lostAt! - peer.asks[0]!, Math.ceil((CADENCE.timeout + extra) / SLOT) * SLOT, `${bytes} bytes`)
    heartbeat.forget(pulse)
  }
})

test('so it has from when it was asked, however long nobody had asked it', (t) => {
  const clock = new Clock(t)
  const wheel = new Wheel(250, clock.now)
  const heartbeat = new Heartbeat(wheel, 30_000, new Counts(), clock.now)
  const peer = new Fake(clock)
  peer.alive = false
  const cadence = { interval: 60_000, timeout: 10_000 }
  heartbeat.watch(peer, cadence)
  while (peer.asks.length === 0) clock.pass(250, 250)
  // At 32 kbit/s that takes it 15 s.
  peer.ahead = 60_000
  clock.pass(15_000 + 250, 250)
  assert.equal(peer.lostAt, null)
  peer.bytesHeard += 14
  peer.ahead = 0
  clock.pass(20_000, 250)
  assert.equal(peer.lostAt, null)
  heartbeat.stop()
  wheel.stop()
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
  peer.stopped = true
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
  peer.stopped = true
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
  peer.stopped = true
  peer.alive = false
  t.mock.method(peer, 'peek', () => false)
  clock.pass(20 * CADENCE.interval)
  assert.equal(peer.lostAt, null)
  assert.ok(peer.asks.length >= 10)
})

test('a peer that is protected is never lost, paused or not, and is still asked', (t) => {
  const { clock, heartbeat, counts } = world(t)
  const [open, paused] = [new Fake(clock), new Fake(clock)]
  paused.stopped = true
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

test('a peer that is forgotten while it is asked is not watched again', (t) => {
  const { clock, wheel, heartbeat } = world(t)
  class Closes extends Fake {
    override beat (): number {
      heartbeat.forget(pulse)
      return super.beat()
    }
  }
  const peer = new Closes(clock)
  peer.alive = false
  const pulse = heartbeat.watch(peer, CADENCE)
  clock.pass(10 * CADENCE.interval)
  assert.deepEqual([peer.asks.length, peer.lostAt, wheel.running], [1, null, false])
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

test('a sweep leaves alone who is paused or was forgotten', (t) => {
  const { clock, heartbeat } = world(t)
  const peers = [new Fake(clock), new Fake(clock)]
  peers[0]!.stopped = true
  const pulses = peers.map((peer) => heartbeat.watch(peer, null))
  heartbeat.forget(pulses[1]!)
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

for (const timeout of [500, 40, 1]) {
  test(`two sweeps with much work between them in one turn of the loop give nobody back, with ${timeout} ms to answer: nothing was read since the first`, (t) => {
    const { clock, heartbeat } = world(t)
    const peer = new Fake(clock)
    const pulses = [heartbeat.watch(peer, null)]
    clock.pass(SLOT)
    heartbeat.sweep(pulses, timeout)
    heartbeat.sweep(pulses, timeout)
    // No timer fires meanwhile.
    clock.ms += 2000
    assert.equal(heartbeat.sweep(pulses, timeout).size, 0)
    clock.pass(600)
    assert.equal(heartbeat.sweep(pulses, timeout).size, 0)
  })
}

test('a sweep at any moment, of a loop that stalls at any moment, never gives back a peer whose answer is there to be read', (t) => {
  const moments = ['timers', 'poll', 'behind'] as const
  fc.assert(fc.property(
    fc.integer({ min: 1, max: 600 }), fc.array(fc.record({ calm: fc.constantFrom(0, SLOT, 3 * SLOT, 300), stall: fc.integer({ min: 0, max: 3000 }), moment: fc.constantFrom(...moments) }), { maxLength: 20 }),
    (timeout, steps) => {
      const clock = new Clock(t)
      const wheel = new Wheel(SLOT, clock.now)
      const heartbeat = new Heartbeat(wheel, STALL, new Counts(), clock.now)
      const peer = new Fake(clock)
      peer.alive = false
      const pulses = [heartbeat.watch(peer, null)]
      const given: number[] = []
      const sweep = (): void => { if (heartbeat.sweep(pulses, timeout).size > 0) given.push(clock.ms) }
      const work = (ms: number): void => {
        // Who was heard since the last one is asked by the second.
        sweep()
        sweep()
        clock.ms += ms
        sweep()
      }
      class Sweeper extends Entry {
        readonly #ms: number
        constructor (ms: number) { super(); this.#ms = ms }
        override due (): void { work(this.#ms) }
      }
      let answered = 0
      // The peer answers at once; its answers lie in the kernel until the loop polls.
      const read = (): void => {
        peer.bytesHeard += 10 * (peer.asks.length - answered)
        answered = peer.asks.length
      }
      clock.poll = read
      for (const { calm, stall, moment } of steps) {
        clock.pass(calm)
        if (moment === 'behind') work(stall)
        if (moment === 'timers') wheel.wait(new Sweeper(stall), 1)
        // Half of what is ready was read.
        if (moment === 'poll') clock.poll = () => { work(stall); read(); clock.poll = read }
      }
      clock.pass(SLOT)
      heartbeat.stop()
      wheel.stop()
      assert.deepEqual(given, [])
    }
  ), { numRuns: 300, seed: 12 })
})

test('a sweep in a slot gives nobody back of whom the loop has read nothing since they were asked', (t) => {
  const { clock, heartbeat, wheel } = world(t)
  const peer = new Fake(clock)
  peer.alive = false
  const pulses = [heartbeat.watch(peer, null)]
  clock.pass(SLOT)
  heartbeat.sweep(pulses, 1)
  assert.equal(heartbeat.sweep(pulses, 1).size, 0)
  assert.equal(peer.asks.length, 1)
  const given: number[] = []
  class Sweeper extends Entry { override due (): void { given.push(heartbeat.sweep(pulses, 1).size) } }
  wheel.wait(new Sweeper(), 1)
  clock.poll = () => { peer.bytesHeard += 10 }
  clock.pass(SLOT)
  assert.deepEqual(given, [0])
  assert.equal(heartbeat.sweep(pulses, 1).size, 0)
})

test('an app that sweeps only when it has blocked the loop finds the dead all the same', (t) => {
  const { clock, heartbeat } = world(t)
  const peer = new Fake(clock)
  peer.alive = false
  const pulses = [heartbeat.watch(peer, null)]
  clock.pass(SLOT)
  let sweeps = 0
  do {
    clock.stall(2000)
    clock.pass(SLOT)
  } while (heartbeat.sweep(pulses, 500).size === 0 && ++sweeps < 20)
  // The first look, the first ping, three fresh ones.
  assert.ok(sweeps > 3 && sweeps <= 6, `${sweeps} sweeps`)
})

test('a peer that is heard, but takes nothing of what waits for stallTimeout, is stalled; also without a cadence', (t) => {
  const { clock, heartbeat, wheel } = world(t)
  for (const cadence of [CADENCE, null]) {
    const peer = new Fake(clock)
    const since = clock.ms
    peer.buffered = 1
    const pulse = heartbeat.watch(peer, cadence)
    clock.pass(STALL - 2 * SLOT)
    assert.equal(peer.stalledAt, null)
    clock.pass(CADENCE.interval)
    const period = cadence === null ? STALL / 4 : CADENCE.interval / 2
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
    peer.buffered = peer.ahead = 4 * 96 * 1024
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
  clock.pass(STALL + CADENCE.interval)
  assert.notEqual(peer.lostAt, null)
  assert.ok(peer.lostAt! - since <= STALL + CADENCE.interval / 2 + SLOT, `${peer.lostAt! - since} ms`)
})

test('a silent peer that takes nothing of what waits is stalled where it has time left to answer: its ping waits for us, or timeout is longer than stallTimeout', (t) => {
  const { clock, heartbeat } = world(t)
  const [unasked, patient] = [new Fake(clock), new Fake(clock)]
  unasked.inside = true
  for (const peer of [unasked, patient]) {
    peer.alive = false
    peer.buffered = 64 * 1024
  }
  heartbeat.watch(unasked, CADENCE)
  heartbeat.watch(patient, { interval: 1000, timeout: 3 * STALL })
  clock.pass(STALL + CADENCE.interval)
  for (const peer of [unasked, patient]) {
    assert.notEqual(peer.stalledAt, null)
    assert.equal(peer.lostAt, null)
  }
})

test('a protected peer that is silent and takes nothing of what waits is stalled all the same', (t) => {
  const { clock, heartbeat } = world(t)
  const peer = new Fake(clock)
  peer.alive = false
  peer.protected = true
  peer.buffered = 64 * 1024
  heartbeat.watch(peer, CADENCE)
  clock.pass(STALL + CADENCE.interval)
  assert.notEqual(peer.stalledAt, null)
  assert.equal(peer.lostAt, null)
})

test('a peer on a line of 32 kbit/s is left alone while it is on its way to its next ping, little though waits in sight, whether it talks or not', (t) => {
  const { clock, heartbeat } = world(t)
  const [talks, silent] = [new Fake(clock), new Fake(clock)]
  silent.alive = false
  // As the marks lie behind 24 open ones; and a line as slow for these times as 32 kbit/s is for 30 s.
  const gap = 256 * 1024
  for (const peer of [talks, silent]) {
    peer.buffered = 64 * 1024
    peer.ahead = gap
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
  const heartbeat = new Heartbeat(wheel, STALL, new Counts(), clock.now)
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
  assert.ok(patient.lostAt! <= long.interval + long.timeout + blocked + 2 * SLOT, `${patient.lostAt} ms`)
  // Three fresh pings, each with its full time.
  assert.ok(hurried.lostAt! <= short.interval + 4 * (short.timeout + blocked + SLOT) + 2 * SLOT, `${hurried.lostAt} ms`)
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
  peer.stopped = true
  clock.pass(CADENCE.interval)
  peer.stopped = false
  const pings = peer.asks.length
  // It is asked anew, and has its full timeout.
  while (peer.asks.length === pings && peer.lostAt === null) clock.pass(SLOT)
  assert.equal(peer.lostAt, null)
  clock.pass(CADENCE.timeout - SLOT)
  assert.equal(peer.lostAt, null)
})

test('a suspect whose reading is paused in the moment of the judgement is not lost', (t) => {
  const { clock, heartbeat } = world(t)
  const peer = whenOverdue({ clock, heartbeat }, (_pulse, peer) => { peer.stopped = true })
  assert.equal(peer.lostAt, null)
  clock.pass(SLOT)
  assert.equal(peer.lostAt, null)
})

test('slots that become shorter in the very moment of the judgement are those of who is judged, too', (t) => {
  const { clock, wheel, heartbeat } = world(t, 1000)
  let lookedAt = -1
  class Watched extends Fake {
    override get paused (): boolean {
      lookedAt = clock.ms
      return super.paused
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
