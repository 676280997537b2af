/**
 * Who listens for upgrades on a server: we, @fastify/websocket, and strangers, who answer the same clients as we do.
 * Invariant: nobody is called a stranger who is @fastify/websocket's; and nobody is hindered.
 */
import type { EventEmitter } from 'node:events'
import fastifyWebsocket from '@fastify/websocket'
import type { FastifyInstance } from 'fastify'

/** The listener of each of its registrations is a function within it: it is known by its text alone, whoever has loaded it. */
const source = String(fastifyWebsocket)
const known = new WeakMap<Function, boolean>()

function isTheirs (listener: Function): boolean {
  let theirs = known.get(listener)
  if (theirs === undefined) known.set(listener, theirs = source.includes(String(listener)))
  return theirs
}

/** How often @fastify/websocket is registered in an app, in whatever context. For when all plugins are loaded. */
const registrations = (fastify: FastifyInstance): number => fastify.printPlugins().match(/ @fastify\/websocket -?[\d.]+ ms$/gm)?.length ?? 0

export class Listeners {
  readonly #fastify: FastifyInstance
  readonly #server: EventEmitter
  readonly #ours: Function
  #told: (() => void) | null = null
  /** There is no second registration of @fastify/websocket, as far as is known. */
  #only = false

  /** @param server where upgrades come in @param ours our own listener */
  constructor (fastify: FastifyInstance, server: EventEmitter, ours: Function) {
    this.#fastify = fastify
    this.#server = server
    this.#ours = ours
  }

  /** How many are strangers. What has the text of another release of @fastify/websocket is one as well, unless all is loaded and accounted for. */
  get strangers (): number {
    return this.#others.filter((listener) => !isTheirs(listener)).length
  }

  /** How often @fastify/websocket is registered for this server. For when all plugins are loaded. */
  get registrations (): number {
    return Math.max(registrations(this.#fastify), this.#others.filter(isTheirs).length)
  }

  /** Calls back once there is a stranger: now, or when one comes. For when all plugins are loaded. */
  onStranger (tell: () => void): void {
    // Another release of @fastify/websocket has another text; and one with a server of its own does not listen here.
    const { registrations } = this
    this.#only = registrations === 1
    const elsewhere = registrations - this.#others.filter(isTheirs).length
    if (this.strangers > elsewhere) {
      tell()
      return
    }
    this.#told = tell
    this.#server.on('newListener', this.#onNewListener)
  }

  /** Whether what @fastify/websocket has not routed a stranger has, who answers it himself where the route is no WebSocket: a proxy. */
  get strangersRoute (): boolean { return this.#only && this.strangers > 0 }

  stop (): void {
    this.#told = null
    this.#server.removeListener('newListener', this.#onNewListener)
  }

  get #others (): Function[] {
    return this.#server.listeners('upgrade').filter((listener) => listener !== this.#ours)
  }

  readonly #onNewListener = (event: string | symbol, listener: Function): void => {
    if (event !== 'upgrade' || listener === this.#ours || isTheirs(listener)) return
    const tell = this.#told
    this.stop()
    tell?.()
  }
}
