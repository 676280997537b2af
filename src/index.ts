/**
 * The package's face: the plugin, the types that an app may name, the errors that it may match.
 * `import lifeline from` and `const lifeline = require(…)` both give the plugin; what else an ES module imports by its name
 * is a member of the plugin to CommonJS.
 */
import fp from 'fastify-plugin'
import { causes } from './core/causes.js'
import * as errors from './core/errors.js'
import './plugin/augment.js'
import { lifelinePlugin } from './plugin/plugin.js'

type Plugin = typeof lifelinePlugin

/** What CommonJS gets: the plugin, with all that this module exports. */
type Face = Plugin & { default: Plugin, fastifyLifeline: Plugin, causes: typeof causes, errors: typeof errors }

/**
 * The plugin: `await fastify.register(lifeline, options)`. Its options are `LifelineOptions`; what it adds to Fastify is `fastify.exists`,
 * `fastify.safePush`, `fastify.lifeline` and `request.fd`.
 * @throws FST_ERR_LIFELINE_OPTION for an option that breaks its rule, FST_ERR_LIFELINE_ALREADY_REGISTERED if the server has it already
 */
// fastify-plugin sets `default` and `fastifyLifeline` on what it returns.
const plugin = Object.assign(fp(lifelinePlugin, { fastify: '5.x', name: 'fastify-lifeline' }), { causes, errors }) as Face

export default plugin
export { causes, errors, plugin as fastifyLifeline, plugin as 'module.exports' }

export type { Connection, ConnectionData } from './api/connection.js'
export type { ParsedMessage } from './api/parsed.js'
export type { MessageOf } from './api/request.js'
export type { ConnectionInfo } from './api/info.js'
export type { ConnectionWritableOptions } from './api/writable.js'
export type { LifelineEvents, RouteListeners } from './api/events.js'
export type { CloseInfo } from './life/close-info.js'
export type { Drop } from './life/journal.js'
export type { BroadcastOptions } from './api/audience.js'
export type { Group, GroupDeliverOptions } from './api/group.js'
export type { HeartbeatStatus, Lifeline } from './api/lifeline.js'
export type { Stats } from './api/stats.js'
export type { Cause } from './core/causes.js'
export type { Distribution } from './core/histogram.js'
export type { Unconfirmed } from './core/outbox.js'
export type { InvalidMessageError, OnInvalid, ValidationIssue } from './core/parser.js'
export type { PushOptions, PushResult } from './core/payload.js'
export type { DeliverOptions, Delivery, Outcome } from './core/receipts.js'
export type { Limited } from './core/limited.js'
export type { HeartbeatOptions, LifelineOptions, LifelineRouteOptions, RateOptions, ReceiptOptions } from './plugin/options.js'
export type { OriginRule, Origins } from './plugin/origins.js'
export type { Message } from './transports/transport.js'
