/**
 * The open pings of one transport: which pong answers which, and the round trip.
 * Invariant: only a pong that equals an open ping counts, and it closes all earlier ones
 * (RFC 6455 §5.5.3: a pong echoes its ping; frames are processed in order).
 * Knows nothing of sockets: it makes payloads and reads payloads.
 */
import { randomInt } from 'node:crypto'

/** A small integer, at random; crypto's own pool makes it cheap. */
const NONCE_MAX = 2 ** 30

/**
 * So many are known at a time. Past it one between two others is forgotten: then the pong of the next says what its own would have.
 * And so many go out to a peer of whom nothing is read: a ws client that has more than 60 to answer, because its own sending is
 * blocked, ends itself. Less than that, for the app may send pings of its own.
 */
export const OPEN_MAX = 40

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
  /** Sets it apart from the app's own pings, from other transports', and from what a peer makes up. */
  readonly nonce: number
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

  readonly #open: OpenPing[] = []
  /** Of the newest. */
  #number = 0
  /** The number of the last that was answered, remembered or not. */
  #answered = 0
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
    return given - this.confirmed
  }

  /**
   * What the peer has to take in before it comes to a ping that it can answer, in bytes. What follows the first open one
   * does not count: it grows with all that is pushed to a dead peer.
   * @param given up to now
   */
  ahead (given: number): number {
    return this.unconfirmed(this.#open[0]?.given ?? given)
  }

  /** How many went out since anything was heard. @param heard grows whenever anything is */
  unheard (heard: number): number {
    if (heard !== this.#heard) {
      this.#heard = heard
      this.#unheard = 0
    }
    return this.#unheard
  }

  /**
   * Forgets one, that whose neighbours are closest, so that those that are left are spread over all that is on its way. Never the first:
   * the peer comes to that next, and of one that answers none it says from where on nothing is known.
   */
  #thin (given: number): void {
    const open = this.#open
    let least = 1
    let gap = Infinity
    for (let i = 1; i < open.length; i++) {
      const between = (open[i + 1]?.given ?? given) - open[i - 1]!.given
      if (between > gap) continue
      least = i
      gap = between
    }
    open.splice(least, 1)
  }

  /** Opens a ping and gives its payload. */
  open (mark: Mark, receipt = false): Buffer {
    if (this.#open.length === OPEN_MAX) this.#thin(mark.given)
    const number = this.#number = (this.#number + 1) >>> 0
    const nonce = randomInt(NONCE_MAX)
    this.#open.push({ number, nonce, writtenAt: NaN, written: mark.written, given: mark.given, handed: mark.handed, receipt })
    this.#unheard++
    this.covered = mark.handed
    const payload = Buffer.allocUnsafe(8)
    payload.writeUInt32BE(nonce, 0)
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

  /** When this one was written, or, if it was forgotten, the next; monotonic in ms; NaN while it is not; -Infinity if it was answered. */
  writtenAt (number: number): number {
    return this.#open.find((ping) => ping.number >= number)?.writtenAt ?? -Infinity
  }

  /** The round trip in ms, if the pong answers one of ours; null if that was forgotten: it says nothing new. NaN if it answers none. */
  answer (payload: Buffer, now: number): number | null {
    if (payload.length !== 8) return NaN
    const number = payload.readUInt32BE(4)
    // They come in order, each once.
    if (number <= this.#answered || number > this.#number) return NaN
    const at = this.#open.findIndex((ping) => ping.number === number)
    // Of one that was forgotten it cannot be told whether it was made up: it says nothing new anyway.
    if (at !== -1 && payload.readUInt32BE(0) !== this.#open[at]!.nonce) return NaN
    this.#answered = number
    if (at === -1) return null
    this.written(number, now)
    const { writtenAt, written, handed } = this.#open[at]!
    this.#open.splice(0, at + 1)
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

  /** Somebody waits for a ping that has not gone out. */
  get owed (): boolean { return this.#asked !== null && this.#asked.number > this.#number }

  /** The transport is gone: whoever waits learns that no answer will come. */
  end (): void {
    this.#asked?.resolve(Infinity)
    this.#asked = null
    this.#open.length = 0
    this.#answered = this.#number
  }
}
