/**
 * Which of the upgrades that clients offer are taken up. Who offers one takes a plain answer as well (RFC 9110 §7.8); but where anybody
 * listens for upgrades, Node.js takes up all of them, and nobody would serve the request: `curl --http2` offers h2c.
 * Invariant: what the app has said itself holds.
 */
import { createServer } from 'node:http'
import type { IncomingMessage } from 'node:http'
import type { EventEmitter } from 'node:events'
import { isWebSocket } from './underway.js'

/** Since Node.js 22.21 and 24.9. */
interface Server extends EventEmitter {
  shouldUpgradeCallback?: (request: IncomingMessage) => boolean
}

/** RFC 6455 §4.1 */
const opensWebSocket = (request: IncomingMessage): boolean => request.method === 'GET' && isWebSocket(request)

/**
 * From now on a server takes up WebSockets alone, if Node.js asks it; and, where somebody else listens as well, whatever is offered, as
 * before. (Not so those that Fastify adds where a host has several addresses: nobody else knows of them.)
 */
export function takeUpWebSockets (server: EventEmitter, listeners: { readonly strangers: number }): void {
  const asked = server as Server
  const before = asked.shouldUpgradeCallback
  // Each server has a function of its own; that of Node.js is known by its text alone.
  if (before === undefined || String(before) !== String((createServer() as Server).shouldUpgradeCallback)) return
  asked.shouldUpgradeCallback = (request) => before.call(server, request) && (opensWebSocket(request) || listeners.strangers > 0)
}
