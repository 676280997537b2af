/**
 * The same app as without.js, with the heartbeat that the README of ws shows.
 */
import { fastify, keep, send, start } from './bare.js'
import { answerTo } from './work.js'

/** As often as with.js asks, in ms. */
const INTERVAL = 2000

fastify.get('/live', { websocket: true }, (socket, request) => {
  const row = keep(socket, request.query.name)
  socket.row = row
  socket.isAlive = true
  socket.on('pong', () => { socket.isAlive = true })

  socket.on('message', async (message) => {
    const answer = await answerTo(String(message))
    send(row, answer)
  })
})

// <handler>
setInterval(() => {
  for (const socket of fastify.websocketServer.clients) {
    if (!socket.isAlive) {
      socket.row.by = 'ping'
      socket.terminate() // no pong since the last time: taken for dead
      continue
    }
    socket.isAlive = false
    socket.ping()
  }
}, INTERVAL)
// </handler>

await start()
