/**
 * What a route says of its messages, and the parser that comes of it: its schema is compiled by whatever compiles those of the bodies of its
 * context, with the same shared schemas.
 * Invariant: a rule has one parser, made before its first message; one that cannot be made is an error that names the route.
 */
import type { FastifyInstance, FastifyRequest, FastifySchema, RouteOptions } from 'fastify'
import { describe } from '../core/payload.js'
import { FST_ERR_LIFELINE_OPTION } from '../core/errors.js'
import { MessageParser } from '../core/parser.js'
import type { OnInvalid, Poisoning, Validate } from '../core/parser.js'

/** What a route has said. */
export interface MessageRule {
  /** Not ours: what it is only its compiler knows. undefined: any JSON will do. */
  readonly schema: object | undefined
  readonly onInvalid: OnInvalid<any, any> | null
}

export interface MessageOptions {
  message?: object
  codec?: 'json'
  onInvalid?: OnInvalid<any, any>
}

/** @param where in words @returns the base itself, if nothing else is said @throws FST_ERR_LIFELINE_OPTION */
export function readMessageRule ({ message, codec, onInvalid }: MessageOptions, where: string, base: MessageRule | null): MessageRule | null {
  if (message === undefined && codec === undefined && onInvalid === undefined) return base
  if (message === undefined && codec === undefined && base === null) {
    throw new FST_ERR_LIFELINE_OPTION(`${where}option "onInvalid" must stand beside "message" or "codec", for else no message is invalid (received a function)`)
  }
  return { schema: message ?? base?.schema, onInvalid: onInvalid ?? base?.onInvalid ?? null }
}

/** As a context has them, and a route may. */
export type Compiler = (route: { schema: unknown, method: string, url: string, httpPart: 'body' }) => unknown

/** Of those that fluent-json-schema builds Fastify itself takes what they have built. */
const fluent = Symbol.for('fluent-schema-object')

/** @throws FST_ERR_LIFELINE_OPTION with what the compiler says */
function compile ({ schema: given, onInvalid }: MessageRule, where: string, poisoning: Poisoning, by: (schema: object) => unknown): MessageParser {
  if (given === undefined) return new MessageParser(null, onInvalid, poisoning, where)
  let validate: unknown
  try {
    const { isFluentSchema, [fluent]: isFluent } = given as { isFluentSchema?: unknown, [fluent]?: unknown }
    validate = by(isFluentSchema === true || isFluent === true ? given.valueOf() : given)
  } catch (error) {
    throw new FST_ERR_LIFELINE_OPTION(`${where}option "message" must be a schema that compiles: ${describe(error)}`)
  }
  if (typeof validate !== 'function') throw new FST_ERR_LIFELINE_OPTION(`${where}option "message" must be a schema that compiles (its validatorCompiler gave ${validate === null ? 'null' : typeof validate}, not a function)`)
  if ((validate as { $async?: unknown }).$async === true) throw new FST_ERR_LIFELINE_OPTION(`${where}option "message" must have a validator that answers at once (received a schema with $async)`)
  return new MessageParser(validate as Validate, onInvalid, poisoning, where)
}

export class Parsers {
  readonly #made = new WeakMap<MessageRule, MessageParser>()
  readonly #poisoning: Poisoning

  constructor ({ onProtoPoisoning, onConstructorPoisoning }: FastifyInstance['initialConfig']) {
    this.#poisoning = {
      ...(onProtoPoisoning !== undefined && { protoAction: onProtoPoisoning }),
      ...(onConstructorPoisoning !== undefined && { constructorAction: onConstructorPoisoning })
    }
  }

  /** Made, by then. */
  of (rule: MessageRule): MessageParser { return this.#made.get(rule)! }

  /** At the start: the compilers and shared schemas of all contexts are there. @throws FST_ERR_LIFELINE_OPTION */
  make (rule: MessageRule, route: RouteOptions, context: FastifyInstance): void {
    const { url, method } = route
    const compiler = (route.validatorCompiler ?? context.validatorCompiler) as Compiler | undefined
    // A later hook has taken out what we put in: it is made when it is asked for.
    if (compiler === undefined && rule.schema !== undefined) return
    this.#make(rule, url, (schema) => compiler!({ schema, method: [method].flat()[0]!, url, httpPart: 'body' }))
  }

  /** Where a route is first seen when it is used. @throws FST_ERR_LIFELINE_OPTION */
  makeFor (rule: MessageRule, request: FastifyRequest): void {
    this.#make(rule, request.routeOptions.url ?? '', (schema) => request.compileValidationSchema(schema as Record<string, unknown>, 'body'))
  }

  #make (rule: MessageRule, url: string, by: (schema: object) => unknown): void {
    if (!this.#made.has(rule)) this.#made.set(rule, compile(rule, whereOf(url), this.#poisoning, by))
  }
}

export const whereOf = (url: string): string => `route ${url}, config.lifeline: `

const parts = ['body', 'querystring', 'params', 'headers', 'query'] as const

/**
 * Fastify makes the compiler of a context, with its shared schemas, for routes that have a schema to validate, and for no others: so this one has.
 * A body, of no media type: there is nothing to validate.
 * @returns what takes that away again, when the compiler is there: whoever documents routes would find it
 */
export function wantCompiler (route: RouteOptions): () => void {
  const schema = route.schema as FastifySchema & { query?: unknown } | undefined
  if (route.validatorCompiler !== undefined || parts.some((part) => schema?.[part] !== undefined)) return () => {}
  const wanting = route.schema = { ...schema, body: { content: {} } }
  return () => {
    // A later hook may have put another in its place, or something into ours.
    if (route.schema !== wanting) return
    const { body, ...rest } = wanting
    route.schema = rest
  }
}
