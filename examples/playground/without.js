/**
 * The same app as with.js on bare @fastify/websocket: it keeps its sockets by itself.
 */
import Fastify from 'fastify'
import websocket from '@fastify/websocket'
import { answerTo, serve } from './work.js'

const fastify = Fastify()
await fastify.register(websocket)

const STATES = ['connecting', 'open', 'closing', 'closed']
const rows = new Map()

fastify.get('/live', { websocket: true }, (socket, request) => {
  const row = { socket, sent: 0, end: null }
  rows.set(request.query.name, row)

  socket.on('message', async (message) => {
    const answer = await answerTo(String(message)) // the client may leave meanwhile
    send(row, answer) //                              says nothing, whoever is there
  })
  socket.on('close', (code) => { row.end = { code, at: Date.now() } })
})

function send (row, message) {
  row.socket.send(message)
  row.sent++
}

await serve(fastify, {
  clients: () => rows.keys(),
  push: (name, message) => {
    const row = rows.get(name)
    if (row !== undefined) send(row, message)
  },
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
