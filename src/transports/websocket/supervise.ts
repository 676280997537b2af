/**
 * The WebSocket class that the server makes its sockets from, so that what an app's listeners
 * throw or reject ends one connection and not the process.
 * Invariant: to an app a supervised socket is a `ws` socket: same listeners, same identity of
 * listeners, same order. It extends whatever class the server had, the app's own included.
 * Knows what happens on a socket, and tells its supervisor; decides nothing.
 */
import { EventEmitter } from 'node:events'
import type WebSocket from 'ws'
import { isThenable } from '../../core/arguments.js'
import { isBlob } from '../../core/bytes.js'
import { isOfWire, readOptions, roughSize, toWhole } from './app-data.js'
import { Handlers } from './handlers.js'
import { findAccessor, rootOf } from './prototypes.js'
import { blobRead } from './supervisor.js'
import type { Supervision, Supervisor } from './supervisor.js'

export function superviseClass (Base: typeof WebSocket): Supervision {
  const base = Base.prototype
  /** What of a socket's bufferedAmount never leaves; null: there is nothing like that. */
  let late: WeakMap<WebSocket, number> | null = null
  const handlers = new Handlers((socket, error) => { SupervisedWebSocket.threw(socket, error) })

  class SupervisedWebSocket extends Base {
    #supervisor: Supervisor | null = null
    /** A close that was asked for and is kept for later: to the app the socket is closing. */
    #closesLater = false
    /** Before it was supervised fragments were begun. */
    #unfinished = false

    constructor (address: null, protocols?: string | string[], options?: WebSocket.ClientOptions) {
      super(address as unknown as string, protocols, options)
      // The documented way to capture rejections, for an emitter whose own constructor takes no options.
      EventEmitter.call(this as unknown as EventEmitter, { captureRejections: true })
    }

    static supervise (socket: WebSocket, supervisor: Supervisor): boolean {
      if (!(#supervisor in socket)) return false
      socket.#supervisor = supervisor
      if (socket.#unfinished) supervisor.sending(false)
      return true
    }

    static supervises (socket: WebSocket): boolean {
      return #supervisor in socket && socket.#supervisor !== null
    }

    static dispatch (socket: WebSocket, event: string, args: unknown[]): void {
      if (#supervisor in socket) socket.#dispatch(event, args)
    }

    static reopen (socket: WebSocket): boolean {
      const kept = SupervisedWebSocket.closesLater(socket)
      if (kept) (socket as SupervisedWebSocket).#closesLater = false
      return kept
    }

    static closesLater (socket: WebSocket): boolean {
      return #closesLater in socket && socket.#closesLater
    }

    static appBytes (socket: WebSocket): number {
      return #supervisor in socket ? socket.#supervisor?.appBytes ?? 0 : 0
    }

    [Symbol.for('nodejs.rejection')] (error: unknown): void { this.#threw(error) }

    override emit (event: string | symbol, ...args: any[]): boolean {
      const supervisor = this.#supervisor
      if (supervisor === null || !isOfWire(event, args[0])) return this.#dispatch(event, args)
      switch (event) {
        case 'message':
          supervisor.arrived()
          return supervisor.message(args[0], args[1]) || this.#dispatch(event, args)
        case 'ping':
          supervisor.arrived()
          supervisor.pinged(args[0])
          break
        case 'pong':
          supervisor.arrived()
          if (supervisor.pong(args[0])) return true
          break
        case 'newListener':
          if (args[0] === 'message') supervisor.listening()
          break
        case 'error':
          // ws has begun to close by then; on an open socket it is the app that emits.
          if (this.readyState !== Base.OPEN) supervisor.faulted(args[0])
          break
        case 'close':
          supervisor.closed(args[0], args[1])
          return this.#dispatchEach(event, args)
      }
      return this.#dispatch(event, args)
    }

    #dispatch (event: string | symbol, args: unknown[]): boolean {
      try {
        return super.emit(event, ...args)
      } catch (error) {
        this.#threw(error)
        return true
      }
    }

    /** One listener that throws must not keep `close` from the server's own bookkeeping. */
    #dispatchEach (event: string, args: unknown[]): boolean {
      // A class of the app's may want to hear of it.
      if (base.emit !== EventEmitter.prototype.emit) return this.#dispatch(event, args)
      const listeners = this.rawListeners(event)
      for (const listener of listeners) {
        try {
          const result: unknown = Reflect.apply(listener, this, args)
          if (isThenable(result)) result.then(undefined, (error: unknown) => { this.#threw(error) })
        } catch (error) {
          this.#threw(error)
        }
      }
      return listeners.length > 0
    }

    #threw (error: unknown): void {
      if (this.#supervisor === null) throw error
      this.#supervisor.threw(error)
    }

    static threw (socket: unknown, error: unknown): void {
      (socket as SupervisedWebSocket).#threw(error)
    }

    override addEventListener (type: any, handler: any, options?: any): void {
      super.addEventListener(type, handlers.wrap(handler), options)
    }

    override removeEventListener (type: any, handler: any): void {
      super.removeEventListener(type, handlers.wrapperOf(handler))
    }

    override send (data: any, options?: any, done?: any): any {
      const supervisor = this.#supervisor
      if (this.readyState !== Base.OPEN) return this.#late(() => super.send(data, options, done))
      if (typeof options === 'function') [options, done] = [undefined, options]
      // Read once: a getter may say something else the next time, or push.
      if (options != null) options = { ...options }
      const said = readOptions(data, options)
      if (supervisor === null) {
        const result: unknown = super.send(data, options, done)
        this.#unfinished = !said.fin
        return result
      }
      const blob = isBlob(data)
      const whole = supervisor.slices(roughSize(data)) ? toWhole(data, said) : null
      if (whole !== null) {
        supervisor.sendSliced(whole, said.binary, (error) => { if (typeof done === 'function') done(error) })
        return
      }
      const between = supervisor.sending(said.fin)
      let result: unknown
      try {
        result = super.send(data, options, (error?: Error) => {
          if (blob) blobRead(supervisor, error)
          supervisor.flushed()
          if (typeof done === 'function') done(error)
        })
      } catch (error) {
        supervisor.notSent(between)
        throw error
      }
      if (blob) supervisor.readingBlob(true)
      supervisor.sent(said.fin, roughSize(data))
      return result
    }

    /** What is sent to a socket that closes ws counts for ever, and sends to nobody. */
    #late (send: () => unknown): unknown {
      const before = bufferedAmount.get!.call(this)
      const result = send()
      late ??= new WeakMap()
      late.set(this, (late.get(this) ?? 0) + bufferedAmount.get!.call(this) - before)
      return result
    }

    override ping (data?: any, mask?: any, done?: any): any { return this.#signal(super.ping, data, mask, done) }
    override pong (data?: any, mask?: any, done?: any): any { return this.#signal(super.pong, data, mask, done) }

    #signal (method: (data?: any, mask?: any, done?: any) => void, data: any, mask: any, done: any): any {
      const supervisor = this.#supervisor
      if (supervisor === null || this.readyState !== Base.OPEN) return this.#late(() => method.call(this, data, mask, done))
      if (typeof data === 'function') [data, mask, done] = [undefined, undefined, data]
      else if (typeof mask === 'function') [mask, done] = [undefined, mask]
      const blob = isBlob(data)
      supervisor.signalling()
      try {
        const result: unknown = method.call(this, data, mask, (error?: Error) => {
          if (blob) blobRead(supervisor, error)
          supervisor.flushed()
          if (typeof done === 'function') done(error)
        })
        if (blob) supervisor.readingBlob(true)
        return result
      } finally {
        supervisor.signalled()
      }
    }

    override close (code?: number, reason?: string | Buffer): void {
      const supervisor = this.readyState === Base.OPEN ? this.#supervisor : null
      if (supervisor?.closing(code) === true) {
        this.#closesLater = true
        return
      }
      // ws throws for a code that may not be sent: then nothing has happened.
      super.close(code, reason)
      supervisor?.closes(code, reason)
    }

    override terminate (): void {
      this.#supervisor?.terminating()
      this.#closesLater = false
      super.terminate()
    }

    override pause (): void {
      super.pause()
      this.#supervisor?.pausedByApp(true)
    }

    override resume (): void {
      super.resume()
      this.#supervisor?.pausedByApp(false)
    }
  }

  /** A class of the app's may throw, or reject, whatever is called. */
  function guarded (socket: WebSocket, call: () => unknown): void {
    try {
      const result = call()
      if (isThenable(result)) result.then(undefined, (error: unknown) => { SupervisedWebSocket.threw(socket, error) })
    } catch (error) {
      SupervisedWebSocket.threw(socket, error)
    }
  }

  const readyState = findAccessor(base, 'readyState')
  Object.defineProperty(SupervisedWebSocket.prototype, 'readyState', {
    ...readyState,
    get (this: WebSocket) {
      return SupervisedWebSocket.closesLater(this) ? Base.CLOSING : readyState.get!.call(this)
    }
  })

  const bufferedAmount = findAccessor(base, 'bufferedAmount')
  const plus = (amount: number, more: number): number => more > 0 ? amount + more : amount
  Object.defineProperty(SupervisedWebSocket.prototype, 'bufferedAmount', {
    ...bufferedAmount,
    get (this: WebSocket) { return plus(bufferedAmount.get!.call(this), SupervisedWebSocket.appBytes(this)) }
  })

  // `onmessage` and its kin go through addEventListener; reading one gives back what was set.
  for (const name of ['onopen', 'onmessage', 'onerror', 'onclose'] as const) {
    const accessor = findAccessor(base, name)
    Object.defineProperty(SupervisedWebSocket.prototype, name, {
      ...accessor,
      get (this: WebSocket) {
        return handlers.originalOf(accessor.get!.call(this))
      }
    })
  }

  return {
    WebSocket: SupervisedWebSocket as unknown as typeof WebSocket,
    plain: base.send === rootOf(base).send,
    bare: {
      send: (socket, data, options, done) => base.send.call(socket, data, options, done),
      ping: (socket, payload, done) => { guarded(socket, () => base.ping.call(socket, payload, undefined, done)) },
      pong: (socket, payload) => { guarded(socket, () => base.pong.call(socket, payload)) },
      bufferedAmount (socket) {
        try {
          const amount: number = bufferedAmount.get!.call(socket)
          return late === null ? amount : amount - (late.get(socket) ?? 0)
        } catch (error) {
          SupervisedWebSocket.threw(socket, error)
          return 0
        }
      },
      close: (socket, code, reason) => { guarded(socket, () => base.close.call(socket, code, reason)) },
      reopen: (socket) => SupervisedWebSocket.reopen(socket),
      terminate: (socket) => { guarded(socket, () => base.terminate.call(socket)) },
      pause: (socket) => { guarded(socket, () => base.pause.call(socket)) },
      resume: (socket) => { guarded(socket, () => base.resume.call(socket)) },
      emit: (socket, event, ...args) => { SupervisedWebSocket.dispatch(socket, event, args) }
    },
    onError (error) {
      if (this.readyState === Base.OPEN) SupervisedWebSocket.threw(this, error)
    },
    supervise: (socket, supervisor) => SupervisedWebSocket.supervise(socket, supervisor),
    supervises: (socket) => SupervisedWebSocket.supervises(socket)
  }
}
