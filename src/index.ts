/**
 * The package's face: the plugin, the types that an app may name, the errors that it may match.
 * `import lifeline from` and `const lifeline = require(…)` both give the plugin.
 */
import fp from 'fastify-plugin'
import './plugin/augment.js'
import { lifelinePlugin } from './plugin/plugin.js'

type Plugin = typeof lifelinePlugin

// fastify-plugin sets `default` and `fastifyLifeline` on what it returns.
const plugin = fp(lifelinePlugin, { fastify: '5.x', name: 'fastify-lifeline' }) as Plugin & { default: Plugin, fastifyLifeline: Plugin }

export default plugin
export { plugin as fastifyLifeline, plugin as 'module.exports' }

export { Connection } from './api/connection.js'
export type { ConnectionData, ConnectionInfo } from './api/connection.js'
export type { ConnectionWritableOptions } from './api/writable.js'
export type { LifelineEvents } from './api/events.js'
export type { CloseInfo } from './life/close-info.js'
export type { Drop } from './life/journal.js'
export { Lifeline } from './api/lifeline.js'
export type { BroadcastOptions, HeartbeatStatus, Stats } from './api/lifeline.js'
export type { Cause } from './core/causes.js'
export { causes } from './core/causes.js'
export * as errors from './core/errors.js'
export type { Undelivered } from './core/outbox.js'
export type { PushOptions, PushResult } from './core/payload.js'
export type { DeliverOptions, Delivery, Outcome } from './core/receipts.js'
export type { Limited } from './core/limited.js'
export type { HeartbeatOptions, LifelineOptions, LifelineRouteOptions, RateOptions, ReceiptOptions } from './plugin/options.js'
export type { OriginRule, Origins } from './plugin/origins.js'
export type { Message } from './transports/transport.js'
