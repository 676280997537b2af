/**
 * An end, as a signal: for `fetch`, a query, a timer.
 */
import { setMaxListeners } from 'node:events'

/** @param whenOver calls back at the end; at once if that has come */
export function abortsWhenOver (whenOver: (callback: () => void) => unknown): AbortSignal {
  const controller = new AbortController()
  // A connection has many things hanging on it for as long as it lives: that is no leak.
  setMaxListeners(0, controller.signal)
  whenOver(() => { controller.abort() })
  return controller.signal
}
