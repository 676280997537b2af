/**
 * Every error this package gives to an app, with its code.
 * Only what the programmer did is thrown; what the network does never is.
 */
import createError from '@fastify/error'

/** An option, at registration or in a route's `config.lifeline`, breaks its rule. The message names the option, the rule and the value. */
export const FST_ERR_LIFELINE_OPTION = createError<'FST_ERR_LIFELINE_OPTION', [string]>(
  'FST_ERR_LIFELINE_OPTION', 'fastify-lifeline: %s', 500, TypeError)

/** The plugin was registered twice on one `fastify.server`. */
export const FST_ERR_LIFELINE_ALREADY_REGISTERED = createError<'FST_ERR_LIFELINE_ALREADY_REGISTERED', []>(
  'FST_ERR_LIFELINE_ALREADY_REGISTERED', 'fastify-lifeline is already registered on this server')

/** `lifeline.of(request)` was asked about a request that no WebSocket was opened for. */
export const FST_ERR_LIFELINE_NO_CONNECTION = createError<'FST_ERR_LIFELINE_NO_CONNECTION', []>(
  'FST_ERR_LIFELINE_NO_CONNECTION', 'this request has no connection: it was not upgraded to a WebSocket')

/** A second reader was started on a connection whose messages one reader already takes. */
export const FST_ERR_LIFELINE_ALREADY_READING = createError<'FST_ERR_LIFELINE_ALREADY_READING', []>(
  'FST_ERR_LIFELINE_ALREADY_READING', 'the messages of this connection are already being read: one reader at a time')

/** A call was given an argument that it cannot take. */
export const FST_ERR_LIFELINE_ARGUMENT = createError<'FST_ERR_LIFELINE_ARGUMENT', [string]>(
  'FST_ERR_LIFELINE_ARGUMENT', 'fastify-lifeline: %s', 500, TypeError)

/** Reported, never thrown: what was pushed cannot be sent as a message. */
export const FST_ERR_LIFELINE_INVALID_DATA = createError<'FST_ERR_LIFELINE_INVALID_DATA', [string]>(
  'FST_ERR_LIFELINE_INVALID_DATA', 'the message was not sent: %s', 500, TypeError)

/** Reported, never thrown: the fd of a push is no number. */
export const FST_ERR_LIFELINE_INVALID_FD = createError<'FST_ERR_LIFELINE_INVALID_FD', [string]>(
  'FST_ERR_LIFELINE_INVALID_FD', 'the message was not sent: an fd is a number, this is %s', 500, TypeError)

/** Reported, never thrown: a close code or reason was outside RFC 6455 §7.4 and §5.5 and has been replaced. */
export const FST_ERR_LIFELINE_INVALID_CLOSE = createError<'FST_ERR_LIFELINE_INVALID_CLOSE', [string]>(
  'FST_ERR_LIFELINE_INVALID_CLOSE', '%s', 500, RangeError)

/** Reported, never thrown: a function given as `origins` failed, or said neither true nor false. The upgrade was refused. Its `cause` is what was thrown. */
export const FST_ERR_LIFELINE_ORIGINS = createError<'FST_ERR_LIFELINE_ORIGINS', [string]>(
  'FST_ERR_LIFELINE_ORIGINS', 'the function `origins` %s')

/** Reported, never thrown: the address of a client could not be found out (`trustProxy` failed). The upgrade was refused. */
export const FST_ERR_LIFELINE_ADDRESS = createError<'FST_ERR_LIFELINE_ADDRESS', [string]>(
  'FST_ERR_LIFELINE_ADDRESS', 'the address of a client cannot be read, so its upgrade was refused: %s')
