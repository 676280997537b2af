/**
 * The least that a transport can be: a message is a line of JSON, and the last line says the close. The peer says nothing, so it can be
 * heard by nobody and confirms nothing; and there are no binary messages.
 */
import type { Socket } from 'node:net'
import type { Outgoing } from '../../src/core/outgoing.js'
import type { Wire } from '../../src/core/peer.js'
import type { Said, Traits, Transport, TransportOwner } from '../../src/transports/transport.js'

const traits: Traits = { kind: 'sse', remote: true, confirms: 'no', binary: false }

export class LineTransport implements Transport, Wire {
  readonly traits = traits
  readonly wire = this
  readonly deaf = true
  readonly reader = null
  readonly asker = null
  readonly fault = null
  begun = 0
  readonly #socket: Socket
  #owner!: Pick<TransportOwner, 'flushed' | 'ended'>
  #said: { code: number, reason: string } | null = null
  #taken = 0
  #left = 0

  constructor (socket: Socket) { this.#socket = socket }

  start (owner: Pick<TransportOwner, 'flushed' | 'ended'>): void {
    this.#owner = owner
    this.#socket.on('error', () => {})
    this.#socket.once('close', () => {
      const cause = this.#said === null ? 'reset' : 'server'
      this.#owner.ended({ ...(this.#said ?? { code: 1006, reason: '' }), cause, idle: NaN })
    })
  }

  get open (): boolean { return this.#said === null && this.#socket.writable }
  get bufferedBytes (): number { return this.#socket.destroyed ? 0 : this.#socket.writableLength }

  send (message: Outgoing, seq: number): boolean {
    this.begun = seq
    this.#write(JSON.stringify({ text: message.payload }), seq)
    return this.#socket.writableLength === 0
  }

  left (seq: number): boolean { return this.#socket.destroyed || this.#left >= seq }
  claim (): void {}

  close ({ code, reason: said, retryAfter = 0 }: Said): boolean {
    if (!this.open) return false
    const reason = said === '' && retryAfter > 0 ? `retry: ${retryAfter}` : said
    this.#write(JSON.stringify({ code, reason }), Infinity)
    this.#said = { code, reason }
    this.#socket.end()
    return true
  }

  terminate (): void { this.#socket.destroy() }

  #write (line: string, seq: number): void {
    this.#socket.write(`${line}\n`, (error) => {
      if (error != null) return
      this.#taken++
      this.#left = Math.max(this.#left, Math.min(seq, this.begun))
      this.#owner.flushed()
    })
  }

  // As the heartbeat sees it.

  heard (): number { return 0 }
  advance (): number { return this.#taken }
  backlog (): number { return this.bufferedBytes }
  span (): number { return this.bufferedBytes }
  waiting (): number { return this.bufferedBytes }
  phase (): 'reading' | 'closing' { return this.open ? 'reading' : 'closing' }
  beatenAt (): number { return -Infinity }
  peek (): boolean { return false }

  /** An empty line keeps it open. */
  beat (): number {
    if (this.open) this.#socket.write('\n')
    return 0
  }
}
