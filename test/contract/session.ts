/**
 * A transport that outlives its wires: what the peer has not confirmed is sent again on the next, and each wire has a run of its own.
 * It confirms by itself, so its connection keeps nothing. (What resume will be, in little: no tokens, no bounds.)
 */
import type { Connection } from '../../src/api/connection.js'
import type { Outgoing } from '../../src/core/outgoing.js'
import type { Life } from '../../src/life/life.js'
import type { Call, Run } from '../../src/life/run.js'
import type { Reader, Said, Traits, Transport, TransportEnd } from '../../src/transports/transport.js'
import type { MemoryWire } from './wire.js'

const traits: Traits = { kind: 'websocket', remote: true, confirms: 'itself', binary: true }

export class Session implements Transport {
  readonly traits = traits
  readonly asker = null
  readonly fault = null
  open = true
  begun = 0
  /** Whether it waits for another wire when it has lost one. */
  readonly #outlives: boolean
  #life!: Life<Connection>
  #current: MemoryWire
  #attached = true
  readonly #unconfirmed: Array<{ message: Outgoing, seq: number }> = []

  constructor (first: MemoryWire, outlives: boolean) {
    this.#current = first
    this.#outlives = outlives
  }

  /** Of the first wire. */
  start (life: Life<Connection>): void {
    this.#life = life
    this.#listen(this.#current)
  }

  /** Another wire takes the place of the one before: its gate is shut first, and what is missing comes before anything new. */
  resume (wire: MemoryWire, call: Call): Run {
    this.#current.reader.shut()
    this.#current.terminate()
    this.#current = wire
    this.#attached = true
    const run = this.#life.attach(wire, call)
    this.#listen(wire)
    for (const { message, seq } of this.#unconfirmed) wire.send(message, seq)
    return run
  }

  get wire (): MemoryWire { return this.#current }
  get reader (): Reader { return this.#current.reader }
  get bufferedBytes (): number { return this.open ? this.#unconfirmed.reduce((sum, { message }) => sum + message.size, 0) : 0 }

  send (message: Outgoing, seq: number): boolean {
    // It may be sent again: the app's bytes are the app's.
    message.own()
    this.#unconfirmed.push({ message, seq })
    this.begun = seq
    if (this.#attached) this.#current.send(message, seq)
    return false
  }

  left (seq: number): boolean { return !this.open || this.#unconfirmed.every((one) => one.seq > seq) }
  claim (): void {}

  close (said: Said, dropped: boolean): boolean {
    if (!this.open) return false
    this.open = false
    if (this.#attached) return this.#current.close(said, dropped)
    this.#end({ ...said, cause: 'server', idle: NaN })
    return true
  }

  terminate (): void {
    this.open = false
    if (this.#attached) this.#current.terminate()
    else this.#end({ code: 1006, reason: '', cause: 'server', idle: NaN })
  }

  #listen (wire: MemoryWire): void {
    wire.onTaken = (seq) => {
      while (this.#unconfirmed.length > 0 && this.#unconfirmed[0]!.seq <= seq) this.#unconfirmed.shift()
      this.#life.received(seq, 1)
    }
    wire.owner = {
      flushed: () => { if (wire === this.#current) this.#life.flushed() },
      ended: (end) => {
        if (wire !== this.#current) return
        this.#attached = false
        if (this.open && this.#outlives) this.#life.run.end()
        else this.#end(end)
      }
    }
  }

  #end (end: TransportEnd): void {
    this.open = false
    this.#unconfirmed.length = 0
    this.#life.ended(end)
  }
}
