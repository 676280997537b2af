/**
 * Upgrades that come while an earlier response still has the socket. Answers leave in the order of their requests (RFC 9112 §9.3.2),
 * so a 101 would have to wait for the earlier one, and any number of upgrades with it: they are refused.
 * Invariant: nothing is written into the earlier answer, which still has its time; and nobody else hears of the upgrade.
 * Knows nothing of those that are under way.
 */
import { ServerResponse } from 'node:http'
import type { IncomingMessage } from 'node:http'
import type { EventEmitter } from 'node:events'
import type { Socket as NetSocket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Wheel } from '../core/time/wheel.js'
import { answerUnavailable } from './ending.js'
import type { Ending, Socket } from './ending.js'

/** A listener of `upgrade`, or of `once`, whose own function is its `listener`. */
type Listener = ((...args: unknown[]) => unknown) & { listener?: Listener }

/** Whether an earlier response still has the socket: Node.js gives it to one at a time, and says so in no other public way. */
export function serves (socket: Duplex, request: IncomingMessage): boolean {
  // Newer ones hand out a stream of their own for a request with a body; an injected request has no socket.
  const theirs = (request.socket as NetSocket | undefined) ?? socket as NetSocket
  const probe = new ServerResponse(request)
  try {
    probe.assignSocket(theirs)
  } catch (error) {
    // An injected socket need not be one.
    return (error as NodeJS.ErrnoException).code === 'ERR_HTTP_SOCKET_ASSIGNED'
  }
  probe.detachSocket(theirs)
  return false
}

/** Ours, and that of @fastify/websocket. */
const ALONE = 2

export class Behind {
  readonly #wheel: Wheel
  readonly #timeout: number
  readonly #ending: Ending
  #routers: readonly Listener[] = []
  /** Whether who routes before them is another copy of @fastify/websocket; null: nobody knows yet. */
  #copies: boolean | null = null
  /** With the slot in which the earlier response is cut off. */
  readonly #waiting = new Map<IncomingMessage, { readonly socket: Socket, deadline: number }>()

  /** @param timeout how long the earlier response may take, in ms */
  constructor (wheel: Wheel, timeout: number, ending: Ending) {
    this.#wheel = wheel
    this.#timeout = timeout
    this.#ending = ending
  }

  get size (): number { return this.#waiting.size }

  refuse (request: IncomingMessage, socket: Socket): void {
    this.#waiting.set(request, { socket, deadline: this.#wheel.slotAfter(this.#timeout) })
    // For nobody, but a reset is seen, and what stays unread does not become one.
    socket.resume()
  }

  /** Looks at each, once a slot of the wheel. */
  look (): void {
    for (const [request, { socket, deadline }] of this.#waiting) {
      if (this.#wheel.slot >= deadline) socket.destroy()
      if (!socket.destroyed && serves(socket, request)) continue
      this.#waiting.delete(request)
      answerUnavailable(socket)
      this.#ending.end(socket)
    }
  }

  /** The slots have become shorter by so much. */
  refined (times: number): void {
    for (const behind of this.#waiting.values()) behind.deadline *= times
  }

  stop (): void {
    for (const { socket } of this.#waiting.values()) socket.destroy()
    this.#waiting.clear()
  }

  /**
   * Keeps all that is refused here from the listeners that are there now: @fastify/websocket logs each at warn.
   * They keep their order, and are removed by reference as before: Node.js goes by the `listener` of a wrapper.
   * @param ours hears of everything @param routers hear of nothing that a response has by then: somebody before them has routed it
   */
  shield (server: EventEmitter, ours: (request: IncomingMessage, socket: Socket, head: Buffer) => void, routers: readonly Function[]): void {
    this.#routers = routers as readonly Listener[]
    const listeners = server.rawListeners('upgrade') as Listener[]
    server.removeAllListeners('upgrade')
    const alone = (): boolean => server.listenerCount('upgrade') <= ALONE
    for (const listener of listeners) {
      if (listener === ours as Listener) server.on('upgrade', listener)
      else server.on('upgrade', this.#shielded(routers.includes(listener) ? this.#routing(listener, alone) : listener, listener))
    }
  }

  /** The routers hear of what another copy has routed. @returns whether there are any */
  hear (server: EventEmitter, ...upgrade: unknown[]): boolean {
    if (this.#routers.length > 0) this.#copies = true
    for (const router of this.#routers) router.apply(server, upgrade)
    return this.#routers.length > 0
  }

  #shielded (called: Listener, listener: Listener): Listener {
    // A wrapper of `once` is removed by another function than its own: it stays as it is.
    if (listener.listener !== undefined) return listener
    const waiting = this.#waiting
    const shielded: Listener = function (this: unknown, request, ...rest) {
      return waiting.has(request as IncomingMessage) ? undefined : called.call(this, request, ...rest)
    }
    return Object.assign(shielded, { listener })
  }

  /**
   * Routed twice, it would fail, and be a line in the log each time. But another copy of @fastify/websocket leaves nothing on the request
   * that ours would find: then it must hear of all. Which it is shows the first time.
   */
  #routing (listener: Listener, alone: () => boolean): Listener {
    const behind = this
    return function (this: unknown, ...args) {
      const [request, socket] = args as [IncomingMessage, Duplex]
      if (behind.#copies === true || alone() || !serves(socket, request)) return listener.apply(this, args)
      if (behind.#copies === false) return undefined
      const before = Object.getOwnPropertySymbols(request).length
      const result = listener.apply(this, args)
      behind.#copies ??= Object.getOwnPropertySymbols(request).length > before
      return result
    }
  }
}
