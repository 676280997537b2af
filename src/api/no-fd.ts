/**
 * What is said of an fd or an id that is none: what the app has given in its place.
 * Takes anything, and does not throw.
 */
import { isConnection } from './connection.js'
import { kConnection } from './request.js'

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null

/** An fd that has been a string on its way, as a parameter of a URL is: no id looks like that. */
const isDigits = (value: unknown): value is string => typeof value === 'string' && /^\d+$/.test(value)

/** As the registry names connections. */
const isId = (value: unknown): boolean => typeof value === 'string' && /^[\w-]{8}\.[\w-]{16}$/.test(value)

/** Whether it could be one. NaN is what a slip makes of a number: it never was anybody's. */
export const mayBeFd = (value: unknown): value is number => typeof value === 'number' && !Number.isNaN(value)

/** In words. */
export function whatIs (value: unknown): string {
  if (value === null || Number.isNaN(value)) return String(value)
  if (isDigits(value)) return 'a string of digits'
  if (isConnection(value)) return 'a Connection, whose fd is wanted'
  try {
    if (isObject(value) && kConnection in value) return 'a request, whose fd is wanted'
    if (isObject(value) && 'readyState' in value && typeof (value as { send?: unknown }).send === 'function') return 'a WebSocket: the fd of its request is wanted'
  } catch {}
  return `of type ${typeof value}`
}

/** The same, of a call that was given something to push as well. */
export function whatIsInstead (value: unknown, data: unknown): string {
  const swapped = typeof data === 'number' && typeof value !== 'number' ? 'a number' : isId(data) && !isId(value) ? 'an id' : null
  return `${whatIs(value)}${swapped === null ? '' : `; what was to be pushed is ${swapped}: the two look swapped`}`
}

/** Whether this is a string that no connection was ever named by, and not what somebody may have made up: a slip. */
export function isSlip (target: unknown, data?: unknown): boolean {
  return isDigits(target) || (typeof target === 'string' && !isId(target) && (typeof data === 'number' || isId(data)))
}
