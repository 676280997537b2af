/**
 * What the transport writes with. There are two of them: one writes frames of its own to the socket,
 * the other hands messages to ws, where only ws can write (under an extension, or without a real socket).
 * Invariant: messages leave in the order of their pushes and of what the app itself sends, and none
 * between the fragments of a message (RFC 6455 §5.4: fragments of two messages must not mix).
 */
import type { Outgoing } from '../../core/outgoing.js'

export interface Writer {
  /** How many hand-overs are done. */
  readonly completed: number
  /** How many messages were handed over, all of each. */
  readonly handed: number
  /** Bytes that were not handed over yet. */
  readonly queuedBytes: number
  /** True if nothing of it waits here. */
  send (message: Outgoing): boolean
  /** A ping behind what was handed over; it overtakes what waits here. At most 125 bytes. */
  ping (payload: Buffer): void
  /** A pong, likewise. */
  pong (payload: Buffer): void
  /** The app is between two fragments of a message of its own: nothing else may be sent. */
  hold (on: boolean): void
  /** The app has sent a Blob, which ws has yet to read; and it has been read, or could not be. */
  reading (on: boolean): void
  /** Everything is handed over, now: what comes next must come behind it. */
  flush (): void
  /** Something that the app itself had sent was taken. */
  wake (): void
  /** Nothing more will be sent. */
  discard (): void
}

export interface WriterOwner {
  /** So many bytes were handed over. */
  passed (bytes: number): void
  /** Something that was handed over has been taken. */
  taken (): void
}
