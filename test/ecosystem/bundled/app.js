// An app that says where it listens, and what it has answered to a slip; for a bundler, and for a folder of pnpm's.
import Fastify from 'fastify'
import lifeline from 'fastify-lifeline'

async function start () {
  const wrong = await Fastify().register(lifeline, { closeTimeout: -1 }).then(() => null, ({ code }) => code)
  const fastify = Fastify({ logger: { level: 'error' } })
  await fastify.register(lifeline, { receipts: true })
  const message = { type: 'object', required: ['hello'], properties: { hello: { type: 'string' } } }
  fastify.get('/live', { websocket: true, config: { lifeline: { message } } }, (socket, request) => {
    const connection = fastify.lifeline.of(request)
    connection.onMessage(async ({ value }) => { await connection.deliver({ wrong, hello: value.hello }) })
  })
  await fastify.listen({ port: 0, host: '127.0.0.1' })
  process.send(fastify.server.address().port)
  process.once('message', () => { fastify.close().then(() => { process.disconnect() }) })
}

start().catch((error) => { setImmediate(() => { throw error }) })
