/**
 * How code of the app's is called that must harm nothing else.
 */
import { isThenable } from '../core/arguments.js'

/** Calls a listener of the app's; what it throws or rejects with is told. @returns resolves when it has settled; null: it has */
export function call (listener: Function, self: unknown, args: unknown[], threw: (error: unknown) => void): Promise<void> | null {
  try {
    const result: unknown = Reflect.apply(listener, self, args)
    // It may come from another realm, or be no Promise at all.
    if (isThenable(result)) return new Promise<unknown>((resolve) => { resolve(result) }).then(() => {}, threw)
  } catch (error) {
    threw(error)
  }
  return null
}
