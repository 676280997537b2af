/**
 * Who wants to know that a signal aborts. A signal is the app's, and so may its members be: it is asked by those of its prototype.
 * Invariant: each signal has one listener of ours, however many wait for it, and none when nobody does. (Node.js warns
 * of a leak from the eleventh listener on, and a signal that a thousand connections share is no leak.)
 */
const { addEventListener, removeEventListener } = EventTarget.prototype
const getter = (name: 'aborted' | 'reason'): ((this: AbortSignal) => unknown) => Object.getOwnPropertyDescriptor(AbortSignal.prototype, name)!.get!
const [aborted, reason] = [getter('aborted'), getter('reason')]

/** @throws for what is no signal */
export const isAborted = (signal: AbortSignal): boolean => aborted.call(signal) as boolean

export const reasonOf = (signal: AbortSignal): unknown => reason.call(signal)

interface Abort {
  readonly callbacks: Set<() => void>
  readonly listener: () => void
}

const aborts = new WeakMap<AbortSignal, Abort>()

function listen (signal: AbortSignal): Abort {
  const callbacks = new Set<() => void>()
  const listener = (): void => {
    aborts.delete(signal)
    for (const callback of [...callbacks]) callback()
  }
  addEventListener.call(signal, 'abort', listener, { once: true })
  const abort = { callbacks, listener }
  aborts.set(signal, abort)
  return abort
}

/** Calls back when the signal aborts; not if it has. @returns what takes that back */
export function onAbort (signal: AbortSignal, callback: () => void): () => void {
  const abort = aborts.get(signal) ?? listen(signal)
  abort.callbacks.add(callback)
  return () => {
    abort.callbacks.delete(callback)
    if (abort.callbacks.size > 0 || aborts.get(signal) !== abort) return
    removeEventListener.call(signal, 'abort', abort.listener)
    aborts.delete(signal)
  }
}
