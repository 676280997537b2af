/**
 * What a client gets whose upgrade is refused.
 */
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import type { TestContext } from 'node:test'
import WebSocket from 'ws'

export interface Refusal { status: number, retryAfter: string | undefined, body: string }

/** Asks for an upgrade that is to be refused. Rejects if it is let in. */
export async function refused (t: TestContext, url: string, options: WebSocket.ClientOptions = {}): Promise<Refusal> {
  const socket = new WebSocket(url, options)
  t.after(() => { socket.on('error', () => {}); socket.terminate() })
  const [, response] = await Promise.race([
    once(socket, 'unexpected-response') as Promise<[unknown, IncomingMessage]>,
    once(socket, 'open').then(() => { throw new Error('it was let in') })
  ])
  let body = ''
  for await (const chunk of response.setEncoding('utf8')) body += chunk
  return { status: response.statusCode!, retryAfter: response.headers['retry-after'], body }
}
