/**
 * The least that a transport can be: a message is a line of JSON, and the last line says the close. The peer says nothing, so it can be
 * heard by nobody and confirms nothing; and there are no binary messages. It writes with the writer that all streams have.
 */
import type { Socket } from 'node:net'
import type { Outgoing } from '../../src/core/outgoing.js'
import type { Wire } from '../../src/core/peer.js'
import { Batches } from '../../src/transports/outbound/batch.js'
import { PART_MAX } from '../../src/transports/outbound/encoding.js'
import type { Content, Encoding } from '../../src/transports/outbound/encoding.js'
import { StreamWriter } from '../../src/transports/outbound/stream-writer.js'
import type { StreamOwner } from '../../src/transports/outbound/stream-writer.js'
import type { Said, Traits, Transport, TransportOwner } from '../../src/transports/transport.js'

const traits: Traits = { kind: 'sse', remote: true, confirms: 'no', binary: false }

const lineOf = ({ content }: Content): string => `${JSON.stringify({ text: String(content) })}\n`

function cut (line: Buffer): readonly Buffer[] {
  const parts: Buffer[] = []
  for (let from = 0; from < line.length; from += PART_MAX) parts.push(line.subarray(from, from + PART_MAX))
  return parts
}

const lines: Encoding = {
  batches: new Batches(),
  lengthOf: (message) => Buffer.byteLength(lineOf(message)),
  write: (target, at, message) => at + target.write(lineOf(message), at),
  partsOf: (message) => cut(Buffer.from(lineOf(message))),
}

export class LineTransport implements Transport, StreamOwner {
  readonly traits = traits
  readonly wire: Wire = wireOf(this)
  readonly reader = null
  readonly asker = null
  readonly fault = null
  readonly socket: Socket
  readonly writer: StreamWriter
  #owner!: Pick<TransportOwner, 'flushed' | 'ended'>
  #said: { code: number, reason: string } | null = null
  #mark = NaN

  constructor (socket: Socket) {
    this.socket = socket
    this.writer = new StreamWriter(socket, lines, this)
  }

  start (owner: Pick<TransportOwner, 'flushed' | 'ended'>): void {
    this.#owner = owner
    this.socket.on('error', () => {})
    this.socket.once('close', () => {
      this.writer.discard()
      const cause = this.#said === null ? 'reset' : 'server'
      this.#owner.ended({ ...(this.#said ?? { code: 1006, reason: '' }), cause, idle: NaN })
    })
  }

  get open (): boolean { return this.#said === null && this.socket.writable }
  get bufferedBytes (): number { return this.socket.destroyed ? 0 : this.writer.waitingBytes }
  get begun (): number { return this.writer.handed }

  send (message: Outgoing, seq: number): boolean { return this.writer.send(message, seq) }

  left (seq: number): boolean {
    if (this.socket.destroyed) return true
    if (this.writer.handed < seq) return false
    if (Number.isNaN(this.#mark)) this.#mark = this.socket.bytesWritten
    return this.socket.bytesWritten - this.socket.writableLength >= this.#mark
  }

  claim (): void {}
  fits (): boolean { return true }
  get roomy (): boolean { return true }

  close ({ code, reason: said, retryAfter = 0 }: Said, dropped: boolean): boolean {
    if (!this.open) return false
    const reason = said === '' && retryAfter > 0 ? `retry: ${retryAfter}` : said
    if (dropped) this.writer.discard()
    else this.writer.flush()
    this.socket.end(`${JSON.stringify({ code, reason })}\n`)
    this.#said = { code, reason }
    return true
  }

  terminate (): void { this.socket.destroy() }

  // As the writer sees it.

  handedOver (): void {}
  taken (): void { if (!this.socket.destroyed) this.#owner.flushed() }
}

/** As the heartbeat sees it. */
function wireOf (transport: LineTransport): Wire {
  return {
    paused: false,
    deaf: true,
    heard: () => 0,
    advance: () => transport.writer.completed,
    span: () => transport.bufferedBytes,
    waiting: () => transport.bufferedBytes,
    beatenAt: () => -Infinity,
    peek: () => false,
    /** An empty line keeps it open; while something waits that does, and nothing may stand in the middle of a line. */
    beat: () => {
      if (transport.open && transport.bufferedBytes === 0) transport.socket.write('\n')
      return 0
    }
  }
}
