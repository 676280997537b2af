/**
 * How options are read and held against their schema, and what is said of those that break it.
 * Knows nothing of which options there are.
 */
import type { Ajv, ErrorObject, SchemaObject } from 'ajv'
import { FST_ERR_LIFELINE_OPTION } from '../core/errors.js'
import { describe } from '../core/payload.js'
import { entryRule, originsRule, wrongEntry } from './origins.js'

const NONE: ReadonlySet<string> = new Set()

/**
 * A copy of what the schema knows, inherited members and getters of a class included, and of what can be seen beside it,
 * which `check` refuses, unless the schema is open. Read once: a getter may say something else the next time, and the app may change what is its own.
 * @throws FST_ERR_LIFELINE_OPTION for what cannot be read
 */
export function take (given: unknown, schema: SchemaObject, where: string, ignored = NONE): unknown {
  if (typeof given !== 'object' || given === null) return given
  const known = schema.properties as Record<string, SchemaObject>
  const names = new Set(Object.keys(known))
  const entries: Array<[string, unknown]> = []
  try {
    if (Array.isArray(given)) return given
    for (const name in given) if (!ignored.has(name)) names.add(name)
    for (const name of names) {
      const value = (given as Record<string, unknown>)[name]
      // A member that is undefined is one that was left out; one that does not exist is a mistake all the same.
      if (value !== undefined || (schema.additionalProperties === false && !Object.hasOwn(known, name))) entries.push([name, value])
    }
  } catch (error) {
    throw new FST_ERR_LIFELINE_OPTION(`${where}the options cannot be read: ${describe(error)} (received an object)`)
  }
  return Object.fromEntries(entries.map(([name, value]) => {
    const inner = Object.hasOwn(known, name) ? known[name]! : null
    const members = inner?.properties === undefined ? inner?.else : inner
    return [name, members === undefined || members === null ? value : take(value, members, where)]
  }))
}

/** Where else there are options, and what is said of one that belongs there. */
export interface Elsewhere {
  readonly schema: SchemaObject
  readonly said: string
}

/**
 * @param elsewhere for what these might be taken for
 * @throws FST_ERR_LIFELINE_OPTION with the option's name, the rule and the value
 */
export function check (validate: ReturnType<Ajv['compile']>, options: unknown, where: string, elsewhere: Elsewhere): void {
  if (validate(options)) return
  // The deepest error is the one that names the option; those above it only say that a branch failed.
  const error = validate.errors!.reduce((deepest, one) => one.instancePath.length > deepest.instancePath.length ? one : deepest)
  throw new FST_ERR_LIFELINE_OPTION(where + explain(error, options, elsewhere))
}

function explain (error: ErrorObject, options: unknown, { schema, said }: Elsewhere): string {
  const path = error.instancePath.split('/').slice(1)
  const value = path.reduce<unknown>((holder, name) => (holder as Record<string, unknown> | undefined)?.[name], options)
  const name = path.join('.')
  if (error.keyword === 'additionalProperties') {
    const unknown = String(error.params.additionalProperty)
    const full = [...path, unknown].join('.')
    const verdict = isIn(schema, [...path, unknown]) ? said : 'does not exist'
    return `option "${full}" ${verdict} (received ${show((value as Record<string, unknown>)[unknown])}); known here: ${Object.keys(error.parentSchema?.properties ?? {}).join(', ')}`
  }
  const wrong = error.keyword === 'origins' ? wrongEntry(value) : null
  if (wrong !== null) return `option "${name}[${wrong.index}]" ${entryRule} (received ${show(wrong.entry)})`
  const subject = name === '' ? 'the options' : `option "${name}"`
  return `${subject} ${ruleOf(error)} (received ${show(value)})`
}

/** Whether a schema knows an option. */
function isIn (schema: SchemaObject, path: readonly string[]): boolean {
  let within: SchemaObject = schema
  for (const name of path) {
    const members = (within.properties ?? within.else?.properties ?? {}) as Record<string, SchemaObject>
    if (!Object.hasOwn(members, name)) return false
    within = members[name]!
  }
  return true
}

function ruleOf ({ keyword, message, params, parentSchema, schemaPath }: ErrorObject): string | undefined {
  switch (keyword) {
    case 'function': return 'must be a function'
    case 'const': return 'must be false or an object'
    case 'origins': return originsRule
    case 'server': return 'must be an HTTP server'
    case 'sockets': return 'must be a class that extends the WebSocket of ws'
    case 'absent': return 'must be left out, for upgrades come through Fastify'
    case 'schema': return 'must be a schema (an object)'
    case 'type': {
      if (params.type === 'object') return parentSchema?.rule as string | undefined ?? 'must be an object'
      return schemaPath.includes('/anyOf/') ? `${message}, or Infinity` : message
    }
    case 'enum': return `must be one of ${params.allowedValues.join(', ')}`
    default: return message
  }
}

function show (value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value)
  if (typeof value === 'function') return 'a function'
  if (typeof value !== 'object' || value === null) return String(value)
  try {
    return Array.isArray(value) ? 'an array' : 'an object'
  } catch {
    return 'what cannot be read'
  }
}
