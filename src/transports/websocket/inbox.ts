/**
 * What came from the peer and was not taken yet, in order.
 * Invariant: a message is held, handed to exactly one reader, or counted as dropped; the memory
 * that a silent app and a talkative peer can take together is bounded.
 * Knows nothing of sockets: it says when to pause, through its gate.
 */
import { FST_ERR_LIFELINE_ALREADY_READING } from '../../core/errors.js'
import type { Message } from '../transport.js'

/** Held for a route that has no reader yet, in bytes. Past it the route counts as push-only. */
export const HELD_MAX = 64 * 1024

/** Held for a reader that has fallen behind, in bytes; reading pauses past it and goes on below half of it. */
export const HIGH_WATER = 256 * 1024

/** What an entry costs beside its bytes, so that a flood of empty messages counts as well. */
const OVERHEAD = 64

/** As ws emits it: bytes, whether they are text or not. */
export interface RawMessage {
  readonly data: Buffer | ArrayBuffer | Buffer[] | Blob
  readonly binary: boolean
  /** The listeners have had it already: it is held for a reader. */
  readonly heard?: boolean
}

export interface Gate {
  /** Stop, or go on, reading from the peer. */
  hold (on: boolean): void
  /** Whether somebody beside our own reader is to get messages: a listener of the socket, or whoever has it resumed. */
  expected (): boolean
  /** The reader has left. */
  left (): void
  /** So many messages, of so many bytes together, were let go. */
  dropped (messages: number, bytes: number): void
  /** One more was, of those for whom nobody waits any more. */
  ignored (): void
}

export function bytesOf ({ data }: RawMessage): number {
  if (Array.isArray(data)) return data.reduce((sum, part) => sum + part.length, 0)
  return data instanceof Blob ? data.size : data.byteLength
}

/** The bytes; a Blob gives them only later. */
export function toBuffer (data: Exclude<RawMessage['data'], Blob>): Buffer {
  if (Array.isArray(data)) return Buffer.concat(data)
  return Buffer.isBuffer(data) ? data : Buffer.from(data)
}

async function toMessage ({ data, binary }: RawMessage): Promise<Message> {
  const buffer = toBuffer(data instanceof Blob ? await data.arrayBuffer() : data)
  return binary ? { data: buffer, binary: true } : { data: buffer.toString(), binary: false }
}

export class Inbox {
  readonly #gate: Gate
  #queue: RawMessage[] = []
  #bytes = 0
  #ended = false
  #held = false
  #full = false
  /** The one reader: null if there is none, else what wakes it. */
  #reader: { wake: (() => void) | null } | null = null
  /** The app may still attach a reader: its handler has not settled. */
  #awaited = true
  #pushOnly = false

  constructor (gate: Gate) {
    this.#gate = gate
  }

  get empty (): boolean { return this.#queue.length === 0 }

  get bytes (): number { return this.#bytes }

  get reading (): boolean { return this.#reader !== null }

  add (message: RawMessage): void {
    if (this.#pushOnly && this.#unwanted) {
      this.#gate.ignored()
      return
    }
    this.#queue.push(message)
    this.#bytes += bytesOf(message) + OVERHEAD
    this.#reader?.wake?.()
    this.#bound()
  }

  /** The handler has settled, or is at work for too long: who has not attached a reader by now may have none to attach. */
  settled (): void {
    this.#awaited = false
    this.#bound()
  }

  /** The next message for a listener; undefined if none is held. */
  take (): RawMessage | undefined {
    const message = this.#queue.shift()
    if (message === undefined) return undefined
    this.#bytes -= bytesOf(message) + OVERHEAD
    if (this.#full && this.#bytes < HIGH_WATER / 2) this.#hold(false)
    return message
  }

  /** While on, the reader gets nothing: the peer sends too much. */
  hold (on: boolean): void {
    this.#held = on
    if (!on) this.#reader?.wake?.()
  }

  /** Whatever is held is of no use any more. */
  discard (): void {
    const unheard = this.#queue.filter(({ heard }) => heard !== true)
    this.#queue = []
    this.#bytes = 0
    if (this.#full) this.#hold(false)
    if (unheard.length > 0) this.#gate.dropped(unheard.length, unheard.reduce((sum, message) => sum + bytesOf(message), 0))
  }

  /** No more will come; what is held can still be read. */
  end (): void {
    this.#ended = true
    this.hold(false)
  }

  messages (): AsyncIterableIterator<Message> {
    if (this.#reader !== null) throw new FST_ERR_LIFELINE_ALREADY_READING()
    const reader: { wake: (() => void) | null } = { wake: null }
    this.#reader = reader
    this.#pushOnly = false
    const stop = (): void => {
      if (this.#reader !== reader) return
      this.#reader = null
      reader.wake?.()
      this.#bound()
      this.#gate.left()
    }
    const next = async (): Promise<IteratorResult<Message>> => {
      while (this.#reader === reader) {
        const message = this.#held ? undefined : this.take()
        if (message !== undefined) return { done: false, value: await toMessage(message) }
        if (this.#ended) break
        await new Promise<void>((resolve) => { reader.wake = resolve })
        reader.wake = null
      }
      stop()
      return { done: true, value: undefined }
    }
    // Calls that overlap are answered in their order, as an async generator would.
    let last: Promise<unknown> = Promise.resolve()
    return {
      next: () => (last = last.then(next)) as Promise<IteratorResult<Message>>,
      return: async () => {
        stop()
        return { done: true, value: undefined }
      },
      [Symbol.asyncIterator] () { return this }
    }
  }

  get #unwanted (): boolean { return this.#reader === null && !this.#gate.expected() }

  #bound (): void {
    if (!this.#awaited && this.#bytes > HELD_MAX && this.#unwanted) {
      this.#pushOnly = true
      this.discard()
      return
    }
    const high = this.#reader === null ? HELD_MAX : HIGH_WATER
    if (!this.#full && this.#bytes > high) this.#hold(true)
  }

  #hold (on: boolean): void {
    this.#full = on
    this.#gate.hold(on)
  }
}
