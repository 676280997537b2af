import Fastify from 'fastify'
import lifeline from 'fastify-lifeline'

const fastify = Fastify()
await fastify.register(lifeline)

fastify.get('/work', { websocket: true }, async (socket, request) => {
  const connection = fastify.lifeline.of(request)
  for await (const { data } of connection.messages()) {            // one at a time, in order, with backpressure
    const response = await fetch('http://127.0.0.1:8080/answer', {
      method: 'POST', body: data, signal: connection.signal        // given up when the client leaves
    })
    connection.push(await response.text())
  }
})
