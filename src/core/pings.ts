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
 * No more are open at a time: a ws client that has more than 60 pings to answer, because its own
 * sending is blocked, ends itself. Less than that, for the app may send pings of its own.
 */
const OPEN_MAX = 40

interface OpenPing {
  readonly number: number
  readonly sentAt: number
  /** What had been written to the transport when the ping was handed over, in bytes. */
  readonly written: number
  /** That, and what was to be written before the ping: it may have had to be compressed first. */
  readonly given: number
  /** The number of the last message before it. */
  readonly seq: number
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
  /** How many of the open ones went out for a receipt. */
  receipts = 0

  /** Sets our pings apart from the app's own, from other transports', and from what a peer makes up. */
  readonly #nonce = randomInt(NONCE_MAX)
  readonly #open: OpenPing[] = []
  #number = 0
  #asked: { number: number, promise: Promise<number>, resolve: (roundTrip: number) => void } | null = null

  /** How many are open. */
  get waiting (): number { return this.#open.length }

  /** Whether no more may be opened until one is answered. */
  get full (): boolean { return this.#open.length >= OPEN_MAX }

  /**
   * What the peer has to take in before it comes to a ping that it can answer, in bytes. What follows the first open one
   * does not count: it grows with all that is pushed to a dead peer.
   * @param given up to now
   */
  ahead (given: number): number {
    return (this.#open[0]?.given ?? given) - this.confirmed
  }

  /** Opens a ping and gives its payload. @param seq the last message before it */
  open (now: number, written: number, given = written, seq = 0, receipt = false): Buffer {
    const number = this.#number = (this.#number + 1) >>> 0
    this.#open.push({ number, sentAt: now, written, given, seq, receipt })
    this.covered = seq
    if (receipt) this.receipts++
    const payload = Buffer.allocUnsafe(8)
    payload.writeUInt32BE(this.#nonce, 0)
    payload.writeUInt32BE(number, 4)
    return payload
  }

  /** The round trip in ms, if the pong answers one of ours; else NaN. */
  answer (payload: Buffer, now: number): number {
    if (payload.length !== 8 || payload.readUInt32BE(0) !== this.#nonce) return NaN
    const number = payload.readUInt32BE(4)
    const at = this.#open.findIndex((ping) => ping.number === number)
    if (at === -1) return NaN
    const { sentAt, written, seq } = this.#open[at]!
    for (const { receipt } of this.#open.splice(0, at + 1)) if (receipt) this.receipts--
    this.confirmed = written
    this.received = seq
    const roundTrip = now - sentAt
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
