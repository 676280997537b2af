/**
 * A peer of a test: it answers pings as it is told, and knows what its answers prove.
 * Invariant: `proved` has grown before the pong that proves it is written.
 */
import { randomBytes } from 'node:crypto'
import type { TestContext } from 'node:test'
import { frame, opcode } from './frames.js'
import { dial, isOfPlugin } from './raw-client.js'
import type { RawClient, RawOptions } from './raw-client.js'
import type { Answers } from './truth-steps.js'

interface Asked { payload: Buffer, behind: number }

export class Peer {
  /** So many of `client.received` came before a ping of the plugin that was answered. */
  proved = 0
  /** Each ping was answered at once. */
  prompt = true
  #client: RawClient | null = null
  #closed = false
  #answers: Answers = 'prompt'
  #open: Asked[] = []
  #last: Buffer | null = null
  #soon = false

  static async dial (t: Pick<TestContext, 'after'>, url: string, options: RawOptions): Promise<Peer> {
    const peer = new Peer()
    peer.#client = await dial(t, url, { ...options, onPing: (payload) => { peer.#asked(payload) } })
    peer.answerNow()
    return peer
  }

  get client (): RawClient { return this.#client! }

  get mute (): boolean { return this.#answers === 'never' }

  answers (how: Answers): void {
    if (how !== 'prompt') this.prompt = false
    this.#answers = how
  }

  /** Answers what is open. */
  answerNow (): void {
    for (const asked of this.#open.splice(0)) this.#answer(asked)
  }

  /** Nobody reads what follows a close frame. */
  close (): void {
    this.#closed = true
    if (this.client.socket.writable) this.client.close()
  }

  talk (size: number, times: number): void {
    const message = frame(opcode.binary, Buffer.alloc(size, 'x'))
    for (let i = 0; i < times; i++) this.#write(message)
  }

  /** A pong that proves nothing. */
  forge (what: 'noise' | 'empty' | 'again'): void {
    if (what === 'again' && this.#last !== null) this.client.pong(this.#last)
    else this.client.pong(what === 'empty' ? Buffer.alloc(0) : randomBytes(8))
  }

  #write (bytes: Buffer): void {
    if (this.client.socket.writable) this.client.socket.write(bytes)
  }

  #asked (payload: Buffer): void {
    this.#open.push({ payload: Buffer.from(payload), behind: this.#client?.received.length ?? 0 })
    // It came with the answer to the handshake.
    if (this.#client === null) return
    switch (this.#answers) {
      case 'prompt':
        this.answerNow()
        break
      case 'delayed':
        setTimeout(() => { if (this.#answers !== 'never') this.answerNow() }, 3)
        break
      case 'newest':
        if (this.#soon) return
        this.#soon = true
        setImmediate(() => {
          this.#soon = false
          this.#open.splice(0, this.#open.length - 1)
          this.answerNow()
        })
    }
  }

  #answer ({ payload, behind }: Asked): void {
    if (this.#closed || !this.client.socket.writable) return
    if (isOfPlugin({ kind: 'ping', data: payload })) {
      this.proved = Math.max(this.proved, behind)
      this.#last = payload
    }
    this.client.pong(payload)
  }
}
