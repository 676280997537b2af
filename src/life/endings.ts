/**
 * What is to end with a connection: deadlines are called off, whoever wants to know is called.
 */
import type { Deadline } from '../core/time/deadline.js'

export type Ending = Deadline | (() => void)

/** As a rule one thing, which then needs no set. */
export type Endings = Ending | Set<Ending> | null

/** One more. */
export function add (endings: Endings, ending: Ending): Endings {
  if (endings === null) return ending
  return endings instanceof Set ? endings.add(ending) : new Set([endings, ending])
}

/** One less. */
export function remove (endings: Endings, ending: Ending): Endings {
  if (endings instanceof Set) endings.delete(ending)
  return endings === ending ? null : endings
}

export function end (endings: Endings): void {
  if (endings instanceof Set) for (const ending of endings) end(ending)
  else if (typeof endings === 'function') endings()
  else endings?.cancel()
}
