/**
 * ws as another runtime may have it: made of npm's, with something missing.
 */
import type { EventEmitter } from 'node:events'
import WebSocket, { WebSocketServer } from 'ws'

/** A server whose sockets are made from this class. */
export const madeFrom = (Class: unknown): typeof WebSocketServer => {
  class Server extends WebSocketServer {
    constructor (options: object) { super({ ...options, WebSocket: Class } as never) }
  }
  return Server as unknown as typeof WebSocketServer
}

/** A class whose sockets never tell of this. */
export const without = (event: string): typeof WebSocket => class extends WebSocket {
  setSocket (...args: unknown[]): void {
    Reflect.apply((WebSocket.prototype as unknown as { setSocket: () => void }).setSocket, this, args)
    const receiver = (this as unknown as { _receiver: EventEmitter })._receiver
    receiver.removeAllListeners(event)
  }
}
