/**
 * Which pages may open a connection: the defence against cross-site WebSocket hijacking. A browser sends cookies with
 * an upgrade from any page, but names the page's origin, too (RFC 6454), and lets no script change it.
 */
import { isDeepStrictEqual, types } from 'node:util'
import type { FastifyRequest } from 'fastify'

/**
 * Who may: an origin (`https://app.example.com`, with the port if it is not the scheme's own), a RegExp, a list of these,
 * or a function of the header and the request.
 */
export type Origins = string | RegExp | ReadonlyArray<string | RegExp> | OriginRule

/**
 * Only `true` lets in. What it throws, or is rejected with, is reported, and refuses.
 * @param origin the header; undefined: there is none, so it is no page in a browser
 */
export type OriginRule = (origin: string | undefined, request: FastifyRequest) => boolean | Promise<boolean>

/** For error messages. */
export const originsRule = 'must be false, an origin as browsers send it ("https://app.example.com", without a path), a RegExp, a list of these, or a function'

export const entryRule = 'must be an origin as browsers send it ("https://app.example.com", without a path), or a RegExp'

/** A string that can never equal the header of a browser is a mistake. */
function isOrigin (value: string): boolean {
  if (value === 'null') return true
  if (value.includes('*') || !URL.canParse(value)) return false
  const { protocol, origin } = new URL(value)
  if (protocol === 'http:' || protocol === 'https:') return origin === value
  // Those of browser extensions and apps are none to the URL standard.
  return /^[a-z][a-z0-9+.-]*:\/\/[^/?#@]*$/.test(value)
}

const isPattern = (value: unknown): boolean => types.isRegExp(value) || (typeof value === 'string' && isOrigin(value))

/** Of a list that is wrong the first entry that is; null: it is no list, or cannot be read. Takes anything. */
export function wrongEntry (value: unknown): { index: number, entry: unknown } | null {
  try {
    if (!Array.isArray(value)) return null
    const index = value.findIndex((entry) => !isPattern(entry))
    return index === -1 ? null : { index, entry: value[index] }
  } catch {
    return null
  }
}

export function isOrigins (value: unknown): boolean {
  if (value === false || typeof value === 'function') return true
  return Array.isArray(value) ? value.length > 0 && value.every(isPattern) : isPattern(value)
}

type Patterns = ReadonlyArray<string | RegExp>

/** What a rule was made of, unless that is the app's own function. */
const made = new WeakMap<OriginRule, Patterns>()

/** null: all may. A list is no matter for those who send no header: they carry no one else's cookies. */
export function readOrigins (origins: Origins | false | undefined): OriginRule | null {
  if (origins === undefined || origins === false) return null
  if (typeof origins === 'function') return origins
  // A copy: the app may change its own.
  const patterns = [origins].flat() as Patterns
  // `search`, for `test` of a global RegExp goes on where the last one ended.
  const matches = (origin: string) => (pattern: string | RegExp): boolean =>
    typeof pattern === 'string' ? pattern === origin : origin.search(pattern) !== -1
  const rule: OriginRule = (origin) => origin === undefined || patterns.some(matches(origin))
  made.set(rule, patterns)
  return rule
}

/** Whether both let in the same: each reading of one list makes another function. */
export function sameOrigins (one: OriginRule | null, other: OriginRule | null): boolean {
  if (one === null || other === null || one === other) return one === other
  const patterns = made.get(one)
  return patterns !== undefined && isDeepStrictEqual(patterns, made.get(other))
}
