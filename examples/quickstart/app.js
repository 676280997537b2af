/**
 * An app as you would write it: a route whose answers take a while, with fastify-lifeline.
 * bare.js is the same app without it. Runs alone too: PORT=3000 node app.js
 */
import Fastify from 'fastify'
import lifeline from 'fastify-lifeline'
import { answerTo, perform, report } from './stage.js'

const fastify = Fastify({ logger: true })
await fastify.register(lifeline, { heartbeat: { interval: 1000, timeout: 500 } })

fastify.get('/live', { websocket: true }, (socket, request) => {
  const { fd } = request
  report('joined', { id: fd, name: request.query.name })

  socket.on('message', async (message) => {
    const answer = await answerTo(String(message)) // the client may leave meanwhile
    const pushed = fastify.safePush(fd, answer) // true: handed over; false: nobody there; never throws
    report('answered', { id: fd, pushed })
  })
})

fastify.lifeline.on('close', (_connection, { fd, code, cause }) => {
  report('close', { id: fd, code, cause })
})

// For the story: what a push from anywhere in the app would find now.
await perform(fastify, (fd, message) => ({
  exists: fastify.exists(fd),
  pushed: fastify.safePush(fd, message),
  bound: fastify.lifeline.heartbeat.bound,
  stalls: fastify.lifeline.stats().heartbeat.stalls
}))
