/**
 * What is known of one watched peer: when it was heard, whether it takes what waits for it, since when it is suspected.
 * Invariant: what it keeps as slots stays right when the slots of the wheel become shorter.
 * Decides nothing.
 */
import type { Cadence, Peer } from './peer.js'
import { Entry } from './time/wheel.js'

/** No slot. */
export const NEVER = -1

/** Whoever looks at it when it is due. */
interface Checks {
  check (pulse: Pulse): void
}

/** The state of one watched peer, and its place in the wheel. */
export class Pulse extends Entry {
  readonly peer: Peer
  readonly cadence: Cadence | null
  readonly #checks: Checks
  /** When something new was last seen to have come from the peer; monotonic, ms. */
  seenAt: number
  heard = -1
  /** What `advance` was, and the slot since when bytes wait without any; NEVER while none do. */
  advance = 0
  waitingSince = NEVER
  /** Whether it was heard since. */
  spoke = false
  /** The slot in which it was asked because it was silent, and by which ping; NEVER while it is not suspected. */
  asked = NEVER
  ping = 0
  graces = 0
  /** The slot of the last ping, whatever the reason. */
  pinged: number
  /** The slot in which it was found paused; 0 while it is not. */
  pausedSlot = 0
  forgotten = false

  constructor (checks: Checks, peer: Peer, cadence: Cadence | null, now: number, slot: number) {
    super()
    this.#checks = checks
    this.peer = peer
    this.cadence = cadence
    this.seenAt = now
    this.pinged = slot
  }

  /** Whether the peer has shown life since the last look. @param now monotonic, in ms */
  listen (now: number): boolean {
    const heard = this.peer.wire.heard()
    const alive = heard !== this.heard
    if (alive) {
      this.seenAt = now
      this.spoke = true
    }
    this.heard = heard
    return alive
  }

  /** It lives: whatever it was suspected of is forgotten. */
  relax (): void {
    this.asked = NEVER
    this.graces = 0
    if (this.pausedSlot === 0) return
    this.pausedSlot = 0
    this.peer.wire.peek(false)
  }

  /**
   * Since which slot bytes wait without the peer taking any; NEVER: none do.
   * @param slot the present one
   */
  waitsSince (slot: number): number {
    if (this.peer.wire.waiting() === 0) return this.waitingSince = NEVER
    const advance = this.peer.wire.advance()
    if (this.waitingSince === NEVER || advance !== this.advance) {
      this.advance = advance
      this.waitingSince = slot
      this.spoke = false
    }
    return this.waitingSince
  }

  override due (): void {
    this.#checks.check(this)
  }

  override refined (times: number): void {
    this.pinged *= times
    this.pausedSlot *= times
    if (this.asked !== NEVER) this.asked *= times
    if (this.waitingSince !== NEVER) this.waitingSince *= times
  }
}
