/**
 * How the options of a call are held against what the call knows: an option that is mistyped must not be lost without a
 * word. Costs nothing where none are given, and allocates nothing where they are right.
 */
import { describe } from './payload.js'
import { FST_ERR_LIFELINE_ARGUMENT } from './errors.js'

export type Known = ReadonlySet<string>

/** An object as `{}` makes them, in any realm, or without a prototype: others (a list, a Map, a socket) keep their members elsewhere. */
function isPlain (value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || (Object.getPrototypeOf(prototype) === null && !Array.isArray(value))
}

/** For error messages. Takes anything, and does not throw: of a proxy that was revoked not even that can be asked whether it is an array. */
function nameOf (value: unknown): string {
  if (value === null) return 'null'
  try {
    if (Array.isArray(value)) return 'an array'
  } catch {
    return 'what cannot be read'
  }
  return typeof value === 'object' ? 'one of a class' : `of type ${typeof value}`
}

/** What is wrong with the options of a call, in words; null: nothing is. Takes anything, and does not throw. */
export function wrongOptions (options: unknown, known: Known): string | null {
  try {
    if (!isPlain(options)) return `its options are a plain object, not ${nameOf(options)}`
    for (const name in options) {
      if (!known.has(name) && Object.hasOwn(options, name)) return `it has no option "${name}"; known are: ${[...known].join(', ')}`
    }
    return null
  } catch (error) {
    return `its options cannot be read: ${describe(error)}`
  }
}

/** @throws FST_ERR_LIFELINE_ARGUMENT for what are no options of this call */
export function checkOptions (call: string, options: unknown, known: Known): void {
  const wrong = wrongOptions(options, known)
  if (wrong !== null) throw new FST_ERR_LIFELINE_ARGUMENT(`${call}: ${wrong}`)
}

/**
 * The options of a call, or those of them that are wanted, each read once: a getter or a proxy may throw, or say something else the next time.
 * @throws FST_ERR_LIFELINE_ARGUMENT for what are no options of this call, or cannot be read
 */
export function readOptions<T extends object> (call: string, options: T, known: Known, wanted: Iterable<string> = known): T {
  checkOptions(call, options, known)
  const read: Record<string, unknown> = {}
  attempt(`${call}: its options`, () => {
    for (const name of wanted) if (name in options) read[name] = (options as Record<string, unknown>)[name]
  })
  return read as T
}

/** @throws FST_ERR_LIFELINE_ARGUMENT for what throws when it is read */
export function attempt<T> (what: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    throw new FST_ERR_LIFELINE_ARGUMENT(`${what} cannot be read: ${describe(error)}`)
  }
}

/** @throws FST_ERR_LIFELINE_ARGUMENT for a switch that is neither on nor off */
export function checkBoolean (what: string, value: unknown): void {
  if (typeof value !== 'boolean') throw new FST_ERR_LIFELINE_ARGUMENT(`${what} is true or false, not ${nameOf(value)}`)
}

export const isThenable = (value: unknown): value is PromiseLike<unknown> =>
  typeof (value as PromiseLike<unknown> | null | undefined)?.then === 'function'
