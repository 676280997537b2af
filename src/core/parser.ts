/**
 * How a message becomes a value: its JSON is parsed, by the rules by which Fastify parses bodies, and held against a schema.
 * Invariant: what does not parse, or does not fit, never becomes a value; and whatever a peer sends, nothing is thrown for it.
 * Knows nothing of who validates: that is a function of Fastify's making.
 */
import { types } from 'node:util'
import { parse } from 'secure-json-parse'
import { isThenable } from './arguments.js'
import { FST_ERR_LIFELINE_INVALID_MESSAGE, FST_ERR_LIFELINE_OPTION } from './errors.js'

/** What a validator says of one place in a message. */
export interface ValidationIssue {
  /** Where: `/moves/0/from`. */
  readonly instancePath?: string
  /** What is wrong there, in words. */
  readonly message?: string
  readonly [name: string]: unknown
}

/** Why a message is invalid. */
export interface InvalidMessageError extends Error {
  /** To match it by. */
  readonly code: 'FST_ERR_LIFELINE_INVALID_MESSAGE'
  /** As of a body that does not fit. */
  readonly statusCode: 400
  /** What the validator says; null: it is no JSON at all. */
  readonly validation: readonly ValidationIssue[] | null
}

/** What a validatorCompiler gives: by the same rules as for bodies. */
export interface Validate {
  (value: unknown, context?: object): unknown
  readonly errors?: unknown
  /** ajv's own: it can change the value itself if it is told where that is. */
  readonly schemaEnv?: unknown
}

/** What is done with the keys that can poison a prototype: as with those of bodies. */
export interface Poisoning {
  readonly protoAction?: 'error' | 'remove' | 'ignore'
  readonly constructorAction?: 'error' | 'remove' | 'ignore'
}

/** A message as it came; and with it the value that it becomes. */
export interface Parsed {
  readonly data: string
  readonly binary: false
  value: unknown
}

/** Whoever is told of an invalid one. @typeParam C a connection @typeParam M a message */
export type OnInvalid<C, M> = (connection: C, error: InvalidMessageError, message: M) => unknown

/** More of an error's words than this go nowhere: a validator may find as many errors as a message has parts. */
const WORDS = 1000

function invalid (why: string, validation: readonly ValidationIssue[] | null, cause: unknown): InvalidMessageError {
  return Object.assign(new FST_ERR_LIFELINE_INVALID_MESSAGE(why), { validation, ...(cause !== undefined && { cause }) })
}

export class MessageParser {
  /** The app's own; null: it has none. */
  readonly onInvalid: OnInvalid<any, any> | null
  readonly #validate: Validate | null
  readonly #poisoning: Poisoning
  /** Whose it is, in words. */
  readonly #where: string

  /** @param validate null: any JSON will do */
  constructor (validate: Validate | null, onInvalid: OnInvalid<any, any> | null, poisoning: Poisoning, where: string) {
    this.#validate = validate
    this.onInvalid = onInvalid
    this.#poisoning = poisoning
    this.#where = where
  }

  /** @throws what the validator throws, and FST_ERR_LIFELINE_OPTION if it does not answer at once */
  parse (data: string | Buffer): Parsed | InvalidMessageError {
    if (typeof data !== 'string') return invalid('message must be text, not binary', null, undefined)
    const parsed: Parsed = { data, binary: false, value: undefined }
    try {
      parsed.value = parse(data, this.#poisoning)
    } catch (cause) {
      return invalid('message is not valid JSON', null, cause)
    }
    return this.#validate === null ? parsed : this.#fit(this.#validate, parsed) ?? parsed
  }

  /** By the same rules as those of Fastify for a body. @returns null if it fits */
  #fit (validate: Validate, parsed: Parsed): InvalidMessageError | null {
    let result: unknown
    try {
      // ajv can change the value as a whole (a default, "5" to 5) only where it is told what holds it.
      result = validate.schemaEnv === undefined ? validate(parsed.value) : validate(parsed.value, { parentData: parsed, parentDataProperty: 'value' })
    } catch (error) {
      // To compare objects ajv calls their valueOf and toString, which the peer's may have as values.
      if (validate.schemaEnv !== undefined && types.isNativeError(error) && /\.(valueOf|toString) is not a function$/.test(error.message)) return invalid('message has an object that cannot be compared', [], error)
      // A schema that refers to itself goes as deep as the peer wants.
      if (types.isNativeError(error) && error.name === 'RangeError' && error.message === 'Maximum call stack size exceeded') return invalid('message is nested too deeply', [], error)
      throw error
    }
    if (result === false) return this.#refused(validate.errors)
    if (isThenable(result)) {
      Promise.resolve(result).catch(() => {})
      throw new FST_ERR_LIFELINE_OPTION(`${this.#where}option "message" must have a validator that answers at once (received a Promise)`)
    }
    const { error, value } = (result ?? {}) as { error?: unknown, value?: unknown }
    if (error !== undefined && error !== null && error !== false) return this.#refused(error)
    if (typeof result === 'object' && result !== null && 'value' in result) parsed.value = value
    return null
  }

  #refused (errors: unknown): InvalidMessageError {
    if (!Array.isArray(errors)) return invalid(types.isNativeError(errors) ? errors.message.slice(0, WORDS) : 'message does not fit its schema', [], errors)
    let words = ''
    for (const { instancePath = '', message = 'does not fit' } of errors as ValidationIssue[]) {
      words += `${words === '' ? '' : ', '}message${instancePath} ${message}`
      if (words.length > WORDS) break
    }
    return invalid(words === '' ? 'message does not fit its schema' : words.slice(0, WORDS), errors, undefined)
  }
}
