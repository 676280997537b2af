/**
 * A peer, a clock and a wheel, for the tests of the heartbeat.
 */
import type { TestContext } from 'node:test'
import { Heartbeat } from '../../../src/core/heartbeat.js'
import type { HeartbeatJournal } from '../../../src/core/heartbeat.js'
import type { Pulse } from '../../../src/core/pulse.js'
import type { Cadence, Peer, Wire } from '../../../src/core/peer.js'
import { Wheel } from '../../../src/core/time/wheel.js'
import { Clock } from '../clock.js'

export const SLOT = 10
export const CADENCE: Cadence = { interval: 1000, timeout: 500 }
export const STALL = 3000

/** A peer in ten lines: it answers while it is alive. */
export class Fake implements Peer, Wire {
  readonly wire: Wire = this
  deaf = false
  alive = true
  bytesHeard = 0
  room = 0
  /** Whether nobody listens to it. */
  stopped = false
  protected = false
  peeking = false
  buffered = 0
  /** Whether its pings wait for us; and when they were written, if that was not at once. */
  inside = false
  writtenAt: number | null = null
  ahead = 0
  lostAt: number | null = null
  stalledAt: number | null = null
  readonly asks: number[] = []
  readonly clock: Clock

  constructor (clock: Clock) { this.clock = clock }

  heard (): number { return this.bytesHeard }
  get paused (): boolean { return this.stopped && !this.peeking }
  peek (on: boolean): boolean { this.peeking = on; return true }
  advance (): number { return this.room }
  span (): number { return this.ahead }
  waiting (): number { return this.buffered }
  beatenAt (ping: number): number { return this.inside ? NaN : this.writtenAt ?? this.asks[ping - 1] ?? -Infinity }
  lost (): void { this.lostAt = this.clock.ms }
  stalled (): void { this.stalledAt = this.clock.ms }

  beat (): number {
    this.asks.push(this.clock.ms)
    // A paused peer answers too, but nobody reads it.
    if (this.alive && !this.paused) setTimeout(() => { this.bytesHeard += 10 }, 1)
    return this.asks.length
  }
}

/** Counts what a heartbeat does. */
export class Counts implements HeartbeatJournal {
  pings = 0
  lost = 0
  pinged (): void { this.pings++ }
  foundDead (): void { this.lost++ }
}

export interface World { clock: Clock, wheel: Wheel, heartbeat: Heartbeat, counts: Counts }

export function world (t: TestContext, slot = SLOT): World {
  const clock = new Clock(t)
  const wheel = new Wheel(slot, clock.now)
  const counts = new Counts()
  const heartbeat = new Heartbeat(wheel, STALL, counts, clock.now)
  t.after(() => { heartbeat.stop(); wheel.stop() })
  return { clock, wheel, heartbeat, counts }
}

/** Brings a dead peer to where it is overdue, and does something in the poll phase before the judgement. */
export function whenOverdue ({ clock, heartbeat }: Pick<World, 'clock' | 'heartbeat'>, act: (pulse: Pulse, peer: Fake) => void): Fake {
  const peer = new Fake(clock)
  peer.alive = false
  const pulse = heartbeat.watch(peer, CADENCE)
  while (peer.asks.length === 0) clock.pass(SLOT)
  clock.pass(CADENCE.timeout - SLOT)
  clock.poll = () => { act(pulse, peer) }
  clock.pass(SLOT)
  clock.poll = () => {}
  return peer
}
