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
import { isBlob, isOfWire, readOptions, roughSize, toWhole } from './app-data.js'

/** Who watches over one socket. */
export interface Supervisor {
  /** A message arrived; true if the supervisor keeps it from the listeners. */
  message (data: Buffer | ArrayBuffer | Buffer[] | Blob, binary: boolean): boolean
  /** A ping arrived, and nobody has answered it. */
  pinged (data: Buffer): void
  /** A pong arrived; true if it answers a ping of ours. */
  pong (data: Buffer): boolean
  /** Something arrived: a message, a ping or a pong. */
  arrived (): void
  /** A `message` listener is about to be added. */
  listening (): void
  /** The wire was violated, or sending failed: the `error` event of ws. */
  faulted (error: Error): void
  /** A listener threw, or the promise that it returned was rejected. */
  threw (error: unknown): void
  /** The app is about to send a message, a fragment of one, a ping or a pong on the socket itself. */
  sending (): void
  /** Whether a whole message of about that size, which the app itself sends, leaves by the transport's own writer, and not by ws. */
  slices (size: number): boolean
  /** Sends it. @param bytes nobody else's */
  sendSliced (bytes: Buffer, binary: boolean, done: (error?: Error) => void): void
  /** What of that has not left yet, in bytes: ws knows nothing of it. */
  readonly appBytes: number
  /** It has done so, so many bytes, more or less; `fin` false: there are fragments to come. */
  sent (fin: boolean, bytes: number): void
  /** It has sent a Blob, which ws has yet to read; and it has been read. One that cannot be ends the connection: nothing gets past it. */
  readingBlob (on: boolean): void
  /** It cannot be read: with the same error sending will be said to have failed. */
  unreadable (error: Error): void
  /** What it sent has been taken. */
  flushed (): void
  /** `close` is called on an open socket, by the app or by ws; true if the call is kept for later. */
  closing (code: number | undefined): boolean
  /** It was, and the close frame is on its way. */
  closes (code: number | undefined, reason: string | Buffer | undefined): void
  terminating (): void
  /** The app paused or resumed the socket. */
  pausedByApp (on: boolean): void
  closed (code: number, reason: Buffer): void
}

/** ws as it was before the supervisor: what the transport itself writes and reads passes no supervision. */
export interface Bare {
  send (socket: WebSocket, data: string | Buffer, options: { binary: boolean }, done: (error?: Error) => void): void
  /** @param done called when it has been written */
  ping (socket: WebSocket, payload: Buffer, done: () => void): void
  pong (socket: WebSocket, payload: Buffer): void
  /** What ws and the socket below it hold, in bytes. */
  bufferedAmount (socket: WebSocket): number
  close (socket: WebSocket, code?: number, reason?: string | Buffer): void
  /** Takes back that a close was kept for later. */
  reopen (socket: WebSocket): void
  terminate (socket: WebSocket): void
  pause (socket: WebSocket): void
  resume (socket: WebSocket): void
  /** Gives an event to the listeners, supervised. */
  emit (socket: WebSocket, event: string, ...args: unknown[]): void
}

export interface Supervision {
  readonly WebSocket: typeof WebSocket
  /** Messages are sent as ws sends them: no class of the app's has a `send` of its own, which must see them all. */
  readonly plain: boolean
  readonly bare: Bare
  /** A listener for `error`, the same for all sockets: what the app emits on an open one is a failure of the app's. */
  readonly onError: (this: WebSocket, error: unknown) => void
  /** Puts a socket under supervision; false if it was not made from this class. */
  supervise (socket: WebSocket, supervisor: Supervisor): boolean
  /** Whether it is under supervision. */
  supervises (socket: WebSocket): boolean
}

type Listener = (this: unknown, event: unknown) => unknown
type Handler = Listener | { handleEvent: Listener }

const blobRead = (supervisor: Supervisor, error: Error | null | undefined): void =>
  error == null ? supervisor.readingBlob(false) : supervisor.unreadable(error)

export function superviseClass (Base: typeof WebSocket): Supervision {
  const base = Base.prototype
  // `addEventListener` of ws drops what a handler returns: a promise that rejects would escape.
  const wrapped = new WeakMap<Handler, Listener>()
  const original = new WeakMap<Listener, Handler>()

  class SupervisedWebSocket extends Base {
    #supervisor: Supervisor | null = null
    /** A close that was asked for and is kept for later: to the app the socket is closing. */
    #closesLater = false

    constructor (address: null, protocols?: string | string[], options?: WebSocket.ClientOptions) {
      super(address as unknown as string, protocols, options)
      // The documented way to capture rejections, for an emitter whose own constructor takes no options.
      EventEmitter.call(this as unknown as EventEmitter, { captureRejections: true })
    }

    static supervise (socket: WebSocket, supervisor: Supervisor): boolean {
      if (!(#supervisor in socket)) return false
      socket.#supervisor = supervisor
      return true
    }

    static supervises (socket: WebSocket): boolean {
      return #supervisor in socket && socket.#supervisor !== null
    }

    static dispatch (socket: WebSocket, event: string, args: unknown[]): void {
      if (#supervisor in socket) socket.#dispatch(event, args)
    }

    static reopen (socket: WebSocket): void {
      if (#closesLater in socket) socket.#closesLater = false
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

    /** The server's own bookkeeping listens to `close` too: one listener that throws must not keep it from the others. */
    #dispatchEach (event: string, args: unknown[]): boolean {
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
      super.addEventListener(type, wrap(handler), options)
    }

    override removeEventListener (type: any, handler: any): void {
      super.removeEventListener(type, wrapped.get(handler) ?? handler)
    }

    override send (data: any, options?: any, done?: any): void {
      const supervisor = this.#supervisor
      if (supervisor === null || this.readyState !== Base.OPEN) return super.send(data, options, done)
      if (typeof options === 'function') [options, done] = [undefined, options]
      const said = readOptions(data, options)
      const whole = supervisor.slices(roughSize(data)) ? toWhole(data, said) : null
      if (whole !== null) {
        supervisor.sendSliced(whole, said.binary, (error) => { if (typeof done === 'function') done(error) })
        return
      }
      supervisor.sending()
      const blob = isBlob(data)
      super.send(data, options, (error?: Error) => {
        if (blob) blobRead(supervisor, error)
        supervisor.flushed()
        if (typeof done === 'function') done(error)
      })
      if (blob) supervisor.readingBlob(true)
      supervisor.sent(said.fin, roughSize(data))
    }

    override ping (data?: any, mask?: any, done?: any): void { this.#signal(super.ping, data, mask, done) }
    override pong (data?: any, mask?: any, done?: any): void { this.#signal(super.pong, data, mask, done) }

    #signal (method: (data?: any, mask?: any, done?: any) => void, data: any, mask: any, done: any): void {
      const supervisor = this.#supervisor
      if (supervisor === null || this.readyState !== Base.OPEN) return method.call(this, data, mask, done)
      supervisor.sending()
      if (!isBlob(data)) return method.call(this, data, mask, done)
      if (typeof mask === 'function') [mask, done] = [undefined, mask]
      method.call(this, data, mask, (error?: Error) => {
        blobRead(supervisor, error)
        if (typeof done === 'function') done(error)
      })
      supervisor.readingBlob(true)
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

  // A handler that is no function is not wrapped: ws ignores it, and so do we.
  function wrap (handler: Handler): Handler {
    if (handler === null || (typeof handler !== 'function' && typeof handler !== 'object')) return handler
    let wrapper = wrapped.get(handler)
    if (wrapper === undefined) {
      wrapper = function (event) {
        const result = typeof handler === 'function' ? handler.call(this, event) : handler.handleEvent(event)
        if (isThenable(result)) result.then(undefined, (error: unknown) => { SupervisedWebSocket.threw(this, error) })
      }
      wrapped.set(handler, wrapper)
      original.set(wrapper, handler)
    }
    return wrapper
  }

  const readyState = findAccessor(base, 'readyState')
  Object.defineProperty(SupervisedWebSocket.prototype, 'readyState', {
    ...readyState,
    get (this: WebSocket) {
      return SupervisedWebSocket.closesLater(this) ? Base.CLOSING : readyState.get!.call(this)
    }
  })

  const bufferedAmount = findAccessor(base, 'bufferedAmount')
  Object.defineProperty(SupervisedWebSocket.prototype, 'bufferedAmount', {
    ...bufferedAmount,
    get (this: WebSocket) {
      const more = SupervisedWebSocket.appBytes(this)
      return more > 0 ? bufferedAmount.get!.call(this) + more : bufferedAmount.get!.call(this)
    }
  })

  // `onmessage` and its kin go through addEventListener; reading one gives back what was set.
  for (const name of ['onopen', 'onmessage', 'onerror', 'onclose'] as const) {
    const accessor = findAccessor(base, name)
    Object.defineProperty(SupervisedWebSocket.prototype, name, {
      ...accessor,
      get (this: WebSocket) {
        const listener = accessor.get!.call(this)
        return original.get(listener) ?? listener
      }
    })
  }

  return {
    WebSocket: SupervisedWebSocket as unknown as typeof WebSocket,
    plain: base.send === rootOf(base).send,
    bare: {
      send: (socket, data, options, done) => { base.send.call(socket, data, options, done) },
      ping: (socket, payload, done) => { base.ping.call(socket, payload, undefined, done) },
      pong: (socket, payload) => { base.pong.call(socket, payload) },
      bufferedAmount: (socket) => bufferedAmount.get!.call(socket),
      close: (socket, code, reason) => { base.close.call(socket, code, reason) },
      reopen: (socket) => { SupervisedWebSocket.reopen(socket) },
      terminate: (socket) => { base.terminate.call(socket) },
      pause: (socket) => { base.pause.call(socket) },
      resume: (socket) => { base.resume.call(socket) },
      emit: (socket, event, ...args) => { SupervisedWebSocket.dispatch(socket, event, args) }
    },
    onError (error) {
      if (this.readyState === Base.OPEN) SupervisedWebSocket.threw(this, error)
    },
    supervise: (socket, supervisor) => SupervisedWebSocket.supervise(socket, supervisor),
    supervises: (socket) => SupervisedWebSocket.supervises(socket)
  }
}

/** The prototype of the class that ws itself has made. */
function rootOf (prototype: WebSocket): WebSocket {
  const parent = Object.getPrototypeOf(prototype)
  return parent === EventEmitter.prototype ? prototype : rootOf(parent)
}

function findAccessor (object: object, name: string): PropertyDescriptor {
  for (let holder: object | null = object; holder !== null; holder = Object.getPrototypeOf(holder)) {
    const accessor = Object.getOwnPropertyDescriptor(holder, name)
    if (accessor !== undefined) return accessor
  }
  throw new TypeError(`the WebSocket class of the server has no ${name}`)
}
