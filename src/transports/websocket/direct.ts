/**
 * Writes frames of its own to the socket: the first message of a tick at once, what follows in as few
 * writes as can be, and what goes to many in the same bytes for all.
 * Invariant: only whole frames are handed over, at most HAND_OVER bytes of payload at a time, and the next
 * when the socket has taken the last.
 */
import type { Duplex } from 'node:stream'
import type WebSocket from 'ws'
import type { Outgoing } from '../../core/outgoing.js'
import { Batch } from './batch.js'
import { Chunk } from './chunk.js'
import { BATCH_MAX, encode, ends, framesOf, HAND_OVER, headerOf, opcode } from './frame.js'
import type { Bare } from './supervise.js'
import { tick, turn } from './turn.js'
import type { TurnEnd } from './turn.js'
import type { Writer, WriterOwner } from './writer.js'

const EMPTY = Buffer.alloc(0)

const bytesIn = (waiting: Batch | Chunk): number => waiting instanceof Chunk ? waiting.length : waiting.bytes

/** A real socket, or one with TLS on it. */
type Stream = Duplex & { readonly encrypted?: boolean }

export class DirectWriter implements Writer, TurnEnd {
  completed = 0
  handed = 0
  queuedBytes = 0

  readonly #socket: WebSocket
  readonly #stream: Stream
  readonly #bare: Bare
  readonly #owner: WriterOwner
  /** What is added to now: what many get, or, from the first message on that is for this socket alone, all it gets. */
  #open: Batch | Chunk | null = null
  /** What is full, before it. */
  #full: Array<Batch | Chunk> | null = null
  /** Hand-overs that are not known to be taken. */
  #underway = 0
  /** The tick in which a message was written at once. */
  #tick = -1
  /** Waits for the end of the tick, or of the turn. */
  #waits: 'tick' | 'turn' | null = null
  #held = false
  /** Messages that were pushed while held. */
  #heldBack: Outgoing[] | null = null
  /** Blobs that ws has yet to read. It keeps the order: until then all goes through it. */
  #blobs = 0
  #taken: ((error?: Error | null) => void) | null = null

  constructor (socket: WebSocket, stream: Stream, bare: Bare, owner: WriterOwner) {
    this.#socket = socket
    this.#stream = stream
    this.#bare = bare
    this.#owner = owner
  }

  send (message: Outgoing): boolean {
    if (this.#held || this.#blobs > 0) return this.#sendLater(message)
    if (message.shared || message.size > HAND_OVER) return this.#sendFrames(message)
    if (this.#underway === 0 && this.queuedBytes === 0 && this.#tick !== tick.number) {
      this.#tick = tick.number
      this.#write(encode(message.payload, message.size, message.binary ? opcode.binary : opcode.text, true), 1)
      return this.#stream.writableLength === 0
    }
    this.#chunk(headerOf(message.size) + message.size).message(message)
    if (this.#underway === 0 && this.#waits === null) this.#wait('tick')
    return false
  }

  ping (payload: Buffer): void {
    if (this.#blobs > 0) this.#bare.ping(this.#socket, payload)
    else this.#stream.write(encode(payload, payload.length, opcode.ping, true))
  }

  pong (payload: Buffer): void {
    if (this.#blobs > 0) this.#bare.pong(this.#socket, payload)
    else this.#stream.write(encode(payload, payload.length, opcode.pong, true))
  }

  hold (on: boolean): void {
    if (this.#held === on) return
    this.#held = on
    const messages = this.#heldBack
    if (on || messages === null) return
    this.#heldBack = null
    for (const message of messages) {
      this.queuedBytes -= message.size
      this.send(message)
    }
  }

  reading (on: boolean): void {
    this.#blobs += on ? 1 : -1
  }

  flush (): void {
    if (this.#held) return
    for (let next = this.#take(); next !== null; next = this.#take()) this.#writeAll(next)
  }

  // While anything waits here something of ours is under way, or the end of a tick or turn is awaited.
  wake (): void {}

  discard (): void {
    this.#open = null
    this.#full = null
    this.#heldBack = null
    this.queuedBytes = 0
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

  #sendLater (message: Outgoing): boolean {
    if (this.#held) {
      (this.#heldBack ??= []).push(message)
      this.queuedBytes += message.size
    } else {
      this.#underway++
      this.#bare.send(this.#socket, message.payload, { binary: message.binary }, this.#whenTaken())
      this.handed++
      this.#owner.passed(message.size)
    }
    return false
  }

  #sendFrames (message: Outgoing): boolean {
    const frames = framesOf(message)
    if (Buffer.isBuffer(frames)) this.#add(frames, message.shared)
    else for (const frame of frames) this.#add(frame, message.shared)
    if (this.#underway === 0 && this.#waits === null) {
      if (message.shared) this.#wait('turn')
      else this.#next()
    }
    return this.queuedBytes === 0 && this.#stream.writableLength === 0
  }

  #add (frame: Buffer, shared: boolean): void {
    const open = this.#open
    if (!shared || open instanceof Chunk) {
      this.#chunk(frame.length).frames(frame, ends(frame))
      return
    }
    if (open !== null && open.bytes + frame.length <= BATCH_MAX) {
      this.#open = open.with(frame)
    } else {
      this.#close()
      this.#open = Batch.of(frame)
    }
    this.queuedBytes += frame.length
  }

  /** The chunk that so many bytes more are to be added to. */
  #chunk (bytes: number): Chunk {
    const open = this.#open
    const length = open === null ? 0 : bytesIn(open)
    if (length + bytes > BATCH_MAX) this.#close()
    this.queuedBytes += bytes
    if (this.#open instanceof Chunk) return this.#open
    const chunk = new Chunk(this.#underway === 0)
    if (this.#open !== null) chunk.frames(this.#open.join(), this.#open.messages)
    this.#open = chunk
    return chunk
  }

  /** What is open takes nothing more. If the socket has taken all before it, there is nothing to wait for. */
  #close (): void {
    if (this.#open === null) return
    (this.#full ??= []).push(this.#open)
    this.#open = null
    if (this.#full.length === 1 && this.#stream.writableLength === 0) this.#writeAll(this.#take()!)
  }

  /** The next to be handed over; null if nothing waits. */
  #take (): Batch | Chunk | null {
    let next: Batch | Chunk | null = null
    if (this.#full !== null) {
      next = this.#full.shift()!
      if (this.#full.length === 0) this.#full = null
    } else if (this.#open !== null) {
      next = this.#open
      this.#open = null
    }
    if (next !== null) this.queuedBytes -= bytesIn(next)
    return next
  }

  /** Hands over what the socket takes without making it wait, and always something, if nothing is under way. */
  #next (): void {
    if (this.#underway > 0 || this.#socket.readyState !== this.#socket.OPEN) return
    do {
      const next = this.#take()
      if (next === null) break
      this.#writeAll(next)
    } while (this.#stream.writableLength === 0)
  }

  #writeAll (next: Batch | Chunk): void {
    if (this.#write(next.join(), next.messages) && next instanceof Chunk) next.free()
  }

  /** True if the kernel has taken all of it. @param messages how many end in it */
  #write (bytes: Buffer, messages: number): boolean {
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
    } else {
      this.#underway++
      stream.write(rest, this.#whenTaken())
    }
    this.handed += messages
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
