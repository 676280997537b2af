/** Socket.IO over WebSocket alone: no polling, no compression. */
import Fastify from 'fastify'
import { Server } from 'socket.io'

export async function serve () {
  const app = Fastify()
  const io = new Server(app.server, { transports: ['websocket'], perMessageDeflate: false, serveClient: false })
  let first = null
  let size = 0
  io.on('connection', (socket) => {
    size++
    first = socket
    socket.on('disconnect', () => { size-- })
    socket.on('m', (data) => { socket.emit('m', data) })
  })
  await app.listen({ port: 0, host: '127.0.0.1' })
  const path = '/socket.io/?EIO=4&transport=websocket'
  return {
    port: app.server.address().port,
    path: { live: path, echo: path, idle: path },
    engine: true,
    size: () => size,
    push: (message) => { first.emit('m', message) },
    broadcast: (message) => { io.emit('m', message) }
  }
}
