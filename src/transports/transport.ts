/**
 * The port between a connection and what carries it: one WebSocket, one event stream, or, where a connection resumes, a session
 * that outlives its wires. It is in pieces: what every transport has, and what only some can do.
 * A transport knows its wire and nothing of apps; a connection knows apps and nothing of wires.
 */
import type { Bytes } from '../core/bytes.js'
import type { Outgoing } from '../core/outgoing.js'
import type { Cause } from '../core/causes.js'
import type { Limited } from '../core/limited.js'
import type { Wire } from '../core/peer.js'

/** A message from the peer: text as a string, binary as a Buffer. */
export type Message = { readonly data: string, readonly binary: false } | { readonly data: Bytes, readonly binary: true }

/** What a transport can do, as data; the same object for all of a kind. */
export interface Traits {
  readonly kind: string
  /** There is a network in between. If not (`injectWS`), nobody can die unnoticed or has to be waited for. */
  readonly remote: boolean
  /**
   * How it is known what has arrived. `no`: it is not. `asked`: the connection keeps what is not confirmed, and asks the asker.
   * `itself`: the transport keeps it, and tells by itself.
   */
  readonly confirms: 'no' | 'asked' | 'itself'
  /** Binary messages can be sent. */
  readonly binary: boolean
}

/** How a closing handshake begins. */
export interface Said {
  /** One that may be sent. */
  readonly code: number
  /** At most 123 bytes. */
  readonly reason: string
  /** When the peer shall come back, in ms from now; each transport has its own way to tell. 0, or left out: it is told nothing. */
  readonly retryAfter?: number
}

/** How a transport ended. */
export interface TransportEnd {
  /** The close code that went over the wire first; 1005 for a close frame without one, 1006 if there was no close frame. */
  readonly code: number
  readonly reason: string
  /** What the wire says of why; the connection may know better. */
  readonly cause: Cause
  /** How long nothing had passed in either direction, in ms; NaN if that is not known exactly. */
  readonly idle: number
}

/** What a transport tells the connection above it. */
export interface TransportOwner {
  /** A listener of the app's threw or rejected. */
  failed (error: unknown): void
  /** What waits here has changed, and no `send` of the owner's was it: the app itself has sent something, or a ping goes out. */
  queued (): void
  /** What waited here has been taken, in part or in whole. */
  flushed (): void
  /** A message came, whoever gets it. @param bytes without headers */
  came (bytes: number): void
  /** One of those was taken, by a reader or a listener. */
  took (): void
  /** Messages came for which there is no reader, and were let go. */
  dropped (messages: number, bytes: number): void
  /** One more was, after it was told that nobody reads. */
  ignored (): void
  /** The peer went past a limit; `fatal`: the connection is to be closed for it. */
  exceeded (limit: Limited, fatal: boolean): void
  /** The message with this number was not sent after all. */
  unsent (seq: number, error: unknown): void
  /** The closing has begun, and not by `close`: by the app's own call, or because the peer has closed, or ended its side without a word. Perhaps more than once. @param takes the peer may still take what was sent before: it has not closed, nor ended its side */
  closing (takes: boolean): void
  /** The peer has all messages up to this one. @param roundTrip of the ping that tells so, in ms */
  received (seq: number, roundTrip: number): void
  /** Its wire has gone, and another may come. Only of a transport that outlives its wires. */
  detached (end: TransportEnd): void
  /** The last word: nothing is read or written any more. */
  ended (end: TransportEnd): void
}

/** The messages of the peer. */
export interface Reader {
  /** Nothing is read: reading is paused, by the app or because its reader has fallen behind, and does not go on for anybody. */
  readonly paused: boolean
  /** Reading is paused because the peer sends too much, and for nothing else. */
  readonly throttled: boolean
  /** As much waits for a reader as may: no answer of the peer is seen, though somebody waits for it. */
  readonly blind: boolean
  /** How many messages readers and listeners have taken. */
  readonly consumed: number
  /** A message has come. */
  readonly spoken: boolean
  /** Messages, one at a time and in order, until the transport ends. @param one no more than the next @throws FST_ERR_LIFELINE_ALREADY_READING */
  messages (one?: boolean): AsyncIterableIterator<Message>
  /** Readers get no more, not even what has come: the app has had enough of this peer. */
  closing (): void
  /** Whatever comes from now on, until the end, is for nobody: neither readers nor listeners. It is counted as that. */
  mute (): void
  pause (): void
  resume (): void
  /** While on, it reads on although paused, up to its cap, for somebody waits for an answer of the peer. */
  readOn (on: boolean): void
  /**
   * The gate: from now on nothing more is handed out to anybody, nor counted as taken, also of what has come already. Readers come to
   * their end. (Before a session says what it has taken, that must not grow any more.)
   */
  shut (): void
  /** The route handler has returned, and all that it awaited with it; or nobody waits for that any more. */
  settled (): void
}

/** Whoever can ask the peer. */
export interface Asker {
  /** Round trip in ms, smoothed; NaN while unknown. */
  readonly roundTrip: number
  /** A receipt is wanted for all messages up to this one: the owner is told. */
  want (seq: number): void
  /** The round trip of a ping in ms; Infinity if the transport ends first. */
  ping (): Promise<number>
}

export interface Transport {
  readonly traits: Traits
  /** As the heartbeat sees it. */
  readonly wire: Wire
  /** null: the peer sends no messages. */
  readonly reader: Reader | null
  /** null: the peer cannot be asked. */
  readonly asker: Asker | null
  /** Messages can be sent: no close frame has passed, in either direction, and the socket lives. */
  readonly open: boolean
  /** Bytes that wait to be handed to the operating system. */
  readonly bufferedBytes: number
  /** The number of the last message of which anything may have left for the peer. */
  readonly begun: number
  /** It keeps what its peer has not got, and has room for so many bytes more. (True where it keeps nothing by itself.) */
  fits (size: number): boolean
  /** No more than half of what it may keep for that is kept. */
  readonly roomy: boolean
  /** The error with which the wire was violated, if it was. */
  readonly fault: Error | null
  /** Sends a message; true if nothing of it waits here. Only while `open`. @param seq its number: greater than the last */
  send (message: Outgoing, seq: number): boolean
  /** Whether all messages up to this one have been taken, and with them what the app itself had sent when that was first asked. */
  left (seq: number): boolean
  /** The shutdown has begun, and is the one that closes from now on. */
  claim (): void
  /** Starts the closing handshake behind what waits, or, if that shall be `dropped`, at once; false if one is under way already. */
  close (said: Said, dropped: boolean): boolean
  /** Ends it at once, without a word. */
  terminate (): void
}

/** Whoever owns a session sees what comes on its wires before any reader does. */
export interface Screen {
  /** A text has come. @returns what of it is the app's; null: nothing */
  text (bytes: Bytes): Bytes | null
  /** Bytes have come, so many. @returns whether they are the app's */
  binary (size: number): boolean
}

/** A transport that a session can use as one of its wires. */
export interface Carrier extends Transport {
  readonly reader: Reader
  /** From now on nothing is handed to anybody that has not passed this. */
  screen (screen: Screen): void
}
