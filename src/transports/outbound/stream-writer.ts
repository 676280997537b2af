/**
 * Writes messages to a stream as its encoding puts them: the first of a tick at once, what follows in as few writes as can be, and
 * what goes to many in the same bytes for all.
 * Invariant: only whole parts are handed over, at most PART_MAX at a time, and the next when the stream has taken the last.
 * Knows nothing of what keeps a wire alive: that is written to the stream in between, by whoever needs it.
 */
import type { Duplex, Writable } from 'node:stream'
import { Shared } from '../../core/outgoing.js'
import type { Outgoing, Parts } from '../../core/outgoing.js'
import { tick, turn } from '../../core/time/loop.js'
import type { TurnEnd } from '../../core/time/loop.js'
import { Batch } from './batch.js'
import { Chunk } from './chunk.js'
import { PART_MAX } from './encoding.js'
import type { Content, Encoding } from './encoding.js'

const EMPTY = Buffer.alloc(0)

export const ENDED = 'the connection ended before the message was sent'

/** One message that makes its parts as they leave. */
export interface Sliced {
  /** Of its payload, bytes that were not handed over yet. */
  readonly bytes: number
  /** The next part. */
  next (): Buffer
  /** It has been taken, or never will be. */
  end (error?: Error): void
}

type Whole = Batch | Chunk

/** What waits, and the number of the last message that is whole with it; 0: none is. */
interface Waiting { readonly part: Whole | Sliced, readonly last: number }

const isWhole = (part: Whole | Sliced): part is Whole => part instanceof Chunk || part instanceof Batch
const bytesIn = (part: Whole): number => part instanceof Chunk ? part.length : part.bytes

/** A real socket, one with TLS on it, or the body of a response. */
export type Sink = (Writable | Duplex) & { readonly encrypted?: boolean }

export interface StreamOwner {
  /** Whether anything may be written. */
  readonly open: boolean
  /** So many bytes were handed over. */
  handedOver (bytes: number): void
  /** Something that was handed over has been taken. */
  taken (): void
}

export class StreamWriter implements TurnEnd {
  /** Grows with every hand-over that is done. */
  completed = 0
  /** The number of the last message that is handed over, with all before it. */
  handed = 0
  /** Bytes that were not handed over yet. */
  queuedBytes = 0
  /** Those of them that are of messages which the app itself has sent. */
  appBytes = 0

  protected readonly stream: Sink
  /** Hand-overs that are not known to be taken. */
  protected underway = 0
  readonly #encoding: Encoding
  readonly #owner: StreamOwner
  /** What is added to now: what many get, or, from the first message on that is for this stream alone, all it gets. */
  #open: Whole | null = null
  /** The number of the last message that is whole with what is open. */
  #openLast = 0
  /** What is full, before it. */
  #full: Waiting[] | null = null
  /** The tick in which a message was written at once. */
  #tick = -1
  /** Waits for the end of the tick, or of the turn. */
  #waits: 'tick' | 'turn' | null = null
  #taken: ((error?: Error | null) => void) | null = null

  constructor (stream: Sink, encoding: Encoding, owner: StreamOwner) {
    this.stream = stream
    this.#encoding = encoding
    this.#owner = owner
  }

  /** All that waits in this process, here and below, in bytes: asked with every push. */
  get waitingBytes (): number { return this.queuedBytes + this.stream.writableLength }

  /** @param seq the number of the message. @returns true if nothing of it waits here */
  send (message: Outgoing, seq: number): boolean {
    if (message instanceof Shared) return this.#share(message.partsBy(this.#encoding), seq)
    const length = this.#encoding.lengthOf(message)
    if (length > PART_MAX) return this.#sendParts(this.#encoding.partsOf(message), seq)
    if (this.underway === 0 && this.queuedBytes === 0 && this.#tick !== tick.number) {
      this.#tick = tick.number
      const bytes = Buffer.allocUnsafe(length)
      this.#encoding.write(bytes, 0, message)
      this.#write(bytes, seq)
      return this.stream.writableLength === 0
    }
    this.#chunk(length).message(this.#encoding, message, length)
    this.#openLast = seq
    if (this.underway === 0 && this.#waits === null) this.#wait('tick')
    return false
  }

  /** Sends a message that has no number. @param message of one part @param done called when it has been taken, or never will be */
  sendCalled (message: Content, done: (error?: Error) => void): void {
    const length = this.#encoding.lengthOf(message)
    const chunk = this.#chunk(length)
    chunk.message(this.#encoding, message, length)
    chunk.own(message.size, done)
    this.appBytes += message.size
    this.#next()
  }

  /** Likewise, one that makes its parts as they leave. */
  sendSlices (sliced: Sliced): void {
    this.#close()
    ;(this.#full ??= []).push({ part: sliced, last: 0 })
    this.queuedBytes += sliced.bytes
    this.appBytes += sliced.bytes
    this.#next()
  }

  /** What waits for the end of a tick or turn alone is handed over. */
  settle (): void { this.#next() }

  /** Everything is handed over, now: what comes next must come behind it. */
  flush (): void {
    while (this.#full !== null) this.#writeFirst()
    if (this.#open !== null) this.#writeOpen()
  }

  /** Nothing more will be sent. */
  discard (): void {
    const parts = [...(this.#full ?? []).map(({ part }) => part), this.#open]
    this.#open = null
    this.#full = null
    this.queuedBytes = this.appBytes = 0
    for (const part of parts) if (part !== null && !(part instanceof Batch)) part.end(new Error(ENDED))
  }

  turnEnded (): void {
    this.#waits = null
    this.#next()
    this.#owner.taken()
  }

  #wait (what: 'tick' | 'turn'): void {
    this.#waits = what
    if (what === 'tick') tick.add(this)
    else turn.add(this)
  }

  /** One message alone. */
  #sendParts (parts: Parts, seq: number): boolean {
    for (const part of Buffer.isBuffer(parts) ? [parts] : parts) this.#chunk(part.length).parts(part)
    this.#openLast = seq
    if (this.underway === 0 && this.#waits === null) this.#next()
    return this.queuedBytes === 0 && this.stream.writableLength === 0
  }

  /** The same for many. */
  #share (parts: Parts, seq: number): false {
    if (Buffer.isBuffer(parts)) this.#add(parts)
    else for (const part of parts) this.#add(part)
    this.#openLast = seq
    if (this.underway === 0 && this.#waits === null) this.#wait('turn')
    return false
  }

  #add (part: Buffer): void {
    const open = this.#open
    if (open instanceof Chunk) return this.#chunk(part.length).parts(part)
    if (open !== null && open.bytes + part.length <= PART_MAX) {
      this.#open = open.with(part)
    } else {
      this.#close()
      this.#open = this.#encoding.batches.of(part)
    }
    this.queuedBytes += part.length
  }

  /** The chunk that so many bytes more are to be added to. */
  #chunk (bytes: number): Chunk {
    const open = this.#open
    const length = open === null ? 0 : bytesIn(open)
    if (length + bytes > PART_MAX) this.#close()
    this.queuedBytes += bytes
    if (this.#open instanceof Chunk) return this.#open
    const chunk = new Chunk(this.underway === 0)
    if (this.#open !== null) chunk.parts(this.#open.join())
    this.#open = chunk
    return chunk
  }

  /** What is open takes nothing more. If the stream has taken all before it, there is nothing to wait for. */
  #close (): void {
    if (this.#open === null) return
    const part = this.#open
    ;(this.#full ??= []).push({ part, last: this.#openLast })
    this.#open = null
    this.#openLast = 0
    if (this.#full.length === 1 && this.stream.writableLength === 0) this.#writeFirst()
    else if (part instanceof Chunk) part.trim()
    // It waits: in as many pieces as it came it would cost many times its bytes.
    else part.join()
  }

  /** Hands over what the stream takes without making it wait, and always something, if nothing is under way. */
  #next (): void {
    if (this.underway > 0 || !this.#owner.open) return
    do {
      if (this.#full !== null) this.#writeFirst()
      else if (this.#open !== null) this.#writeOpen()
      else break
    } while (this.stream.writableLength === 0)
    // What waits in the stream was written in between, behind the last hand-over: nobody else will say when it has left.
    if (this.underway === 0 && (this.#full !== null || this.#open !== null)) this.stream.write(EMPTY, this.handOver())
  }

  #writeOpen (): void {
    const part = this.#open!
    const last = this.#openLast
    this.#open = null
    this.#openLast = 0
    this.#writePart(part, last)
  }

  /** Hands over the first of what is full, or its next slice. */
  #writeFirst (): void {
    const { part, last } = this.#full![0]!
    if (isWhole(part)) {
      this.#shift()
      this.#writePart(part, last)
      return
    }
    const { bytes } = part
    const next = part.next()
    const whole = part.bytes === 0
    this.queuedBytes -= bytes - part.bytes
    this.appBytes -= bytes - part.bytes
    if (whole) this.#shift()
    this.#write(next, 0, whole ? part : null)
  }

  #shift (): void {
    this.#full!.shift()
    if (this.#full!.length === 0) this.#full = null
  }

  #writePart (part: Whole, last: number): void {
    this.queuedBytes -= bytesIn(part)
    if (part instanceof Chunk && part.called) {
      this.appBytes -= part.appBytes
      this.#write(part.join(), last, part)
    } else if (this.#write(part.join(), last) && part instanceof Chunk) {
      part.free()
    }
  }

  /**
   * True if the kernel has taken all of it.
   * @param last the number of the last message that is whole with it; 0: none is
   * @param owned what has messages of the app's that end with it
   */
  #write (bytes: Buffer, last: number, owned: Sliced | Chunk | null = null): boolean {
    const { stream } = this
    let rest = bytes
    // A callback costs a nextTick for each stream: the kernel, as a rule, takes all at once, and needs none.
    if (stream.writableLength === 0 && stream.encrypted !== true) {
      stream.write(bytes)
      rest = EMPTY
    }
    const done = rest === EMPTY && stream.writableLength === 0
    if (done) {
      this.completed++
      owned?.end(stream.destroyed ? new Error(ENDED) : undefined)
    } else {
      const taken = this.handOver()
      stream.write(rest, owned === null ? taken : (error) => { owned.end(error ?? undefined); taken(error) })
    }
    if (last > 0) this.handed = last
    this.#owner.handedOver(bytes.length)
    return done
  }

  /** One more hand-over is under way. @returns what is called when it has been taken */
  protected handOver (): (error?: Error | null) => void {
    this.underway++
    return this.#taken ??= (error) => {
      this.underway--
      // The stream has gone: that is told elsewhere.
      if (error != null) return
      this.completed++
      if (this.#waits === null) this.#next()
      this.#owner.taken()
    }
  }
}
