/**
 * The sockets of those who were refused, from then on until they are gone.
 * Invariant: whoever is in here has gone when its time is up, whether it has taken its answer or not.
 * Knows nothing of why it was refused, and sends nothing by itself.
 */
import type { Duplex } from 'node:stream'
import type { Wheel } from '../core/time/wheel.js'

export type Socket = Duplex & { bytesWritten?: number, destroySoon?: () => void }

const UNAVAILABLE = 'HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Length: 0\r\n\r\n'

/** The answer to whom nobody has answered. */
export function answerUnavailable (socket: Socket): void {
  if (socket.writable) socket.write(UNAVAILABLE)
}

export class Ending {
  readonly #wheel: Wheel
  readonly #timeout: number
  /** With the slot in which they are destroyed. */
  readonly #sockets = new Map<Socket, number>()

  /** @param timeout how long a client may take to read why, in ms */
  constructor (wheel: Wheel, timeout: number) {
    this.#wheel = wheel
    this.#timeout = timeout
  }

  get size (): number { return this.#sockets.size }

  /** It is ended behind what was written to it. */
  end (socket: Socket): void {
    this.ended(socket)
    if (socket.destroySoon !== undefined) socket.destroySoon()
    else socket.end(() => { socket.destroy() })
  }

  /** It was ended, by whoever had it: it has as long to close. */
  ended (socket: Socket): void {
    this.#sockets.set(socket, this.#wheel.slotAfter(this.#timeout))
  }

  /** Looks at each, once a slot of the wheel. */
  look (): void {
    for (const [socket, deadline] of this.#sockets) {
      if (this.#wheel.slot >= deadline) socket.destroy()
      if (socket.destroyed) this.#sockets.delete(socket)
    }
  }

  /** The slots have become shorter by so much. */
  refined (times: number): void {
    for (const [socket, deadline] of this.#sockets) this.#sockets.set(socket, deadline * times)
  }

  stop (): void {
    for (const socket of this.#sockets.keys()) socket.destroy()
    this.#sockets.clear()
  }
}
