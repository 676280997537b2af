/**
 * Registers everything and ties it to the life of one Fastify server. Composition only: what each
 * part does, and why, stands with the part.
 */
import type { FastifyInstance } from 'fastify'
import { assemble } from '../api/assemble.js'
import { lifeOf } from '../api/connection.js'
import { kConnection } from '../api/request.js'
import { FST_ERR_LIFELINE_ALREADY_REGISTERED } from '../core/errors.js'
import { Log } from '../observe/log.js'
import { adoptFrom } from './adopt-websocket.js'
import { Admission } from './admission.js'
import { AppWebsocket, ofAnotherContext } from './app-websocket.js'
import { dispatchUpgrades, refuseBeforehand } from './dispatch.js'
import { hasOthers, refuseEarly } from './early.js'
import { Elsewhere } from './elsewhere.js'
import { Listeners } from './listeners.js'
import { takeUpWebSockets } from './offers.js'
import { Parsers } from './messages.js'
import { defaults, readOptions, takeOptions } from './options.js'
import type { LifelineOptions } from './options.js'
import { OwnWebsocket } from './own-websocket.js'
import { refuseTaken } from './registration.js'
import type { Registration } from './registration.js'
import { Routes } from './routes.js'
import { Shutdown } from './shutdown.js'
import { refine, wheelFor, wheelForRates } from './slots.js'
import { tryOut } from './trial.js'
import { watchUpgrades } from './upgrade-hooks.js'
import { Upgrades } from './upgrades.js'

const servers = new WeakSet<object>()

export async function lifelinePlugin (fastify: FastifyInstance, given: LifelineOptions): Promise<void> {
  const options = takeOptions(given)
  const settings = readOptions(options)
  if (servers.has(fastify.server)) throw new FST_ERR_LIFELINE_ALREADY_REGISTERED()
  const log = new Log(fastify.log)
  const Websocket = fastify.hasDecorator('websocketServer') ? AppWebsocket : OwnWebsocket
  const registration: Registration = new Websocket(fastify, settings, options, log)
  refuseTaken(fastify, 'lifeline', 'exists', 'safePush')
  fastify.decorateRequest('fd', 0)
  // From here on nothing throws: what is in place cannot be taken back, and the app may try again.
  servers.add(fastify.server)

  const { closeTimeout } = registration
  const { reconnect } = settings.shutdown
  const wheel = wheelFor(settings.heartbeat)
  let beats = settings.heartbeat !== null
  const rates = wheelForRates()
  const { lifeline, house } = assemble({
    wheel,
    log,
    limits: settings.backpressure,
    total: settings.backpressure.total,
    closeTimeout,
    timeout: settings.heartbeat?.timeout ?? defaults.heartbeat.timeout,
    plain: (request) => routes.plainName(request),
    bound: () => settings.heartbeat === null ? Infinity : settings.heartbeat.interval + settings.heartbeat.timeout + wheel.width,
    beats: () => beats,
    serializeData: settings.serializeData
  })
  const { journal, registry } = house
  const upgrades = new Upgrades(registration.upgradeServer, wheel, { decide: settings.upgradeTimeout, end: closeTimeout }, journal)
  const routes = new Routes(settings, (cadence) => {
    refine(wheel, cadence)
    beats ||= cadence !== null
  }, new Parsers(fastify.initialConfig))
  const admission = new Admission({
    connections: settings.limits.connections,
    perAddress: settings.limits.perAddress,
    reconnect: reconnect.within,
    ruleOf: (request) => routes.settingsOf(request).origins,
    onError: (error) => { journal.misused(undefined, error) }
  }, journal)
  const shutdown = new Shutdown({ ...settings.shutdown, closeTimeout }, () => Array.from(registry.values(), lifeOf))

  fastify.decorate('lifeline', lifeline)
  fastify.decorate('exists', (fd) => lifeline.exists(fd))
  fastify.decorate('safePush', (fd, data, pushOptions) => {
    const result = lifeline.push(fd, data, pushOptions)
    return result === 'sent' || result === 'buffered'
  })
  fastify.decorateRequest(kConnection, null)

  fastify.addHook('onRoute', function (route) { routes.declare(route, this) })
  const listeners = new Listeners(fastify, registration.upgradeServer, upgrades.listener)
  const home = { house, shutdown, reconnect, upgrades, routes, wheel: rates, log }
  const elsewhere = new Elsewhere({
    fastify,
    upgrades,
    admission,
    take: (server) => adoptFrom(home, ofAnotherContext(server, settings, options), server).release,
    onError: (error) => { journal.misused(undefined, error) }
  })
  fastify.addHook('onReady', async () => {
    refuseEarly(fastify)
    routes.settle()
    const { registrations } = listeners
    if (registrations > 1) log.another(registrations)
    if (registrations > 1 || Websocket === AppWebsocket || hasOthers(fastify)) elsewhere.watch()
    listeners.onStranger(() => { log.stranger() })
  })
  watchUpgrades(fastify, upgrades, admission)

  await registration.register(() => {
    upgrades.close()
    registration.close()
    shutdown.announce(fastify.server)
  }, () => { shutdown.claim(fastify.server) })
  // The hooks of a context run before those of the contexts in it: this one behind those that the app adds later.
  await fastify.register(async function lifelineShutdown (context) {
    context.addHook('preClose', () => shutdown.runWithin(fastify.initialConfig.pluginTimeout, house.awaited))
  })
  upgrades.shield(registration.listeners)
  fastify.addHook('onRoute', dispatchUpgrades(upgrades, journal, listeners))
  refuseBeforehand(fastify, upgrades, journal, (request) => registration.first && (request.ws || !listeners.strangersRoute) && request.server.websocketServer === fastify.websocketServer && routes.unseen(request))
  takeUpWebSockets(registration.upgradeServer, listeners)

  const { supervision, release } = adoptFrom(home, registration, fastify.websocketServer)
  registration.supervised(supervision)

  fastify.addHook('onClose', async () => {
    await shutdown.run()
    await shutdown.settled(house.awaited)
    release()
    elsewhere.stop()
    listeners.stop()
    upgrades.stop()
    registration.stop()
    house.heartbeat.stop()
    wheel.stop()
    rates.stop()
    log.close()
    // It may serve another app after this one.
    servers.delete(fastify.server)
  })
  // It can be thrown as late as here: there is nothing to try again.
  await tryOut(fastify.websocketServer)
}
