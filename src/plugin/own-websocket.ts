/**
 * @fastify/websocket as we register it: with our limits, and the app's own handlers called from ours.
 * Invariant: a limit that the app has given to ws is kept; what it has registered here ends with the server.
 */
import type { EventEmitter } from 'node:events'
import fastifyWebsocket from '@fastify/websocket'
import type { WebsocketPluginOptions } from '@fastify/websocket'
import type { FastifyInstance } from 'fastify'
import type WebSocket from 'ws'
import { lifeOf } from '../api/connection.js'
import { kConnection } from '../api/request.js'
import type { Log } from '../observe/log.js'
import { closeCode } from '../protocol/close-codes.js'
import type { Supervision } from '../transports/websocket/supervisor.js'
import type { LifelineOptions, Settings } from './options.js'
import { behindOurs, closeTimeoutOf, refuseTaken } from './registration.js'
import type { Registration } from './registration.js'
import { watchHandlers } from './routes.js'
import { partsOf } from './unfinished.js'

export class OwnWebsocket implements Registration {
  readonly closeTimeout: number
  readonly upgradeServer: EventEmitter
  listeners: readonly Function[] = []
  readonly defers = false
  readonly first = true
  readonly patience: number
  readonly detaches: boolean
  readonly errorHandler: WebsocketPluginOptions['errorHandler']
  readonly #fastify: FastifyInstance
  readonly #settings: Settings
  readonly #log: Log
  #supervision: Supervision | null = null

  /** @throws what @fastify/websocket would, where the app has taken its names */
  constructor (fastify: FastifyInstance, settings: Settings, given: LifelineOptions, log: Log) {
    refuseTaken(fastify, 'injectWS')
    if (fastify.hasRequestDecorator('ws')) fastify.decorateRequest('ws', false)
    const { options, errorHandler } = settings.websocket
    this.#fastify = fastify
    this.#settings = settings
    this.#log = log
    this.closeTimeout = closeTimeoutOf(options, settings, given)
    this.upgradeServer = options?.server ?? fastify.server
    this.patience = settings.backpressure.stallTimeout
    this.errorHandler = errorHandler
    // The app's own is called with it.
    this.detaches = errorHandler === undefined
  }

  async register (preClose: () => void): Promise<void> {
    const before = this.upgradeServer.listeners('upgrade')
    this.#fastify.addHook('onRoute', watchHandlers((socket) => { if (this.detaches) forgetRequest(this.#supervision!, socket) }))
    await this.#fastify.register(fastifyWebsocket, this.#options(preClose))
    // Its own preClose, which ours replaces, would take this listener off.
    this.listeners = this.upgradeServer.listeners('upgrade').filter((listener) => !before.includes(listener))
  }

  supervised (supervision: Supervision): void {
    this.#supervision = supervision
  }

  close (): void {
    const { websocketServer } = this.#fastify
    websocketServer.close()
    // The app may have made them behind our back, or from a class that it has put in the place of ours: no
    // connections, and closed all the same.
    for (const socket of websocketServer.clients ?? []) {
      if (!this.#supervision!.supervises(socket)) socket.close(closeCode.serviceRestart)
    }
  }

  stop (): void {
    for (const listener of this.listeners) this.upgradeServer.removeListener('upgrade', listener as () => void)
  }

  #options (ours: () => void): WebsocketPluginOptions {
    const log = this.#log
    const { websocket: { options, preClose }, shutdown: { timeout } } = this.#settings
    const maxPayload = options?.maxPayload ?? this.#settings.limits.payload
    const { maxFragments, maxBufferedChunks } = partsOf(maxPayload)
    return {
      options: { ...options, maxPayload, maxFragments: options?.maxFragments ?? maxFragments, maxBufferedChunks: options?.maxBufferedChunks ?? maxBufferedChunks, closeTimeout: behindOurs(this.closeTimeout, options, this.#settings) } as NonNullable<WebsocketPluginOptions['options']>,
      errorHandler (error, socket, request) {
        const connection = request[kConnection]
        if (connection == null) {
          socket.terminate()
          log.unadopted(error)
          return
        }
        const life = lifeOf(connection)
        // What the peer did to the wire: ws closes with the right code, and the app may want to know.
        const { run } = life
        if (run.transport.fault !== null && error === run.transport.fault) run.call.onError?.(error)
        else run.failed(error)
      },
      async preClose (this: FastifyInstance) {
        // Its error fails fastify.close(), as it would without us; the connections are closed all the same, also where it never ends.
        await within(timeout, callHook(this, preClose)).finally(ours)
      }
    }
  }
}

/**
 * Before a handler is called: the listener that @fastify/websocket has added last holds request and reply for as
 * long as the socket lives. One for all sockets takes its place.
 */
function forgetRequest ({ onError }: Supervision, socket: WebSocket): void {
  const theirs = socket.listeners('error').at(-1) as () => void
  socket.removeListener('error', theirs)
  socket.on('error', onError)
}

/** Waits for it, but no longer than so many ms. */
async function within (ms: number, promise: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const enough = new Promise<void>((resolve) => { timer = setTimeout(resolve, ms) })
  await Promise.race([promise, enough]).finally(() => { clearTimeout(timer) })
}

async function callHook (fastify: FastifyInstance, hook: WebsocketPluginOptions['preClose']): Promise<void> {
  if (hook === undefined) return
  if (hook.length === 0) return (hook as () => Promise<void>).call(fastify)
  await new Promise<void>((resolve, reject) => {
    hook.call(fastify, (error?: Error | null) => { if (error == null) resolve(); else reject(error) })
  })
}
