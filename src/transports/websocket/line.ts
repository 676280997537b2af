/**
 * One WebSocket and the stream below it: what its parts write and read with, and the counters of both.
 * Invariant: once the closing has begun it is not open again. Decides nothing.
 */
import type { Duplex } from 'node:stream'
import type WebSocket from 'ws'
import type { Bare } from './supervise.js'

/** What a socket reads and writes. A real one counts its bytes. */
export type Stream = Duplex & { readonly bytesRead?: number, readonly bytesWritten?: number, readonly encrypted?: boolean }

export class Line {
  readonly socket: WebSocket
  readonly stream: Stream
  readonly bare: Bare
  /** The closing handshake has begun, or it was terminated. */
  closing = false
  /** Messages, pings and pongs that have come: what is heard where no bytes are counted. */
  events = 0

  constructor (socket: WebSocket, stream: Stream, bare: Bare) {
    this.socket = socket
    this.stream = stream
    this.bare = bare
  }

  /** Whether anything can be sent. The stream may have been ended or destroyed behind the back of ws, which learns of it a turn later. */
  get open (): boolean { return !this.closing && this.stream.writable }

  /** It is ws that does not read on: it has stopped the stream, because zlib is not done with what came. Nothing of the peer is heard, whatever it sends. */
  get busy (): boolean { return this.stream.isPaused() && !this.socket.isPaused }

  /** There is a network in between. */
  get remote (): boolean { return this.stream.bytesRead !== undefined }

  /** Grows whenever anything is heard from the peer. */
  get heard (): number { return this.stream.bytesRead ?? this.events }

  /** Bytes that were written, be it to the kernel or not yet. */
  get written (): number { return this.stream.bytesWritten ?? 0 }

  /** Bytes that ws and the socket below it hold. */
  get untaken (): number { return this.bare.bufferedAmount(this.socket) }

  /** Bytes that ws was given and has not written yet: it compresses, or reads a Blob. */
  get inside (): number { return this.untaken - this.stream.writableLength }

  /** What was written, and what ws has not written yet. */
  get given (): number { return this.written + this.inside }
}
