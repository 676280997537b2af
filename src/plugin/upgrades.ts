/**
 * The upgrades that are under way: no socket of a refused, undecided or abandoned one stays behind.
 * @fastify/websocket writes the answer of a refused upgrade to a socket that nobody then ends.
 * Invariant: a socket is in the ledger from its `upgrade` event until it is adopted, hijacked or destroyed, and
 * is guarded for as long: Node.js has taken its own `error` listener off, and an error that nobody hears ends the process.
 * Who was let in has a place until then, and whoever has taken the socket until that is over.
 * Knows nothing of who may come in (`admission`), nor of what becomes of a connection.
 */
import type { IncomingMessage } from 'node:http'
import type { EventEmitter } from 'node:events'
import type { Duplex } from 'node:stream'
import { Entry } from '../core/time/wheel.js'
import type { Wheel } from '../core/time/wheel.js'
import { Behind, serves } from './behind.js'
import { answerUnavailable, Ending } from './ending.js'
import type { Socket } from './ending.js'
import { guard, hijacked, taken, undecided, unguard } from './underway.js'
import type { Reply, Upgrade } from './underway.js'

/** An upgrade that has become a connection. */
export interface Adopted {
  readonly socket: Duplex
  /** Must be called when the connection is over. */
  readonly leave: (() => void) | null
}

/** Who counts. */
export interface UpgradesJournal {
  /** An upgrade became no connection. */
  upgradeRefused (): void
  /** Nobody had decided it in time. */
  upgradeTimedOut (): void
}

const NOTHING = Buffer.alloc(0)

export class Upgrades extends Entry {
  readonly #server: EventEmitter
  readonly #wheel: Wheel
  readonly #timeouts: { readonly decide: number, readonly end: number }
  readonly #journal: UpgradesJournal
  readonly #underway = new Map<IncomingMessage, Upgrade>()
  readonly #ending: Ending
  readonly #behind: Behind
  #closing = false
  #sweeping: NodeJS.Immediate | null = null

  /** @param timeouts how long an upgrade may stay undecided, and how long a refused client may take to read why, in ms */
  constructor (server: EventEmitter, wheel: Wheel, timeouts: { decide: number, end: number }, journal: UpgradesJournal) {
    super()
    this.#server = server
    this.#wheel = wheel
    this.#timeouts = timeouts
    this.#journal = journal
    this.#ending = new Ending(wheel, timeouts.end)
    this.#behind = new Behind(wheel, timeouts.end, this.#ending)
    server.prependListener('upgrade', this.#onUpgrade)
  }

  /** Our own, on the server. */
  get listener (): Function { return this.#onUpgrade }

  /** Keeps from the listeners that are there now whatever is refused behind a response. @param routers those of ours that route it through Fastify */
  shield (routers: readonly Function[]): void {
    this.#behind.shield(this.#server, this.#onUpgrade, routers)
  }

  /** Lets a router hear of an upgrade that somebody else has routed before it. @returns whether there was one */
  hear (request: IncomingMessage): boolean {
    const upgrade = this.#underway.get(request)
    return upgrade !== undefined && this.#behind.hear(this.#server, request, upgrade.socket, upgrade.head)
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
    guard(socket)
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

  /** All hooks have let it pass: what is done with its socket from now on @fastify/websocket does, and not the app. */
  dispatched (request: IncomingMessage): void {
    const upgrade = this.#underway.get(request)
    if (upgrade !== undefined) upgrade.dispatched = true
  }

  /** Fastify has sent the whole answer to this request. */
  answered (request: IncomingMessage): void {
    const upgrade = this.#underway.get(request)
    if (upgrade !== undefined) this.#end(request, upgrade)
  }

  /** It cannot go on: the app's own code has failed. */
  failed (request: IncomingMessage): void {
    const upgrade = this.#underway.get(request)
    if (upgrade === undefined) return
    const { socket, written } = upgrade
    if ((socket.bytesWritten ?? 0) === written) answerUnavailable(socket)
    this.#end(request, upgrade)
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
    this.#ending.stop()
    this.#behind.stop()
    this.#wheel.cancel(this)
  }

  readonly #onUpgrade = (request: IncomingMessage, socket: Socket, head: Buffer): void => {
    guard(socket)
    if (serves(socket, request)) {
      this.#journal.upgradeRefused()
      this.#behind.refuse(request, socket)
      this.#lookAgain()
      return
    }
    this.#enter(request, socket, head)
  }

  #enter (request: IncomingMessage, socket: Socket, head: Buffer = NOTHING): void {
    const written = socket.bytesWritten ?? 0
    this.#underway.set(request, { socket, head, written, seen: written, deadline: this.#wheel.slotAfter(this.#timeouts.decide), reply: null, dispatched: false, leave: null })
    this.#lookAgain()
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
      } else if (this.#wheel.slot >= upgrade.deadline) {
        this.#journal.upgradeTimedOut()
        this.#refuse(request, upgrade)
      }
      upgrade.seen = written
    }
    this.#behind.look()
    this.#ending.look()
    if (this.#underway.size + this.#behind.size + this.#ending.size > 0) this.#lookAgain()
  }

  override refined (times: number): void {
    for (const upgrade of this.#underway.values()) upgrade.deadline *= times
    this.#behind.refined(times)
    this.#ending.refined(times)
  }

  /** Looks at an answer that was begun. */
  #see (request: IncomingMessage, upgrade: Upgrade, written: number): void {
    if (taken(upgrade)) {
      this.#handOver(request, upgrade)
    } else if (upgrade.reply?.raw.headersSent === false) {
      this.#end(request, upgrade)
    } else if (written !== upgrade.seen) {
      // What passes no hook of ours is written at once, as a rule, and whole when it has not grown for a while. Or it is a 1xx answer of a
      // hook before ours, which has all its time to decide.
      upgrade.deadline = Math.max(upgrade.deadline, this.#wheel.slotAfter(upgrade.reply === null ? this.#timeouts.end : this.#timeouts.decide))
    } else if (this.#wheel.slot >= upgrade.deadline) {
      this.#end(request, upgrade)
    }
  }

  /** There is something to look at: in the next slot, as in each until there is nothing more. */
  #lookAgain (): void {
    if (this.next === null) this.#wheel.wait(this, 1)
  }

  #refuseAll (): void {
    for (const [request, upgrade] of this.#underway) {
      if (taken(upgrade)) this.#handOver(request, upgrade)
      else this.#refuse(request, upgrade)
    }
  }

  #refuse (request: IncomingMessage, upgrade: Upgrade): void {
    if (undecided(upgrade)) answerUnavailable(upgrade.socket)
    this.#end(request, upgrade)
  }

  /** Whoever has taken its socket has it now, and its place for as long. */
  #handOver (request: IncomingMessage, upgrade: Upgrade): void {
    this.#underway.delete(request)
    const { socket } = upgrade
    if (upgrade.leave !== null) socket.once('close', upgrade.leave)
    if (hijacked(upgrade)) {
      // Whose other end stays open must not keep its place for good.
      socket.once('finish', () => {
        this.#ending.ended(socket)
        this.#lookAgain()
      })
    }
    unguard(socket)
  }

  #forget (request: IncomingMessage, upgrade: Upgrade): void {
    this.#underway.delete(request)
    upgrade.leave?.()
  }

  #end (request: IncomingMessage, upgrade: Upgrade): void {
    this.#journal.upgradeRefused()
    if (hijacked(upgrade) && !upgrade.socket.destroyed) this.#handOver(request, upgrade)
    else this.#forget(request, upgrade)
    this.#ending.end(upgrade.socket)
    this.#lookAgain()
  }
}
