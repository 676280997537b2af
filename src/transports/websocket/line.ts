/**
 * One WebSocket and the stream below it: what its parts write and read with, and the counters of both.
 * Invariant: once the closing has begun it is not open again. Decides nothing.
 */
import type { Duplex } from 'node:stream'
import type WebSocket from 'ws'
import type { TransportOwner } from '../transport.js'
import { headersOf } from './slices.js'
import type { Bare } from './supervisor.js'
import type { Writer } from './writer.js'

/** What a socket reads and writes. A real one counts its bytes. */
export type Stream = Duplex & { readonly bytesRead?: number, readonly bytesWritten?: number, readonly encrypted?: boolean }

/** One listener for all streams: it finds whom to tell. */
const owners = new WeakMap<Duplex, TransportOwner>()
function onEnd (this: Duplex): void { owners.get(this)!.closing(false) }

export class Line {
  readonly socket: WebSocket
  readonly stream: Stream
  readonly bare: Bare
  /** Who is told of all that happens; null until it is started. */
  owner: TransportOwner | null = null
  /** The closing handshake has begun, or it was terminated. */
  closing = false
  /** Messages, pings and pongs that have come: what is heard where no bytes are counted. */
  events = 0

  constructor (socket: WebSocket, stream: Stream, bare: Bare) {
    this.socket = socket
    this.stream = stream
    this.bare = bare
  }

  /** From now on the owner is told, also of a peer that ends its side: then ws ends its own, but waits for ever for one that takes nothing. */
  tells (owner: TransportOwner): void {
    this.owner = owner
    owners.set(this.stream, owner)
    this.stream.on('end', onEnd)
  }

  /** See `left`. */
  #mark = NaN
  /** It reads a stream that the app has stopped. */
  #restores = false
  /** When all that had passed was last known, monotonic in ms, and what that was. */
  #knownAt = 0
  #heard = 0
  #written = 0

  /** Whether anything can be sent. The stream may have been ended or destroyed behind the back of ws, which learns of it a turn later. */
  get open (): boolean { return !this.closing && this.stream.writable }

  /**
   * The stream was stopped, and not by us: by ws, because zlib is not done with what came, or by an app that has the stream. Nothing of
   * the peer is heard, whatever it sends.
   */
  get busy (): boolean { return this.stream.isPaused() && !this.socket.isPaused }

  /** Reads on, whoever has stopped it; and no longer. Where ws had reason to, under an extension, it stops the stream again by itself. */
  look (on: boolean): void {
    if (on && this.stream.isPaused()) {
      this.#restores = this.socket.extensions === '' && this.busy
      this.stream.resume()
    } else if (!on && this.#restores) {
      this.#restores = false
      this.stream.pause()
    }
  }

  /** There is a network in between. */
  get remote (): boolean { return this.stream.bytesRead !== undefined }

  /** Grows whenever anything is heard from the peer. */
  get heard (): number { return this.stream.bytesRead || this.events }

  /** Bytes that were written, be it to the kernel or not yet. */
  get written (): number { return this.stream.bytesWritten ?? 0 }

  /** Bytes that ws and the socket below it hold. */
  get untaken (): number { return this.bare.bufferedAmount(this.socket) }

  /** Bytes that ws was given and has not written yet: it compresses, or reads a Blob. */
  get inside (): number { return this.untaken - this.stream.writableLength }

  /** What was written, and what ws has not written yet. */
  get given (): number { return this.written + this.inside }

  /** All that has passed in either direction until now is known. */
  note (): void {
    this.#knownAt = performance.now()
    this.#heard = this.heard
    this.#written = this.written
  }

  /** How long nothing has passed in either direction, in ms; NaN if something has since `note`: then it is not known. */
  get quiet (): number {
    return this.heard === this.#heard && this.written === this.#written ? performance.now() - this.#knownAt : NaN
  }

  /** Whether all messages up to this one have been taken, and with them what the app itself had sent when that was first asked. */
  left (seq: number, { appBytes, queuedBytes, handed }: Writer): boolean {
    const { given, written } = this
    // What waits here of the app's own has no number: it is a matter of bytes, as all is once the message is handed over.
    if (Number.isNaN(this.#mark) && appBytes > 0) this.#mark = given + queuedBytes + headersOf(appBytes)
    if (handed < seq) return false
    if (Number.isNaN(this.#mark)) this.#mark = given
    return written - this.stream.writableLength >= this.#mark
  }
}
