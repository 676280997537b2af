/**
 * What the transport writes with. There are two of them: one writes frames of its own to the socket,
 * the other hands messages to ws, where only ws can write (under an extension, or without a real socket).
 * Invariant: messages leave in the order of their pushes and of what the app itself sends, and none
 * between the fragments of a message (RFC 6455 §5.4: fragments of two messages must not mix). A message
 * carries its number; what cannot be framed at once is copied; one that cannot be sent takes no other with it.
 */
import type { Outgoing } from '../../core/outgoing.js'
import type { StreamOwner } from '../outbound/stream-writer.js'

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
  /** A ping behind what was handed over; it overtakes what waits here. At most 125 bytes; the owner is told its number if it is not written at once. */
  ping (payload: Buffer, number: number): void
  /** A pong, likewise. */
  pong (payload: Buffer): void
  /** The app is between two fragments of a message of its own: nothing else may be sent. */
  readonly held: boolean
  hold (on: boolean): void
  /** The app has sent a Blob, which ws has yet to read; and it has been read. Only where not all goes through ws, which keeps the order by itself. */
  reading?(on: boolean): void
  /** What waits for the end of a tick or turn alone is handed over. */
  settle (): void
  /** Everything is handed over, now: what comes next must come behind it. */
  flush (): void
  /** Something that the app itself had sent was taken. Only where that makes room. */
  wake?(): void
  /** Nothing more will be sent. */
  discard (): void
}

/** Who is told what has become of what was written. */
export interface WriterOwner extends StreamOwner {
  /** Bytes that ws was given up to now, whether it has written them or not. */
  readonly given: number
  /** The ping with this number has been written. */
  wrote (number: number): void
  /** The message with this number was not sent: the app's own class failed. */
  unsent (seq: number, error: unknown): void
}
