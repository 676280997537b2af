/**
 * One attempt to open a wire, and the wire that comes of it.
 * Invariant: its owner hears of it until it is lost or left, and then no more; it is lost once.
 */
import type { Claim } from '../protocol/offer.js'
import { offer, SPOKEN } from '../protocol/offer.js'
import { world } from './world.js'
import type { InnerSocket, WebSocketConstructor } from './world.js'

export type Source<T> = T | (() => T | Promise<T>)
export type Protocols = string | string[] | undefined

/** How a wire, or a session, has ended. */
export interface CloseEvent { readonly code: number, readonly reason: string, readonly wasClean: boolean }

/** How long a closing handshake may take, in ms. */
const CLOSE = 5_000

export interface AttemptSettings {
  readonly WebSocket: WebSocketConstructor
  readonly url: Source<string | URL>
  readonly protocols: Source<Protocols>
  /** How long it may take until somebody says that it has come to something, in ms. */
  readonly limit: number
  /** What is claimed, asked when the URL is known; null: nothing. Undefined: it is not even said that we speak the protocol. */
  readonly claim: (() => Claim | null) | undefined
  readonly binaryType: string
}

export interface AttemptOwner {
  /** It is about to be made. */
  dialled (url: string): void
  /** @param speaks the server speaks the protocol */
  wireOpened (socket: InnerSocket, speaks: boolean): void
  heard (data: any): void
  failed (error: unknown): void
  /** @param opened whether it was */
  lost (event: CloseEvent, opened: boolean): void
}

/** A promise may be of another realm, or of a library. */
const isThenable = <T>(value: T | Promise<T>): value is Promise<T> => typeof (value as Promise<T> | undefined)?.then === 'function'

export class Attempt {
  socket: InnerSocket | null = null
  readonly #settings: AttemptSettings
  readonly #owner: AttemptOwner
  #over = false
  #opened = false
  #deadline: unknown

  constructor (settings: AttemptSettings, owner: AttemptOwner) {
    this.#settings = settings
    this.#owner = owner
  }

  /** Where URL and protocols are known it dials at once. @throws what the WebSocket of the runtime throws, or a function of the app's */
  start (): void {
    const { url, protocols, limit } = this.#settings
    this.#deadline = world.setTimeout(() => { this.#lose({ code: 1006, reason: 'no answer in time', wasClean: false }) }, limit)
    try {
      const to = typeof url === 'function' ? url() : url
      const by = typeof protocols === 'function' ? protocols() : protocols
      if (!isThenable(to) && !isThenable(by)) return this.#dial(to, by)
      Promise.all([to, by]).then(([to, by]) => { if (!this.#over) this.#dial(to, by) }).catch((error: unknown) => { this.fail(error) })
    } catch (error) {
      // Whoever hears of it decides what follows.
      this.arrived()
      throw error
    }
  }

  /** It has come to nothing: a function of the app's has failed. */
  fail (error: unknown): void {
    if (this.#over) return
    this.#owner.failed(error)
    this.#lose({ code: 1006, reason: '', wasClean: false })
  }

  /** It has come to something. */
  arrived (): void { world.clearTimeout(this.#deadline) }

  /** Nobody wants to hear of it any more. @param says whether it says goodbye as one that comes back; else it is for the caller to close it */
  leave (says = true): void {
    this.#over = true
    this.arrived()
    if (says && this.socket !== null && this.socket.readyState <= 1) this.socket.close()
  }

  /** Ends it with this code. @param done is told how it has ended; on a dead line nobody answers, and it is told all the same */
  end (code: number, reason: string, done: (event: CloseEvent) => void): void {
    const { socket } = this
    const open = socket?.readyState === 1
    socket?.close(code, reason)
    this.leave(false)
    const timer = world.setTimeout(() => { done({ code, reason, wasClean: false }) }, open ? CLOSE : 0)
    if (!open) return
    socket.onclose = ({ code, reason, wasClean }: CloseEvent) => {
      world.clearTimeout(timer)
      done({ code, reason, wasClean })
    }
  }

  #dial (to: string | URL, by: Protocols): void {
    const { WebSocket, claim, binaryType } = this.#settings
    const list = by === undefined ? [] : [by].flat()
    this.#owner.dialled(String(to))
    const socket = this.socket = new WebSocket(String(to), claim === undefined ? list : offer(list, claim()))
    socket.binaryType = binaryType
    socket.onopen = () => {
      if (this.#over) return socket.close()
      this.#opened = true
      this.#owner.wireOpened(socket, claim !== undefined && socket.protocol === SPOKEN)
    }
    socket.onmessage = ({ data }: { readonly data: unknown }) => { if (!this.#over) this.#owner.heard(data) }
    socket.onerror = (event: { readonly error?: unknown, readonly message?: string }) => { if (!this.#over) this.#owner.failed(event.error ?? event.message) }
    socket.onclose = ({ code, reason, wasClean }: CloseEvent) => { this.#lose({ code, reason, wasClean }) }
  }

  #lose (event: CloseEvent): void {
    if (this.#over) return
    this.leave()
    this.#owner.lost(event, this.#opened)
  }
}
