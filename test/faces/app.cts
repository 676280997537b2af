/**
 * The same from CommonJS, where TypeScript knows `require` of an ES module: `require` gives the plugin, and the names of the module
 * are its members. Compiled by scripts/faces.js, and run as it is compiled.
 */
import Fastify = require('fastify')
import lifeline = require('fastify-lifeline')
import type { Message } from 'fastify-lifeline'
import metrics = require('fastify-lifeline/metrics')

type IsAny<T> = 0 extends 1 & T ? true : false
const no: IsAny<typeof lifeline> | IsAny<typeof lifeline.errors.FST_ERR_LIFELINE_OPTION> | IsAny<typeof lifeline.causes.client> = false

async function start (): Promise<void> {
  const fastify = Fastify()
  const { causes, errors, fastifyLifeline } = lifeline
  await fastify.register(lifeline, { heartbeat: false })
  const wrong = await Promise.resolve(Fastify().register(fastifyLifeline, { closeTimeout: -1 })).then(() => null, (error: unknown) => error)
  const found: Message | null = null
  const stop = metrics.collectMetrics({ registerMetric () {}, getSingleMetric () { return undefined }, removeSingleMetric () {} }, fastify.lifeline)
  stop()
  await fastify.close()
  if (no || found !== null || lifeline.default !== lifeline || causes.client.code !== null || !(wrong instanceof errors.FST_ERR_LIFELINE_OPTION)) throw new Error('it has another face')
}

start().catch((error: unknown) => { setImmediate(() => { throw error }) })
