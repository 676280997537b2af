/**
 * A client that offers an upgrade, of whatever kind, and reads what it gets as bytes. It ends nothing by itself.
 */
import { once } from 'node:events'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import type { TestContext } from 'node:test'

export interface Asked {
  readonly socket: Socket
  /** All that came. */
  heard: string
  /** When the server has ended it. */
  readonly ended: Promise<unknown>
}

export const handshake = (path: string, upgrade = 'websocket'): string =>
  `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: ${upgrade}\r\n` +
  'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n'

/** As `curl --http2` does, over plain TCP. */
export const h2c = (path: string, method = 'GET', body = ''): string =>
  `${method} ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n` +
  (body === '' ? '\r\n' : `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`)

export function ask (t: TestContext, port: number, request: string): Asked {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  t.after(() => { socket.destroy() })
  socket.on('error', () => {})
  const asked = { socket, heard: '', ended: Promise.race([once(socket, 'end'), once(socket, 'close')]) }
  socket.setEncoding('latin1').on('data', (chunk: string) => { asked.heard += chunk })
  socket.write(request)
  return asked
}
