/**
 * Every error this package gives to an app, with its code.
 * Only what the programmer did is thrown; what the network does never is.
 */
import createError from '@fastify/error'
import type { FastifyErrorConstructor } from '@fastify/error'

/** Written out, for what a compiler makes of `createError` is not found by every moduleResolution. */
type Made<Code extends string, Args extends unknown[] = [string]> = FastifyErrorConstructor<{ code: Code }, Args>

/** An option, at registration or in a route's `config.lifeline`, breaks its rule. The message names the option, the rule and the value. */
export const FST_ERR_LIFELINE_OPTION: Made<'FST_ERR_LIFELINE_OPTION'> = createError(
  'FST_ERR_LIFELINE_OPTION', 'fastify-lifeline: %s', 500, TypeError)

/** The plugin was registered twice on one `fastify.server`. */
export const FST_ERR_LIFELINE_ALREADY_REGISTERED: Made<'FST_ERR_LIFELINE_ALREADY_REGISTERED', []> = createError(
  'FST_ERR_LIFELINE_ALREADY_REGISTERED', 'fastify-lifeline is already registered on this server')

/** WebSocket routes were declared before the plugin was there: earlier, or because its registration was not awaited. Nobody would serve them. */
export const FST_ERR_LIFELINE_EARLY_ROUTES: Made<'FST_ERR_LIFELINE_EARLY_ROUTES'> = createError(
  'FST_ERR_LIFELINE_EARLY_ROUTES', 'WebSocket routes were declared before fastify-lifeline was registered: %s. Write `await fastify.register(lifeline)` first, or declare them in a plugin that is registered after it')

/** The runtime, or the ws that it puts in the place of npm's, does not do what is relied on. The message names the runtime, and what. */
export const FST_ERR_LIFELINE_RUNTIME: Made<'FST_ERR_LIFELINE_RUNTIME', [runtime: string, fault: string]> = createError(
  'FST_ERR_LIFELINE_RUNTIME', 'fastify-lifeline needs ws from npm on Node.js, and what is here (%s) behaves otherwise: %s')

/** `lifeline.of(request)` was asked about a request that has become no connection. */
export const FST_ERR_LIFELINE_NO_CONNECTION: Made<'FST_ERR_LIFELINE_NO_CONNECTION', [why: string]> = createError(
  'FST_ERR_LIFELINE_NO_CONNECTION', 'this request has no connection: %s')

/** A second reader was started on a connection whose messages one reader already takes. */
export const FST_ERR_LIFELINE_ALREADY_READING: Made<'FST_ERR_LIFELINE_ALREADY_READING', []> = createError(
  'FST_ERR_LIFELINE_ALREADY_READING', 'the messages of this connection are already being read: one reader at a time')

/** A call was given an argument that it cannot take. */
export const FST_ERR_LIFELINE_ARGUMENT: Made<'FST_ERR_LIFELINE_ARGUMENT'> = createError(
  'FST_ERR_LIFELINE_ARGUMENT', 'fastify-lifeline: %s', 500, TypeError)

/** Neither thrown nor reported, but given to `onInvalid`: a message of the peer does not parse, or does not fit the schema of its route. Without a stack, for peers send it as often as they like. */
export const FST_ERR_LIFELINE_INVALID_MESSAGE: FastifyErrorConstructor<{ code: 'FST_ERR_LIFELINE_INVALID_MESSAGE', statusCode: 400 }, [string]> = createError(
  'FST_ERR_LIFELINE_INVALID_MESSAGE', '%s', 400, undefined, false)

/** Reported, never thrown: what was pushed cannot be sent as a message. */
export const FST_ERR_LIFELINE_INVALID_DATA: Made<'FST_ERR_LIFELINE_INVALID_DATA'> = createError(
  'FST_ERR_LIFELINE_INVALID_DATA', 'the message was not sent: %s', 500, TypeError)

/** Reported, never thrown: the fd of a push is no number, or its id none. */
export const FST_ERR_LIFELINE_INVALID_FD: Made<'FST_ERR_LIFELINE_INVALID_FD'> = createError(
  'FST_ERR_LIFELINE_INVALID_FD', 'the message was not sent: %s', 500, TypeError)

/** Reported, never thrown: a close code or reason was outside RFC 6455 §7.4 and §5.5 and has been replaced. */
export const FST_ERR_LIFELINE_INVALID_CLOSE: Made<'FST_ERR_LIFELINE_INVALID_CLOSE'> = createError(
  'FST_ERR_LIFELINE_INVALID_CLOSE', '%s', 500, RangeError)

/** Reported, never thrown: a function given as `origins` failed, or said neither true nor false. The client was refused. Its `cause` is what was thrown. */
export const FST_ERR_LIFELINE_ORIGINS: Made<'FST_ERR_LIFELINE_ORIGINS'> = createError(
  'FST_ERR_LIFELINE_ORIGINS', 'the function `origins` %s')

/** Reported, never thrown: the address of a client could not be found out (`trustProxy` failed). The client was refused. */
export const FST_ERR_LIFELINE_ADDRESS: Made<'FST_ERR_LIFELINE_ADDRESS'> = createError(
  'FST_ERR_LIFELINE_ADDRESS', 'the address of a client cannot be read, so it was refused: %s')
