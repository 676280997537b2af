/**
 * What the transport writes with. There are two of them: one writes frames of its own to the socket,
 * the other hands messages to ws, where only ws can write (under an extension, or without a real socket).
 * Invariant: messages leave in the order of their pushes and of what the app itself sends, and none
 * between the fragments of a message (RFC 6455 §5.4: fragments of two messages must not mix). A message
 * carries its number; what cannot be framed at once is copied; one that cannot be sent takes no other with it.
 */
import type { Outgoing } from '../../core/outgoing.js'

export interface Writer {
  /** Grows with every hand-over that is done. */
  readonly completed: number
  /** The number of the last message that is wholly ahead of whatever is given to the socket from now on, with all before it. */
  readonly handed: number
  /** Of the last of which anything may have left. */
  readonly begun: number
  /** Bytes that were not handed over yet. */
  readonly queuedBytes: number
  /** All that waits in this process, here and below, in bytes: asked with every push. */
  readonly waitingBytes: number
  /** Those of `queuedBytes` that are of messages which the app itself has sent. */
  readonly appBytes: number
  /** @param seq the number of the message. @returns true if nothing of it waits here */
  send (message: Outgoing, seq: number): boolean
  /** Whether a message of about that size, which the app itself sends, leaves from here, and not by ws. */
  slices (size: number): boolean
  /** Sends it. @param bytes nobody else's @param done called when it has been taken, or never will be */
  sendSliced (bytes: Buffer, binary: boolean, done: (error?: Error) => void): void
  /** A ping behind what was handed over; it overtakes what waits here. At most 125 bytes; `pingWritten` is told its number if it is not written at once. */
  ping (payload: Buffer, number: number): void
  /** A pong, likewise. */
  pong (payload: Buffer): void
  /** The app is between two fragments of a message of its own: nothing else may be sent. */
  hold (on: boolean): void
  /** The app has sent a Blob, which ws has yet to read; and it has been read. */
  reading (on: boolean): void
  /** What waits for the end of a tick or turn alone is handed over. */
  settle (): void
  /** Everything is handed over, now: what comes next must come behind it. */
  flush (): void
  /** Something that the app itself had sent was taken. */
  wake (): void
  /** Nothing more will be sent. */
  discard (): void
}

export interface WriterOwner {
  /** Whether anything can be sent: false as soon as the stream has failed, of which ws learns later. */
  readonly open: boolean
  /** So many bytes were handed over. */
  passed (bytes: number): void
  /** Something that was handed over has been taken. */
  taken (): void
  /** The ping with this number has been written. */
  pingWritten (number: number): void
  /** The message with this number was not sent: the app's own class failed. */
  unsent (seq: number, error: unknown): void
}
