/**
 * A connection as a Node stream: a chunk is a message, and a chunk is done when there is room for the next.
 * Invariant: nothing is written past the limit of the connection, so `pipeline` flows at the peer's speed, however many
 * write to it; a chunk that has to wait is no push that was refused. Nothing is left of it on the connection when it is done.
 */
import { Writable } from 'node:stream'
import { checkBoolean, readOptions } from '../core/arguments.js'
import { later } from '../core/time/loop.js'
import { pushOptions } from '../core/payload.js'
import type { PushOptions, PushResult } from '../core/payload.js'

/** How chunks become messages. */
export interface ConnectionWritableOptions extends PushOptions {
  /** Chunks may be anything that can be pushed, not only strings and bytes. @default false */
  objectMode?: boolean
}

const writableOptions = new Set(['objectMode', ...pushOptions])

/** What it writes to: as a push, but null, and nothing else, while there is no room; and the error of what is invalid, which has been reported. */
type Offer = (data: unknown, options: PushOptions) => PushResult | Error | null

/** What it hears from that. */
interface Source {
  /** What waited has been dropped: there is room, but nothing has left. */
  readonly lost: boolean
  whenRoomy (callback: () => void): () => void
  whenOver (callback: () => void): () => void
}

/** So many chunks are done before the loop turns: a source that never waits must not keep it from that. */
const AT_ONCE = 64

export class ConnectionWritable extends Writable {
  readonly #offer: Offer
  readonly #source: Source
  readonly #options: PushOptions
  #release: (() => void) | null = null
  /** Takes back that it waits for room. */
  #forget: (() => void) | null = null
  #atOnce = 0
  /** Calls back the write that is under way; null: none is. */
  #settle: ((error?: Error | null) => void) | null = null

  constructor (offer: Offer, source: Source, given: ConnectionWritableOptions) {
    const { objectMode = false, ...options } = readOptions('writable', given, writableOptions)
    checkBoolean('writable: objectMode', objectMode)
    if (options.binary !== undefined) checkBoolean('writable: binary', options.binary)
    super({ objectMode, decodeStrings: false })
    this.#offer = offer
    this.#source = source
    this.#options = options
    const release = source.whenOver(() => { this.destroy() })
    if (!this.destroyed) this.#release = release
  }

  #whenRoomy (callback: () => void): void {
    let called = false
    const forget = this.#source.whenRoomy(() => {
      called = true
      this.#forget = null
      // Its end is told soon.
      if (!this.#source.lost) this.#inTurn(callback)
    })
    if (!called) this.#forget = forget
  }

  #inTurn (callback: () => void): void {
    if (++this.#atOnce <= AT_ONCE) {
      callback()
      return
    }
    this.#atOnce = 0
    later(callback)
  }

  override _write (chunk: unknown, encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    const settle = this.#settle = (error) => {
      if (this.#settle !== settle) return
      this.#settle = null
      done(error)
    }
    // A string that says how it is to be read stands for bytes.
    this.#push(typeof chunk === 'string' && Buffer.isEncoding(encoding) && !/^utf-?8$/i.test(encoding) ? Buffer.from(chunk, encoding) : chunk, settle)
  }

  #push (chunk: unknown, done: (error?: Error | null) => void): void {
    const result = this.#offer(chunk, this.#options)
    switch (result) {
      case 'sent':
        this.#inTurn(done)
        break
      case 'buffered':
        this.#whenRoomy(done)
        break
      case null:
        // Another may take the room before it is its turn: then it waits on.
        this.#whenRoomy(() => {
          if (!this.destroyed) this.#push(chunk, done)
        })
        break
      case 'full':
      case 'gone':
        // As when the connection ends: an error that nobody listens to would end the process.
        this.destroy()
        break
      default:
        done(result as Error)
    }
  }

  override _destroy (error: Error | null, done: (error?: Error | null) => void): void {
    this.#release?.()
    this.#forget?.()
    done(error)
    // Whoever waits for its own write alone is told too.
    this.#settle?.(error ?? Object.assign(new Error('Premature close: the connection is over'), { code: 'ERR_STREAM_PREMATURE_CLOSE' }))
  }
}
