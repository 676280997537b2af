/**
 * One wire, and the call of the route handler for it.
 * Invariant: what a run throws, settles or is told goes to its own wire. When that has gone the run is over, and reaches nobody
 * who came after it.
 */
import type { Cause } from '../core/causes.js'
import type { Heartbeat } from '../core/heartbeat.js'
import type { MessageParser } from '../core/parser.js'
import type { Pulse } from '../core/pulse.js'
import type { Cadence, Peer, Wire } from '../core/peer.js'
import { Deadline } from '../core/time/deadline.js'
import type { Wheel } from '../core/time/wheel.js'
import type { Logger } from '../observe/log.js'
import type { Transport } from '../transports/transport.js'
import { add, end as finish } from './endings.js'
import type { Endings } from './endings.js'
import { isNewsOfTheEnd } from './news.js'
import { abortsWhenOver } from './signals.js'

/** The request that a wire has come by. */
export interface Call {
  readonly remoteAddress: string
  /** The pattern of its route. */
  readonly route: string
  /** What the pattern has matched; nobody else's. null: nothing. */
  readonly params: Readonly<Record<string, string>> | null
  /** Those who are told of connections of this route alone, by event; null: nobody. */
  readonly on: Readonly<Record<string, unknown>> | null
  /** The request's own; null: the server's. */
  readonly logger: Logger | null
  /** null: no heartbeat on this route. */
  readonly cadence: Cadence | null
  /** What makes values of its messages; null: they are as they come. */
  readonly parser: MessageParser | null
  /** The app's own handler of errors, if it has one. */
  readonly onError: ((error: unknown) => void) | null
}

/** The connection, as its runs see it. */
export interface Living {
  /** Whether the app asked that this peer is never declared lost. */
  readonly protected: boolean
  /** The code of this run has failed. @param first for the first time in this run */
  runFailed (run: Run, error: unknown, first: boolean): void
  /** The wire of this run is of no use any more. */
  giveUp (run: Run, cause: Cause): void
}

/** What a run needs of the house. */
interface Keeper {
  readonly heartbeat: Heartbeat
  readonly wheel: Wheel
  /** How long a peer may take to answer our close frame, in ms; and how much longer what waits before it may take to leave. */
  readonly closeTimeout: number
  readonly limits: { readonly stallTimeout: number }
}

/** How far the closing of a wire has come. */
const ending = {
  begun: 1,
  /** The peer may still take what was pushed before. */
  takes: 2,
  /** All that waited has left: from then on the peer has its time to answer. */
  left: 4
} as const

export class Run implements Peer {
  readonly call: Call
  /** Its wire. */
  readonly transport: Transport
  readonly pulse: Pulse
  /** Its wire has gone. */
  over = false
  readonly #living: Living
  readonly #keeper: Keeper
  #failed = false
  /** Whichever comes first: the end of the handler, or of a closing. */
  #deadline: Deadline | null = null
  /** Bits: see `ending`. One field, for every connection has it. */
  #ending = 0
  #attached: AbortSignal | null = null
  /** What hangs on it. */
  #endings: Endings = null

  constructor (living: Living, keeper: Keeper, transport: Transport, call: Call) {
    this.call = call
    this.transport = transport
    this.#living = living
    this.#keeper = keeper
    this.pulse = keeper.heartbeat.watch(this, call.cadence)
  }

  /** Aborts when its wire has gone. */
  get attached (): AbortSignal { return this.#attached ??= abortsWhenOver((callback) => { this.#whenOver(callback) }) }

  /** The handler has returned, and what it awaited with it; or nobody waits for that any more. */
  settled (): void {
    if (this.#ending === 0) this.#clear()
    this.transport.reader?.settled()
  }

  /** Where a handler has no end, or one that cannot be seen, time stands in for it. @param ms how long a reader may let wait for it */
  settlesWithin (ms: number): void {
    this.#deadline = new Settling(this.#keeper.wheel, this)
    this.#deadline.in(ms)
  }

  /** The handler, or a listener on its wire, threw or rejected. */
  failed (error: unknown): void {
    // What of the app's fails because its wire has gone, or takes nothing more, is no failure of the app's.
    const first = !this.#failed && !((this.over || !this.transport.open) && isNewsOfTheEnd(error))
    if (first) this.#failed = true
    this.#living.runFailed(this, error, first)
  }

  /** Its wire has gone. */
  end (): void {
    if (this.over) return
    this.over = true
    this.#keeper.heartbeat.forget(this.pulse)
    this.#clear()
    const endings = this.#endings
    this.#endings = null
    finish(endings)
  }

  #clear (): void {
    this.#deadline?.cancel()
    this.#deadline = null
  }

  #whenOver (callback: () => void): void {
    if (this.over) callback()
    else this.#endings = add(this.#endings, callback)
  }

  // As the heartbeat sees it.

  get wire (): Wire { return this.transport.wire }
  get protected (): boolean { return this.#living.protected }
  lost (): void { this.#living.giveUp(this, 'heartbeat') }
  stalled (): void { this.#living.giveUp(this, 'stalled') }

  /**
   * The closing of its wire has begun, by whoever: from now on nobody judges the peer by its silence, but that has an end.
   * @param takes the peer may still take what was pushed before: it has not closed, nor ended its side
   */
  closing (takes: boolean): void {
    if (this.over || (this.#ending !== 0 && (takes || !this.#is(ending.takes)))) return
    this.#ending = takes ? ending.begun | ending.takes : ending.begun
    this.#keeper.heartbeat.forget(this.pulse)
    this.#seeOut(0)
  }

  /** Something that waited has been taken. */
  flushed (): void {
    if (this.#ending !== 0 && !this.over && !this.#is(ending.left) && !this.#leaving) this.#seeOut(0)
  }

  #is (bit: number): boolean { return (this.#ending & bit) !== 0 }

  get #leaving (): boolean { return this.#is(ending.takes) && this.transport.bufferedBytes > 0 }

  /** The time to answer begins when our close frame has left. @param waited how long what goes before it has taken to leave, in ms */
  #seeOut (waited: number): void {
    const { wheel, closeTimeout, limits: { stallTimeout } } = this.#keeper
    if (!this.#leaving) this.#ending |= ending.left
    this.#clear()
    this.#deadline = new Deadline(wheel, () => {
      if (this.#is(ending.left) || (this.#leaving && waited + closeTimeout >= stallTimeout)) this.#living.giveUp(this, 'heartbeat')
      else this.#seeOut(waited + closeTimeout)
    })
    this.#deadline.after(closeTimeout)
  }
}

const nothing = (): void => {}

/** Every connection has one: a closure would cost more. */
class Settling extends Deadline {
  readonly #run: Run

  constructor (wheel: Wheel, run: Run) {
    super(wheel, nothing)
    this.#run = run
  }

  override due (): void { this.#run.settled() }
}
