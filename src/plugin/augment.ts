/**
 * What a registered lifeline adds to Fastify's types.
 */
import type { Connection } from '../api/connection.js'
import type { Lifeline } from '../api/lifeline.js'
import type { kConnection } from '../api/request.js'
import type { PushOptions } from '../core/payload.js'
import type { LifelineRouteOptions } from './options.js'

declare module 'fastify' {
  interface FastifyInstance {
    /**
     * Whether a push to this fd would find somebody: a connection that is open, here and now.
     * Takes anything, never throws, O(1), allocates nothing.
     */
    exists (fd: unknown): boolean
    /**
     * Pushes a message to a connection: a string, a Buffer, typed array or ArrayBuffer, or anything
     * `JSON.stringify` takes. True: handed over. False: nobody there, or no message. Never throws.
     */
    safePush (fd: unknown, data: unknown, options?: PushOptions): boolean
    /** Everything else. */
    lifeline: Lifeline
  }

  interface FastifyRequest {
    /** The number of this request's connection; 0 on an ordinary request. */
    fd: number
    /** @internal */
    [kConnection]: Connection | null
  }

  interface RequestGenericInterface {
    /** What a message of the client says, on a route whose `config.lifeline.message` says so: `fastify.get<{ Message: Move }>(…)`. */
    Message?: unknown
  }

  interface FastifyContextConfig {
    /** What is different on this route; checked when it is declared. */
    lifeline?: LifelineRouteOptions
  }
}
