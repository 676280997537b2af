/**
 * Writes frames of its own to the socket of a WebSocket, and lets ws write where only ws can: a Blob is read by ws alone, which keeps
 * the order until it has it.
 */
import type WebSocket from 'ws'
import type { Outgoing } from '../../core/outgoing.js'
import { EACH, HAND_OVER } from '../outbound/encoding.js'
import { StreamWriter } from '../outbound/stream-writer.js'
import type { Sink } from '../outbound/stream-writer.js'
import { encode, frames, opcode } from './frame.js'
import { Slices } from './slices.js'
import type { Bare } from './supervisor.js'
import type { Writer, WriterOwner } from './writer.js'

export class DirectWriter extends StreamWriter implements Writer {
  readonly #socket: WebSocket
  readonly #bare: Bare
  readonly #owner: WriterOwner
  #held = false
  /** What was pushed while held: messages that are nobody else's to change, and their numbers. */
  #heldBack: Array<{ readonly message: Outgoing, readonly seq: number }> | null = null
  /** Blobs that ws has yet to read. It keeps the order: until then all goes through it. */
  #blobs = 0

  constructor (socket: WebSocket, stream: Sink, bare: Bare, owner: WriterOwner) {
    super(stream, frames, owner)
    this.#socket = socket
    this.#bare = bare
    this.#owner = owner
  }

  // But for a Blob, which ws has yet to read, ws passes all on to the stream at once. (Asked with every push: a getter of the superclass costs more.)
  override get waitingBytes (): number {
    return this.#blobs > 0 ? this.queuedBytes + this.#bare.bufferedAmount(this.#socket) + EACH * this.underway : this.queuedBytes + this.stream.writableLength
  }

  // A message that is handed over in part cannot have arrived.
  get begun (): number { return this.handed }

  override send (message: Outgoing, seq: number): boolean {
    return this.#held || this.#blobs > 0 ? this.#sendLater(message, seq) : super.send(message, seq)
  }

  #sendLater (message: Outgoing, seq: number): boolean {
    message.own()
    if (this.#held) {
      (this.#heldBack ??= []).push({ message, seq })
      this.queuedBytes += message.size + EACH
    } else {
      this.#bare.send(this.#socket, message.payload, { binary: message.binary }, this.handOver())
      this.handed = seq
      this.#owner.handedOver(message.size)
    }
    return false
  }

  /**
   * Large ones do, and all while anything waits: else they, and what was pushed before them, would have to leave at once, and all together.
   * (Of one large write nothing is seen until all of it has been taken.)
   */
  slices (size: number): boolean {
    return (size > HAND_OVER || this.queuedBytes > 0 || this.stream.writableLength > 0) && !this.#held && this.#blobs === 0
  }

  sendSliced (bytes: Buffer, binary: boolean, done: (error?: Error) => void): void {
    if (bytes.length > HAND_OVER) this.sendSlices(new Slices(bytes, binary, done))
    else this.sendCalled({ content: bytes, binary, size: bytes.length }, done)
  }

  ping (payload: Buffer, number: number): void {
    if (this.#blobs > 0) this.#bare.ping(this.#socket, payload, () => { this.#owner.wrote(number) })
    else this.stream.write(encode(payload, payload.length, opcode.ping, true))
  }

  pong (payload: Buffer): void {
    if (this.#blobs > 0) this.#bare.pong(this.#socket, payload)
    else this.stream.write(encode(payload, payload.length, opcode.pong, true))
  }

  get held (): boolean { return this.#held }

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

  reading (on: boolean): void { this.#blobs += on ? 1 : -1 }

  override settle (): void { if (!this.#held) super.settle() }
  override flush (): void { if (!this.#held) super.flush() }

  override discard (): void {
    this.#heldBack = null
    super.discard()
  }
}
