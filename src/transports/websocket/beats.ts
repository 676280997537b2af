/**
 * Which pings go out: those of the heartbeat, one after every so many bytes, and those for receipts.
 * Every one of them is a receipt for all messages that were handed over before it.
 * Invariant: at most RECEIPTS_MAX that went out for receipts are open; whoever wants another shares the next.
 */
import { Pings } from '../../core/pings.js'
import type { Mark } from '../../core/pings.js'
import { turn } from '../../core/time/loop.js'
import type { TurnEnd } from '../../core/time/loop.js'
import type { Asker } from '../transport.js'

/**
 * After how many bytes a mark is due while few are open, and how many may be: with each dozen that is open
 * they come half as often, so that they reach over all that a kernel may hold (5 MiB).
 */
const MARK = { every: 64 * 1024, dozen: 12, most: 36 }

const RECEIPTS_MAX = 4

/** The transport, as far as pings go. */
export interface BeatWire extends Mark {
  /** Whether anything can be sent. */
  readonly open: boolean
  /** Whether a ping goes out after every 64 KiB. */
  readonly marks: boolean
  /** How long a ping may be without an answer before it stands in nobody's way, in ms. */
  readonly patience: number
  /** Bytes that ws has been given and has not written yet. */
  readonly inside: number
  /** Grows whenever anything is heard from the peer. */
  heard (): number
  /** What only waits for the end of a tick or turn is written now. */
  settle (): void
  /** If it is not written at once, `pings.written` is told when it is. */
  writePing (payload: Buffer, number: number): void
}

export class Beats implements TurnEnd, Asker {
  readonly pings = new Pings()

  readonly #wire: BeatWire
  #sinceMark = 0
  /** A receipt is wanted for all messages up to this one. */
  #wanted = 0
  #waits = false

  constructor (wire: BeatWire) {
    this.#wire = wire
    this.pings.confirmed = wire.written
  }

  /** Sends a ping, if there is room for one. @returns the number of the newest */
  beat (receipt = false): number {
    if (this.#wire.open) this.#send(receipt)
    return this.pings.newest
  }

  /** When this ping was written, monotonic in ms; NaN while it waits for what ws has to do first. */
  beatenAt (number: number): number {
    const { pings } = this
    if (Number.isNaN(pings.writtenAt(number)) && this.#wire.inside === 0) this.wrote(number)
    return pings.writtenAt(number)
  }

  get roundTrip (): number { return this.pings.roundTrip }

  /** This ping has been written. */
  wrote (number: number): void { this.pings.written(number, performance.now()) }

  ping (): Promise<number> {
    if (!this.#wire.open) return Promise.resolve(Infinity)
    return this.pings.ask(() => {
      this.#wire.settle()
      this.beat()
    })
  }

  /** So many bytes were handed over. */
  handed (bytes: number): void {
    this.#sinceMark += bytes
    const { waiting } = this.pings
    const due = this.#sinceMark >= MARK.every << Math.floor(waiting / MARK.dozen)
    if (due && this.#wire.marks && waiting < MARK.most) this.beat()
  }

  /** A receipt is wanted for all messages up to this one, once this turn of the event loop has ended. */
  want (seq: number): void {
    if (seq > this.#wanted) this.#wanted = seq
    if (this.#waits) return
    this.#waits = true
    turn.add(this)
  }

  turnEnded (): void {
    this.#waits = false
    this.go()
  }

  /** Pings for the receipts that are wanted, if there is something new to be confirmed. */
  go (): void {
    const { pings } = this
    if (this.#wanted <= pings.covered || this.#wire.handed <= pings.covered) return
    if (pings.receipts(performance.now(), this.#wire.patience) < RECEIPTS_MAX) this.beat(true)
  }

  /** The closing handshake is about to begin: what its answer would leave open is asked for now. @param all also what nobody has asked for yet */
  last (all: boolean): void {
    const { covered } = this.pings
    if ((all || this.#wanted > covered) && this.#wire.handed > covered) this.#send(true)
  }

  /** The round trip in ms, if the pong answers one of ours; else NaN. */
  answered (payload: Buffer): number {
    return this.pings.answer(payload, performance.now())
  }

  end (): void {
    this.pings.end()
  }

  #send (receipt: boolean): void {
    const { pings } = this
    const wire = this.#wire
    if (!pings.makeRoom(performance.now(), wire.patience, wire.heard())) return
    this.#sinceMark = 0
    const payload = pings.open(wire, receipt)
    wire.writePing(payload, pings.newest)
    if (wire.inside === 0) this.wrote(pings.newest)
  }
}
