/**
 * The server of the soak, in a process of its own: it pushes numbered messages to everybody, and keeps account.
 */
import Fastify from 'fastify'
import type { FastifyInstance } from 'fastify'
import type { AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { getHeapSnapshot } from 'node:v8'
import lifeline from '../../src/index.js'
import type { Connection, ConnectionInfo } from '../../src/index.js'

/** What is asked of it, and what it answers. */
export interface SoakCalls {
  account (): Account
  /** What the program holds after a collection of garbage, in bytes: machine code is none of it. */
  heap (): Promise<number>
  stall (ms: number): void
  /** Who is there. */
  list (): ConnectionInfo[]
  /** No more pushes. */
  rest (): void
}

export interface Account {
  connections: number
  opened: number
  closed: Record<string, number>
  limited: Record<string, number>
  refused: number
  pushes: { true: number, false: number }
  broadcasts: number
  /** `exists` or `safePush` said true of a connection that was known to be over. */
  lies: number
  /** Errors that nobody caught. */
  uncaught: string[]
  resident: number
}

declare module '../../src/index.js' {
  interface ConnectionData { seq?: number }
}

const uncaught: string[] = []
process.on('uncaughtException', (error) => { uncaught.push(String(error.stack)) })
process.on('unhandledRejection', (error) => { uncaught.push(`unhandled: ${String((error as Error)?.stack ?? error)}`) })

const app = Fastify({ logger: { level: 'error', stream: { write () {} } } }) as unknown as FastifyInstance
await app.register(lifeline, {
  heartbeat: { interval: 2000, timeout: 2000 },
  backpressure: { limit: 256 * 1024, stallTimeout: 5000, total: 64 * 1024 * 1024 },
  limits: { payload: 64 * 1024, messageRate: 200, byteRate: 256 * 1024, connections: 1000 },
  closeTimeout: 1000,
  upgradeTimeout: 2000,
  maxAge: 120_000
})

const pushes = { true: 0, false: 0 }
let broadcasts = 0
let lies = 0
const dead: number[] = []
const KEPT = 2000

const lie = (fd: number): void => { if (app.exists(fd) || app.safePush(fd, 'to the dead')) lies++ }

app.lifeline.on('close', (connection, { fd }) => {
  if (connection.push('to the dead') !== 'gone') lies++
  lie(fd)
  if (dead.length === KEPT) dead.shift()
  dead.push(fd)
})

const pick = (count: number): number => Math.floor(Math.random() * count)

/** What the program holds, in bytes: the heap without machine code, of which the optimizer makes more for as long as it finds what to make it of. */
async function held (): Promise<number> {
  const chunks: Buffer[] = []
  for await (const chunk of getHeapSnapshot()) chunks.push(chunk as Buffer)
  const { nodes, snapshot: { meta } } = JSON.parse(String(Buffer.concat(chunks))) as { nodes: number[], snapshot: { meta: { node_fields: string[], node_types: [string[]] } } }
  const [type, size] = [meta.node_fields.indexOf('type'), meta.node_fields.indexOf('self_size')]
  let bytes = 0
  for (let i = 0; i < nodes.length; i += meta.node_fields.length) {
    if (!['code', 'hidden'].includes(meta.node_types[0][nodes[i + type]!]!)) bytes += nodes[i + size]!
  }
  return bytes
}

/** Numbered, of a length that it says, all of one letter: what is torn or out of order shows. */
function message (kind: 'p' | 'b', number: number, length: number): string {
  return `${kind} ${number} ${length} ${String.fromCharCode(97 + number % 26).repeat(length)}`
}

function push (connection: Connection): void {
  const number = (connection.data.seq ?? 0) + 1
  const length = Math.random() < 0.01 ? pick(100_000) : pick(2000)
  const text = message('p', number, length)
  const taken = app.safePush(connection.fd, Math.random() < 0.2 ? Buffer.from(text) : text)
  pushes[`${taken}`]++
  // Only what was taken has a number.
  if (taken) connection.data.seq = number
}

app.get('/live', { websocket: true }, async (socket, request) => {
  const connection = app.lifeline.of(request)
  await connection.join(`group:${connection.fd % 10}`)
  if (Math.random() < 0.2) connection.expire(Date.now() + 5000 + pick(60_000))
  const byLoop = Math.random() < 0.5
  const take = async (data: string): Promise<void> => {
    switch (data.slice(0, 5)) {
      case 'throw': throw new Error('asked for')
      // Given up when the client leaves: or a flood of these would keep the handler for minutes after it.
      case 'reply': await sleep(pick(500), undefined, { signal: connection.signal }); push(connection); break
      case 'close': connection.close(4000, 'asked for'); break
      case 'ping!': await connection.ping()
    }
  }
  if (byLoop) for await (const { data } of connection.messages()) await take(String(data))
  else socket.on('message', async (data) => { await take(String(data)) })
})

const timers = [
  setInterval(() => {
    const all = [...app.lifeline]
    if (all.length === 0) return
    for (let i = 0; i < 20; i++) {
      const connection = all[pick(all.length)]!
      for (let n = 1 + pick(4); n > 0; n--) push(connection)
    }
  }, 10),
  setInterval(() => {
    app.lifeline.broadcast(message('b', ++broadcasts, 100))
    app.lifeline.group(`group:${pick(10)}`).push(message('b', ++broadcasts, 100))
  }, 200),
  setInterval(() => { for (let i = 0; i < 100 && dead.length > 0; i++) lie(dead[pick(dead.length)]!) }, 1000)
]

const calls: SoakCalls = {
  account: () => {
    const { connections, opened, closed, limited, upgrades } = app.lifeline.stats()
    return { connections, opened, closed, limited, refused: upgrades.refused, pushes, broadcasts, lies, uncaught, resident: process.memoryUsage.rss() }
  },
  heap: async () => {
    for (let i = 0; i < 3; i++) {
      globalThis.gc!()
      await sleep(50)
    }
    return await held()
  },
  stall: (ms) => {
    const end = performance.now() + ms
    while (performance.now() < end);
  },
  list: () => app.lifeline.list(),
  rest: () => { for (const timer of timers) clearInterval(timer) }
}

await app.listen({ port: 0, host: '127.0.0.1' })
process.on('message', ({ id, name, args }: { id: number, name: keyof SoakCalls, args: never[] }) => {
  Promise.resolve((async () => await (calls[name] as (...args: never[]) => unknown)(...args))()).then(
    (value) => { process.send?.({ id, value }) },
    (error: Error) => { process.send?.({ id, error: error.stack }) })
})
process.send?.({ port: (app.server.address() as AddressInfo).port })
process.on('disconnect', () => { process.exit() })
