/**
 * The upgrades that are under way: no socket of a refused, undecided or abandoned one stays behind.
 * @fastify/websocket writes the answer of a refused upgrade to a socket that nobody then ends.
 * Invariant: a socket is in the ledger from its `upgrade` event until it is adopted, hijacked or destroyed, and
 * is guarded for as long: Node.js has taken its own `error` listener off, and an error that nobody hears ends the process.
 * Who was let in has a place until then, and whoever has taken the socket until that is over.
 */
import { ServerResponse } from 'node:http'
import type { IncomingMessage } from 'node:http'
import type { EventEmitter } from 'node:events'
import type { Socket as NetSocket } from 'node:net'
import type { Duplex } from 'node:stream'
import { Entry } from '../core/time/wheel.js'
import type { Wheel } from '../core/time/wheel.js'

type Socket = Duplex & { bytesWritten?: number, destroySoon?: () => void }

/** As Fastify's. */
interface Reply {
  /** Sent, or hijacked. */
  readonly sent: boolean
  readonly raw: { readonly headersSent: boolean }
}

interface Upgrade {
  readonly socket: Socket
  /** What had been written when it came: the connection may have served requests before. */
  readonly written: number
  /** What had been written at the last look. */
  seen: number
  deadline: number
  /** Set when Fastify has routed it: then it tells when the answer is whole. */
  reply: Reply | null
  /** Gives back the place that was taken for it, when it is let in. */
  leave: (() => void) | null
}

/** An upgrade that has become a connection. */
export interface Adopted {
  readonly socket: Duplex
  /** Must be called when the connection is over. */
  readonly leave: (() => void) | null
}

/** A listener of `upgrade`, or of `once`, whose own function is its `listener`. */
type Listener = ((...args: unknown[]) => unknown) & { listener?: Listener }

/** Others ask for an upgrade (to h2c, say) and take a plain answer just as well: they are not hurried. */
export const isWebSocket = ({ headers }: IncomingMessage): boolean => headers.upgrade?.toLowerCase() === 'websocket'

const UNAVAILABLE = 'HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n'

/** Whether an earlier response still has the socket: Node.js gives it to one at a time, and says so in no other public way. */
function serves (socket: Duplex, request: IncomingMessage): boolean {
  // Newer ones hand out a stream of their own for a request with a body; an injected request has no socket.
  const theirs = (request.socket as NetSocket | undefined) ?? socket as NetSocket
  const probe = new ServerResponse(request)
  try {
    probe.assignSocket(theirs)
  } catch {
    return true
  }
  probe.detachSocket(theirs)
  return false
}

/** The guard: one function for all sockets. */
function onError (this: Duplex): void {
  this.destroy()
}

/** Someone else's now. Who has taken it listens for its errors, or is to find it as safe as it was. */
function unguard (socket: Duplex): void {
  if (socket.listenerCount('error') > 1) socket.removeListener('error', onError)
}

/**
 * Whether it still waits. Behind a 1xx answer (early hints, say) it is as undecided as before; who takes the socket past
 * the reply says so (`hijack`), or reads from it.
 */
function undecided ({ socket, written, reply }: Upgrade): boolean {
  if ((socket.bytesWritten ?? 0) === written) return true
  return reply !== null && !reply.sent && !reply.raw.headersSent && !socket.writableEnded && socket.listenerCount('data') + socket.listenerCount('readable') === 0
}

/** Whether somebody has taken its socket: has written there past the reply, and has not ended it. */
function taken (upgrade: Upgrade): boolean {
  return upgrade.reply?.raw.headersSent === false && !upgrade.socket.writableEnded && !undecided(upgrade)
}

/** Who counts. */
export interface UpgradesJournal {
  /** An upgrade became no connection. */
  upgradeRefused (): void
  /** Nobody had decided it in time. */
  upgradeTimedOut (): void
}

export class Upgrades extends Entry {
  readonly #server: EventEmitter
  readonly #wheel: Wheel
  readonly #timeouts: { readonly decide: number, readonly end: number }
  readonly #journal: UpgradesJournal
  readonly #underway = new Map<IncomingMessage, Upgrade>()
  /** Refused, and not gone yet; with the slot in which they are destroyed. */
  readonly #ending = new Map<Socket, number>()
  /** Refused, while an earlier response has the socket; with the slot in which that is cut off. */
  readonly #behind = new Map<IncomingMessage, { readonly socket: Socket, deadline: number }>()
  #closing = false
  #sweeping: NodeJS.Immediate | null = null

  /** @param timeouts how long an upgrade may stay undecided, and how long a refused client may take to read why, in ms */
  constructor (server: EventEmitter, wheel: Wheel, timeouts: { decide: number, end: number }, journal: UpgradesJournal) {
    super()
    this.#server = server
    this.#wheel = wheel
    this.#timeouts = timeouts
    this.#journal = journal
    server.prependListener('upgrade', this.#onUpgrade)
  }

  /**
   * Keeps from the listeners that are there now whatever was refused behind a response: @fastify/websocket logs each at warn.
   * They keep their order, and are removed by reference as before: Node.js goes by the `listener` of a wrapper.
   */
  shield (): void {
    const listeners = this.#server.rawListeners('upgrade') as Listener[]
    this.#server.removeAllListeners('upgrade')
    for (const listener of listeners) this.#server.on('upgrade', listener === this.#onUpgrade ? listener : this.#shielded(listener))
  }

  get size (): number { return this.#underway.size }

  /** Its upgrade has become a connection: the socket is someone else's now. */
  adopt (request: IncomingMessage): Adopted | undefined {
    const upgrade = this.#underway.get(request)
    this.#underway.delete(request)
    if (upgrade !== undefined) unguard(upgrade.socket)
    return upgrade
  }

  /** It has come to a server that is not watched here. */
  found (request: IncomingMessage, socket: Duplex): void {
    if (this.#underway.has(request) || !socket.writable) return
    socket.on('error', onError)
    this.#enter(request, socket)
  }

  has (request: IncomingMessage): boolean {
    return this.#underway.has(request)
  }

  /** Whether this request waits for an upgrade, with somebody at the other end. */
  waits (request: IncomingMessage): boolean {
    const upgrade = this.#underway.get(request)
    return upgrade !== undefined && !upgrade.socket.destroyed
  }

  /** It was let in. @param leave gives back its place */
  admitted (request: IncomingMessage, leave: (() => void) | null): void {
    const upgrade = this.#underway.get(request)
    if (upgrade === undefined) {
      leave?.()
      return
    }
    // Who is routed twice is asked about twice, and has one place.
    upgrade.leave?.()
    upgrade.leave = leave
  }

  /** Fastify has routed this request, and will answer by this reply, or leave it to a handler. */
  routed (request: IncomingMessage, reply: Reply): void {
    const upgrade = this.#underway.get(request)
    if (upgrade !== undefined) upgrade.reply = reply
  }

  /** Fastify has sent the whole answer to this request. */
  answered (request: IncomingMessage): void {
    const upgrade = this.#underway.get(request)
    if (upgrade !== undefined) this.#end(request, upgrade)
  }

  /** No upgrade succeeds any more: who waits and who still comes gets a 503. */
  close (): void {
    this.#closing = true
    this.#refuseAll()
  }

  /** Lets go of the server. */
  stop (): void {
    this.#server.removeListener('upgrade', this.#onUpgrade)
    if (this.#sweeping !== null) clearImmediate(this.#sweeping)
    this.#refuseAll()
    for (const socket of this.#ending.keys()) socket.destroy()
    this.#ending.clear()
    for (const { socket } of this.#behind.values()) socket.destroy()
    this.#behind.clear()
    this.#wheel.cancel(this)
  }

  readonly #onUpgrade = (request: IncomingMessage, socket: Socket): void => {
    socket.on('error', onError)
    if (serves(socket, request)) {
      this.#refuseBehind(request, socket)
      return
    }
    this.#enter(request, socket)
  }

  #enter (request: IncomingMessage, socket: Socket): void {
    const written = socket.bytesWritten ?? 0
    this.#underway.set(request, { socket, written, seen: written, deadline: this.#in(this.#timeouts.decide), reply: null, leave: null })
    if (this.next === null) this.#wheel.wait(this, 1)
    // Fastify answers by itself while it closes; if nobody has by the end of this turn, we do.
    if (this.#closing) this.#sweeping ??= setImmediate(() => { this.#sweeping = null; this.#refuseAll() })
  }

  /** Looks at every upgrade under way, once a slot of the wheel. */
  override due (): void {
    for (const [request, upgrade] of this.#underway) {
      const { socket } = upgrade
      const written = socket.bytesWritten ?? 0
      if (socket.destroyed) {
        this.#journal.upgradeRefused()
        this.#forget(request, upgrade)
      } else if (!undecided(upgrade)) {
        this.#see(request, upgrade, written)
      } else if (this.#wheel.slot >= upgrade.deadline && isWebSocket(request)) {
        this.#journal.upgradeTimedOut()
        this.#refuse(request, upgrade)
      }
      upgrade.seen = written
    }
    for (const [request, { socket, deadline }] of this.#behind) {
      if (this.#wheel.slot >= deadline) socket.destroy()
      if (!socket.destroyed && serves(socket, request)) continue
      this.#behind.delete(request)
      if (socket.writable) socket.write(UNAVAILABLE)
      this.#letGo(socket)
    }
    for (const [socket, deadline] of this.#ending) {
      if (this.#wheel.slot >= deadline) socket.destroy()
      if (socket.destroyed) this.#ending.delete(socket)
    }
    if (this.#underway.size + this.#behind.size + this.#ending.size > 0) this.#wheel.wait(this, 1)
  }

  override refined (times: number): void {
    for (const upgrade of this.#underway.values()) upgrade.deadline *= times
    for (const behind of this.#behind.values()) behind.deadline *= times
    for (const [socket, deadline] of this.#ending) this.#ending.set(socket, deadline * times)
  }

  /** Looks at an answer that was begun. */
  #see (request: IncomingMessage, upgrade: Upgrade, written: number): void {
    if (taken(upgrade)) {
      this.#handOver(request, upgrade)
    } else if (upgrade.reply?.raw.headersSent === false) {
      this.#end(request, upgrade)
    } else if (written !== upgrade.seen) {
      // What passes no hook of ours is written at once, as a rule, and whole when it has not grown for a while.
      upgrade.deadline = this.#in(upgrade.reply === null ? this.#timeouts.end : this.#timeouts.decide)
    } else if (this.#wheel.slot >= upgrade.deadline) {
      this.#end(request, upgrade)
    }
  }

  #in (ms: number): number {
    return this.#wheel.slot + this.#wheel.slots(ms)
  }

  #refuseAll (): void {
    for (const [request, upgrade] of this.#underway) {
      if (taken(upgrade)) this.#handOver(request, upgrade)
      else this.#refuse(request, upgrade)
    }
  }

  #refuse (request: IncomingMessage, upgrade: Upgrade): void {
    const { socket } = upgrade
    if (undecided(upgrade) && socket.writable) socket.write(UNAVAILABLE)
    this.#end(request, upgrade)
  }

  /**
   * Answers leave in the order of their requests (RFC 9112 §9.3.2), so a 101 would have to wait for the earlier one, and
   * any number of upgrades with it: it is refused. The earlier answer still has its time.
   */
  #refuseBehind (request: IncomingMessage, socket: Socket): void {
    this.#journal.upgradeRefused()
    this.#behind.set(request, { socket, deadline: this.#in(this.#timeouts.end) })
    if (this.next === null) this.#wheel.wait(this, 1)
    // For nobody, but a reset is seen, and what stays unread does not become one.
    socket.resume()
  }

  #shielded (listener: Listener): Listener {
    // A wrapper of `once` is removed by another function than its own: it stays as it is.
    if (listener.listener !== undefined) return listener
    const behind = this.#behind
    const shielded: Listener = function (this: unknown, request, ...rest) {
      return behind.has(request as IncomingMessage) ? undefined : listener.call(this, request, ...rest)
    }
    return Object.assign(shielded, { listener })
  }

  /** Whoever has taken its socket has it now, and its place for as long. */
  #handOver (request: IncomingMessage, upgrade: Upgrade): void {
    this.#underway.delete(request)
    if (upgrade.leave !== null) upgrade.socket.once('close', upgrade.leave)
    unguard(upgrade.socket)
  }

  #forget (request: IncomingMessage, upgrade: Upgrade): void {
    this.#underway.delete(request)
    upgrade.leave?.()
  }

  #end (request: IncomingMessage, upgrade: Upgrade): void {
    this.#journal.upgradeRefused()
    this.#forget(request, upgrade)
    this.#letGo(upgrade.socket)
  }

  #letGo (socket: Socket): void {
    this.#ending.set(socket, this.#in(this.#timeouts.end))
    if (this.next === null) this.#wheel.wait(this, 1)
    if (socket.destroySoon !== undefined) socket.destroySoon()
    else socket.end(() => { socket.destroy() })
  }
}
