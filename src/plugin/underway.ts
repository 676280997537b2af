/**
 * An upgrade that is under way, and what can be seen of what the app has done with it.
 * Invariant: a socket that somebody has taken is told from one that waits for an answer by what is public alone, and by looking.
 * Knows nothing of time: see `upgrades`.
 */
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import type { Socket } from './ending.js'

/** As Fastify's. */
export interface Reply {
  /** Sent, or hijacked. */
  readonly sent: boolean
  readonly raw: { readonly headersSent: boolean, readonly writableEnded: boolean }
}

export interface Upgrade {
  readonly socket: Socket
  /** What has come behind the request. */
  readonly head: Buffer
  /** What had been written when it came: the connection may have served requests before. */
  readonly written: number
  /** What had been written at the last look. */
  seen: number
  deadline: number
  /** Set when Fastify has routed it: then it tells when the answer is whole. */
  reply: Reply | null
  /** Whether all hooks have let it pass. */
  dispatched: boolean
  /** Gives back the place that was taken for it, when it is let in. */
  leave: (() => void) | null
}

/** Whether it is to a WebSocket and nothing else: ws takes no list. */
export const isWebSocket = ({ headers }: IncomingMessage): boolean => headers.upgrade?.toLowerCase() === 'websocket'

/** The guard: one function for all sockets. */
function onError (this: Duplex): void {
  this.destroy()
}

export function guard (socket: Duplex): void {
  socket.on('error', onError)
}

/** Someone else's now. Who has taken it listens for its errors, or is to find it as safe as it was. */
export function unguard (socket: Duplex): void {
  if (socket.listenerCount('error') > 1) socket.removeListener('error', onError)
}

const isRead = (socket: Socket): boolean => socket.listenerCount('data') + socket.listenerCount('readable') > 0

/** Whether the app has said that it is its own matter, and has not answered. (@fastify/websocket says so as well, on its way to ws.) */
export const hijacked = ({ reply, dispatched }: Upgrade): boolean => reply !== null && !dispatched && reply.sent && !reply.raw.writableEnded

/**
 * Whether it still waits. Behind a 1xx answer (early hints, say) it is as undecided as before; who takes the socket past
 * the reply says so (`hijack`), or reads from it.
 */
export function undecided (upgrade: Upgrade): boolean {
  const { socket, written, reply, dispatched } = upgrade
  if (hijacked(upgrade)) return false
  if ((socket.bytesWritten ?? 0) === written) return true
  return reply !== null && (dispatched || !reply.sent) && !reply.raw.headersSent && !socket.writableEnded && !isRead(socket)
}

/**
 * Whether somebody has taken its socket, and has not ended it: has hijacked the reply, or written there past it; or, where Fastify was
 * never asked, reads from it: another server of the app's.
 */
export function taken (upgrade: Upgrade): boolean {
  const { reply, socket } = upgrade
  if (socket.destroyed || socket.writableEnded || undecided(upgrade)) return false
  return reply === null ? isRead(socket) : !reply.raw.headersSent || hijacked(upgrade)
}
