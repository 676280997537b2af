/**
 * A connection as a Node stream: a chunk is a message, and a chunk is done when there is room for the next.
 * Invariant: nothing is written past the limit of the connection, so `pipeline` flows at the peer's speed, however many
 * write to it; a chunk that has to wait is no push that was refused. Nothing is left of it on the connection when it is done.
 */
import { Writable } from 'node:stream'
import { checkBoolean, checkOptions } from '../core/arguments.js'
import { FST_ERR_LIFELINE_INVALID_DATA } from '../core/errors.js'
import { later } from '../core/time/loop.js'
import type { PushOptions, PushResult } from '../core/payload.js'

export interface ConnectionWritableOptions extends PushOptions {
  /** Chunks may be anything that can be pushed, not only strings and bytes. @default false */
  objectMode?: boolean
}

const writableOptions = new Set(['objectMode', 'binary'])

/** What it writes to: as a push, but null, and nothing else, while there is no room. */
type Offer = (data: unknown, options: PushOptions) => PushResult | null

/** What it hears from that. */
interface Source {
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
    checkOptions('writable', given, writableOptions)
    const { objectMode = false, ...options } = given
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
      this.#inTurn(callback)
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

  override _write (chunk: unknown, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    const settle = this.#settle = (error) => {
      if (this.#settle !== settle) return
      this.#settle = null
      done(error)
    }
    this.#push(chunk, settle)
  }

  #push (chunk: unknown, done: (error?: Error | null) => void): void {
    switch (this.#offer(chunk, this.#options)) {
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
      case 'invalid':
        done(new FST_ERR_LIFELINE_INVALID_DATA('see the error event before this one'))
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
