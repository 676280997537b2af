/**
 * How options are read and held against their schema, and what is said of those that break it.
 * Knows nothing of which options there are.
 */
import type { Ajv, ErrorObject, SchemaObject } from 'ajv'
import { FST_ERR_LIFELINE_OPTION } from '../core/errors.js'
import { describe } from '../core/payload.js'
import { originsRule } from './origins.js'

const NONE: ReadonlySet<string> = new Set()

/**
 * A copy of what the schema knows, inherited members and getters of a class included, and of what can be seen beside it,
 * which `check` refuses. Read once: a getter may say something else the next time, and the app may change what is its own.
 * @throws FST_ERR_LIFELINE_OPTION for what cannot be read
 */
export function take (given: unknown, schema: SchemaObject, where: string, ignored = NONE): unknown {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) return given
  const known = schema.properties as Record<string, SchemaObject>
  const names = new Set(Object.keys(known))
  const entries: Array<[string, unknown]> = []
  try {
    for (const name in given) if (!ignored.has(name)) names.add(name)
    for (const name of names) {
      const value = (given as Record<string, unknown>)[name]
      // A member that is undefined is one that was left out; one that does not exist is a mistake all the same.
      if (value !== undefined || !Object.hasOwn(known, name)) entries.push([name, value])
    }
  } catch (error) {
    throw new FST_ERR_LIFELINE_OPTION(`${where}the options cannot be read: ${describe(error)} (received an object)`)
  }
  return Object.fromEntries(entries.map(([name, value]) => {
    const inner = Object.hasOwn(known, name) ? known[name]! : null
    const members = inner?.additionalProperties === false ? inner : inner?.else
    return [name, members === undefined || members === null ? value : take(value, members, where)]
  }))
}

/** @throws FST_ERR_LIFELINE_OPTION with the option's name, the rule and the value */
export function check (validate: ReturnType<Ajv['compile']>, options: unknown, where: string): void {
  if (validate(options)) return
  // The deepest error is the one that names the option; those above it only say that a branch failed.
  const error = validate.errors!.reduce((deepest, one) => one.instancePath.length > deepest.instancePath.length ? one : deepest)
  throw new FST_ERR_LIFELINE_OPTION(where + explain(error, options))
}

function explain (error: ErrorObject, options: unknown): string {
  const path = error.instancePath.split('/').slice(1)
  const value = path.reduce<unknown>((holder, name) => (holder as Record<string, unknown> | undefined)?.[name], options)
  const name = path.join('.')
  if (error.keyword === 'additionalProperties') {
    const unknown = String(error.params.additionalProperty)
    const full = [...path, unknown].join('.')
    return `option "${full}" does not exist (received ${show((value as Record<string, unknown>)[unknown])}); known here: ${Object.keys(error.parentSchema?.properties ?? {}).join(', ')}`
  }
  const subject = name === '' ? 'the options' : `option "${name}"`
  return `${subject} ${ruleOf(error)} (received ${show(value)})`
}

function ruleOf ({ keyword, message, params }: ErrorObject): string | undefined {
  switch (keyword) {
    case 'function': return 'must be a function'
    case 'const': return 'must be false or an object'
    case 'origins': return originsRule
    case 'enum': return `must be one of ${params.allowedValues.join(', ')}`
    default: return message
  }
}

function show (value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value)
  if (typeof value === 'object' && value !== null) return Array.isArray(value) ? 'an array' : 'an object'
  return String(value)
}
