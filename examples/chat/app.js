/**
 * A chat with rooms: a connection joins the group of its room, what it says goes to the others
 * there, and everybody hears who comes and who leaves, however they leave.
 * Talk to it: npx wscat -c 'ws://localhost:3000/rooms/kitchen?name=Ada'. Who is there: GET /rooms/kitchen
 */
import { fileURLToPath } from 'node:url'
import Fastify from 'fastify'
import lifeline from 'fastify-lifeline'

const groupOf = (room) => `room:${room}`

export async function build (options = {}) {
  const fastify = Fastify(options)
  await fastify.register(lifeline)

  const querystring = {
    type: 'object',
    properties: { name: { type: 'string', minLength: 1, maxLength: 40, default: 'somebody' } }
  }

  // One URL, two answers: to an upgrade that of wsHandler, to an ordinary request that of handler.
  fastify.route({
    method: 'GET',
    url: '/rooms/:room',
    schema: { querystring },

    wsHandler (_socket, request) {
      const connection = fastify.lifeline.of(request)
      const { name } = request.query
      const group = groupOf(request.params.room)
      connection.data = { name }
      connection.join(group)
      fastify.lifeline.group(group).push({ joined: name }, { except: connection })
      // Also for those who say no goodbye: reset, or found dead by the heartbeat. It has left its groups by then. (A listener
      // of `close` would hear of all connections, also of those that no room is known of.)
      connection.closed.then(() => { fastify.lifeline.group(group).push({ left: name }) })

      connection.onMessage(({ data }) => {
        fastify.lifeline.group(group).push({ from: name, text: String(data) }, { except: connection })
      })
    },

    async handler (request) {
      const members = fastify.lifeline.group(groupOf(request.params.room))
      return { size: members.size, names: Array.from(members, ({ data }) => data.name) }
    }
  })

  return fastify
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const fastify = await build({ logger: true })
  await fastify.listen({ port: Number(process.env.PORT ?? 3000) })
}
