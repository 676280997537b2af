/**
 * The same app as app.js on bare @fastify/websocket. It has to number its sockets by itself.
 */
import Fastify from 'fastify'
import websocket from '@fastify/websocket'
import { answerTo, perform, report } from './stage.js'

const fastify = Fastify({ logger: true })
await fastify.register(websocket)
const sockets = []

fastify.get('/live', { websocket: true }, (socket, request) => {
  const id = sockets.push(socket) - 1
  report('joined', { id, name: request.query.name })

  socket.on('message', async (message) => {
    const answer = await answerTo(String(message)) // the client may leave meanwhile
    report('answered', { id, ...send(socket, answer) })
  })

  socket.on('close', (code) => {
    report('close', { id, code })
  })
})

// For the story: `send` returns nothing; all that an app can learn from it is whether it threw.
function send (socket, message) {
  try {
    socket.send(message)
    return { pushed: true }
  } catch (error) {
    return { pushed: false, error: error.message }
  }
}

await perform(fastify, (id, message) => ({
  readyState: sockets[id].readyState,
  ...send(sockets[id], message)
}))
