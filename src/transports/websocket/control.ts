/**
 * The pings and pongs of one WebSocket, both ways: which pings go out, one after every so many bytes and those for receipts; what
 * their pongs tell of the peer: what has arrived, how long that took, what is still on its way; and the answers to the peer's own.
 * Every ping of ours is a receipt for all messages that were handed over before it.
 * Invariant: at most RECEIPTS_MAX that went out for receipts are open; whoever wants another shares the next.
 */
import { OPEN_MAX, Pings } from '../../core/pings.js'
import { turn } from '../../core/time/loop.js'
import type { TurnEnd } from '../../core/time/loop.js'
import type { Asker } from '../transport.js'
import type { Line } from './line.js'
import { Pongs } from './pongs.js'
import type { WebSocketTransportOptions } from './settings.js'
import type { Writer, WriterOwner } from './writer.js'

/**
 * The kernel may take megabytes at once, and a slow line may need minutes for them: a ping goes out after every so many bytes, a mark,
 * and the pongs to these show that the peer takes them.
 * After how many bytes a mark is due while few are open; with each dozen that is open they come half as often, but not more seldom
 * than `every << rarest`. (Those that are known reach over 10 MiB so, and past that further, with more between them: see `Pings`.)
 */
const MARK = { every: 64 * 1024, dozen: 12, rarest: 2 }

const RECEIPTS_MAX = 4

const EMPTY = Buffer.alloc(0)

export abstract class ControlFrames implements Asker, WriterOwner, TurnEnd {
  readonly pings = new Pings()
  /** What goes out before each ping. */
  writer!: Writer

  protected readonly line: Line
  /** Nothing of the peer is read. */
  protected abstract readonly deafened: boolean
  readonly #options: WebSocketTransportOptions
  /** null until the peer's first ping is answered. */
  #pongs: Pongs | null = null
  /** Tells that something written in between has been taken; null until anything had to wait. */
  #told: (() => void) | null = null
  #sinceMark = 0
  /** A receipt is wanted for all messages up to this one. */
  #wanted = 0
  #waits = false

  constructor (line: Line, options: WebSocketTransportOptions) {
    this.line = line
    this.#options = options
    this.pings.confirmed = line.written
  }

  // As the connection sees it.

  get roundTrip (): number { return this.pings.roundTrip }

  ping (): Promise<number> {
    if (!this.line.open) return Promise.resolve(Infinity)
    return this.pings.ask(() => {
      this.writer.settle()
      this.beat()
    })
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

  /** As `Wire.beat`. @param receipt whether it goes out for one */
  beat (receipt = false): number {
    const before = this.pings.newest
    if (this.line.open) this.#send(receipt)
    return this.pings.newest === before ? -1 - before : this.pings.newest
  }

  /** Pings for the receipts that are wanted, if there is something new to be confirmed. */
  go (): void {
    const { pings, handed } = this
    if (pings.owed) this.beat()
    if (this.#wanted <= pings.covered || handed <= pings.covered) return
    if (pings.receipts(performance.now(), this.#options.patience) < RECEIPTS_MAX) this.beat(true)
  }

  /** The closing handshake is about to begin: what its answer would leave open is asked for now, and where all is to be confirmed also what nobody has asked for yet. */
  last (): void {
    const { covered } = this.pings
    if ((this.#options.receipts || this.#wanted > covered) && this.handed > covered) this.#send(true)
  }

  #send (receipt: boolean): void {
    const { pings, line } = this
    // Whose answers we do not read must not get any number of them.
    if (this.deafened && pings.unheard(line.heard) >= OPEN_MAX) return
    this.#sinceMark = 0
    const payload = pings.open(this, receipt)
    this.writer.ping(payload, pings.newest)
    if (line.inside === 0) this.wrote(pings.newest)
    this.watch()
  }

  // As the socket sees it.

  /** Something was written in between: it may wait, and its owner is told when it has been taken. */
  watch (): void {
    const { stream, owner } = this.line
    if (stream.writableLength > 0 && stream.writable) stream.write(EMPTY, this.#told ??= () => { this.taken() })
    owner?.queued()
  }

  /** As `Pings.answer`. */
  answered (payload: Buffer): number | null { return this.pings.answer(payload, performance.now()) }

  /** Answers a ping of the peer. */
  answer (payload: Buffer): void {
    const { line, writer } = this
    this.#pongs ??= new Pongs(line.stream, {
      get open () { return line.open },
      get untaken () { return line.untaken },
      writePong: (pong) => {
        writer.pong(pong)
        this.watch()
      }
    })
    this.#pongs.answer(payload)
  }

  end (): void {
    this.pings.end()
    this.#pongs?.end()
  }

  // As the writer sees it.

  get open (): boolean { return this.line.open }
  get given (): number { return this.line.given }

  handedOver (bytes: number): void {
    this.#sinceMark += bytes
    const due = this.#sinceMark >= MARK.every << Math.min(MARK.rarest, Math.floor(this.pings.waiting / MARK.dozen))
    if (due && this.line.remote) this.beat()
  }

  wrote (number: number): void { this.pings.written(number, performance.now()) }

  taken (): void {
    // What a destroyed socket lets go of has not been taken. That it is over is told when ws knows.
    if (this.line.stream.destroyed) return
    this.go()
    this.#pongs?.taken()
    this.line.owner?.flushed()
  }

  unsent (seq: number, error: unknown): void { this.line.owner?.unsent(seq, error) }

  // How far it has come.

  get written (): number { return this.line.written }
  get handed (): number { return this.writer.handed }
}
