/**
 * Events as those of a WebSocket: listeners, `on…` handlers, `once`, `signal`. (There are runtimes without EventTarget.)
 * Invariant: a listener that throws keeps nobody else from hearing.
 */
import { world } from './world.js'

/** What is told. */
export interface SocketEvent { readonly type: string, readonly target: unknown, readonly currentTarget: unknown }

type Listener = ((event: any) => void) | { handleEvent (event: any): void }

interface Entry { readonly listener: Listener, readonly once: boolean }

interface ListenerOptions {
  readonly once?: boolean
  readonly signal?: { readonly aborted: boolean, addEventListener (type: 'abort', listener: () => void): void }
}

export class Emitter {
  readonly #entries = new Map<string, Entry[]>()

  addEventListener (type: string, listener: Listener | null, options?: boolean | ListenerOptions): void {
    const { once = false, signal } = typeof options === 'object' ? options : {}
    const entries = this.#entries.get(type) ?? []
    if (listener === null || signal?.aborted === true || entries.some((entry) => entry.listener === listener)) return
    // Another list: the one that is being gone through stays as it is.
    this.#entries.set(type, [...entries, { listener, once }])
    signal?.addEventListener('abort', () => { this.removeEventListener(type, listener) })
  }

  removeEventListener (type: string, listener: Listener | null): void {
    this.#entries.set(type, (this.#entries.get(type) ?? []).filter((entry) => entry.listener !== listener))
  }

  /** Tells whoever listens. @param more what the event has beside its type */
  protected tell (type: string, more: object = {}): void {
    const event: SocketEvent = { ...more, type, target: this, currentTarget: this }
    const handler: unknown = (this as Record<string, unknown>)[`on${type}`]
    const entries = this.#entries.get(type) ?? []
    if (typeof handler === 'function') this.#call(handler as Listener, event)
    for (const entry of entries) {
      // It may have been taken off by one before it.
      if (this.#entries.get(type)?.includes(entry) !== true) continue
      if (entry.once) this.removeEventListener(type, entry.listener)
      this.#call(entry.listener, event)
    }
  }

  #call (listener: Listener, event: SocketEvent): void {
    try {
      if (typeof listener === 'function') listener.call(this, event)
      else listener.handleEvent(event)
    } catch (error) {
      if (world.reportError !== undefined) world.reportError(error)
      else world.setTimeout(() => { throw error }, 0)
    }
  }
}
