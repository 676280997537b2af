// A route and a client of it: for Vitest, and by other imports for Jest.
import Fastify from 'fastify'
import lifeline from 'fastify-lifeline'
import { expect, test } from 'vitest'

test('it answers', async () => {
  const fastify = Fastify()
  await fastify.register(lifeline)
  fastify.get('/live', { websocket: true }, (socket, request) => {
    fastify.lifeline.of(request).onMessage(({ data }) => { fastify.safePush(request.fd, data) })
  })
  await fastify.ready()
  const client = await fastify.injectWS('/live')
  const answer = new Promise((resolve) => { client.once('message', resolve) })
  client.send('hi')
  expect(String(await answer)).toBe('hi')
  await fastify.close()
})
