/**
 * One message for many: who shall get it, as the app has said it, and how it reaches them.
 * Invariant: a slip never reaches everybody: what names nobody is refused, and nothing is sent. It is serialized once, and goes to
 * each who is still to have it when its turn comes.
 */
import { attempt, readOptions } from '../core/arguments.js'
import { FST_ERR_LIFELINE_ARGUMENT } from '../core/errors.js'
import { toShared } from '../core/outgoing.js'
import type { Shared } from '../core/outgoing.js'
import type { PushOptions } from '../core/payload.js'
import type { House } from '../life/house.js'
import { isConnection, lifeOf } from './connection.js'
import type { Connection } from './connection.js'

/** Who is left out. */
export interface ExceptOptions {
  /** Who shall not get it: fds, connections, or a list of them. Not undefined. @default nobody: all get it */
  except?: number | Connection | ReadonlyArray<number | Connection>
}

/** Of a message for many. */
export interface BroadcastOptions extends PushOptions, ExceptOptions {}

/** The others are the message's: what is wrong with them is reported, and not thrown. */
const exceptOptions = ['except']
const groupOption = new Set(['group'])
const broadcastOptions = new Set([...exceptOptions, 'binary'])

/** Whoever they are. */
export interface Audience {
  /** In a copy: a class of the app's may change it while it is gone through. */
  readonly list: () => Iterable<Connection>
  /** Whether it is one still; null: whoever is listed is. */
  readonly has: ((connection: Connection) => boolean) | null
}

/** The fds of those who shall not get it; null: all shall. @throws FST_ERR_LIFELINE_ARGUMENT */
export function exceptionsOf (call: string, given: object | undefined, known: ReadonlySet<string>): ReadonlySet<number> | null {
  if (given === undefined) return null
  const options: ExceptOptions = readOptions(call, given, known, exceptOptions)
  return 'except' in options ? toFds(call, options.except) : null
}

/** @throws FST_ERR_LIFELINE_ARGUMENT for what is nobody's */
function toFds (call: string, except: unknown): Set<number> {
  const list = attempt<unknown[]>(`${call}: except`, () => Array.isArray(except) ? Array.from(except) : [except])
  return new Set(list.map((one) => toFd(call, one)))
}

function toFd (call: string, one: unknown): number {
  if (isConnection(one)) return one.fd
  // Whoever had this number may have left. 0 is nobody's: that of an ordinary request.
  if (typeof one === 'number' && Number.isSafeInteger(one) && one > 0) return one
  throw new FST_ERR_LIFELINE_ARGUMENT(`${call}: except is an fd, a Connection, or a list of them, not ${typeof one === 'number' ? one : one === null ? 'null' : `of type ${typeof one}`}`)
}

/** Whom an fd, an id, a connection or `{ group }` names; null: it is none of these. @throws FST_ERR_LIFELINE_ARGUMENT for what is no group's name */
export function namedBy (all: { get (target: unknown): Connection | undefined, group (name: string): Iterable<Connection> }, target: unknown): Connection[] | null {
  if (isConnection(target)) return [target]
  if (typeof target === 'string' || typeof target === 'number') {
    if (Number.isNaN(target)) return null
    const connection = all.get(target)
    return connection === undefined ? [] : [connection]
  }
  let options: { group?: string }
  try {
    options = readOptions('disconnect', target as object, groupOption)
  } catch {
    return null
  }
  return 'group' in options ? [...all.group(options.group!)] : null
}

/** A message for many; null: it is none, which is reported. */
export function sharedOf (house: House<Connection>, data: unknown, options: PushOptions | undefined): Shared | null {
  try {
    // Code of the app's may yet run before the last has it (a class of sockets, a callback of a write), and do to its bytes what it likes.
    return toShared(data, options).own()
  } catch (error) {
    house.journal.misused(undefined, error as Error)
    return null
  }
}

/** Whether it is still to have it, when its turn comes: who has left gets nothing. */
export const isOne = ({ has }: Audience, except: ReadonlySet<number> | null, connection: Connection): boolean =>
  (has === null || has(connection)) && (except === null || !except.has(connection.fd))

/** @returns to how many. @throws FST_ERR_LIFELINE_ARGUMENT, as `broadcast` */
export function pushToAll (house: House<Connection>, call: string, audience: Audience, data: unknown, given: BroadcastOptions | undefined): number {
  const except = exceptionsOf(call, given, broadcastOptions)
  const message = sharedOf(house, data, given)
  if (message === null) return 0
  let count = 0
  let full = 0
  // What happens meanwhile is told when all have got it.
  house.journal.broadcast(() => {
    for (const connection of audience.list()) {
      if (!isOne(audience, except, connection)) continue
      const result = lifeOf(connection).send(message)
      if (result === 'sent' || result === 'buffered') count++
      else if (result === 'full') full++
    }
  })
  house.journal.reached(count, full, message.size)
  return count
}
