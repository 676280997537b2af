/**
 * Finds peers that are gone, without ever taking a live one for dead.
 * Invariant: a peer last heard at time t is declared lost no later than t + interval + timeout + one slot, and as much more as
 * what goes before the question may take (slow-line.ts); and never before a ping to it was written and had that time to be answered.
 * Knows nothing of sockets: a peer is a few methods. Counts nothing per message: it compares
 * counters when a peer is due.
 */
import type { Cadence, Peer } from './peer.js'
import { NEVER, Pulse } from './pulse.js'
import { extraFor, patienceFor } from './slow-line.js'
import type { Wheel } from './time/wheel.js'

/** Fresh pings that one suspicion can get because of stalls: a process that always stalls must still find the dead. */
const GRACES = 3

/** Of a loop that was away for longer than a quarter of the time to answer the peer's answer may still be unread, in ms at the most. */
const STALL_MAX = 2_500

/** Who counts. */
export interface HeartbeatJournal {
  /** A ping was sent. */
  pinged (): void
  /** A peer was found dead. */
  foundDead (): void
}

export class Heartbeat {
  readonly #wheel: Wheel
  readonly #now: () => number
  readonly #stallTimeout: number
  readonly #journal: HeartbeatJournal
  readonly #doubted: Pulse[] = []
  #verifying: NodeJS.Immediate | null = null
  #spread = 0

  constructor (
    wheel: Wheel,
    /** How long a peer may take nothing of what waits for it, in ms. */
    stallTimeout: number,
    journal: HeartbeatJournal,
    now: () => number = () => performance.now()
  ) {
    this.#wheel = wheel
    this.#stallTimeout = stallTimeout
    this.#journal = journal
    this.#now = now
  }

  /** Watches a peer until `forget`. Without a cadence it is never asked nor lost; only one that takes nothing is found. */
  watch (peer: Peer, cadence: Cadence | null): Pulse {
    const pulse = new Pulse(this, peer, cadence, this.#now(), this.#wheel.slot)
    // The golden ratio spreads the first checks, and so the pings, evenly over the period.
    const period = this.#period(pulse)
    this.#spread = (this.#spread + 0.6180339887498949) % 1
    this.#wheel.wait(pulse, 1 + Math.floor(this.#spread * period))
    return pulse
  }

  forget (pulse: Pulse): void {
    pulse.forgotten = true
    this.#wheel.cancel(pulse)
  }

  /**
   * Looks at every peer now, whether due or not: asks the silent, and gives back those who were
   * asked at least `timeout` ms ago and have not answered since.
   */
  sweep (pulses: Iterable<Pulse>, timeout: number): Set<Pulse> {
    const overdue = new Set<Pulse>()
    for (const pulse of pulses) {
      if (pulse.forgotten || pulse.peer.wire.deaf || pulse.peer.wire.paused) continue
      const patience = pulse.cadence?.timeout ?? timeout
      if (pulse.listen(this.#now())) pulse.relax()
      else if (this.#suspected(pulse, patience)) {
        // An app sweeps at any moment: what has come since the loop last polled was not read.
        if (this.#left(pulse, patience, this.#wheel.readUntil) <= 0) overdue.add(pulse)
      }
    }
    return overdue
  }

  /** A class of the app's may have closed the connection while it was asked: who was forgotten stays so. */
  #wait (pulse: Pulse, slots: number): void {
    if (!pulse.forgotten) this.#wheel.wait(pulse, slots)
  }

  lose (pulse: Pulse): void {
    this.#journal.foundDead()
    pulse.peer.lost()
  }

  /** Forgets everything that is still to happen. */
  stop (): void {
    if (this.#verifying !== null) clearImmediate(this.#verifying)
    this.#verifying = null
    this.#doubted.length = 0
  }

  /** Peers are looked at twice an interval, so that none is silent for longer than one before it is asked; those that are not asked, for what waits for them. */
  #period (pulse: Pulse): number {
    return Math.max(1, Math.floor((pulse.cadence?.interval ?? this.#stallTimeout / 2) / 2 / this.#wheel.width))
  }

  check (pulse: Pulse): void {
    const { peer, cadence } = pulse
    const period = this.#period(pulse)
    const { paused } = peer.wire
    const alive = peer.wire.deaf || pulse.listen(this.#now())
    if (alive) pulse.relax()
    // A peer that we do not listen to may wait for us. One of whom nothing is asked is not looked at either: what it says of what it takes lies unread.
    if (paused && cadence === null) pulse.waitingSince = NEVER
    const untilStuck = (alive && cadence !== null) || !paused ? this.#untilStuck(pulse) : Infinity
    if (untilStuck <= 0) {
      this.#doubt(pulse)
    } else if (cadence === null) {
      this.#wait(pulse, Math.min(period, untilStuck))
    } else if (!alive && (!paused || this.#looksAtPaused(pulse, cadence))) {
      this.#judge(pulse, cadence, Math.min(period, untilStuck))
    } else {
      this.#wait(pulse, Math.min(period, untilStuck, this.#keepOpen(pulse, period)))
    }
  }

  /** Whether a paused peer is to be judged now: then it is read on from until it is heard. */
  #looksAtPaused (pulse: Pulse, { interval, timeout }: Cadence): boolean {
    const { slot } = this.#wheel
    // Whatever it was suspected of before, we have stopped listening since.
    pulse.asked = NEVER
    pulse.graces = 0
    if (pulse.pausedSlot === 0) pulse.pausedSlot = slot + this.#wheel.lag
    const patience = this.#wheel.slots(interval + timeout)
    return !pulse.peer.protected && slot - pulse.pausedSlot >= patience && pulse.peer.wire.peek(true)
  }

  /** Of a silent peer. @param atMost the slots until the next look */
  #judge (pulse: Pulse, { timeout }: Cadence, atMost: number): void {
    this.#suspected(pulse, timeout)
    const left = this.#left(pulse, timeout, this.#now())
    if (left > 0) this.#wait(pulse, Math.min(atMost, this.#wheel.slots(left)))
    else this.#doubt(pulse)
  }

  /** Whether it was asked already; if not, or if the loop was away since, it is asked now. */
  #suspected (pulse: Pulse, timeout: number): boolean {
    const long = Math.max(this.#wheel.width, Math.min(timeout / 4, STALL_MAX))
    if (pulse.asked !== NEVER) {
      if (pulse.graces === GRACES || !this.#wheel.wasLate(pulse.asked, long)) return true
      pulse.graces++
    }
    this.#suspect(pulse)
    return false
  }

  /**
   * A ping at least every interval, also to those who are heard: for middleboxes that watch one
   * direction only, and to know what has arrived. @returns in how many slots the next is due
   */
  #keepOpen (pulse: Pulse, period: number): number {
    if (this.#wheel.slot - pulse.pinged >= 2 * period) this.#ask(pulse)
    return pulse.pinged + 2 * period - this.#wheel.slot
  }

  #suspect (pulse: Pulse): void {
    pulse.asked = this.#wheel.slot
    pulse.ping = this.#ask(pulse)
  }

  #ask (pulse: Pulse): number {
    pulse.pinged = this.#wheel.slot
    const ping = pulse.peer.wire.beat()
    if (ping < 0) return -1 - ping
    this.#journal.pinged()
    return ping
  }

  /** How long a suspect still has to answer, in ms, if nothing goes before the question. @param timeout in ms @param now monotonic, in ms */
  #due (pulse: Pulse, timeout: number, now: number): number {
    const askedAt = pulse.peer.wire.beatenAt(pulse.ping)
    // It was not even asked yet: the ping waits for what ws compresses, for this peer or for others.
    return Number.isNaN(askedAt) ? timeout : askedAt + timeout - now
  }

  /** How long it has with what does. */
  #left (pulse: Pulse, timeout: number, now: number): number {
    return this.#due(pulse, timeout, now) + extraFor(pulse.peer.wire.span(), this.#stallTimeout)
  }

  /** In how many slots bytes will have waited for too long without the peer taking any; Infinity: none wait. */
  #untilStuck (pulse: Pulse): number {
    // Slots that are made up for pass faster than time does.
    const since = pulse.waitsSince(this.#wheel.slot + this.#wheel.lag)
    if (since === NEVER) return Infinity
    // What was written at once is taken at once, as far as can be seen. Nor is anything seen of a peer before its next answer:
    // what a slow one makes free below, the kernel takes from us in steps of its own.
    const { wire } = pulse.peer
    const unseen = Math.max(wire.waiting(), wire.span())
    return since + this.#wheel.slots(patienceFor(unseen, this.#stallTimeout)) - this.#wheel.slot
  }

  /** After a stall a timer fires before queued input is read: judge behind the poll phase, not before it. */
  #doubt (pulse: Pulse): void {
    this.#doubted.push(pulse)
    // It stays in the wheel, whose slots may become shorter meanwhile.
    this.#wait(pulse, 1)
    this.#verifying ??= setImmediate(this.#verify)
  }

  readonly #verify = (): void => {
    this.#verifying = null
    for (const pulse of this.#doubted.splice(0)) {
      if (pulse.forgotten) continue
      this.#wheel.cancel(pulse)
      this.#conclude(pulse)
    }
  }

  #conclude (pulse: Pulse): void {
    const { peer, cadence } = pulse
    if (peer.wire.paused) {
      this.#wait(pulse, 1)
      return
    }
    if (pulse.listen(this.#now())) pulse.relax()
    const stuck = this.#untilStuck(pulse) <= 0
    // A suspect is one that was silent, and is still.
    const suspected = cadence !== null && pulse.asked !== NEVER
    const now = this.#now()
    const silent = suspected && this.#due(pulse, cadence.timeout, now) <= 0
    if (stuck && (!silent || pulse.spoke)) {
      peer.stalled()
    } else if (silent && !peer.protected && (stuck || this.#left(pulse, cadence.timeout, now) <= 0)) {
      this.lose(pulse)
    } else {
      pulse.relax()
      this.#wait(pulse, this.#period(pulse))
    }
  }
}
