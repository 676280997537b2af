/**
 * Writes frames of its own to the socket: the first message of a tick at once, what follows in as few
 * writes as can be, and what goes to many in the same bytes for all.
 * Invariant: only whole frames are handed over, at most HAND_OVER bytes of payload at a time, and the next
 * when the socket has taken the last.
 */
import type { Duplex } from 'node:stream'
import type WebSocket from 'ws'
import { Shared } from '../../core/outgoing.js'
import type { Outgoing } from '../../core/outgoing.js'
import { Batch } from './batch.js'
import { Chunk } from './chunk.js'
import { BATCH_MAX, EACH, encode, ends, framesOf, HAND_OVER, headerOf, opcode } from './frame.js'
import { Slices } from './slices.js'
import type { Bare } from './supervise.js'
import { tick, turn } from '../../core/time/loop.js'
import type { TurnEnd } from '../../core/time/loop.js'
import type { Writer, WriterOwner } from './writer.js'

const EMPTY = Buffer.alloc(0)

const ENDED = 'the connection ended before the message was sent'

/** What waits, and the number of the last message that is whole with it; 0: none is. */
type Waiting = { readonly part: Batch | Chunk, readonly last: number } | Slices

const bytesIn = (part: Batch | Chunk): number => part instanceof Chunk ? part.length : part.bytes

/** A real socket, or one with TLS on it. */
type Stream = Duplex & { readonly encrypted?: boolean }

export class DirectWriter implements Writer, TurnEnd {
  completed = 0
  handed = 0
  queuedBytes = 0
  appBytes = 0

  readonly #socket: WebSocket
  readonly #stream: Stream
  readonly #bare: Bare
  readonly #owner: WriterOwner
  /** What is added to now: what many get, or, from the first message on that is for this socket alone, all it gets. */
  #open: Batch | Chunk | null = null
  /** The number of the last message that is whole with what is open. */
  #openLast = 0
  /** What is full, before it. */
  #full: Waiting[] | null = null
  /** Hand-overs that are not known to be taken. */
  #underway = 0
  /** The tick in which a message was written at once. */
  #tick = -1
  /** Waits for the end of the tick, or of the turn. */
  #waits: 'tick' | 'turn' | null = null
  #held = false
  /** What was pushed while held: messages that are nobody else's to change, and their numbers. */
  #heldBack: Array<{ readonly message: Outgoing, readonly seq: number }> | null = null
  /** Blobs that ws has yet to read. It keeps the order: until then all goes through it. */
  #blobs = 0
  #taken: ((error?: Error | null) => void) | null = null

  constructor (socket: WebSocket, stream: Stream, bare: Bare, owner: WriterOwner) {
    this.#socket = socket
    this.#stream = stream
    this.#bare = bare
    this.#owner = owner
  }

  // But for a Blob, which ws has yet to read, ws passes all on to the stream at once.
  get waitingBytes (): number {
    return this.queuedBytes + (this.#blobs > 0 ? this.#bare.bufferedAmount(this.#socket) + EACH * this.#underway : this.#stream.writableLength)
  }

  // A message that is handed over in part cannot have arrived.
  get begun (): number { return this.handed }

  send (message: Outgoing, seq: number): boolean {
    if (this.#held || this.#blobs > 0) return this.#sendLater(message, seq)
    if (message instanceof Shared || message.size > HAND_OVER) return this.#sendFrames(message, seq)
    if (this.#underway === 0 && this.queuedBytes === 0 && this.#tick !== tick.number) {
      this.#tick = tick.number
      this.#write(encode(message.content, message.size, message.binary ? opcode.binary : opcode.text, true), seq)
      return this.#stream.writableLength === 0
    }
    this.#chunk(headerOf(message.size) + message.size).message(message)
    this.#openLast = seq
    if (this.#underway === 0 && this.#waits === null) this.#wait('tick')
    return false
  }

  /** Large ones do, and all that follows while one waits here: else they would have to leave at once, and all together. */
  slices (size: number): boolean {
    return (size > HAND_OVER || this.appBytes > 0) && !this.#held && this.#blobs === 0
  }

  sendSliced (bytes: Buffer, binary: boolean, done: (error?: Error) => void): void {
    this.appBytes += bytes.length
    if (bytes.length <= HAND_OVER) {
      this.#chunk(headerOf(bytes.length) + bytes.length).own(bytes, binary, done)
    } else {
      this.#close()
      ;(this.#full ??= []).push(new Slices(bytes, binary, done))
      this.queuedBytes += bytes.length
    }
    this.#next()
  }

  ping (payload: Buffer, number: number): void {
    if (this.#blobs > 0) this.#bare.ping(this.#socket, payload, () => { this.#owner.pingWritten(number) })
    else this.#stream.write(encode(payload, payload.length, opcode.ping, true))
  }

  pong (payload: Buffer): void {
    if (this.#blobs > 0) this.#bare.pong(this.#socket, payload)
    else this.#stream.write(encode(payload, payload.length, opcode.pong, true))
  }

  hold (on: boolean): void {
    if (this.#held === on) return
    this.#held = on
    const heldBack = this.#heldBack
    if (on || heldBack === null) return
    this.#heldBack = null
    for (const { message, seq } of heldBack) {
      this.queuedBytes -= message.size + EACH
      this.send(message, seq)
    }
  }

  reading (on: boolean): void {
    this.#blobs += on ? 1 : -1
  }

  settle (): void {
    if (!this.#held) this.#next()
  }

  flush (): void {
    if (this.#held) return
    while (this.#full !== null) this.#writeFirst()
    if (this.#open !== null) this.#writeOpen()
  }

  // While anything waits here something of ours is under way, or the end of a tick or turn is awaited.
  wake (): void {}

  discard (): void {
    const all = [...this.#full ?? [], this.#open]
    this.#open = null
    this.#full = null
    this.#heldBack = null
    this.queuedBytes = this.appBytes = 0
    for (const waiting of all) {
      const part = waiting !== null && 'part' in waiting ? waiting.part : waiting
      if (part instanceof Slices || part instanceof Chunk) part.end(new Error(ENDED))
    }
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

  #sendLater (message: Outgoing, seq: number): boolean {
    message.own()
    if (this.#held) {
      (this.#heldBack ??= []).push({ message, seq })
      this.queuedBytes += message.size + EACH
    } else {
      this.#underway++
      this.#bare.send(this.#socket, message.payload, { binary: message.binary }, this.#whenTaken())
      this.handed = seq
      this.#owner.passed(message.size)
    }
    return false
  }

  #sendFrames (message: Outgoing, seq: number): boolean {
    const shared = message instanceof Shared
    const frames = shared ? message.frames ??= framesOf(message) : framesOf(message)
    if (Buffer.isBuffer(frames)) this.#add(frames, shared, seq)
    else for (const frame of frames) this.#add(frame, shared, seq)
    if (this.#underway === 0 && this.#waits === null) {
      if (shared) this.#wait('turn')
      else this.#next()
    }
    return this.queuedBytes === 0 && this.#stream.writableLength === 0
  }

  #add (frame: Buffer, shared: boolean, seq: number): void {
    const open = this.#open
    if (!shared || open instanceof Chunk) {
      this.#chunk(frame.length).frames(frame)
    } else if (open !== null && open.bytes + frame.length <= BATCH_MAX) {
      this.#open = open.with(frame)
      this.queuedBytes += frame.length
    } else {
      this.#close()
      this.#open = Batch.of(frame)
      this.queuedBytes += frame.length
    }
    if (ends(frame)) this.#openLast = seq
  }

  /** The chunk that so many bytes more are to be added to. */
  #chunk (bytes: number): Chunk {
    const open = this.#open
    const length = open === null ? 0 : bytesIn(open)
    if (length + bytes > BATCH_MAX) this.#close()
    this.queuedBytes += bytes
    if (this.#open instanceof Chunk) return this.#open
    const chunk = new Chunk(this.#underway === 0)
    if (this.#open !== null) chunk.frames(this.#open.join())
    this.#open = chunk
    return chunk
  }

  /** What is open takes nothing more. If the socket has taken all before it, there is nothing to wait for. */
  #close (): void {
    if (this.#open === null) return
    const part = this.#open
    ;(this.#full ??= []).push({ part, last: this.#openLast })
    this.#open = null
    this.#openLast = 0
    if (this.#full.length === 1 && this.#stream.writableLength === 0) this.#writeFirst()
    else if (part instanceof Chunk) part.trim()
  }

  /** Hands over what the socket takes without making it wait, and always something, if nothing is under way. */
  #next (): void {
    if (this.#underway > 0 || this.#socket.readyState !== this.#socket.OPEN) return
    do {
      if (this.#full !== null) this.#writeFirst()
      else if (this.#open !== null) this.#writeOpen()
      else break
    } while (this.#stream.writableLength === 0)
    // What waits in the socket is a ping behind the last hand-over: nobody else will say when it has left.
    if (this.#underway === 0 && (this.#full !== null || this.#open !== null)) {
      this.#underway++
      this.#stream.write(EMPTY, this.#whenTaken())
    }
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
    const first = this.#full![0]!
    if (first instanceof Slices) {
      const { bytes } = first
      const frame = first.next()
      const whole = first.bytes === 0
      this.queuedBytes -= bytes - first.bytes
      this.appBytes -= bytes - first.bytes
      if (whole) this.#shift()
      this.#write(frame, 0, whole ? first : null)
    } else {
      this.#shift()
      this.#writePart(first.part, first.last)
    }
  }

  #shift (): void {
    this.#full!.shift()
    if (this.#full!.length === 0) this.#full = null
  }

  #writePart (part: Batch | Chunk, last: number): void {
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
  #write (bytes: Buffer, last: number, owned: Slices | Chunk | null = null): boolean {
    const stream = this.#stream
    let rest = bytes
    // A callback costs a nextTick for each socket: the kernel, as a rule, takes all at once, and needs none.
    if (stream.writableLength === 0 && stream.encrypted !== true) {
      stream.write(bytes)
      rest = EMPTY
    }
    const done = rest === EMPTY && stream.writableLength === 0
    if (done) {
      this.completed++
      owned?.end(stream.destroyed ? new Error(ENDED) : undefined)
    } else {
      this.#underway++
      const taken = this.#whenTaken()
      stream.write(rest, owned === null ? taken : (error) => { owned.end(error ?? undefined); taken(error) })
    }
    if (last > 0) this.handed = last
    this.#owner.passed(bytes.length)
    return done
  }

  #whenTaken (): (error?: Error | null) => void {
    return this.#taken ??= (error) => {
      this.#underway--
      // The socket has gone: that is told elsewhere.
      if (error != null) return
      this.completed++
      if (this.#waits === null) this.#next()
      this.#owner.taken()
    }
  }
}
