/**
 * The same app as with.js on bare @fastify/websocket.
 */
import { fastify, keep, send, start } from './bare.js'
import { answerTo } from './work.js'

// <handler>
fastify.get('/live', { websocket: true }, (socket, request) => {
  const row = keep(socket, request.query.name)

  socket.on('message', async (message) => {
    const answer = await answerTo(String(message)) // the client may leave meanwhile
    send(row, answer) //                              says nothing, whoever is there
  })
})
// </handler>

await start()
