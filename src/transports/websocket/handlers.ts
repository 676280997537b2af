/**
 * What an app gives to `addEventListener`, wrapped: ws drops what a handler returns, and a promise that rejects would escape.
 * Invariant: a handler has one wrapper, and the app is never shown it.
 */
import { isThenable } from '../../core/arguments.js'

type Listener = (this: unknown, event: unknown) => unknown
export type Handler = Listener | { handleEvent: Listener }

export class Handlers {
  readonly #wrapped = new WeakMap<Handler, Listener>()
  readonly #original = new WeakMap<Listener, Handler>()
  readonly #threw: (socket: unknown, error: unknown) => void

  /** @param threw told of what the promise of a handler rejects with */
  constructor (threw: (socket: unknown, error: unknown) => void) {
    this.#threw = threw
  }

  /** A handler that is no function is not wrapped: ws ignores it, and so do we. */
  wrap (handler: Handler): Handler {
    if (handler === null || (typeof handler !== 'function' && typeof handler !== 'object')) return handler
    let wrapper = this.#wrapped.get(handler)
    if (wrapper === undefined) {
      const threw = this.#threw
      wrapper = function (event) {
        const result = typeof handler === 'function' ? handler.call(this, event) : handler.handleEvent(event)
        if (isThenable(result)) result.then(undefined, (error: unknown) => { threw(this, error) })
      }
      this.#wrapped.set(handler, wrapper)
      this.#original.set(wrapper, handler)
    }
    return wrapper
  }

  /** What ws was given for this one. */
  wrapperOf (handler: Handler): Handler { return this.#wrapped.get(handler) ?? handler }

  /** What the app had given for this one. */
  originalOf (listener: Listener): Handler { return this.#original.get(listener) ?? listener }
}
