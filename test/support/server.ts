/**
 * The process behind remote.ts. Routes:
 * /echo pushes back what it gets, and /patient with a heartbeat.timeout of 10 s; /silent attaches no reader; /loop reads with for-await and takes
 * ?ms= per message; /hook?do=… is refused, or not decided, by a hook.
 */
import Fastify from 'fastify'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type WebSocket from 'ws'
import fastifyWebsocket from '@fastify/websocket'
import { randomBytes } from 'node:crypto'
import { openSync, readFileSync, writeSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import lifeline from '../../src/index.js'
import { keepLog } from './app.js'
import type { Calls, Closed, RemoteOptions } from './remote.js'

const setup: RemoteOptions = JSON.parse(process.argv[2] ?? '{}')
const { stream, lines } = keepLog()
const read = (name: string): Buffer => readFileSync(new URL(name, import.meta.url))
let unlogged = 0
/** A destination that survives a full disk. (Pino's own emits an error then, and whoever does not listen for it is ended.) */
function logTo (file: string): { write: (line: string) => void } {
  const log = openSync(file, 'a')
  return {
    write (line) {
      try {
        writeSync(log, line)
      } catch {
        unlogged++
      }
    }
  }
}

const app = Fastify({
  ...(setup.trustProxy === true && { trustProxy: true }),
  logger: { level: setup.forgets === true ? 'silent' : 'debug', stream: setup.logFile === undefined ? stream : logTo(setup.logFile) },
  ...(setup.tls === true && { https: { key: read('localhost.key.pem'), cert: read('localhost.cert.pem') } })
}) as unknown as FastifyInstance
const closed: Closed[] = []
/** Who watches the loop besides the heartbeat: when it was away for longer than TICK and AWAY together. Both in ms. */
const TICK = 50
const AWAY = 150
const away = { times: 0, ms: 0 }
let ticked = performance.now()
setInterval(() => {
  const late = performance.now() - ticked - TICK
  ticked += TICK + late
  if (late < AWAY) return
  away.times++
  away.ms += late
}, TICK).unref()
let lastFd = 0
let fdTwice = false

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
  app.lifeline.on('open', ({ fd }) => {
    if (fd <= lastFd) fdTwice = true
    lastFd = fd
  })
  if (setup.forgets !== true) app.lifeline.on('close', ({ remoteAddress }, info) => { closed.push({ ...info, remoteAddress }) })
}

const bare = setup.bare === true
const echo = (socket: WebSocket, request: FastifyRequest): void => {
  socket.on('message', (data: Buffer, binary: boolean) => {
    if (bare) socket.send(data, { binary })
    else app.safePush(request.fd, data, { binary })
  })
}
app.get('/echo', { websocket: true }, echo)
app.get('/patient', { websocket: true, config: { lifeline: { heartbeat: { timeout: 10_000 } } } }, echo)
const sockets = new Map<number, WebSocket>()
app.get('/silent', { websocket: true }, (socket, { fd }) => {
  if (setup.forgets !== true) sockets.set(fd, socket)
})
app.get<{ Querystring: { ms: string } }>('/loop', { websocket: true }, async (_socket, request) => {
  const connection = app.lifeline.of(request)
  for await (const { data } of connection.messages()) {
    await sleep(Number(request.query.ms))
    connection.push(data)
  }
})
app.get('/hook', { websocket: true }, (socket) => { socket.send('in') })
const block = Buffer.alloc(64 * 1024)
// Uses all that a connection has.
app.get('/busy', { websocket: true }, async (socket, request) => {
  const connection = app.lifeline.of(request)
  await Promise.all([connection.join('all'), connection.join(`one:${connection.fd}`)])
  Object.assign(connection.data, { name: 'busy' })
  connection.expire(Date.now() + 3_600_000)
  connection.signal.addEventListener('abort', () => {})
  connection.attached.addEventListener('abort', () => {})
  connection.closed.then(() => {}, () => {})
  connection.writable().write('hello')
  socket.on('pong', () => {})
  for await (const { data } of connection.messages()) {
    switch (data) {
      case 'throw': throw new Error('asked for')
      case 'close': connection.close(4000, 'asked for'); break
      case 'terminate': connection.terminate(); break
      case 'ping': await connection.ping(); break
      case 'flood': while (connection.bufferedBytes < 4 * block.length) connection.push(block); break
      case 'overflow':
        // Nothing goes before the rest of this message, which never comes.
        socket.send('a fragment', { fin: false })
        while (connection.push(block) !== 'full');
        break
      case 'wait': await new Promise((resolve) => { connection.signal.addEventListener('abort', resolve) })
    }
  }
})
app.get('/http', async () => 'ok')

const pushed: Record<string, { true: number, false: number }> = {}
let pushing: NodeJS.Timeout | undefined
const realNow = Date.now

const calls: { [K in keyof Calls]: (...args: Parameters<Calls[K]>) => ReturnType<Calls[K]> | Promise<ReturnType<Calls[K]>> } = {
  exists: (fd) => app.exists(fd),
  safePush: (fd, data) => app.safePush(fd, data),
  deliver: async (fd, count, bytes, timeout) => {
    const data = randomBytes(bytes)
    const deliveries = Array.from({ length: count }, () => app.lifeline.deliver(fd, data, timeout === undefined ? {} : { timeout }))
    return (await Promise.all(deliveries)).map(({ outcome }) => outcome)
  },
  delivered: () => app.lifeline.stats().deliveries.delivered,
  list: () => app.lifeline.list(),
  closed: () => closed,
  stats: () => app.lifeline.stats(),
  lines: () => lines,
  size: () => app.lifeline.size,
  running: () => app.lifeline.heartbeat.running,
  bound: () => app.lifeline.heartbeat.bound,
  broadcast: (data) => app.lifeline.broadcast(data),
  flood: (fd, count, bytes, bySocket) => {
    const data = randomBytes(bytes)
    for (let i = 0; i < count; i++) {
      if (bySocket === true) sockets.get(fd)!.send(data)
      else if (!app.safePush(fd, data)) return false
    }
    return true
  },
  fill: (fd, bytes) => {
    let most = 0
    for (let taken = 0; ; taken++) {
      const result = app.lifeline.push(fd, Buffer.alloc(bytes, taken))
      if (result !== 'sent' && result !== 'buffered') return { taken, result, most }
      most = Math.max(most, app.lifeline.get(fd)!.bufferedBytes)
    }
  },
  drained: async (fd) => {
    await app.lifeline.get(fd)!.drained()
    return app.lifeline.get(fd)?.bufferedBytes ?? 0
  },
  census: () => {
    globalThis.gc!()
    const listeners: Record<string, number> = {}
    for (const [name, emitter] of Object.entries({ server: app.server, websocketServer: app.websocketServer, process })) {
      for (const event of emitter.eventNames()) listeners[`${name} ${String(event)}`] = emitter.listenerCount(event as never)
    }
    const resources: Record<string, number> = {}
    for (const kind of process.getActiveResourcesInfo()) resources[kind] = (resources[kind] ?? 0) + 1
    const { connections, groups, bufferedBytes } = app.lifeline.stats()
    return { connections, groups, bufferedBytes, fdTwice, timerRuns: app.lifeline.heartbeat.running, resources, listeners, heap: process.memoryUsage().heapUsed }
  },
  resident: () => process.memoryUsage.rss(),
  traffic: (every) => {
    clearInterval(pushing)
    if (every === 0) return
    const text = 'x'.repeat(100)
    pushing = setInterval(() => {
      for (const { fd, remoteAddress } of app.lifeline) {
        const counts = pushed[remoteAddress] ??= { true: 0, false: 0 }
        counts[`${app.safePush(fd, text)}`]++
      }
    }, every)
  },
  pushed: () => pushed,
  unlogged: () => unlogged,
  jump: (ms) => { Date.now = () => realNow() + ms },
  pauseAll: () => { for (const connection of app.lifeline) connection.pauseReading() },
  away: () => away,
  stall: (ms) => {
    const end = performance.now() + ms
    while (performance.now() < end);
  },
  close: async () => {
    clearInterval(pushing)
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
