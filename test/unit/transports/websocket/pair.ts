/**
 * Two WebSockets over loopback; the server's is made from a class of the test's choice.
 */
import { once } from 'node:events'
import type { AddressInfo, Socket } from 'node:net'
import type { TestContext } from 'node:test'
import WebSocket, { WebSocketServer } from 'ws'

export interface Pair {
  /** The server's socket, and the stream under it. */
  socket: WebSocket
  stream: Socket
  client: WebSocket
}

export async function pair (t: TestContext, Class: typeof WebSocket = WebSocket): Promise<Pair> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', WebSocket: Class as never })
  await once(server, 'listening')
  const accepted = once(server, 'connection')
  const client = new WebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}`)
  t.after(() => {
    client.terminate()
    for (const socket of server.clients as Set<WebSocket>) socket.terminate()
    server.close()
  })
  await once(client, 'open')
  const [socket, request] = await accepted
  return { socket, stream: request.socket, client }
}
