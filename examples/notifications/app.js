/**
 * Notifications for a user, on all devices: a connection is let in by its token, and joins the group
 * of the user whose token that is. Another service tells a user something:
 * curl localhost:3000/users/ada/notify -H 'authorization: Bearer shop-token' --json '{"text":"sent"}'
 */
import { fileURLToPath } from 'node:url'
import Fastify from 'fastify'
import lifeline from 'fastify-lifeline'

/** Whose a token is. In earnest: your sessions, or signed tokens. */
const tokens = new Map([
  ['ada-token', { role: 'user', id: 'ada' }],
  ['bob-token', { role: 'user', id: 'bob' }],
  ['shop-token', { role: 'service', id: 'shop' }]
])

/**
 * A page in a browser cannot set headers on a WebSocket, so the query will do as well. URLs end up in
 * logs, though (in Fastify's too): in earnest, let that be a token that is good once, for a minute.
 */
function tokenOf ({ headers, query }) {
  return headers.authorization?.replace(/^Bearer +/i, '') ?? query.token
}

/** Runs before the upgrade: who is refused gets an ordinary answer, and never becomes a connection. */
const only = (role) => async (request, reply) => {
  const caller = tokens.get(tokenOf(request))
  if (caller === undefined) return reply.code(401).header('www-authenticate', 'Bearer').send({ error: 'who are you?' })
  if (caller.role !== role) return reply.code(403).send({ error: `only for a ${role}` })
  request.caller = caller
}

export async function build (options = {}) {
  const fastify = Fastify(options)
  await fastify.register(lifeline)
  fastify.decorateRequest('caller', null)

  fastify.get('/notifications', { websocket: true, onRequest: only('user') }, (_socket, request) => {
    fastify.lifeline.of(request).join(`user:${request.caller.id}`)
  })

  // Never push to an fd that a client names: fds can be counted, so anybody could write to anybody.
  // A group that is named by what the server itself knows of its user is the safe address.
  fastify.post('/users/:id/notify', {
    onRequest: only('service'),
    schema: { body: { type: 'object' } }
  }, async (request) => {
    const reached = fastify.lifeline.group(`user:${request.params.id}`).push(request.body)
    return { reached }
  })

  return fastify
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const fastify = await build({ logger: true })
  await fastify.listen({ port: Number(process.env.PORT ?? 3000) })
}
