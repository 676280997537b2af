/** What this is about: as it is here, or as another revision has it. */
import Fastify from 'fastify'

const { default: lifeline } = await import(process.env.BENCH_PLUGIN ?? '../../dist/index.js')

export async function serve ({ interval = 0 } = {}, options = {}) {
  const app = Fastify()
  await app.register(lifeline, interval === 0 ? options : { ...options, heartbeat: { interval, timeout: interval } })
  app.get('/live', { websocket: true }, () => {})
  app.get('/echo', { websocket: true }, (socket, request) => {
    const { fd } = request
    socket.on('message', (data) => { app.safePush(fd, data.toString()) })
  })
  app.get('/idle', { websocket: true }, () => {})
  await app.listen({ port: 0, host: '127.0.0.1' })
  let first = null
  return {
    port: app.server.address().port,
    path: { live: '/live', echo: '/echo', idle: '/idle' },
    size: () => app.lifeline.size,
    pings: () => app.lifeline.stats().heartbeat.pings,
    push: (message) => { app.safePush(first ??= app.lifeline[Symbol.iterator]().next().value.fd, message) },
    broadcast: (message) => { app.lifeline.broadcast(message) },
    exists: (fd) => app.exists(fd),
    safePush: (fd, data) => app.safePush(fd, data),
    fds: () => Array.from(app.lifeline, ({ fd }) => fd)
  }
}
