/**
 * Finds peers that are gone, without ever taking a live one for dead.
 * Invariant: a peer last heard at time t is declared lost no later than
 * t + interval + timeout + one slot, and never before it was asked and had `timeout` to answer.
 * Knows nothing of sockets: a peer is a few methods. Counts nothing per message: it compares
 * counters when a peer is due.
 */
import { Entry } from './wheel.js'
import type { Wheel } from './wheel.js'

/** What the heartbeat sees of a connection. */
export interface Peer {
  /** Grows whenever anything is heard from the peer. */
  heard (): number
  /** Grows whenever something that waited has been taken. */
  advance (): number
  /** Bytes that wait here, or were written and are not known to have arrived. */
  backlog (): number
  /** Those of them that the peer has to take in before it can answer anything. */
  span (): number
  /** Whether bytes wait here. */
  waiting (): boolean
  /** `reading`: we hear the peer. `paused`: we do not listen. `closing`: the closing handshake is under way. */
  phase (): 'reading' | 'paused' | 'closing'
  /** Whether the app asked that this peer is never declared lost. */
  readonly protected: boolean
  /** Sends a ping. */
  ask (): void
  /** Reads on, although paused, until something is heard: the only way to judge a paused peer. False if it cannot. */
  peek (on: boolean): boolean
  /** The peer is gone. */
  lost (): void
  /** The peer lives, but has taken nothing for too long. */
  stalled (): void
}

export interface Cadence {
  /** How long a peer may be silent before it is asked, in ms. */
  readonly interval: number
  /** How long it then has to answer, in ms. */
  readonly timeout: number
}

/** The slowest line that we are patient with, in bytes per ms: 32 kbit/s. */
const SLOWEST = 4

/**
 * With more than this unconfirmed, an answer may be slow for want of bandwidth, not of a peer: what the
 * slowest line carries in `timeout`, and never more than 64 KiB. In bytes.
 */
const much = (timeout: number): number => Math.min(64 * 1024, SLOWEST * timeout)

/** What a peer has to take in within `stallTimeout`, in bytes, before it can answer: twice what usually lies between two pings. */
const STRETCH = 128 * 1024

const UNASKED = -1

/** Fresh pings that one suspicion can get because of stalls: a process that always stalls must still find the dead. */
const GRACES = 3

/** The state of one watched peer, and its place in the wheel. */
export class Pulse extends Entry {
  readonly peer: Peer
  readonly cadence: Cadence | null
  readonly #heartbeat: Heartbeat
  /** When something new was last seen to have come from the peer; monotonic, ms; and the turn. */
  seenAt: number
  seenTurn: number
  /** What `advance` was, and the turn since when bytes wait without any; UNASKED while none do. */
  advance = 0
  waitingSince = UNASKED
  /** The turn in which it was asked because it was silent, and the time; UNASKED while it is not suspected. */
  asked = UNASKED
  askedAt = 0
  graces = 0
  /** The turn of the last ping, whatever the reason. */
  pinged: number
  /** The turn in which it was found paused, or closing; 0 while it is not. */
  pausedTurn = 0
  closingTurn = 0
  peeking = false
  forgotten = false
  heard = -1

  constructor (heartbeat: Heartbeat, peer: Peer, cadence: Cadence | null, now: number, turn: number) {
    super()
    this.#heartbeat = heartbeat
    this.peer = peer
    this.cadence = cadence
    this.seenAt = now
    this.seenTurn = turn
    this.pinged = turn
  }

  override due (): void {
    this.#heartbeat.check(this)
  }
}

export interface HeartbeatCounts { pings: number, lost: number }

export class Heartbeat {
  readonly #wheel: Wheel
  readonly #now: () => number
  readonly #stallTimeout: number
  readonly #closeTimeout: number
  readonly #counts: HeartbeatCounts
  readonly #overdue: Pulse[] = []
  #verifying: NodeJS.Immediate | null = null
  #spread = 0

  constructor (
    wheel: Wheel,
    options: { stallTimeout: number, closeTimeout: number },
    counts: HeartbeatCounts,
    now: () => number = () => performance.now()
  ) {
    this.#wheel = wheel
    this.#stallTimeout = options.stallTimeout
    this.#closeTimeout = options.closeTimeout
    this.#counts = counts
    this.#now = now
  }

  /** Watches a peer until `forget`. Without a cadence it is never asked nor lost; only its closing is seen through. */
  watch (peer: Peer, cadence: Cadence | null): Pulse {
    const pulse = new Pulse(this, peer, cadence, this.#now(), this.#wheel.turn)
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
    const turn = this.#wheel.turn
    const overdue = new Set<Pulse>()
    for (const pulse of pulses) {
      if (pulse.peer.phase() !== 'reading') continue
      if (this.#listen(pulse)) {
        this.#relax(pulse)
      } else if (pulse.asked === UNASKED || this.#wheel.lateTurn > pulse.asked) {
        this.#suspect(pulse)
      } else if (turn >= this.#deadline(pulse, pulse.cadence?.timeout ?? timeout)) {
        overdue.add(pulse)
      }
    }
    return overdue
  }

  lose (pulse: Pulse): void {
    this.#counts.lost++
    pulse.peer.lost()
  }

  /** Forgets everything that is still to happen. */
  stop (): void {
    if (this.#verifying !== null) clearImmediate(this.#verifying)
    this.#verifying = null
    this.#overdue.length = 0
  }

  /** Peers are looked at twice an interval, so that none is silent for longer than one before it is asked. */
  #period (pulse: Pulse): number {
    return Math.max(1, Math.floor((pulse.cadence?.interval ?? 2 * this.#closeTimeout) / 2 / this.#wheel.slot))
  }

  check (pulse: Pulse): void {
    const { peer, cadence } = pulse
    const turn = this.#wheel.turn
    const period = this.#period(pulse)
    const phase = peer.phase()
    if (phase === 'closing') {
      this.#seeOut(pulse)
      return
    }
    const alive = this.#listen(pulse)
    if (alive) this.#relax(pulse)
    const stuck = this.#isStuck(pulse)
    if (alive || cadence === null) {
      if (stuck) {
        peer.stalled()
        return
      }
      if (cadence !== null) this.#keepOpen(pulse, period)
      this.#wheel.wait(pulse, period)
      return
    }
    if (phase === 'paused') {
      // Whatever it was suspected of before, we have stopped listening since.
      pulse.asked = UNASKED
      pulse.graces = 0
      if (pulse.pausedTurn === 0) pulse.pausedTurn = turn
      const patience = this.#wheel.turns(cadence.interval + cadence.timeout)
      pulse.peeking = !peer.protected && turn - pulse.pausedTurn >= patience && peer.peek(true)
      if (!pulse.peeking) {
        this.#keepOpen(pulse, period)
        this.#wheel.wait(pulse, period)
        return
      }
    }
    const afterStall = this.#wheel.lateTurn > pulse.asked && pulse.graces < GRACES
    if (pulse.asked === UNASKED || afterStall) {
      if (pulse.asked !== UNASKED) pulse.graces++
      this.#suspect(pulse)
      this.#wheel.wait(pulse, Math.min(period, this.#wheel.turns(cadence.timeout)))
      return
    }
    // Turns that were a little late are made up for by shorter ones: the clock has the last word.
    const early = this.#now() - pulse.askedAt < cadence.timeout
    const left = Math.max(this.#deadline(pulse, cadence.timeout) - turn, early ? 1 : 0)
    if (left > 0) this.#wheel.wait(pulse, Math.min(period, left))
    else this.#doubt(pulse)
  }

  /** Whether the peer has shown life since the last look. */
  #listen (pulse: Pulse): boolean {
    const heard = pulse.peer.heard()
    const alive = heard !== pulse.heard
    if (alive) {
      pulse.seenAt = this.#now()
      pulse.seenTurn = this.#wheel.turn
    }
    pulse.heard = heard
    return alive
  }

  #relax (pulse: Pulse): void {
    pulse.asked = UNASKED
    pulse.graces = 0
    pulse.pausedTurn = 0
    if (pulse.peeking) {
      pulse.peeking = false
      pulse.peer.peek(false)
    }
  }

  /**
   * A ping at least every interval, also to those who are heard: for middleboxes that watch one
   * direction only, and to know what has arrived.
   */
  #keepOpen (pulse: Pulse, period: number): void {
    if (this.#wheel.turn - pulse.pinged >= 2 * period) this.#ask(pulse)
  }

  #suspect (pulse: Pulse): void {
    pulse.asked = this.#wheel.turn
    pulse.askedAt = this.#now()
    this.#ask(pulse)
  }

  #ask (pulse: Pulse): void {
    pulse.pinged = this.#wheel.turn
    this.#counts.pings++
    pulse.peer.ask()
  }

  /** The turn in which a suspect is overdue. @param timeout in ms */
  #deadline (pulse: Pulse, timeout: number): number {
    const deadline = pulse.asked + this.#wheel.turns(timeout)
    if (pulse.peer.backlog() <= much(timeout)) return deadline
    const patience = this.#stallTimeout * Math.max(1, pulse.peer.span() / STRETCH)
    return Math.max(deadline, pulse.seenTurn + this.#wheel.turns(patience))
  }

  /** Whether bytes have waited for `stallTimeout` without the peer taking any. */
  #isStuck (pulse: Pulse): boolean {
    if (!pulse.peer.waiting()) {
      pulse.waitingSince = UNASKED
      return false
    }
    const advance = pulse.peer.advance()
    if (pulse.waitingSince === UNASKED || advance !== pulse.advance) {
      pulse.advance = advance
      pulse.waitingSince = this.#wheel.turn
      return false
    }
    return this.#wheel.turn - pulse.waitingSince >= this.#wheel.turns(this.#stallTimeout)
  }

  /** After a stall a timer fires before queued input is read: judge behind the poll phase, not before it. */
  #doubt (pulse: Pulse): void {
    this.#overdue.push(pulse)
    this.#verifying ??= setImmediate(this.#verify)
  }

  readonly #verify = (): void => {
    this.#verifying = null
    for (const pulse of this.#overdue.splice(0)) {
      if (pulse.forgotten) continue
      const phase = pulse.peer.phase()
      if (phase === 'closing') {
        this.#seeOut(pulse)
      } else if (this.#listen(pulse) || pulse.peer.protected) {
        this.#relax(pulse)
        this.#wheel.wait(pulse, this.#period(pulse))
      } else if (phase === 'paused') {
        this.#wheel.wait(pulse, 1)
      } else {
        this.lose(pulse)
      }
    }
  }

  /** ws bounds a closing handshake that it began; a peer that only half-closed is ours to bound. */
  #seeOut (pulse: Pulse): void {
    const turn = this.#wheel.turn
    const timeout = this.#wheel.turns(this.#closeTimeout)
    if (pulse.closingTurn === 0) pulse.closingTurn = turn
    if (turn - pulse.closingTurn >= timeout) pulse.peer.lost()
    else this.#wheel.wait(pulse, timeout)
  }
}
