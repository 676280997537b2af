/** What can be set of a client. */
import type { CloseEvent } from './attempt.js'
import { world } from './world.js'
import type { WebSocketConstructor } from './world.js'

export interface LifelineSocketOptions {
  /** Where the runtime has none of its own (Node.js 20): that of `ws`. @default globalThis.WebSocket */
  WebSocket?: WebSocketConstructor
  /** How long an attempt may take until the session is open, in ms. @default 10_000 */
  connectTimeout?: number
  /** The most that the first wait before another attempt may be, in ms; each further one may be twice as long. @default 1_000 */
  minDelay?: number
  /** The most that any may be, in ms. @default 30_000 */
  maxDelay?: number
  /** So many attempts in a row may fail; then it stays closed. @default Infinity */
  maxRetries?: number
  /** What may wait to be sent or confirmed: past it `send` says false. In bytes, and in messages. @default { bytes: 1_048_576, messages: 1_000 } */
  queue?: { bytes?: number, messages?: number }
  /** Whether to come back after this close; final codes are not asked about. @default always */
  shouldReconnect?: (event: CloseEvent) => boolean
  /** Offers to resume: with a server that can, nothing is lost across a cut. @default true */
  resume?: boolean
  /** Says what happens: by `console.debug`, or by this function. @default false */
  debug?: boolean | ((...words: unknown[]) => void)
}

export const defaults = { connectTimeout: 10_000, minDelay: 1_000, maxDelay: 30_000, maxRetries: Infinity, resume: true, debug: false } as const
export const queueDefaults = { bytes: 1_048_576, messages: 1_000 } as const

const numbers = ['connectTimeout', 'minDelay', 'maxDelay', 'maxRetries'] as const

export type Settings = Required<Omit<LifelineSocketOptions, 'queue' | 'shouldReconnect' | 'debug'>> & Pick<LifelineSocketOptions, 'shouldReconnect'> & { readonly queue: { readonly bytes: number, readonly messages: number }, readonly debug: (...words: unknown[]) => void }

/** @throws TypeError for a wrong value, or a name that does not exist */
export function readOptions (given: LifelineSocketOptions): Settings {
  for (const name of Object.keys(given)) if (!(name in defaults) && !['queue', 'shouldReconnect', 'WebSocket'].includes(name)) throw new TypeError(`LifelineSocket: there is no option "${name}"`)
  const WebSocket = given.WebSocket ?? world.WebSocket
  if (WebSocket === undefined) throw new TypeError('LifelineSocket: this runtime has no WebSocket: give it as options.WebSocket')
  const say = given.debug
  const debug = typeof say === 'function' ? say : say === true ? (...words: unknown[]) => { world.console?.debug('lifeline', ...words) } : () => {}
  const settings = { ...defaults, ...given, WebSocket, debug, queue: { ...queueDefaults, ...given.queue } }
  for (const name of numbers) if (!(settings[name] >= 0)) throw new TypeError(`LifelineSocket: ${name} is a number from 0 on, not ${String(settings[name])}`)
  for (const name of ['bytes', 'messages'] as const) if (!(settings.queue[name] >= 0)) throw new TypeError(`LifelineSocket: queue.${name} is a number from 0 on, not ${String(settings.queue[name])}`)
  return settings as Settings
}
