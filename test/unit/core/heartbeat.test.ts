import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Heartbeat } from '../../../src/core/heartbeat.js'
import { Wheel } from '../../../src/core/time/wheel.js'
import { Clock } from '../clock.js'
import { CADENCE, Counts, Fake, SLOT, STALL, whenOverdue, world } from './peer.js'
import { share } from '../../support/proof.js'

test('a peer that dies, at any moment, is found within interval + timeout + one slot, and was asked and had its timeout', (t) => {
  fc.assert(fc.property(
    fc.integer({ min: 40, max: 3000 }), fc.integer({ min: 10, max: 3000 }), fc.integer({ min: 0, max: 6000 }), fc.integer({ min: 1, max: 20 }), fc.integer({ min: 0, max: 5 }),
    (interval, timeout, dies, slot, before) => {
      const clock = new Clock(t)
      const wheel = new Wheel(slot, clock.now)
      const heartbeat = new Heartbeat(wheel, STALL, new Counts(), clock.now)
      // Others before it, so that it is not always in the same place of the wheel.
      for (let i = 0; i < before; i++) heartbeat.watch(new Fake(clock), null)
      const peer = new Fake(clock)
      heartbeat.watch(peer, { interval, timeout })
      clock.pass(dies, slot)
      assert.equal(peer.lostAt, null)
      // Its last word comes just before it dies.
      peer.alive = false
      peer.bytesHeard++
      const heardAt = clock.ms
      clock.pass(interval + timeout + slot, slot)
      assert.notEqual(peer.lostAt, null, 'not found in time')
      const asked = peer.asks.at(-1)!
      assert.ok(asked > heardAt, 'it was not asked after its last word')
      assert.ok(peer.lostAt! - asked >= timeout, 'it had no time to answer')
      heartbeat.stop()
      wheel.stop()
    }), { numRuns: share(700) })
})

test('a peer that dies at any phase of the interval is found in time', (t) => {
  const { clock, heartbeat } = world(t)
  const peers: Array<{ peer: Fake, at: number }> = []
  for (let i = 0; i < 100; i++) {
    const peer = new Fake(clock)
    heartbeat.watch(peer, CADENCE)
    peers.push({ peer, at: 3000 + i * 20 })
  }
  for (const { peer, at } of peers) {
    clock.pass(at - clock.ms)
    peer.bytesHeard++
    peer.alive = false
  }
  clock.pass(2000)
  for (const { peer, at } of peers) {
    assert.notEqual(peer.lostAt, null)
    assert.ok(peer.lostAt! - at <= CADENCE.interval + CADENCE.timeout + SLOT, `found after ${peer.lostAt! - at} ms`)
  }
})

test('a live peer whose answer waits unread when it comes due is heard before it is judged', (t) => {
  const { clock, heartbeat } = world(t)
  const peer = whenOverdue({ clock, heartbeat }, (_pulse, peer) => { peer.bytesHeard++ })
  assert.equal(peer.lostAt, null)
})

test('a peer that is heard all the time is pinged once an interval all the same: to keep the way open, and to know what has arrived', (t) => {
  const { clock, heartbeat, counts } = world(t)
  const peer = new Fake(clock)
  heartbeat.watch(peer, CADENCE)
  for (let i = 0; i < 1000; i++) {
    peer.bytesHeard++
    clock.pass(SLOT)
  }
  const intervals = 1000 * SLOT / CADENCE.interval
  assert.ok(Math.abs(counts.pings - intervals) <= 1, `${counts.pings} pings in ${intervals} intervals`)
})

test('the pings of many silent peers are spread over the interval', (t) => {
  const { clock, heartbeat, counts } = world(t)
  for (let i = 0; i < 500; i++) heartbeat.watch(new Fake(clock), CADENCE)
  clock.pass(10_000)
  let most = 0
  for (let i = 0; i < 100; i++) {
    const before = counts.pings
    clock.pass(SLOT)
    most = Math.max(most, counts.pings - before)
  }
  // 500 peers over at most 100 slots; evenly it would be 5 to 10 a slot.
  assert.ok(most <= 20, `${most} pings in one slot`)
})

test('without a cadence nobody is asked or lost', (t) => {
  const { clock, heartbeat, counts } = world(t)
  const peer = new Fake(clock)
  peer.alive = false
  heartbeat.watch(peer, null)
  clock.pass(60_000)
  assert.deepEqual(peer.asks, [])
  assert.equal(peer.lostAt, null)
  assert.deepEqual({ ...counts }, { pings: 0, lost: 0 })
})

test('who is forgotten is neither asked nor lost, and the wheel stops with the last', (t) => {
  const { clock, heartbeat, wheel } = world(t)
  const peer = new Fake(clock)
  peer.alive = false
  const pulse = heartbeat.watch(peer, CADENCE)
  heartbeat.forget(pulse)
  clock.pass(10_000)
  assert.deepEqual([peer.asks, peer.lostAt, wheel.running], [[], null, false])
})

test('after a stop nobody is lost', (t) => {
  const here = world(t)
  const peer = whenOverdue(here, () => { here.heartbeat.stop(); here.wheel.stop() })
  here.clock.pass(10_000)
  assert.equal(peer.lostAt, null)
})

test('when the peer was last heard is known to half an interval', (t) => {
  const { clock, heartbeat } = world(t)
  const peer = new Fake(clock)
  const pulse = heartbeat.watch(peer, CADENCE)
  for (let i = 0; i < 50; i++) {
    clock.pass(130)
    peer.bytesHeard++
    assert.ok(clock.ms - pulse.seenAt <= CADENCE.interval / 2 + SLOT)
  }
})

for (const cadence of [CADENCE, null]) {
  test(`a sweep asks the silent, and the next one gives back who stayed silent for the timeout (heartbeat ${cadence === null ? 'off' : 'on'})`, (t) => {
    const { clock, heartbeat } = world(t)
    const [alive, dead, young] = [new Fake(clock), new Fake(clock), new Fake(clock)]
    const pulses = [alive, dead].map((peer) => heartbeat.watch(peer, cadence))
    dead.alive = false
    clock.pass(SLOT)
    assert.equal(heartbeat.sweep(pulses, 300).size, 0)
    assert.equal(heartbeat.sweep(pulses, 300).size, 0)
    assert.deepEqual([alive, dead].map(({ asks }) => asks.length), [1, 1])
    clock.pass(290)
    pulses.push(heartbeat.watch(young, cadence))
    assert.equal(heartbeat.sweep(pulses, 300).size, 0)
    clock.pass(cadence === null ? SLOT : CADENCE.timeout - 290)
    if (cadence === null) assert.deepEqual([...heartbeat.sweep(pulses, 300)], [pulses[1]])
    assert.equal(alive.lostAt, null)
    assert.equal(young.lostAt, null)
  })
}

test('losing a peer is counted, and told to it', (t) => {
  const { clock, heartbeat, counts } = world(t)
  const peer = new Fake(clock)
  heartbeat.lose(heartbeat.watch(peer, CADENCE))
  assert.notEqual(peer.lostAt, null)
  assert.equal(counts.lost, 1)
})

test('slots that become shorter under way change nothing for those who are watched: each dies in time, and not sooner', (t) => {
  fc.assert(fc.property(fc.integer({ min: 0, max: 5000 }), fc.integer({ min: 0, max: 5000 }), fc.integer({ min: 3, max: 60 }), (dies, refines, finer) => {
    const clock = new Clock(t)
    const wheel = new Wheel(100, clock.now)
    const heartbeat = new Heartbeat(wheel, STALL, new Counts(), clock.now)
    const peer = new Fake(clock)
    const [living, slow] = [new Fake(clock), new Fake(clock)]
    heartbeat.watch(living, { interval: 2000, timeout: 1000 })
    heartbeat.watch(peer, { interval: 2000, timeout: 1000 })
    slow.buffered = 1
    heartbeat.watch(slow, { interval: 2000, timeout: 1000 })
    for (const [at, act] of [[dies, () => { peer.alive = false }], [refines, () => { wheel.refine(finer) }]].toSorted(([a], [b]) => (a as number) - (b as number)) as Array<[number, () => void]>) {
      clock.pass(at - clock.ms, 1)
      act()
    }
    clock.pass(Math.max(0, dies + 3500 - clock.ms), 1)
    // Its last answer may have come just before.
    assert.ok(peer.lostAt !== null && peer.lostAt <= dies + 3000 + 100 + 2, `died at ${dies}, found at ${peer.lostAt}`)
    assert.ok(peer.lostAt - peer.asks.at(-1)! >= 1000 - 1, 'it had no time to answer')
    assert.equal(living.lostAt, null)
    assert.equal(slow.lostAt, null)
    assert.ok(slow.stalledAt === null || slow.stalledAt >= STALL - 1, `stalled at ${slow.stalledAt}`)
    heartbeat.stop()
    wheel.stop()
  }), { numRuns: 60 })
})

test('a sweep before the first slot of the wheel is over counts', () => {
  const wheel = new Wheel(10)
  const heartbeat = new Heartbeat(wheel, 3_000, new Counts())
  let asks = 0
  const wire = { deaf: false, heard: () => 0, advance: () => 0, span: () => 0, waiting: () => 0, paused: false, beat: () => ++asks, beatenAt: () => NaN, peek: () => false }
  const peer = { wire, protected: false, lost () {}, stalled () {} }
  const pulses = [heartbeat.watch(peer, null)]
  heartbeat.sweep(pulses, 100)
  heartbeat.sweep(pulses, 100)
  heartbeat.sweep(pulses, 100)
  wheel.stop()
  assert.equal(asks, 1)
})

test('everybody is pinged at least once an interval, whenever they speak and however short the time to answer', (t) => {
  const { clock, heartbeat } = world(t)
  for (const timeout of [50, 400, 900]) {
    const peers = Array.from({ length: 5 }, () => new Fake(clock))
    const pulses = peers.map((peer) => heartbeat.watch(peer, { interval: 1000, timeout }))
    // Some speak between their pings, at odd times.
    for (let i = 0; i < 3000; i++) {
      clock.pass(SLOT)
      if (i % 37 === 0) peers[0]!.bytesHeard++
      if (i % 111 === 0) peers[1]!.bytesHeard++
    }
    for (const { asks, lostAt } of peers) {
      assert.equal(lostAt, null)
      for (const [i, at] of asks.entries()) if (i > 0) assert.ok(at - asks[i - 1]! <= 1000 + SLOT, `${at - asks[i - 1]!} ms, with ${timeout} to answer`)
    }
    for (const pulse of pulses) heartbeat.forget(pulse)
  }
})
