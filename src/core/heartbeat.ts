/**
 * Finds peers that are gone, without ever taking a live one for dead.
 * Invariant: a peer last heard at time t is declared lost no later than
 * t + interval + timeout + one slot, and never before a ping to it was written and had `timeout` to be answered.
 * Knows nothing of sockets: a peer is a few methods. Counts nothing per message: it compares
 * counters when a peer is due.
 */
import type { Cadence, Peer } from './peer.js'
import { patienceFor, SLOWEST } from './slow-line.js'
import { Entry } from './time/wheel.js'
import type { Wheel } from './time/wheel.js'

/**
 * With more than this unconfirmed, an answer may be slow for want of bandwidth, not of a peer: what the
 * slowest line carries in `timeout`, and never more than 64 KiB. In bytes.
 */
const much = (timeout: number): number => Math.min(64 * 1024, SLOWEST * timeout)

const UNASKED = -1

/** Fresh pings that one suspicion can get because of stalls: a process that always stalls must still find the dead. */
const GRACES = 3

/** Of a loop that was away for longer than a quarter of the time to answer the peer's answer may still be unread, in ms at the most. */
const STALL_MAX = 2_500

/** The state of one watched peer, and its place in the wheel. */
export class Pulse extends Entry {
  readonly peer: Peer
  readonly cadence: Cadence | null
  readonly #heartbeat: Heartbeat
  /** When something new was last seen to have come from the peer; monotonic, ms. */
  seenAt: number
  heard = -1
  /** What `advance` was, and the slot since when bytes wait without any; UNASKED while none do. */
  advance = 0
  waitingSince = UNASKED
  /** Whether it was heard since. */
  spoke = false
  /** The slot in which it was asked because it was silent, and by which ping; UNASKED while it is not suspected. */
  asked = UNASKED
  ping = 0
  graces = 0
  /** The slot of the last ping, whatever the reason. */
  pinged: number
  /** The slot in which it was found paused; 0 while it is not. */
  pausedSlot = 0
  peeking = false
  forgotten = false

  constructor (heartbeat: Heartbeat, peer: Peer, cadence: Cadence | null, now: number, slot: number) {
    super()
    this.#heartbeat = heartbeat
    this.peer = peer
    this.cadence = cadence
    this.seenAt = now
    this.pinged = slot
  }

  override due (): void {
    this.#heartbeat.check(this)
  }

  override refined (times: number): void {
    this.pinged *= times
    this.pausedSlot *= times
    if (this.asked !== UNASKED) this.asked *= times
    if (this.waitingSince !== UNASKED) this.waitingSince *= times
  }
}

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
  /** How often those without a cadence are looked at, in ms. */
  readonly #unhurried: number
  readonly #journal: HeartbeatJournal
  readonly #doubted: Pulse[] = []
  #verifying: NodeJS.Immediate | null = null
  #spread = 0

  constructor (
    wheel: Wheel,
    options: { stallTimeout: number, closeTimeout: number },
    journal: HeartbeatJournal,
    now: () => number = () => performance.now()
  ) {
    this.#wheel = wheel
    this.#stallTimeout = options.stallTimeout
    this.#unhurried = options.closeTimeout
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
      if (pulse.peer.wire.deaf || pulse.peer.wire.phase() !== 'reading') continue
      const patience = pulse.cadence?.timeout ?? timeout
      if (this.#listen(pulse)) this.#relax(pulse)
      else if (pulse.asked === UNASKED || this.#wasAway(pulse, patience)) this.#suspect(pulse)
      else if (this.#left(pulse, patience) <= 0) overdue.add(pulse)
    }
    return overdue
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

  /** Peers are looked at twice an interval, so that none is silent for longer than one before it is asked. */
  #period (pulse: Pulse): number {
    return Math.max(1, Math.floor((pulse.cadence?.interval ?? 2 * this.#unhurried) / 2 / this.#wheel.width))
  }

  check (pulse: Pulse): void {
    const { peer, cadence } = pulse
    const period = this.#period(pulse)
    const phase = peer.wire.phase()
    if (phase === 'closing') {
      peer.closing()
      this.#wheel.wait(pulse, period)
      return
    }
    const alive = peer.wire.deaf || this.#listen(pulse)
    if (alive) this.#relax(pulse)
    // A peer that we do not listen to may wait for us.
    const untilStuck = alive || cadence === null || phase === 'reading' ? this.#untilStuck(pulse) : Infinity
    if (untilStuck <= 0) {
      this.#doubt(pulse)
    } else if (alive || cadence === null) {
      if (cadence !== null) this.#keepOpen(pulse, period)
      this.#wheel.wait(pulse, Math.min(period, untilStuck))
    } else if (phase === 'reading' || this.#looksAtPaused(pulse, cadence)) {
      this.#judge(pulse, cadence, Math.min(period, untilStuck))
    } else {
      this.#keepOpen(pulse, period)
      this.#wheel.wait(pulse, period)
    }
  }

  /** Whether a paused peer is to be judged now: then it is read on from until it is heard. */
  #looksAtPaused (pulse: Pulse, { interval, timeout }: Cadence): boolean {
    const { slot } = this.#wheel
    // Whatever it was suspected of before, we have stopped listening since.
    pulse.asked = UNASKED
    pulse.graces = 0
    if (pulse.pausedSlot === 0) pulse.pausedSlot = slot
    const patience = this.#wheel.slots(interval + timeout)
    pulse.peeking = !pulse.peer.protected && slot - pulse.pausedSlot >= patience && pulse.peer.wire.peek(true)
    return pulse.peeking
  }

  /** Of a silent peer. @param atMost the slots until the next look */
  #judge (pulse: Pulse, { timeout }: Cadence, atMost: number): void {
    const away = pulse.asked !== UNASKED && pulse.graces < GRACES && this.#wasAway(pulse, timeout)
    if (pulse.asked === UNASKED || away) {
      if (away) pulse.graces++
      this.#suspect(pulse)
    }
    const left = this.#left(pulse, timeout)
    if (left > 0) this.#wheel.wait(pulse, Math.min(atMost, this.#wheel.slots(left)))
    else this.#doubt(pulse)
  }

  /** Whether the loop was away since it was asked for so long that its answer may be unread. */
  #wasAway (pulse: Pulse, timeout: number): boolean {
    const long = Math.max(this.#wheel.width, Math.min(timeout / 4, STALL_MAX))
    return this.#wheel.wasLate(pulse.asked, long) || this.#wheel.behind > long
  }

  /** Whether the peer has shown life since the last look. */
  #listen (pulse: Pulse): boolean {
    const heard = pulse.peer.wire.heard()
    const alive = heard !== pulse.heard
    if (alive) {
      pulse.seenAt = this.#now()
      pulse.spoke = true
    }
    pulse.heard = heard
    return alive
  }

  #relax (pulse: Pulse): void {
    pulse.asked = UNASKED
    pulse.graces = 0
    pulse.pausedSlot = 0
    if (pulse.peeking) {
      pulse.peeking = false
      pulse.peer.wire.peek(false)
    }
  }

  /**
   * A ping at least every interval, also to those who are heard: for middleboxes that watch one
   * direction only, and to know what has arrived.
   */
  #keepOpen (pulse: Pulse, period: number): void {
    if (this.#wheel.slot - pulse.pinged >= 2 * period) this.#ask(pulse)
  }

  #suspect (pulse: Pulse): void {
    pulse.asked = this.#wheel.slot
    pulse.ping = this.#ask(pulse)
  }

  #ask (pulse: Pulse): number {
    pulse.pinged = this.#wheel.slot
    this.#journal.pinged()
    return pulse.peer.wire.beat()
  }

  /** How long a suspect still has, in ms. @param timeout in ms */
  #left (pulse: Pulse, timeout: number): number {
    const { peer } = pulse
    const now = this.#now()
    const askedAt = peer.wire.beatenAt(pulse.ping)
    // It was not even asked yet: the ping waits for what ws compresses, for this peer or for others.
    if (Number.isNaN(askedAt)) return timeout
    const left = askedAt + timeout - now
    if (peer.wire.backlog() <= much(timeout)) return left
    return Math.max(left, pulse.seenAt + patienceFor(peer.wire.span(), this.#stallTimeout) - now)
  }

  /** In how many slots bytes will have waited for too long without the peer taking any; Infinity: none wait. */
  #untilStuck (pulse: Pulse): number {
    const waiting = pulse.peer.wire.waiting()
    if (waiting === 0) {
      pulse.waitingSince = UNASKED
      return Infinity
    }
    const advance = pulse.peer.wire.advance()
    if (pulse.waitingSince === UNASKED || advance !== pulse.advance) {
      pulse.advance = advance
      pulse.waitingSince = this.#wheel.slot
      pulse.spoke = false
    }
    // What was written at once is taken at once, as far as can be seen. Nor is anything seen of a peer before its next answer:
    // what a slow one makes free below, the kernel takes from us in steps of its own.
    // (Where no pings go out that tells nothing: all that was ever sent is unconfirmed.)
    const unseen = pulse.cadence === null ? waiting : Math.max(waiting, pulse.peer.wire.span())
    return pulse.waitingSince + this.#wheel.slots(patienceFor(unseen, this.#stallTimeout)) - this.#wheel.slot
  }

  /** After a stall a timer fires before queued input is read: judge behind the poll phase, not before it. */
  #doubt (pulse: Pulse): void {
    this.#doubted.push(pulse)
    // It stays in the wheel, whose slots may become shorter meanwhile.
    this.#wheel.wait(pulse, 1)
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
    const phase = peer.wire.phase()
    if (phase === 'closing' || (phase === 'paused' && cadence !== null)) {
      this.#wheel.wait(pulse, 1)
      return
    }
    if (this.#listen(pulse)) this.#relax(pulse)
    const stuck = this.#untilStuck(pulse) <= 0
    // A suspect is one that was silent, and is still.
    const suspected = cadence !== null && pulse.asked !== UNASKED
    if (stuck && (!suspected || pulse.spoke)) {
      peer.stalled()
    } else if (suspected && !peer.protected && (stuck || this.#left(pulse, cadence.timeout) <= 0)) {
      this.lose(pulse)
    } else {
      this.#relax(pulse)
      this.#wheel.wait(pulse, this.#period(pulse))
    }
  }
}
