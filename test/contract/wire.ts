/**
 * A wire in memory, with its peer: what is sent goes there as long as that takes it, and what the peer says comes here. It answers pings.
 */
import { FST_ERR_LIFELINE_ALREADY_READING } from '../../src/core/errors.js'
import type { Outgoing } from '../../src/core/outgoing.js'
import type { Wire } from '../../src/core/peer.js'
import type { Asker, Carrier, Message, Reader, Said, Screen, Traits, TransportOwner } from '../../src/transports/transport.js'

/** Reads one message at a time; the gate ends it. */
export class MemoryReader implements Reader {
  readonly paused = false
  readonly throttled = false
  readonly blind = false
  consumed = 0
  spoken = false
  /** How often it was told that the handler has settled. */
  settles = 0
  #queue: Message[] = []
  #shut = false
  #reading = false
  #wake: (() => void) | null = null
  readonly #took: () => void

  constructor (took: () => void) { this.#took = took }

  say (data: string | Buffer): void {
    this.spoken = true
    if (!this.#shut) this.#queue.push(typeof data === 'string' ? { data, binary: false } : { data: Buffer.from(data), binary: true })
    this.#wake?.()
  }

  messages (): AsyncIterableIterator<Message> {
    if (this.#reading) throw new FST_ERR_LIFELINE_ALREADY_READING()
    this.#reading = true
    return this.#read()
  }

  closing (): void { this.shut() }

  shut (): void {
    this.#shut = true
    this.#reading = false
    this.#queue = []
    this.#wake?.()
  }

  async * #read (): AsyncIterableIterator<Message> {
    while (!this.#shut) {
      const message = this.#queue.shift()
      if (message === undefined) {
        await new Promise<void>((resolve) => { this.#wake = resolve })
      } else {
        this.consumed++
        this.#took()
        yield message
      }
    }
  }

  mute (): void { this.shut() }
  pause (): void {}
  resume (): void {}
  readOn (): void {}
  settled (): void { this.settles++ }
}

/** How many messages the peer takes in a turn of the event loop. */
const A_TURN = 5

export class MemoryWire implements Carrier, Wire {
  readonly traits: Traits = { kind: 'websocket', remote: true, confirms: 'no', binary: true }
  readonly paused = false
  readonly deaf = false
  readonly wire = this
  readonly reader = new MemoryReader(() => { this.owner?.took() })
  readonly asker: Asker | null
  readonly fault = null
  open = true
  begun = 0
  readonly received: Message[] = []
  told: { code: number, reason: string } | null = null
  owner: TransportOwner | null = null
  /** Is told of each message that the peer has. */
  onTaken: (seq: number) => void = () => {}
  /** Whether pings are answered. */
  answers = true
  #held = false
  #gone = false
  #ended = false
  #taken = 0
  #heard = 0
  #waiting: Array<{ message: Message, seq: number, size: number }> = []
  #last: (() => void) | null = null
  #screen: Screen | null = null
  #soon = false

  /** @param asked whether it can be */
  constructor (asked = false) {
    this.asker = asked ? { roundTrip: 1, want: () => {}, ping: async () => 1 } : null
  }

  get bufferedBytes (): number { return this.#waiting.reduce((sum, { size }) => sum + size, 0) }

  send ({ payload, binary, size }: Outgoing, seq: number): boolean {
    this.#waiting.push({ message: binary ? { data: Buffer.from(payload as Buffer), binary: true } : { data: String(payload), binary: false }, seq, size: size + 2 })
    this.#flowSoon()
    return false
  }

  left (seq: number): boolean { return this.#waiting.every((waiting) => waiting.seq > seq) }
  claim (): void {}
  fits (): boolean { return true }
  get roomy (): boolean { return true }

  close ({ code, reason, retryAfter = 0 }: Said, dropped: boolean): boolean {
    if (!this.open) return false
    this.open = false
    if (dropped) this.#waiting = []
    this.#last = () => {
      this.told = { code, reason: retryAfter > 0 ? `retry: ${retryAfter}` : reason }
      this.#end(code, reason, 'client')
    }
    this.#flowSoon()
    return true
  }

  terminate (): void { this.#end(1006, '', 'reset') }

  // As the heartbeat sees it.

  heard (): number { return this.#heard }
  advance (): number { return this.#taken }
  span (): number { return this.bufferedBytes }
  waiting (): number { return this.bufferedBytes }
  beatenAt (): number { return 0 }
  peek (): boolean { return false }
  beat (): number {
    if (this.answers) this.#heard++
    return 1
  }

  // As the peer does.

  hold (on: boolean): void {
    this.#held = on
    this.#flowSoon()
  }

  /** Is found out with the next message. */
  vanish (): void { this.#gone = true }

  screen (screen: Screen): void { this.#screen = screen }

  /** Sends a message. */
  say (data: string | Buffer): void {
    this.#heard++
    const text = typeof data === 'string'
    const passed = this.#screen === null ? data : text ? this.#screen.text(Buffer.from(data)) : this.#screen.binary(data.length) ? data : null
    if (passed !== null) this.reader.say(text ? String(passed) : passed)
  }

  /** Closes, as a client does. */
  leave (code: number): void { this.#end(code, '', 'client') }

  #flowSoon (): void {
    if (this.#soon) return
    this.#soon = true
    setImmediate(() => {
      this.#soon = false
      this.#flow()
    })
  }

  #flow (): void {
    if (this.#ended) return
    if (this.#gone && this.#waiting.length > 0) this.terminate()
    for (let i = 0; i < A_TURN && !this.#held && this.#waiting.length > 0; i++) {
      const { message, seq } = this.#waiting.shift()!
      this.received.push(message)
      this.begun = seq
      this.#taken++
      this.onTaken(seq)
      this.owner?.flushed()
    }
    if (this.#waiting.length === 0) this.#last?.()
    else if (!this.#held) this.#flowSoon()
  }

  #end (code: number, reason: string, cause: 'client' | 'reset'): void {
    if (this.#ended) return
    this.#ended = true
    this.open = false
    this.#waiting = []
    this.reader.shut()
    setImmediate(() => { this.owner?.ended({ code, reason, cause, idle: NaN }) })
  }
}
