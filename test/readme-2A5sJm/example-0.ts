import Fastify from 'fastify'
import lifeline from 'fastify-lifeline'

const fastify = Fastify({ logger: true })
await fastify.register(lifeline, { heartbeat: { interval: 20_000, timeout: 10_000 } })

async function slowQuery (question: string): Promise<object> {
  return { question, answer: 42 }
}

fastify.get('/live', { websocket: true }, (socket, request) => {
  const { fd } = request
  socket.on('message', async (message) => {
    const answer = await slowQuery(String(message)) // the client may leave meanwhile
    fastify.safePush(fd, answer)                    // true: handed over; false: nobody there. Never throws
  })
})

await fastify.listen({ port: 3000 })
