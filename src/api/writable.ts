/**
 * A connection as a Node stream: a chunk is a message, and a chunk is done when there is room for the next.
 * Invariant: nothing is written past the limit of the connection, so `pipeline` flows at the peer's speed.
 */
import { Writable } from 'node:stream'
import { FST_ERR_LIFELINE_INVALID_DATA } from '../core/errors.js'
import type { PushOptions, PushResult } from '../core/payload.js'
import type { CloseInfo } from './about.js'

export interface ConnectionWritableOptions extends PushOptions {
  /** Chunks may be anything that can be pushed, not only strings and bytes. @default false */
  objectMode?: boolean
}

/** What it writes to. */
interface Target {
  readonly bufferedBytes: number
  readonly closed: Promise<CloseInfo>
  push (data: unknown, options?: PushOptions): PushResult
  drained (): Promise<void>
}

export class ConnectionWritable extends Writable {
  readonly #target: Target
  readonly #options: PushOptions

  constructor (target: Target, { objectMode = false, ...options }: ConnectionWritableOptions) {
    super({ objectMode, decodeStrings: false })
    this.#target = target
    this.#options = options
    const destroy = (): void => { this.destroy() }
    target.closed.then(destroy, destroy)
  }

  /** Neither of these promises is ever rejected. */
  #whenDrained (callback: () => void): void {
    this.#target.drained().then(callback, callback)
  }

  override _write (chunk: unknown, encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    const result = this.#target.push(chunk, this.#options)
    switch (result) {
      case 'sent':
        done()
        break
      case 'buffered':
        this.#whenDrained(done)
        break
      case 'full':
        this.#whenDrained(() => { this._write(chunk, encoding, done) })
        break
      case 'gone':
        // As when the connection ends: an error that nobody listens to would end the process.
        this.destroy()
        break
      case 'invalid':
        done(new FST_ERR_LIFELINE_INVALID_DATA('see the error event before this one'))
    }
  }
}
