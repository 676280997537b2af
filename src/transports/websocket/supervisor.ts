/**
 * What is told of a socket that is supervised, and what can be done with one past its supervision: the two sides of `supervise`.
 */
import type WebSocket from 'ws'

/** The methods by which a supervisor hears what an app does with a socket. */
export const supervised = ['send', 'ping', 'pong', 'close', 'terminate', 'pause', 'resume', 'emit', 'addEventListener', 'removeEventListener'] as const

/** Who watches over one socket. */
export interface Supervisor {
  /** A message arrived; true if the supervisor keeps it from the listeners. */
  message (data: Buffer | ArrayBuffer | Buffer[] | Blob, binary: boolean): boolean
  /** A ping arrived, and nobody has answered it. */
  pinged (data: Buffer): void
  /** A pong arrived; true if it answers a ping of ours. */
  pong (data: Buffer): boolean
  /** Something arrived: a message, a ping or a pong. */
  arrived (): void
  /** A `message` listener is about to be added. */
  listening (): void
  /** The wire was violated, or sending failed: the `error` event of ws. */
  faulted (error: Error): void
  /** A listener threw, or the promise that it returned was rejected. */
  threw (error: unknown): void
  /**
   * The app is about to send a message, or a fragment of one, on the socket itself; `fin` false: there are fragments to come.
   * (Its class may push while it sends.) @returns whether there were before as well
   */
  sending (fin: boolean): boolean
  /** It could not: it is as before. */
  notSent (before: boolean): void
  /** Whether a whole message of about that size, which the app itself sends, leaves by the transport's own writer, and not by ws. */
  slices (size: number): boolean
  /** Sends it. @param bytes nobody else's */
  sendSliced (bytes: Buffer, binary: boolean, done: (error?: Error) => void): void
  /** What of that has not left yet, in bytes: ws knows nothing of it. */
  readonly appBytes: number
  /** It has done so, so many bytes, more or less; `fin` false: there are fragments to come. */
  sent (fin: boolean, bytes: number): void
  /** It is about to send a ping or a pong. */
  signalling (): void
  /** It has sent one. */
  signalled (): void
  /** It has sent a Blob, which ws has yet to read; and it has been read. One that cannot be ends the connection: nothing gets past it. */
  readingBlob (on: boolean): void
  /** It cannot be read: with the same error sending will be said to have failed. */
  unreadable (error: Error): void
  /** What it sent has been taken. */
  flushed (): void
  /** `close` is called on an open socket, by the app or by ws; true if the call is kept for later. */
  closing (code: number | undefined): boolean
  /** It was, and the close frame is on its way. */
  closes (code: number | undefined, reason: string | Buffer | undefined): void
  terminating (): void
  /** The app paused or resumed the socket. */
  pausedByApp (on: boolean): void
  closed (code: number, reason: Buffer): void
}

/** A Blob that the app has sent was read, or could not be. */
export const blobRead = (supervisor: Supervisor, error: Error | null | undefined): void =>
  error == null ? supervisor.readingBlob(false) : supervisor.unreadable(error)

/** ws as it was before the supervisor: what the transport itself writes and reads passes no supervision. */
export interface Bare {
  /** @returns what a class of the app's has returned: its `send` may be asynchronous */
  send (socket: WebSocket, data: string | Buffer, options: { binary: boolean }, done: (error?: Error) => void): unknown
  /** @param done called when it has been written */
  ping (socket: WebSocket, payload: Buffer, done: () => void): void
  pong (socket: WebSocket, payload: Buffer): void
  /** What ws and the socket below it hold, in bytes. */
  bufferedAmount (socket: WebSocket): number
  close (socket: WebSocket, code?: number, reason?: string | Buffer): void
  /** Takes back that a close was kept for later; false if none is. */
  reopen (socket: WebSocket): boolean
  terminate (socket: WebSocket): void
  pause (socket: WebSocket): void
  resume (socket: WebSocket): void
  /** Gives an event to the listeners, supervised. */
  emit (socket: WebSocket, event: string, ...args: unknown[]): void
}

export interface Supervision {
  readonly WebSocket: typeof WebSocket
  /** Messages are sent as ws sends them: no class of the app's has a `send` of its own, which must see them all. */
  readonly plain: boolean
  readonly bare: Bare
  /** A listener for `error`, the same for all sockets: what the app emits on an open one is a failure of the app's. */
  readonly onError: (this: WebSocket, error: unknown) => void
  /** Puts a socket under supervision; false if it was not made from this class. */
  supervise (socket: WebSocket, supervisor: Supervisor): boolean
  /** Whether it is under supervision. */
  supervises (socket: WebSocket): boolean
}
