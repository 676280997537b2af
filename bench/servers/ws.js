/** The baseline: @fastify/websocket, and a loop that sends where the socket is open. */
import fastifyWebsocket from '@fastify/websocket'
import Fastify from 'fastify'

const text = (data) => data.toString()

export async function serve ({ interval = 0 } = {}) {
  const app = Fastify()
  const sockets = new Set()
  await app.register(fastifyWebsocket)
  app.get('/live', { websocket: true }, (socket) => {
    sockets.add(socket)
    socket.on('close', () => { sockets.delete(socket) })
    if (interval > 0) {
      socket.isAlive = true
      socket.on('pong', () => { socket.isAlive = true })
    }
  })
  app.get('/echo', { websocket: true }, (socket) => {
    socket.on('message', (data) => { if (socket.readyState === 1) socket.send(text(data)) })
  })
  app.get('/idle', { websocket: true }, () => {})
  let pings = 0
  // The recipe in the README of ws.
  const timer = interval === 0
    ? null
    : setInterval(() => {
      for (const socket of sockets) {
        if (socket.isAlive === false) {
          socket.terminate()
          continue
        }
        socket.isAlive = false
        socket.ping()
        pings++
      }
    }, interval)
  timer?.unref()
  await app.listen({ port: 0, host: '127.0.0.1' })
  let first = null
  return {
    port: app.server.address().port,
    path: { live: '/live', echo: '/echo', idle: '/idle' },
    size: () => sockets.size,
    pings: () => pings,
    push: (message) => {
      first ??= sockets.values().next().value
      if (first.readyState === 1) first.send(message)
    },
    broadcast: (message) => {
      for (const socket of sockets) {
        if (socket.readyState === 1) socket.send(message)
      }
    }
  }
}
