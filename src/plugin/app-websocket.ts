/**
 * All that is different where the app has registered @fastify/websocket itself: its options are the app's, its calls and the end of
 * its handlers cannot be seen, and it may listen for upgrades on a server that nobody else knows of.
 * Invariant: what the app has chosen is kept, and our limits hold where it has chosen nothing.
 */
import { EventEmitter } from 'node:events'
import type { FastifyInstance } from 'fastify'
import { FST_ERR_LIFELINE_OPTION } from '../core/errors.js'
import type { Log } from '../observe/log.js'
import { checkServerOptions } from './options.js'
import type { LifelineOptions, Settings } from './options.js'
import { behindOurs, closeTimeoutOf, WS_DEFAULTS } from './registration.js'
import type { Manner, Registration, ServerOptions } from './registration.js'
import { PARTS_DEFAULT, partsOf } from './unfinished.js'

export class AppWebsocket implements Registration {
  readonly closeTimeout: number
  readonly upgradeServer: EventEmitter
  readonly listeners = []
  readonly defers = true
  readonly first = false
  readonly patience: number
  readonly detaches = false
  readonly errorHandler = undefined
  readonly #fastify: FastifyInstance
  readonly #settings: Settings
  readonly #given: LifelineOptions
  readonly #log: Log
  /** Those who listened for upgrades before us; it is among them. */
  readonly #theirs: Function[]
  #closing: () => void = () => {}

  /** @throws FST_ERR_LIFELINE_OPTION for what is meant for @fastify/websocket, for it would be lost on us; and for what it was given and we cannot take */
  constructor (fastify: FastifyInstance, settings: Settings, given: LifelineOptions, log: Log) {
    if (Object.keys(settings.websocket).length > 0) {
      throw new FST_ERR_LIFELINE_OPTION('option "websocket" has no effect where the app registers @fastify/websocket by itself: give it there (received an object)')
    }
    checkServerOptions(fastify.websocketServer?.options)
    this.#fastify = fastify
    this.#settings = settings
    this.#given = given
    this.#log = log
    this.closeTimeout = closeTimeoutOf(fastify.websocketServer.options, settings, given)
    this.patience = settings.upgradeTimeout
    // Which server the app has given to it is known to nobody else. With a listener for upgrades where nobody has one, Node.js would
    // take for an upgrade what only names one, and nobody would answer.
    this.#theirs = fastify.server.listeners('upgrade')
    const elsewhere = this.#theirs.length === 0
    this.upgradeServer = elsewhere ? new EventEmitter() : fastify.server
  }

  async register (preClose: () => void, closing: () => void): Promise<void> {
    this.#log.notice('@fastify/websocket was registered by the app: its errorHandler and preClose stay in charge of what a handler throws and of close codes at shutdown')
    this.#closing = closing
    this.#fastify.addHook('preClose', async () => { preClose() })
  }

  supervised (): void {
    // From here on: what was taken off and put back on the way here was taken off by us.
    this.upgradeServer.on('removeListener', this.#onRemoved)
    bound(this.#fastify.websocketServer.options, this.closeTimeout, this.#settings, this.#given)
  }

  /** Its own preClose does that. */
  close (): void {}

  stop (): void {
    this.upgradeServer.removeListener('removeListener', this.#onRemoved)
  }

  /** Its default preClose has just called `close` of all sockets: a hook of the app's may run before ours. */
  readonly #onRemoved = (event: string | symbol, listener: Function): void => {
    if (event === 'upgrade' && this.#theirs.includes(listener)) this.#closing()
  }
}

/** Our limits, where the app has not set its own. */
function bound (serverOptions: ServerOptions, closeTimeout: number, settings: Settings, given: LifelineOptions): void {
  const { payload } = settings.limits
  serverOptions.closeTimeout = behindOurs(closeTimeout, serverOptions, settings)
  const theirs = serverOptions.maxPayload ?? WS_DEFAULTS.maxPayload
  if (given.limits?.payload !== undefined || theirs === WS_DEFAULTS.maxPayload) serverOptions.maxPayload = payload
  const parts = partsOf(serverOptions.maxPayload ?? theirs)
  for (const name of ['maxFragments', 'maxBufferedChunks'] as const) {
    if ((serverOptions[name] ?? PARTS_DEFAULT[name]) === PARTS_DEFAULT[name]) serverOptions[name] = parts[name]
  }
}

/** The same for one that is registered in another context. @throws FST_ERR_LIFELINE_OPTION for what it was given and we cannot take */
export function ofAnotherContext ({ options }: FastifyInstance['websocketServer'], settings: Settings, given: LifelineOptions): Manner {
  checkServerOptions(options)
  bound(options, closeTimeoutOf(options, settings, given), settings, given)
  return { defers: true, patience: settings.upgradeTimeout, detaches: false, errorHandler: undefined }
}
