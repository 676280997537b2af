/**
 * Who waits for something that the peer has to do: take what waits for it, confirm it, or answer a ping; and whether there is
 * room for what a producer has next.
 * Invariant: while anybody waits for an answer the transport reads on, whoever has paused it, up to its cap; at the cap
 * nobody is made to wait for what cannot come. What is told is told in a later turn.
 */
import type { Limits } from '../core/backpressure.js'
import { Deadline } from '../core/time/deadline.js'
import { later } from '../core/time/loop.js'
import type { Wheel } from '../core/time/wheel.js'
import type { Transport } from '../transports/transport.js'
import type { Deliveries } from './deliveries.js'

/** The connection, as far as waiting goes. */
export interface Awaited {
  readonly transport: Transport
  /** null: nothing is kept, and nobody waits for a receipt. */
  readonly deliveries: Deliveries | null
  readonly over: boolean
  /** Nothing moves any more. */
  stalled (): void
}

export class Waits {
  /** A push was refused, and `drain` is to tell when the next would not be. */
  full = false

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
  get lenient (): boolean { return this.#promised || this.#blind }

  /** Whether there is room for what a producer has next. If so it is told: then the next message is taken. */
  admits (): boolean {
    if (!this.#flowing) return false
    if (this.#confirmed) return true
    if (this.#of.deliveries?.stretches === false || !this.#blind) return false
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
    this.#of.deliveries?.ask()
    this.changed()
    return () => {
      if (this.#room.delete(callback)) this.heed()
    }
  }

  /** Until it is settled, somebody waits for an answer. */
  async forAnswer<T> (answer: Promise<T>): Promise<T> {
    this.#answers++
    this.heed()
    try {
      return await answer
    } finally {
      this.#answers--
      this.heed()
    }
  }

  /** From now on, to the end, somebody waits for an answer. */
  forAnswers (): void {
    this.#answers++
    this.heed()
  }

  /** The round trip of a ping in ms; Infinity if it is over first, NaN if the answer will not be seen, or the peer cannot be asked. */
  ping (): Promise<number> {
    const { transport: { asker }, over } = this.#of
    if (over) return this.#told(Infinity)
    if (asker === null || this.#blind) return this.#told(NaN)
    return this.forAnswer(new Promise((resolve) => {
      const told = (roundTrip: number): void => {
        if (this.#pings.delete(told)) later(() => { resolve(roundTrip) })
      }
      this.#pings.add(told)
      asker.ping().then(told, told)
    }))
  }

  #told<T> (value: T): Promise<T> {
    return new Promise((resolve) => { later(() => { resolve(value) }) })
  }

  /** Something was taken, or heard, or is not going to be. */
  changed (): void {
    if (this.#pings.size > 0 && this.#blind) for (const told of this.#pings) told(NaN)
    if (this.#room.size > 0) {
      // Whoever is called may take the room: then the others wait on, in their order.
      for (const callback of [...this.#room]) {
        if (!this.#settled()) break
        if (this.#room.delete(callback)) this.#call(callback)
      }
    }
    if (this.#confirmed) this.#promised = false
    this.heed()
  }

  /** The app's own code may be behind it, as with a callback of a write. What that throws is the app's, and ends the process, but disturbs nobody here. */
  #call (callback: () => void): void {
    try {
      callback()
    } catch (error) {
      later(() => { throw error })
    }
  }

  get #blind (): boolean { return this.#of.transport.reader?.blind === true }

  /** Whether no more than `low` waits here. */
  get #flowing (): boolean { return this.#of.transport.bufferedBytes <= this.#limits.low }

  /** Whether no more than half of what may be unconfirmed is. */
  get #confirmed (): boolean { return this.#of.deliveries?.roomy !== false && this.#of.transport.roomy }

  #settled (): boolean { return this.#of.over || this.admits() }

  /** Whether somebody waits may have changed: then so does whether it reads on. */
  heed (): void {
    const { transport: { reader }, over } = this.#of
    const unconfirmed = !this.#confirmed && (this.full || this.#room.size > 0)
    const readsOn = !over && (this.#answers > 0 || unconfirmed)
    if (readsOn !== this.#readsOn) {
      this.#readsOn = readsOn
      reader?.readOn(readsOn)
    }
    // It is asked again, for reading on may have changed it.
    if (!over && unconfirmed && this.#flowing && this.#blind && this.#room.size > 0) this.#watch()
    else this.#stuck?.cancel()
  }

  /** Nothing more is kept, and whoever is to read may be the one who waits: such a connection has an end. */
  #watch (): void {
    if (this.#stuck?.waiting === true) return
    this.#stuck ??= new Deadline(this.#wheel, () => {
      if (this.#consumed === this.#taken) this.#of.stalled()
      else this.#watch()
    })
    this.#consumed = this.#taken
    this.#stuck.after(this.#limits.stallTimeout)
  }

  get #taken (): number { return this.#of.transport.reader?.consumed ?? 0 }
}
