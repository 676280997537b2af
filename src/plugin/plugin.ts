/**
 * Registers everything and ties it to the life of one Fastify server. Composition only: what each
 * part does, and why, stands with the part.
 */
import type { EventEmitter } from 'node:events'
import type { IncomingMessage } from 'node:http'
import fastifyWebsocket from '@fastify/websocket'
import type { WebsocketPluginOptions } from '@fastify/websocket'
import type { FastifyInstance } from 'fastify'
import type WebSocket from 'ws'
import { assemble } from '../api/assemble.js'
import { lifeOf } from '../api/connection.js'
import { kConnection } from '../api/lifeline.js'
import { FST_ERR_LIFELINE_ALREADY_REGISTERED } from '../core/errors.js'
import { closeCode } from '../protocol/close-codes.js'
import type { Cadence } from '../core/peer.js'
import { Wheel } from '../core/time/wheel.js'
import { Log } from '../observe/log.js'
import { superviseClass } from '../transports/websocket/supervise.js'
import { adopt, forgetRequest, locate, note } from './adoption.js'
import { Admission } from './admission.js'
import { defaults, readOptions, refuseWebsocketOptions, takeOptions } from './options.js'
import type { LifelineOptions, Settings } from './options.js'
import { Routes, watchHandlers } from './routes.js'
import { Shutdown } from './shutdown.js'
import { PARTS_DEFAULT, partsOf } from './unfinished.js'
import { isWebSocket, Upgrades } from './upgrades.js'

/** Members of ws's options that @types/ws does not know; a test pins them. */
type ServerOptions = WebSocket.ServerOptions & { closeTimeout?: number }

/** ws's own defaults: a value that differs from them was chosen by the app. */
const WS_DEFAULTS = { maxPayload: 100 * 1024 * 1024, closeTimeout: 30_000 }

// A slot of the wheel, in ms: fine enough to spread pings; coarse enough to cost nothing, and not
// to take a garbage collection for a stalled loop.
const SLOT_MIN = 50
const SLOT_MAX = 250

// Of a loop that was away for longer than that the time is lost: it is not made up for.
const LOST = 2_500

const servers = new WeakSet<object>()

export async function lifelinePlugin (fastify: FastifyInstance, given: LifelineOptions): Promise<void> {
  const options = takeOptions(given)
  const settings = readOptions(options)
  if (servers.has(fastify.server)) throw new FST_ERR_LIFELINE_ALREADY_REGISTERED()
  servers.add(fastify.server)

  const foreign = fastify.hasDecorator('websocketServer')
  const closeTimeout = closeTimeoutOf(foreign ? fastify.websocketServer.options : settings.websocket.options, settings, options)
  const log = new Log(fastify.log)
  const wheel = new Wheel(SLOT_MAX, undefined, LOST, Math.min(LOST, (settings.heartbeat ?? defaults.heartbeat).timeout / 4))
  refine(wheel, settings.heartbeat)
  const { lifeline, house } = assemble({
    wheel,
    log,
    limits: settings.backpressure,
    total: settings.backpressure.total,
    closeTimeout,
    timeout: settings.heartbeat?.timeout ?? defaults.heartbeat.timeout,
    bound: () => settings.heartbeat === null ? Infinity : settings.heartbeat.interval + settings.heartbeat.timeout + wheel.width
  })
  const { journal, registry } = house
  const upgradeServer: EventEmitter = settings.websocket.options?.server ?? fastify.server
  const upgrades = new Upgrades(upgradeServer, wheel, { decide: settings.upgradeTimeout, end: closeTimeout }, journal)
  const routes = new Routes(settings, (cadence) => { refine(wheel, cadence) })
  const onError = (error: Error): void => { journal.misused(undefined, error) }
  const admission = new Admission({
    connections: settings.limits.connections,
    perAddress: settings.limits.perAddress,
    reconnect: settings.shutdown.reconnect,
    ruleOf: (request) => routes.settingsOf(request).origins,
    onError
  }, journal)
  const shutdown = new Shutdown({ ...settings.shutdown, closeTimeout }, () => Array.from(registry.values(), lifeOf))

  fastify.decorate('lifeline', lifeline)
  fastify.decorate('exists', (fd) => lifeline.exists(fd))
  fastify.decorate('safePush', (fd, data, pushOptions) => {
    const result = lifeline.push(fd, data, pushOptions)
    return result === 'sent' || result === 'buffered'
  })
  fastify.decorateRequest('fd', 0)
  fastify.decorateRequest(kConnection, null)

  fastify.addHook('onRoute', (route) => { routes.declare(route) })
  fastify.addHook('onReady', async () => { routes.settle() })
  fastify.addHook('onRequest', (request, reply, done) => {
    // Which server the app has given to its own @fastify/websocket is known to nobody else.
    if (foreign && request.ws && reply.raw.socket !== null) upgrades.found(request.raw, reply.raw.socket)
    note(upgrades, request, reply)
    if (!isWebSocket(request.raw)) {
      done()
      return
    }
    const { raw } = request
    // Others may ask for an upgrade in a header alone: they are answered as any request.
    const underway = upgrades.has(raw)
    admission.ask({
      request,
      reply,
      waits: () => !underway || upgrades.waits(raw),
      enter: (leave, ip) => {
        locate(raw, ip)
        upgrades.admitted(raw, leave)
      },
      proceed: done
    })
  })
  fastify.addHook('onResponse', (request, _reply, done) => { upgrades.answered(request.raw); done() })

  const drain = async (): Promise<void> => {
    upgrades.close()
    if (!foreign) {
      fastify.websocketServer.close()
      // The app may have made them behind our back, or from a class that it has put in the place of ours: no
      // connections, and closed all the same.
      for (const socket of fastify.websocketServer.clients ?? []) {
        if (!supervision.supervises(socket)) socket.close(closeCode.serviceRestart)
      }
    }
    await within(shutdown.run(), fastify.initialConfig.pluginTimeout)
  }
  const before = upgradeServer.listeners('upgrade')
  let theirs: Function[] = []
  if (foreign) {
    refuseWebsocketOptions(settings)
    log.notice('@fastify/websocket was registered by the app: its errorHandler and preClose stay in charge of what a handler throws and of close codes at shutdown')
    fastify.addHook('preClose', drain)
  } else {
    const keeps = settings.websocket.errorHandler !== undefined
    fastify.addHook('onRoute', watchHandlers((socket) => { if (!keeps) forgetRequest(supervision, socket) }))
    await fastify.register(fastifyWebsocket, websocketOptions(settings, closeTimeout, log, drain))
    // Its own preClose, which ours replaces, would take this listener off.
    theirs = upgradeServer.listeners('upgrade').filter((listener) => !before.includes(listener))
  }
  upgrades.shield()

  const server = fastify.websocketServer
  const supervision = superviseClass(server.options.WebSocket as unknown as typeof WebSocket)
  // ws ends a peer that has 60 pings unanswered; we answer them, at a bounded rate.
  const answers = server.options.autoPong !== false
  Object.assign(server.options, { WebSocket: supervision.WebSocket, autoPong: false })
  if (foreign) bound(server.options, settings, options, closeTimeout)
  const adoption = { house, upgrades, shutdown, supervision, wheel, routes, answers, reconnect: settings.shutdown.reconnect, log, errorHandler: settings.websocket.errorHandler, foreign, patience: foreign ? settings.upgradeTimeout : settings.backpressure.stallTimeout }
  const onConnection = (socket: WebSocket, request: IncomingMessage): void => { adopt(adoption, socket, request) }
  server.prependListener('connection', onConnection)

  fastify.addHook('onClose', async () => {
    await shutdown.run()
    server.removeListener('connection', onConnection)
    upgrades.stop()
    for (const listener of theirs) upgradeServer.removeListener('upgrade', listener as () => void)
    house.heartbeat.stop()
    wheel.stop()
    log.close()
  })
}

/** Makes the wheel fine enough for this heartbeat. */
function refine (wheel: Wheel, cadence: Cadence | null): void {
  if (cadence === null) return
  const shortest = Math.max(1, Math.floor(Math.min(cadence.interval / 2, cadence.timeout)))
  wheel.refine(Math.min(SLOT_MAX, shortest, Math.max(SLOT_MIN, Math.floor(shortest / 40))))
}

/** @fastify/websocket as we register it: with our limits, and the app's own handlers called from ours. */
function websocketOptions (settings: Settings, closeTimeout: number, log: Log, drain: () => Promise<void>): WebsocketPluginOptions {
  const { options, preClose } = settings.websocket
  const maxPayload = options?.maxPayload ?? settings.limits.payload
  const { maxFragments, maxBufferedChunks } = partsOf(maxPayload)
  return {
    options: { ...options, maxPayload, maxFragments: options?.maxFragments ?? maxFragments, maxBufferedChunks: options?.maxBufferedChunks ?? maxBufferedChunks, closeTimeout } as NonNullable<WebsocketPluginOptions['options']>,
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
      // Its error fails fastify.close(), as it would without us; the connections are closed all the same.
      await callHook(this, preClose).finally(drain)
    }
  }
}

/** The closeTimeout in force: the app's own choice among ws's options, where it made one, else ours. */
function closeTimeoutOf (serverOptions: ServerOptions | undefined, settings: Settings, given: LifelineOptions): number {
  const chosen = serverOptions?.closeTimeout
  if (chosen === undefined || chosen === WS_DEFAULTS.closeTimeout || given.closeTimeout !== undefined) return settings.closeTimeout
  return chosen
}

/** Our limits on a server that the app made, where the app has not set its own. */
function bound (serverOptions: ServerOptions, settings: Settings, given: LifelineOptions, closeTimeout: number): void {
  serverOptions.closeTimeout = closeTimeout
  const theirs = serverOptions.maxPayload ?? WS_DEFAULTS.maxPayload
  if (given.limits?.payload !== undefined || theirs === WS_DEFAULTS.maxPayload) serverOptions.maxPayload = settings.limits.payload
  const parts = partsOf(serverOptions.maxPayload ?? theirs)
  for (const name of ['maxFragments', 'maxBufferedChunks'] as const) {
    if ((serverOptions[name] ?? PARTS_DEFAULT[name]) === PARTS_DEFAULT[name]) serverOptions[name] = parts[name]
  }
}

async function callHook (fastify: FastifyInstance, hook: WebsocketPluginOptions['preClose']): Promise<void> {
  if (hook === undefined) return
  if (hook.length === 0) return (hook as () => Promise<void>).call(fastify)
  await new Promise<void>((resolve, reject) => {
    hook.call(fastify, (error?: Error | null) => { if (error == null) resolve(); else reject(error) })
  })
}

/** Fastify fails a hook that takes longer than its pluginTimeout: what is left is awaited in onClose, which has none. */
async function within (work: Promise<void>, limit: number | undefined): Promise<void> {
  if (limit === undefined || limit === 0) return work
  let timer: NodeJS.Timeout | undefined
  const enough = new Promise<void>((resolve) => { timer = setTimeout(resolve, limit * 0.9) })
  await Promise.race([work, enough])
  clearTimeout(timer)
}
