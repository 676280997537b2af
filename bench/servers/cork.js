/** The best that an app can do by hand: the same loop, with the raw sockets corked until the end of the tick. */
import fastifyWebsocket from '@fastify/websocket'
import Fastify from 'fastify'

export async function serve () {
  const app = Fastify()
  const members = new Set()
  let corked = []
  const uncork = () => {
    const list = corked
    corked = []
    for (const member of list) {
      member.corked = false
      member.raw.uncork()
    }
  }
  const send = (member, message) => {
    if (member.socket.readyState !== 1) return
    if (!member.corked) {
      member.corked = true
      member.raw.cork()
      if (corked.push(member) === 1) process.nextTick(uncork)
    }
    member.socket.send(message)
  }
  await app.register(fastifyWebsocket)
  app.get('/live', { websocket: true }, (socket, request) => {
    const member = { socket, raw: request.raw.socket, corked: false }
    members.add(member)
    socket.on('close', () => { members.delete(member) })
  })
  app.get('/echo', { websocket: true }, (socket, request) => {
    const member = { socket, raw: request.raw.socket, corked: false }
    socket.on('message', (data) => { send(member, data.toString()) })
  })
  await app.listen({ port: 0, host: '127.0.0.1' })
  let first = null
  return {
    port: app.server.address().port,
    path: { live: '/live', echo: '/echo' },
    size: () => members.size,
    push: (message) => { send(first ??= members.values().next().value, message) },
    broadcast: (message) => { for (const member of members) send(member, message) }
  }
}
