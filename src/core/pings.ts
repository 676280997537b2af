/**
 * The open pings of one transport: which pong answers which, and the round trip.
 * Invariant: only a pong that equals an open ping counts, and it closes all earlier ones
 * (RFC 6455 §5.5.3: a pong echoes its ping; frames are processed in order).
 * Knows nothing of sockets: it makes payloads and reads payloads.
 */
import { randomInt } from 'node:crypto'
import { SLOWEST } from './slow-line.js'

/** A small integer, at random; crypto's own pool makes it cheap. */
const NONCE_MAX = 2 ** 30

/**
 * No more are open at a time: a ws client that has more than 60 pings to answer, because its own
 * sending is blocked, ends itself. Less than that, for the app may send pings of its own.
 */
const OPEN_MAX = 40

/** How far a transport has come when a ping goes out. */
export interface Mark {
  /** What had been written, in bytes. */
  readonly written: number
  /** That, and what was to be written before the ping: it may have had to be compressed first. */
  readonly given: number
  /** The number of the last message that is wholly before it. */
  readonly handed: number
}

interface OpenPing extends Mark {
  readonly number: number
  /** When it was written, monotonic in ms; NaN while it waits for what ws has to do first. */
  writtenAt: number
  /** Whether it went out for a receipt. */
  readonly receipt: boolean
}

export class Pings {
  /** Round trip in ms, smoothed as TCP does (RFC 6298: 1/8 of each new one); NaN before the first. */
  roundTrip = NaN
  /** Bytes known to have arrived: all that was written before the last answered ping. */
  confirmed = 0
  /** The last message that is known to have arrived, and the last before the newest ping. */
  received = 0
  covered = 0

  /** Sets our pings apart from the app's own, from other transports', and from what a peer makes up. */
  readonly #nonce = randomInt(NONCE_MAX)
  readonly #open: OpenPing[] = []
  /** Of the newest. */
  #number = 0
  /** Bytes that were taken for arrived when the ping behind them was given up. */
  #presumed = 0
  /** When the last was answered; monotonic, ms. */
  #answeredAt = -Infinity
  /** What had been heard at the newest ping, and how many went out since. */
  #heard = -1
  #unheard = 0
  #asked: { number: number, promise: Promise<number>, resolve: (roundTrip: number) => void } | null = null

  /** How many are open. */
  get waiting (): number { return this.#open.length }

  /** The number of the newest. */
  get newest (): number { return this.#number }

  /** How many that went out for receipts are open, and not older than that. @param patience in ms */
  receipts (now: number, patience: number): number {
    let count = 0
    for (const { receipt, writtenAt } of this.#open) if (receipt && !(now - writtenAt >= patience)) count++
    return count
  }

  /** Bytes that are not known to have arrived. @param given up to now */
  unconfirmed (given: number): number {
    return given - Math.max(this.confirmed, this.#presumed)
  }

  /**
   * What the peer has to take in before it comes to a ping that it can answer, in bytes. What follows the first open one
   * does not count: it grows with all that is pushed to a dead peer.
   * @param given up to now
   */
  ahead (given: number): number {
    return this.unconfirmed(this.#open[0]?.given ?? given)
  }

  /**
   * Whether one more may go out. If too many are open, the oldest is given up for it when it and the last answer are older than
   * `patience`: whoever is heard and never answers (an empty pong, none at all) is pinged all the same. Not whoever is not heard at all.
   * Nor of a slow line the ping that it is on its way to: the answers would then belong to none, one after the other.
   * @param heard grows whenever anything is heard
   */
  makeRoom (now: number, patience: number, heard: number): boolean {
    if (heard !== this.#heard) {
      this.#heard = heard
      this.#unheard = 0
    }
    if (this.#open.length < OPEN_MAX) return true
    const { writtenAt, given } = this.#open[0]!
    const enough = Math.max(patience, this.ahead(given) / SLOWEST)
    if (!(now - Math.max(writtenAt, this.#answeredAt) >= enough) || this.#unheard >= OPEN_MAX) return false
    this.#open.shift()
    this.#presumed = given
    return true
  }

  /** Opens a ping and gives its payload. */
  open (mark: Mark, receipt = false): Buffer {
    const number = this.#number = (this.#number + 1) >>> 0
    this.#open.push({ number, writtenAt: NaN, written: mark.written, given: mark.given, handed: mark.handed, receipt })
    this.#unheard++
    this.covered = mark.handed
    const payload = Buffer.allocUnsafe(8)
    payload.writeUInt32BE(this.#nonce, 0)
    payload.writeUInt32BE(number, 4)
    return payload
  }

  /** Those up to this number have been written, now at the latest. */
  written (number: number, now: number): void {
    for (let i = this.#open.length - 1; i >= 0; i--) {
      const ping = this.#open[i]!
      if (ping.number > number) continue
      if (!Number.isNaN(ping.writtenAt)) return
      ping.writtenAt = now
    }
  }

  /** When this one was written, monotonic in ms; NaN while it is not; -Infinity if it is not open any more. */
  writtenAt (number: number): number {
    return this.#open.find((ping) => ping.number === number)?.writtenAt ?? -Infinity
  }

  /** The round trip in ms, if the pong answers one of ours; else NaN. */
  answer (payload: Buffer, now: number): number {
    if (payload.length !== 8 || payload.readUInt32BE(0) !== this.#nonce) return NaN
    const number = payload.readUInt32BE(4)
    const at = this.#open.findIndex((ping) => ping.number === number)
    if (at === -1) return NaN
    this.written(number, now)
    const { writtenAt, written, handed } = this.#open[at]!
    this.#open.splice(0, at + 1)
    this.#answeredAt = now
    this.confirmed = written
    this.received = handed
    const roundTrip = now - writtenAt
    this.roundTrip = Number.isNaN(this.roundTrip) ? roundTrip : this.roundTrip + (roundTrip - this.roundTrip) / 8
    if (this.#asked !== null && number >= this.#asked.number) {
      this.#asked.resolve(roundTrip)
      this.#asked = null
    }
    return roundTrip
  }

  /** The round trip of the next ping that `send` puts out; callers that come while one is open share it. */
  ask (send: () => void): Promise<number> {
    if (this.#asked === null) {
      let resolve!: (roundTrip: number) => void
      const promise = new Promise<number>((_resolve) => { resolve = _resolve })
      this.#asked = { number: this.#number + 1, promise, resolve }
      send()
      return promise
    }
    return this.#asked.promise
  }

  /** The transport is gone: whoever waits learns that no answer will come. */
  end (): void {
    this.#asked?.resolve(Infinity)
    this.#asked = null
    this.#open.length = 0
  }
}
