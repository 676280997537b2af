/**
 * @fastify/websocket on one server, whoever registers it: what we need of it in either case.
 * `own-websocket` is for when we do, `app-websocket` for when the app has done so before us; nobody else knows which it is.
 */
import type { EventEmitter } from 'node:events'
import type { WebsocketPluginOptions } from '@fastify/websocket'
import type { FastifyInstance } from 'fastify'
import type WebSocket from 'ws'
import type { Supervision } from '../transports/websocket/supervisor.js'
import type { LifelineOptions, Settings } from './options.js'

/** How the sockets of a server are to be treated, by whose it is. */
export interface Manner {
  /** Whether it closes our connections itself at the shutdown, before we do: see `defers` of the transport. */
  readonly defers: boolean
  /** How long a reader may let wait for it, in ms: a handler may be at work for as long as its connection lives, and read nothing. */
  readonly patience: number
  /** Whether nobody needs the reply when its request has become a connection. */
  readonly detaches: boolean
  /** The app's own handler of errors, where we call it. */
  readonly errorHandler: WebsocketPluginOptions['errorHandler']
}

export interface Registration extends Manner {
  /** Whether nobody could have declared a route that takes WebSockets before it. */
  readonly first: boolean
  /** How long a closing handshake may take, in ms. */
  readonly closeTimeout: number
  /** Where upgrades come in. */
  readonly upgradeServer: EventEmitter
  /** Of its own for upgrades: none but what we have added by it, once it is registered. */
  readonly listeners: readonly Function[]
  /** It is there, and has our limits, when this has settled. @param preClose called in our hook @param closing called when it closes our connections itself */
  register (preClose: () => void, closing: () => void): Promise<void>
  /** From now on its sockets are made from our class. */
  supervised (supervision: Supervision): void
  /** No more sockets are made; and what is there and is no connection is closed. */
  close (): void
  /** Lets go of the server. */
  stop (): void
}

/** Members of ws's options that @types/ws does not know; a test pins them. */
export type ServerOptions = WebSocket.ServerOptions & { closeTimeout?: number }

/** ws's own defaults: a value that differs from them was chosen by the app. */
export const WS_DEFAULTS = { maxPayload: 100 * 1024 * 1024, closeTimeout: 30_000 }

/** The closeTimeout in force: the app's own choice among ws's options, where it made one, else ours. */
export function closeTimeoutOf (serverOptions: ServerOptions | undefined, settings: Settings, given: LifelineOptions): number {
  const chosen = serverOptions?.closeTimeout
  if (chosen === undefined || chosen === WS_DEFAULTS.closeTimeout || given.closeTimeout !== undefined) return settings.closeTimeout
  return chosen
}

/**
 * How long ws may take for a closing handshake before it ends the socket, in ms. It counts from the call of `close`, we from when the
 * close frame has left: so it comes behind us, and ends what is no connection of ours. But what the app chose there holds.
 */
export function behindOurs (closeTimeout: number, serverOptions: ServerOptions | undefined, { backpressure: { stallTimeout } }: Settings): number {
  return closeTimeout === serverOptions?.closeTimeout ? closeTimeout : Math.min(stallTimeout + 3 * closeTimeout, 2 ** 31 - 1)
}

/** Before anything is in place. @throws Fastify's own error for a name of its instance that is taken */
export function refuseTaken (fastify: FastifyInstance, ...names: string[]): void {
  for (const name of names) if (Object.hasOwn(fastify, name)) fastify.decorate(name, null)
}
