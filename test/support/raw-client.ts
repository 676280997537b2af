/**
 * A client on a bare socket: what comes is read by the strict reader of frames.ts, what goes out is
 * what the test gives it. It answers pings, unless told not to, and a close frame, as any client does.
 */
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { EventEmitter, once } from 'node:events'
import { connect as dialPlain } from 'node:net'
import type { Socket } from 'node:net'
import type { TestContext } from 'node:test'
import { connect as dialSecure } from 'node:tls'
import { closeFrame, frame, FrameReader, opcode } from './frames.js'
import type { Incoming } from './frames.js'

/** When nothing has come for so long, nothing will; in ms. No measure of speed, only the end of a test that would hang. */
export const PATIENCE = 5_000

/** Each message is compressed by itself: then the reader needs no state for it. */
const DEFLATE = 'permessage-deflate; server_no_context_takeover; client_no_context_takeover'

export interface RawOptions {
  /** Whether pings are answered. @default true */
  answers?: boolean
  /** What is done with a ping instead of answering it. */
  onPing?: (payload: Buffer) => void
  /** Whether to ask for permessage-deflate, and insist on it. @default false */
  deflate?: boolean
  /** Of a Unix domain socket, instead of the URL's host and port. */
  path?: string
}

export class RawClient {
  readonly socket: Socket
  /** All that came, the close frame included, without the pings of the plugin. */
  readonly received: Incoming[] = []
  /** The payloads of the plugin's pings. */
  readonly pings: Buffer[] = []
  /** What the server did wrong. */
  fault: Error | null = null
  /** The stream has ended, in whatever way. */
  over = false
  readonly #answer: ((ping: Buffer) => void) | null
  readonly #deflate: boolean
  readonly #reader: FrameReader
  readonly #news = new EventEmitter().setMaxListeners(0)
  /** What has come of the answer to the handshake; null when it is complete. */
  #head: Buffer | null = Buffer.alloc(0)
  #closing = false

  constructor (socket: Socket, url: URL, { answers = true, deflate = false, onPing }: RawOptions) {
    this.socket = socket
    this.#answer = onPing ?? (answers ? (ping) => { this.pong(ping) } : null)
    this.#deflate = deflate
    this.#reader = new FrameReader(deflate)
    const key = randomBytes(16).toString('base64')
    socket.on('error', () => {})
    socket.on('data', (chunk: Buffer) => {
      if (this.fault !== null) return
      try {
        this.#take(this.#head === null ? chunk : this.#handshake(Buffer.concat([this.#head, chunk]), key))
      } catch (error) {
        this.fault = error as Error
        socket.destroy()
      }
      this.#news.emit('news')
    })
    socket.on('close', () => {
      this.over = true
      this.#news.emit('news')
    })
    socket.write(`GET ${url.pathname}${url.search} HTTP/1.1\r\nHost: ${url.host}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${key}\r\n${deflate ? `Sec-WebSocket-Extensions: ${DEFLATE}\r\n` : ''}\r\n`)
  }

  get open (): boolean { return this.#head === null }

  get torn (): 'frame' | 'message' | null { return this.#reader.torn }

  /** What came in the close frame: 1005 if it was empty; undefined if there was none. */
  get code (): number | undefined {
    const last = this.received.at(-1)
    if (last?.kind !== 'close') return undefined
    return last.data.length === 0 ? 1005 : last.data.readUInt16BE(0)
  }

  /** Waits until it holds, or the stream is over. Rejects when nothing comes any more. */
  async until (holds: () => boolean): Promise<void> {
    while (!holds() && !this.over) {
      await once(this.#news, 'news', { signal: AbortSignal.timeout(PATIENCE) }).catch((cause: unknown) => {
        throw new Error(`nothing for ${PATIENCE} ms, after ${this.received.map(({ kind }) => kind).join()}`, { cause })
      })
    }
  }

  /** Waits for the end of the stream. */
  async ended (): Promise<void> {
    await this.until(() => false)
    if (this.fault !== null) throw this.fault
  }

  pong (payload: Buffer): void {
    if (this.socket.writable) this.socket.write(frame(opcode.pong, payload))
  }

  close (code: number = 1000): void {
    this.#closing = true
    this.socket.write(closeFrame(code))
  }

  /** Reads no more than one chunk in a turn of the loop. */
  trickle (): void {
    this.socket.on('data', () => {
      this.socket.pause()
      setImmediate(() => { this.socket.resume() })
    })
    this.socket.resume()
  }

  /** Gives what follows the answer. */
  #handshake (bytes: Buffer, key: string): Buffer {
    const end = bytes.indexOf('\r\n\r\n')
    if (end === -1) {
      this.#head = bytes
      return Buffer.alloc(0)
    }
    const answer = bytes.toString('latin1', 0, end)
    // RFC 6455 §4.2.2
    const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
    assert.match(answer, /^HTTP\/1\.1 101 /)
    assert.equal(/^sec-websocket-accept: *(.*)$/mi.exec(answer)?.[1]?.trim(), accept)
    assert.doesNotMatch(answer, /^sec-websocket-protocol:/mi)
    const extensions = /^sec-websocket-extensions: *(.*)$/mi.exec(answer)?.[1]?.split('; ').toSorted()
    assert.deepEqual(extensions, this.#deflate ? DEFLATE.split('; ').toSorted() : undefined)
    this.#head = null
    return bytes.subarray(end + 4)
  }

  #take (chunk: Buffer): void {
    for (const incoming of this.#reader.read(chunk)) this.#came(incoming)
  }

  #came (incoming: Incoming): void {
    const { kind, data } = incoming
    if (kind === 'ping') this.#answer?.(data)
    if (isOfPlugin(incoming)) this.pings.push(Buffer.from(data))
    else this.received.push(incoming)
    if (kind === 'close') this.socket.end(this.#closing ? '' : frame(opcode.close, data))
  }
}

/** The plugin's pings have eight bytes; those of a test have not, or begin with `app`. */
export const isOfPlugin = ({ kind, data }: { kind: string, data: Buffer }): boolean =>
  kind === 'ping' && data.length === 8 && data.toString('latin1', 0, 3) !== 'app'

/** A raw client whose handshake is done. It is gone when the test is. */
export async function dial (t: Pick<TestContext, 'after'>, url: string, options: RawOptions = {}): Promise<RawClient> {
  const parsed = new URL(url)
  const where = options.path !== undefined ? { path: options.path } : { host: parsed.hostname, port: Number(parsed.port) }
  const socket: Socket = parsed.protocol === 'wss:' ? dialSecure({ ...where, rejectUnauthorized: false }) : dialPlain(where)
  socket.setNoDelay(true)
  t.after(() => { socket.destroy() })
  const client = new RawClient(socket, parsed, options)
  await client.until(() => client.open)
  if (client.fault !== null) throw client.fault
  assert.ok(client.open, 'the stream ended within the handshake')
  return client
}
