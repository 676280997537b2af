/**
 * Writes frames of its own to the socket: the first message of a turn at once, what follows in as few
 * writes as can be, and what goes to many in the same bytes for all.
 * Invariant: only whole frames are handed over, at most HAND_OVER bytes of payload at a time, and the next
 * when the socket has taken the last.
 */
import type { Duplex } from 'node:stream'
import type WebSocket from 'ws'
import type { Outgoing } from '../../core/outgoing.js'
import { Batch, turn } from './batch.js'
import type { TurnEnd } from './batch.js'
import { encode, framesOf, HAND_OVER, HEADER_MAX, opcode } from './frame.js'
import type { Bare } from './supervise.js'
import type { Writer, WriterOwner } from './writer.js'

/** A batch takes no more than that, in bytes: a fragment with its header fits. */
const BATCH_MAX = HAND_OVER + HEADER_MAX

export class DirectWriter implements Writer, TurnEnd {
  completed = 0
  queuedBytes = 0

  readonly #socket: WebSocket
  readonly #stream: Duplex
  readonly #bare: Bare
  readonly #owner: WriterOwner
  /** What is pushed now; and, before it, what is full. */
  #open: Batch | null = null
  #full: Buffer[] | null = null
  /** Hand-overs that are not known to be taken. */
  #underway = 0
  /** Waits for the end of the turn. */
  #waits = false
  #held = false
  /** Messages that were pushed while held. */
  #heldBack: Outgoing[] | null = null
  /** Blobs that ws has yet to read. It keeps the order: until then all goes through it. */
  #blobs = 0
  #taken: ((error?: Error | null) => void) | null = null

  constructor (socket: WebSocket, stream: Duplex, bare: Bare, owner: WriterOwner) {
    this.#socket = socket
    this.#stream = stream
    this.#bare = bare
    this.#owner = owner
  }

  send (message: Outgoing): boolean {
    if (this.#held || this.#blobs > 0) return this.#sendLater(message)
    const frames = framesOf(message)
    const { shared } = message
    if (!Array.isArray(frames)) {
      if (!shared && this.#underway === 0 && this.#open === null) {
        this.#write(frames as Buffer)
        return this.#stream.writableLength === 0
      }
      this.#add(frames as Buffer, shared)
    } else {
      for (const frame of frames) this.#add(frame, shared)
    }
    if (shared) this.#wait()
    else if (this.#underway === 0 && !this.#waits) this.#next()
    return this.queuedBytes === 0 && this.#stream.writableLength === 0
  }

  ping (payload: Buffer): void {
    if (this.#blobs > 0) this.#bare.ping(this.#socket, payload)
    else this.#stream.write(encode(payload, payload.length, opcode.ping, true))
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
    for (let bytes = this.#take(); bytes !== null; bytes = this.#take()) this.#write(bytes)
  }

  // While anything waits here something of ours is under way, or the end of the turn is awaited.
  wake (): void {}

  discard (): void {
    this.#open = null
    this.#full = null
    this.#heldBack = null
    this.queuedBytes = 0
  }

  turnEnded (): void {
    this.#waits = false
    if (this.#underway === 0) this.#next()
  }

  #wait (): void {
    if (this.#waits) return
    this.#waits = true
    turn.add(this)
  }

  #sendLater (message: Outgoing): boolean {
    if (this.#held) {
      (this.#heldBack ??= []).push(message)
      this.queuedBytes += message.size
    } else {
      this.#underway++
      this.#bare.send(this.#socket, message.payload, { binary: message.binary }, this.#whenTaken())
      this.#owner.handed(message.size)
    }
    return false
  }

  #add (frame: Buffer, shared: boolean): void {
    this.queuedBytes += frame.length
    const open = this.#open
    if (open !== null && open.bytes + frame.length <= BATCH_MAX) {
      this.#open = shared ? open.withShared(frame) : open.with(frame)
      return
    }
    this.#open = shared ? turn.first(frame) : new Batch(null, frame)
    if (open === null) return
    (this.#full ??= []).push(open.join())
    // No need to wait for anything: it can grow no more, and the socket has taken all before it.
    if (this.#full.length === 1 && this.#stream.writableLength === 0) this.#write(this.#take()!)
  }

  /** The next to be handed over; null if nothing waits. */
  #take (): Buffer | null {
    let bytes = this.#full?.shift() ?? null
    if (this.#full?.length === 0) this.#full = null
    if (bytes === null && this.#open !== null) {
      bytes = this.#open.join()
      this.#open = null
    }
    if (bytes !== null) this.queuedBytes -= bytes.length
    return bytes
  }

  /** Hands over what the socket takes without making it wait, and always something. */
  #next (): void {
    if (this.#socket.readyState !== this.#socket.OPEN) return
    do {
      const bytes = this.#take()
      if (bytes === null) return
      this.#write(bytes)
    } while (this.#stream.writableLength === 0)
  }

  #write (bytes: Buffer): void {
    this.#underway++
    this.#stream.write(bytes, this.#whenTaken())
    this.#owner.handed(bytes.length)
  }

  #whenTaken (): (error?: Error | null) => void {
    return this.#taken ??= (error) => {
      this.#underway--
      // The socket has gone: that is told elsewhere.
      if (error != null) return
      this.completed++
      if (this.#underway === 0 && !this.#waits) this.#next()
      this.#owner.taken()
    }
  }
}
