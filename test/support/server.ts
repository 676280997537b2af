/**
 * The process behind remote.ts. Routes:
 * /echo pushes back what it gets; /silent attaches no reader; /loop reads with for-await and takes
 * ?ms= per message; /hook?do=… is refused, or not decided, by a hook.
 */
import Fastify from 'fastify'
import fastifyWebsocket from '@fastify/websocket'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import lifeline from '../../src/index.js'
import type { CloseInfo } from '../../src/index.js'
import { keepLog } from './app.js'
import type { Calls, RemoteOptions } from './remote.js'

const setup: RemoteOptions = JSON.parse(process.argv[2] ?? '{}')
const { stream, lines } = keepLog()
const app = Fastify({ logger: { level: 'debug', stream } })
const closed: CloseInfo[] = []

app.addHook('onRequest', async (request, reply) => {
  if (!request.url.startsWith('/hook')) return
  switch ((request.query as { do: string }).do) {
    case 'reply': return reply.code(401).send({ no: 'entry' })
    case 'throw': throw new Error('refused by a hook')
    case 'never': return new Promise(() => {})
    case 'slow': await sleep(200)
  }
})

if (setup.bare === true) {
  await app.register(fastifyWebsocket)
} else {
  await app.register(lifeline, setup.lifeline ?? {})
  app.lifeline.on('close', (_connection, info) => { closed.push(info) })
}

const bare = setup.bare === true
app.get('/echo', { websocket: true }, (socket, request) => {
  socket.on('message', (data: Buffer, binary: boolean) => {
    if (bare) socket.send(data, { binary })
    else app.safePush(request.fd, data, { binary })
  })
})
app.get('/silent', { websocket: true }, () => {})
app.get<{ Querystring: { ms: string } }>('/loop', { websocket: true }, async (_socket, request) => {
  const connection = app.lifeline.of(request)
  for await (const { data } of connection.messages()) {
    await sleep(Number(request.query.ms))
    connection.push(data)
  }
})
app.get('/hook', { websocket: true }, (socket) => { socket.send('in') })
app.get('/http', async () => 'ok')

const calls: { [K in keyof Calls]: (...args: Parameters<Calls[K]>) => ReturnType<Calls[K]> | Promise<ReturnType<Calls[K]>> } = {
  exists: (fd) => app.exists(fd),
  safePush: (fd, data) => app.safePush(fd, data),
  list: () => app.lifeline.list(),
  closed: () => closed,
  stats: () => app.lifeline.stats(),
  lines: () => lines,
  size: () => app.lifeline.size,
  running: () => app.lifeline.heartbeat.running,
  bound: () => app.lifeline.heartbeat.bound,
  broadcast: (data) => app.lifeline.broadcast(data),
  flood: (fd, count, bytes) => {
    const data = Buffer.alloc(bytes, 0x61)
    for (let i = 0; i < count; i++) if (!app.safePush(fd, data)) return false
    return true
  },
  pauseAll: () => { for (const connection of app.lifeline) connection.pauseReading() },
  stall: (ms) => {
    const end = performance.now() + ms
    while (performance.now() < end);
  },
  close: async () => {
    const start = performance.now()
    await app.close()
    return performance.now() - start
  }
}

await app.listen({ port: 0, host: setup.host ?? '127.0.0.1' })

process.on('message', ({ id, name, args }: { id: number, name: keyof Calls, args: never[] }) => {
  Promise.resolve((async () => (calls[name] as (...args: never[]) => unknown)(...args))()).then(
    (value) => {
      // After fastify.close() nothing of ours may keep the process: the channel must not either.
      process.send?.({ id, value }, () => { if (name === 'close') process.disconnect() })
    },
    (error: Error) => { process.send?.({ id, error: error.stack }) })
})
process.send?.({ port: (app.server.address() as AddressInfo).port })
