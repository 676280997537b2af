/**
 * What there may be around a client: a page, a worker, Node.js, or less than any of them. Nothing of it is taken for granted but timers.
 */

/** What is needed of a WebSocket. */
export interface InnerSocket {
  readonly readyState: number
  readonly protocol: string
  readonly extensions: string
  readonly bufferedAmount: number
  binaryType: string
  onopen: ((event: any) => void) | null
  onmessage: ((event: any) => void) | null
  onerror: ((event: any) => void) | null
  onclose: ((event: any) => void) | null
  send (data: any): void
  close (code?: number, reason?: string): void
}

/** As in a browser, in `ws`, and in Node.js 22 and later. */
export type WebSocketConstructor = new (url: string, protocols?: string | string[]) => InnerSocket

interface Listens {
  addEventListener? (type: string, listener: (event: any) => void): void
  removeEventListener? (type: string, listener: (event: any) => void): void
}

export interface World extends Listens {
  readonly WebSocket?: WebSocketConstructor
  readonly document?: Listens & { readonly visibilityState?: string }
  reportError? (error: unknown): void
  readonly console?: { warn (...words: unknown[]): void, debug (...words: unknown[]): void }
  setTimeout (callback: () => void, ms: number): unknown
  clearTimeout (timer: unknown): void
  setInterval (callback: () => void, ms: number): unknown
  clearInterval (timer: unknown): void
}

export const world = globalThis as unknown as World

/** How many bytes a text takes in UTF-8. */
export function utf8Length (text: string): number {
  let bytes = text.length
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    if (unit > 0x7f) bytes += unit > 0x7ff ? 2 : 1
    // Both halves of a pair make four bytes: two each are counted already, and two more for the first.
    if (unit >= 0xd800 && unit < 0xdc00 && i + 1 < text.length && (text.charCodeAt(i + 1) & 0xfc00) === 0xdc00) {
      i++
    }
  }
  return bytes
}

/** How many bytes it takes on the wire. */
export function sizeOf (data: any): number {
  return typeof data === 'string' ? utf8Length(data) : data?.byteLength ?? data?.size ?? utf8Length(String(data))
}

/** What is kept is nobody else's to change. */
export function own (data: any): any {
  if (typeof data === 'string') return data
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength).slice()
  if (typeof data?.slice === 'function' && typeof data.byteLength === 'number') return data.slice(0)
  // A Blob cannot be changed.
  return typeof data?.size === 'number' ? data : String(data)
}

/** Something that is to happen once. */
export class Timer {
  #timer: unknown = null

  get waiting (): boolean { return this.#timer !== null }

  /** In so many ms from now, whatever was said before. */
  in (ms: number, callback: () => void): void {
    this.cancel()
    this.#timer = world.setTimeout(() => {
      this.#timer = null
      callback()
    }, ms)
  }

  cancel (): void {
    world.clearTimeout(this.#timer)
    this.#timer = null
  }
}
