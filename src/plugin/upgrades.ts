/**
 * The upgrades that are under way: no socket of a refused, undecided or abandoned one stays behind.
 * @fastify/websocket writes the answer of a refused upgrade to a socket that nobody then ends.
 * Invariant: a socket is in the ledger from its `upgrade` event until it is adopted, hijacked or destroyed, and
 * is guarded for as long: Node.js has taken its own `error` listener off, and an error that nobody hears ends the process.
 */
import type { IncomingMessage } from 'node:http'
import type { EventEmitter } from 'node:events'
import type { Duplex } from 'node:stream'
import { Entry } from '../core/wheel.js'
import type { Wheel } from '../core/wheel.js'
import type { Tally } from '../core/tally.js'

type Socket = Duplex & { bytesWritten?: number, destroySoon?: () => void }

interface Upgrade {
  readonly socket: Socket
  /** What had been written when it came: the connection may have served requests before. */
  readonly written: number
  /** What had been written at the last look. */
  seen: number
  deadline: number
  /** Set when Fastify has routed it: then it tells when the answer is whole. */
  response: { readonly headersSent: boolean } | null
  /** Gives back the place that was taken for it, when it is let in. */
  leave: (() => void) | null
}

/** An upgrade that has become a connection. */
export interface Adopted {
  readonly socket: Duplex
  /** Must be called when the connection is over. */
  readonly leave: (() => void) | null
}

/** Others ask for an upgrade (to h2c, say) and take a plain answer just as well: they are not hurried. */
export const isWebSocket = ({ headers }: IncomingMessage): boolean => headers.upgrade?.toLowerCase() === 'websocket'

const UNAVAILABLE = 'HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n'

/** The guard: one function for all sockets. */
function onError (this: Duplex): void {
  this.destroy()
}

/** Someone else's now. Who has taken it listens for its errors, or is to find it as safe as it was. */
function unguard (socket: Duplex): void {
  if (socket.listenerCount('error') > 1) socket.removeListener('error', onError)
}

export class Upgrades extends Entry {
  readonly #server: EventEmitter
  readonly #wheel: Wheel
  readonly #timeouts: { readonly decide: number, readonly end: number }
  readonly #tally: Tally
  readonly #underway = new Map<IncomingMessage, Upgrade>()
  /** Refused, and not gone yet; with the turn in which they are destroyed. */
  readonly #ending = new Map<Socket, number>()
  #closing = false
  #sweeping: NodeJS.Immediate | null = null

  /** @param timeouts how long an upgrade may stay undecided, and how long a refused client may take to read why, in ms */
  constructor (server: EventEmitter, wheel: Wheel, timeouts: { decide: number, end: number }, tally: Tally) {
    super()
    this.#server = server
    this.#wheel = wheel
    this.#timeouts = timeouts
    this.#tally = tally
    server.prependListener('upgrade', this.#onUpgrade)
  }

  get size (): number { return this.#underway.size }

  /** Its upgrade has become a connection: the socket is someone else's now. */
  adopt (request: IncomingMessage): Adopted | undefined {
    const upgrade = this.#underway.get(request)
    this.#underway.delete(request)
    if (upgrade !== undefined) unguard(upgrade.socket)
    return upgrade
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

  /** Fastify has routed this request, and will answer by this response, or leave it to a handler. */
  routed (request: IncomingMessage, response: { readonly headersSent: boolean }): void {
    const upgrade = this.#underway.get(request)
    if (upgrade !== undefined) upgrade.response = response
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
    this.#wheel.cancel(this)
  }

  readonly #onUpgrade = (request: IncomingMessage, socket: Socket): void => {
    socket.on('error', onError)
    const written = socket.bytesWritten ?? 0
    this.#underway.set(request, { socket, written, seen: written, deadline: this.#in(this.#timeouts.decide), response: null, leave: null })
    if (this.next === null) this.#wheel.wait(this, 1)
    // Fastify answers by itself while it closes; if nobody has by the end of this turn, we do.
    if (this.#closing) this.#sweeping ??= setImmediate(() => { this.#sweeping = null; this.#refuseAll() })
  }

  /** Looks at every upgrade under way, once a turn of the wheel. */
  override due (): void {
    for (const [request, upgrade] of this.#underway) {
      const { socket } = upgrade
      const written = socket.bytesWritten ?? 0
      if (socket.destroyed) {
        this.#tally.upgrades.refused++
        this.#forget(request, upgrade)
      } else if (written > upgrade.written) {
        this.#see(request, upgrade, written)
      } else if (this.#wheel.turn >= upgrade.deadline && isWebSocket(request)) {
        this.#tally.upgrades.timedOut++
        this.#refuse(request, upgrade)
      }
      upgrade.seen = written
    }
    for (const [socket, deadline] of this.#ending) {
      if (this.#wheel.turn >= deadline) socket.destroy()
      if (socket.destroyed) this.#ending.delete(socket)
    }
    if (this.#underway.size + this.#ending.size > 0) this.#wheel.wait(this, 1)
  }

  override refined (times: number): void {
    for (const upgrade of this.#underway.values()) upgrade.deadline *= times
    for (const [socket, deadline] of this.#ending) this.#ending.set(socket, deadline * times)
  }

  /** Looks at an answer that was begun. */
  #see (request: IncomingMessage, upgrade: Upgrade, written: number): void {
    if (upgrade.response?.headersSent === false) {
      // Hijacked: whoever wrote past the response has the socket now, unless it has ended it.
      if (upgrade.socket.writableEnded) {
        this.#end(request, upgrade)
      } else {
        this.#forget(request, upgrade)
        unguard(upgrade.socket)
      }
    } else if (written !== upgrade.seen) {
      // What passes no hook of ours is written at once, as a rule, and whole when it has not grown for a while.
      upgrade.deadline = this.#in(upgrade.response === null ? this.#timeouts.end : this.#timeouts.decide)
    } else if (this.#wheel.turn >= upgrade.deadline) {
      this.#end(request, upgrade)
    }
  }

  #in (ms: number): number {
    return this.#wheel.turn + this.#wheel.turns(ms)
  }

  #refuseAll (): void {
    for (const [request, upgrade] of this.#underway) this.#refuse(request, upgrade)
  }

  #refuse (request: IncomingMessage, upgrade: Upgrade): void {
    const { socket, written } = upgrade
    if ((socket.bytesWritten ?? 0) === written && socket.writable) socket.write(UNAVAILABLE)
    this.#end(request, upgrade)
  }

  #forget (request: IncomingMessage, upgrade: Upgrade): void {
    this.#underway.delete(request)
    upgrade.leave?.()
  }

  #end (request: IncomingMessage, upgrade: Upgrade): void {
    const { socket } = upgrade
    this.#tally.upgrades.refused++
    this.#forget(request, upgrade)
    this.#ending.set(socket, this.#in(this.#timeouts.end))
    if (this.next === null) this.#wheel.wait(this, 1)
    if (socket.destroySoon !== undefined) socket.destroySoon()
    else socket.end(() => { socket.destroy() })
  }
}
