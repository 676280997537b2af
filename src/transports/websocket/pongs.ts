/**
 * The answers to a peer's pings.
 * Invariant: no more of them wait than fit in HAND_OVER, and one: while more than that waits for a peer, be it answers or
 * anything else, only the last ping is kept, and answered when what waits has been taken (RFC 6455 §5.5.3).
 */
import type { Duplex } from 'node:stream'
import { ownBytes } from '../../core/bytes.js'
import { HAND_OVER } from '../outbound/encoding.js'
import { LastPing } from './last-ping.js'

/** What the answers are written with. */
export interface PongWire {
  /** Whether anything can be sent. */
  readonly open: boolean
  /** Bytes that the socket was given and has not taken yet. */
  readonly untaken: number
  writePong (payload: Buffer): void
}

export class Pongs {
  readonly #stream: Duplex
  readonly #wire: PongWire
  readonly #last = new LastPing()
  #listens = false

  constructor (stream: Duplex, wire: PongWire) {
    this.#stream = stream
    this.#wire = wire
  }

  answer (payload: Buffer): void {
    if (!this.#wire.open) return
    if (this.#wire.untaken <= HAND_OVER) {
      this.#last.drop()
      // A copy, for it may have to wait: a view keeps all of the chunk that it came in, up to 64 KiB.
      this.#wire.writePong(ownBytes(payload))
      return
    }
    this.#last.keep(payload)
    if (this.#listens) return
    this.#listens = true
    this.#stream.on('drain', this.taken)
  }

  /** Something that waited has been taken. */
  readonly taken = (): void => {
    if (!this.#last.waits || (this.#wire.open && this.#wire.untaken > HAND_OVER)) return
    const payload = this.#last.take()!
    this.end()
    this.answer(payload)
  }

  /** Nothing more is to be answered. */
  end (): void {
    this.#last.drop()
    if (!this.#listens) return
    this.#listens = false
    this.#stream.off('drain', this.taken)
  }
}
