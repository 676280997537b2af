import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import fc from 'fast-check'
import { Heartbeat } from '../../../src/core/heartbeat.js'
import type { Cadence, Peer, Pulse } from '../../../src/core/heartbeat.js'
import { Wheel } from '../../../src/core/wheel.js'
import { Clock } from '../clock.js'

const SLOT = 10
const CADENCE: Cadence = { interval: 1000, timeout: 500 }
const STALL = 3000
const CLOSE = 200

/** A peer in ten lines: it answers while it is alive. */
class Fake implements Peer {
  alive = true
  bytesHeard = 0
  bytesWritten = 0
  room = 0
  waiting = 0
  now: 'reading' | 'paused' | 'closing' = 'reading'
  protected = false
  peeking = false
  lostAt: number | null = null
  readonly askedAt: number[] = []
  readonly clock: Clock

  constructor (clock: Clock) { this.clock = clock }

  heard (): number { return this.bytesHeard }
  written (): number { return this.bytesWritten }
  progress (): number { return this.room }
  backlog (): number { return this.waiting }
  phase (): Fake['now'] { return this.now === 'paused' && this.peeking ? 'reading' : this.now }
  peek (on: boolean): void { this.peeking = on }
  lost (): void { this.lostAt = this.clock.ms }

  ask (): void {
    this.askedAt.push(this.clock.ms)
    this.bytesWritten += 10
    // A paused peer answers too, but nobody reads it.
    if (this.alive && this.phase() === 'reading') setTimeout(() => { this.bytesHeard += 10 }, 1)
  }
}

interface World { clock: Clock, wheel: Wheel, heartbeat: Heartbeat, counts: { pings: number, lost: number } }

function world (t: TestContext, slot = SLOT): World {
  const clock = new Clock(t)
  const wheel = new Wheel(slot, clock.now)
  const counts = { pings: 0, lost: 0 }
  const heartbeat = new Heartbeat(wheel, { stallTimeout: STALL, closeTimeout: CLOSE }, counts, clock.now)
  t.after(() => { heartbeat.stop(); wheel.stop() })
  return { clock, wheel, heartbeat, counts }
}

/** Brings a dead peer to where it is overdue, and does something in the poll phase before the judgement. */
function whenOverdue ({ clock, heartbeat }: Pick<World, 'clock' | 'heartbeat'>, act: (pulse: Pulse, peer: Fake) => void): Fake {
  const peer = new Fake(clock)
  peer.alive = false
  const pulse = heartbeat.watch(peer, CADENCE)
  while (peer.askedAt.length === 0) clock.pass(SLOT)
  clock.pass(CADENCE.timeout - SLOT)
  clock.poll = () => { act(pulse, peer) }
  clock.pass(SLOT)
  clock.poll = () => {}
  return peer
}

test('a peer that dies, at any moment, is found within interval + timeout + one slot, and was asked and had its timeout', (t) => {
  fc.assert(fc.property(
    fc.integer({ min: 40, max: 3000 }), fc.integer({ min: 10, max: 3000 }), fc.integer({ min: 0, max: 6000 }), fc.integer({ min: 1, max: 20 }), fc.integer({ min: 0, max: 5 }),
    (interval, timeout, dies, slot, before) => {
      const clock = new Clock(t)
      const wheel = new Wheel(slot, clock.now)
      const heartbeat = new Heartbeat(wheel, { stallTimeout: STALL, closeTimeout: CLOSE }, { pings: 0, lost: 0 }, clock.now)
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
      const asked = peer.askedAt.at(-1)!
      assert.ok(asked > heardAt, 'it was not asked after its last word')
      assert.ok(peer.lostAt! - asked >= timeout, 'it had no time to answer')
      heartbeat.stop()
      wheel.stop()
    }), { numRuns: 150 })
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

test('a live peer that answers is never lost, stalls or not', (t) => {
  fc.assert(fc.property(
    fc.integer({ min: 40, max: 2000 }), fc.integer({ min: 40, max: 2000 }), fc.array(fc.tuple(fc.integer({ min: 1, max: 3000 }), fc.integer({ min: 0, max: 20_000 })), { maxLength: 12 }),
    (interval, timeout, stalls) => {
      const clock = new Clock(t)
      const wheel = new Wheel(SLOT, clock.now)
      const heartbeat = new Heartbeat(wheel, { stallTimeout: STALL, closeTimeout: CLOSE }, { pings: 0, lost: 0 }, clock.now)
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
    }), { numRuns: 50 })
})

test('a live peer whose answer waits unread when it comes due is heard before it is judged', (t) => {
  const { clock, heartbeat } = world(t)
  const peer = whenOverdue({ clock, heartbeat }, (_pulse, peer) => { peer.bytesHeard++ })
  assert.equal(peer.lostAt, null)
})

test('after a stall a suspect gets a fresh ping and a full timeout', (t) => {
  const { clock, heartbeat } = world(t)
  const peer = new Fake(clock)
  peer.alive = false
  heartbeat.watch(peer, CADENCE)
  while (peer.askedAt.length === 0) clock.pass(SLOT)
  clock.pass(SLOT)
  clock.stall(60_000)
  assert.equal(peer.lostAt, null)
  const pings = peer.askedAt.length
  while (peer.askedAt.length === pings) clock.pass(SLOT)
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
  while (peer.askedAt.length === 0) clock.pass(SLOT)
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
  for (let i = 0; i < 2000 && peer.lostAt === null; i++) clock.stall(5 * SLOT)
  assert.notEqual(peer.lostAt, null)
  assert.equal(wheel.stalls, wheel.turn)
  assert.equal(peer.askedAt.length, 1 + 3)
})

test('a live peer in a process that always stalls is asked, answers, and lives', (t) => {
  const { clock, heartbeat } = world(t)
  const peer = new Fake(clock)
  heartbeat.watch(peer, CADENCE)
  for (let i = 0; i < 2000; i++) clock.stall(5 * SLOT)
  assert.equal(peer.lostAt, null)
})

test('with more on the way than a line of 32 kbit/s carries in timeout, an answer may take stallTimeout', (t) => {
  const { clock, heartbeat } = world(t)
  const [little, much] = [new Fake(clock), new Fake(clock)]
  little.waiting = 4 * CADENCE.timeout
  much.waiting = 4 * CADENCE.timeout + 1
  for (const peer of [little, much]) {
    peer.alive = false
    heartbeat.watch(peer, CADENCE)
  }
  clock.pass(20_000)
  assert.equal(little.lostAt! - little.askedAt[0]!, CADENCE.timeout)
  assert.equal(much.lostAt! - much.askedAt[0]!, STALL)
})

test('a peer that makes room is alive, though it says nothing', (t) => {
  const { clock, heartbeat } = world(t)
  const peer = new Fake(clock)
  peer.alive = false
  heartbeat.watch(peer, CADENCE)
  for (let i = 0; i < 40; i++) {
    peer.room++
    clock.pass(CADENCE.interval)
  }
  assert.equal(peer.lostAt, null)
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
  t.mock.method(peer, 'peek', (on: boolean) => { peer.peeking = on; if (on) peeks++ })
  clock.pass(20 * CADENCE.interval)
  assert.equal(peer.lostAt, null)
  assert.ok(peeks >= 2)
  while (peer.peeking) clock.pass(SLOT)
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
    assert.ok(peer.askedAt.length >= 5)
  }
  assert.equal(paused.peeking, false)
  assert.equal(counts.lost, 0)
  open.protected = false
  clock.pass(CADENCE.interval + 2 * CADENCE.timeout)
  assert.notEqual(open.lostAt, null)
})

test('a peer that is closing is seen out after closeTimeout, is not asked, and does not count as lost', (t) => {
  const { clock, heartbeat, counts } = world(t)
  const [watched, unwatched] = [new Fake(clock), new Fake(clock)]
  heartbeat.watch(watched, CADENCE)
  heartbeat.watch(unwatched, null)
  clock.pass(100)
  watched.now = unwatched.now = 'closing'
  clock.pass(CLOSE - SLOT)
  assert.deepEqual([watched.lostAt, unwatched.lostAt], [null, null])
  clock.pass(CADENCE.interval / 2 + CLOSE + 2 * SLOT)
  assert.ok(watched.lostAt !== null && unwatched.lostAt !== null)
  assert.equal(counts.lost, 0)
  assert.deepEqual(unwatched.askedAt, [])
})

test('a peer that begins to close while it is overdue is seen out, not lost', (t) => {
  const here = world(t)
  const peer = whenOverdue(here, (_pulse, peer) => { peer.now = 'closing' })
  assert.equal(peer.lostAt, null)
  here.clock.pass(CLOSE + SLOT)
  assert.notEqual(peer.lostAt, null)
  assert.equal(here.counts.lost, 0)
})

test('a peer that is heard all the time, but for whom nothing is written, is pinged again and again', (t) => {
  const { clock, heartbeat } = world(t)
  const peer = new Fake(clock)
  heartbeat.watch(peer, CADENCE)
  for (let i = 0; i < 1000; i++) {
    peer.bytesHeard++
    clock.pass(SLOT)
  }
  assert.ok(peer.askedAt.length >= 6, `${peer.askedAt.length} pings`)
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
  assert.deepEqual(peer.askedAt, [])
  assert.equal(peer.lostAt, null)
  assert.deepEqual(counts, { pings: 0, lost: 0 })
})

test('who is forgotten is neither asked nor lost, and the wheel stops with the last', (t) => {
  const { clock, heartbeat, wheel } = world(t)
  const peer = new Fake(clock)
  peer.alive = false
  const pulse = heartbeat.watch(peer, CADENCE)
  heartbeat.forget(pulse)
  clock.pass(10_000)
  assert.deepEqual([peer.askedAt, peer.lostAt, wheel.running], [[], null, false])
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
    assert.deepEqual([alive, dead].map(({ askedAt }) => askedAt.length), [1, 1])
    clock.pass(290)
    pulses.push(heartbeat.watch(young, cadence))
    assert.equal(heartbeat.sweep(pulses, 300).size, 0)
    clock.pass(cadence === null ? SLOT : CADENCE.timeout - 290)
    if (cadence === null) assert.deepEqual([...heartbeat.sweep(pulses, 300)], [pulses[1]])
    assert.equal(alive.lostAt, null)
    assert.equal(young.lostAt, null)
  })
}

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
  assert.deepEqual(peers.map(({ askedAt }) => askedAt.length), [0, 0])
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
  assert.equal(peer.askedAt.length, 2)
  clock.pass(2 * SLOT)
  assert.equal(heartbeat.sweep(pulses, 20).size, 1)
})

test('losing a peer is counted, and told to it', (t) => {
  const { clock, heartbeat, counts } = world(t)
  const peer = new Fake(clock)
  heartbeat.lose(heartbeat.watch(peer, CADENCE))
  assert.notEqual(peer.lostAt, null)
  assert.equal(counts.lost, 1)
})
