/**
 * Who waits for something that the peer has to do: take what waits for it, confirm it, or answer a ping.
 * Invariant: while anybody waits for an answer the transport reads on, whoever has paused it, up to its cap; at the cap
 * nobody is made to wait for what cannot come. What is told is told in a later turn.
 */
import type { Limits } from '../core/backpressure.js'
import { Deadline } from '../core/deadline.js'
import { later } from '../core/later.js'
import type { Wheel } from '../core/wheel.js'
import type { Transport } from '../transports/transport.js'

/** The connection, as far as waiting goes. */
export interface Awaited {
  readonly transport: Transport
  readonly over: boolean
  /** Whether no more than `low` waits here. */
  readonly flowing: boolean
  /** Whether no more than half of what may be unconfirmed is. */
  readonly confirmed: boolean
  /** Whether more than that is kept for a peer that is not heard. */
  readonly stretches: boolean
  /** A push was refused, and `drain` is to tell when the next would not be. */
  readonly full: boolean
  /** Asks for a receipt of all that was sent. */
  askReceipt (): void
  /** Nothing moves any more. */
  stalled (): void
}

export class Waits {
  readonly #of: Awaited
  readonly #wheel: Wheel
  readonly #limits: Limits
  readonly #room = new Set<() => void>()
  readonly #pings = new Set<(roundTrip: number) => void>()
  /** How many wait for an answer in some other way. */
  #answers = 0
  #readsOn = false
  /** Somebody was promised that the next message is taken, though the peer is not heard; until it is. */
  #promised = false
  #stuck: Deadline | null = null
  #consumed = 0

  constructor (of: Awaited, wheel: Wheel, limits: Limits) {
    this.#of = of
    this.#wheel = wheel
    this.#limits = limits
  }

  /** Whether what is unconfirmed does not count against the next message. */
  get lenient (): boolean { return this.#promised || this.#of.transport.blind }

  /** Whether there is room for what a producer has next. If so it is told: then the next message is taken. */
  admits (): boolean {
    const { flowing, confirmed, stretches, transport } = this.#of
    if (!flowing) return false
    if (confirmed) return true
    if (!stretches || !transport.blind) return false
    this.#promised = true
    return true
  }

  /** Calls back when there is room, or nothing is to be waited for; at once if it is so. @returns what takes that back */
  forRoom (callback: () => void): () => void {
    if (this.#settled()) {
      callback()
      return () => {}
    }
    this.#room.add(callback)
    this.#of.askReceipt()
    this.changed()
    return () => {
      if (this.#room.delete(callback)) this.#heed()
    }
  }

  /** Until it is settled, somebody waits for an answer. */
  async forAnswer<T> (answer: Promise<T>): Promise<T> {
    this.#answers++
    this.#heed()
    try {
      return await answer
    } finally {
      this.#answers--
      this.#heed()
    }
  }

  /** From now on, to the end, somebody waits for an answer. */
  forAnswers (): void {
    this.#answers++
    this.#heed()
  }

  /** The round trip of a ping in ms; Infinity if it is over first, NaN if the answer will not be seen. */
  ping (): Promise<number> {
    const { transport, over } = this.#of
    if (over) return this.#told(Infinity)
    if (transport.blind) return this.#told(NaN)
    return this.forAnswer(new Promise((resolve) => {
      const told = (roundTrip: number): void => {
        if (this.#pings.delete(told)) later(() => { resolve(roundTrip) })
      }
      this.#pings.add(told)
      transport.ping().then(told, told)
    }))
  }

  #told<T> (value: T): Promise<T> {
    return new Promise((resolve) => { later(() => { resolve(value) }) })
  }

  /** Something was taken, or heard, or is not going to be. */
  changed (): void {
    if (this.#pings.size > 0 && this.#of.transport.blind) for (const told of this.#pings) told(NaN)
    if (this.#room.size > 0 && this.#settled()) {
      const callbacks = [...this.#room]
      this.#room.clear()
      for (const callback of callbacks) callback()
    }
    if (this.#of.confirmed) this.#promised = false
    this.#heed()
  }

  #settled (): boolean { return this.#of.over || this.admits() }

  #heed (): void {
    const { transport, over, full, flowing, confirmed } = this.#of
    const unconfirmed = !confirmed && (full || this.#room.size > 0)
    const readsOn = !over && (this.#answers > 0 || unconfirmed)
    if (readsOn !== this.#readsOn) {
      this.#readsOn = readsOn
      transport.readOn(readsOn)
    }
    // It is asked again, for reading on may have changed it.
    if (!over && unconfirmed && flowing && transport.blind && this.#room.size > 0) this.#watch()
    else this.#stuck?.cancel()
  }

  /** Nothing more is kept, and whoever is to read may be the one who waits: such a connection has an end. */
  #watch (): void {
    if (this.#stuck?.waiting === true) return
    this.#stuck ??= new Deadline(this.#wheel, () => {
      if (this.#consumed === this.#of.transport.consumed) this.#of.stalled()
      else this.#watch()
    })
    this.#consumed = this.#of.transport.consumed
    this.#stuck.in(this.#limits.stallTimeout)
  }
}
