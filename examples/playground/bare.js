/**
 * What the apps without the plugin share: @fastify/websocket, and the sockets that they keep by themselves.
 */
import Fastify from 'fastify'
import websocket from '@fastify/websocket'
import { logging, serve } from './work.js'

/** What a close code says that is no code. */
const NO_CODE = { 1005: ', without a code', 1006: ', without a close frame' }

const STATES = ['connecting', 'open', 'closing', 'closed']

export const fastify = Fastify(logging)
await fastify.register(websocket)

const rows = new Map()

/** What is known of a client from now on. */
export function keep (socket, name) {
  const row = { socket, sent: 0, end: null }
  rows.set(name, row)
  socket.on('close', (code) => {
    row.end = { code, by: row.by, at: Date.now() }
    fastify.log.debug(`a socket has closed: ${code}${NO_CODE[code] ?? ''}`)
  })
  return row
}

export function send (row, message) {
  row.socket.send(message)
  row.sent++
}

const to = (name, message) => {
  const row = rows.get(name)
  if (row !== undefined) send(row, message)
}

export const start = () => serve(fastify, {
  clients: () => rows.keys(),
  push: to,
  deliver: to,
  broadcast: (message) => { for (const row of rows.values()) send(row, message) },
  forget: (name) => {
    rows.get(name)?.socket.terminate()
    rows.delete(name)
  },
  state: () => ({
    connections: fastify.websocketServer.clients.size,
    rows: Object.fromEntries(Array.from(rows, ([name, { socket, sent, end }]) =>
      [name, { state: STATES[socket.readyState], bufferedBytes: socket.bufferedAmount, sent, end }]))
  })
})
