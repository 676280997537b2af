/**
 * Whether the ws that is in use does what is relied on here. Another runtime may put one of its own in the place of npm's, or emitters of
 * another kind beneath it: then nobody would hear of a pong, and living clients would be taken for dead.
 * Invariant: each is tried once, at the first registration, on a socket of its own that leads nowhere; nothing of it stays.
 */
import { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { Duplex } from 'node:stream'
import type WebSocket from 'ws'
import type { WebSocketServer } from 'ws'
import { FST_ERR_LIFELINE_RUNTIME } from '../core/errors.js'
import { describe } from '../core/payload.js'
import { superviseClass } from '../transports/websocket/supervise.js'
import { supervised } from '../transports/websocket/supervisor.js'

/** How long the three frames may take, in ms: they are there from the start. */
const PATIENCE = 2_000

/** Masked, as from a client: a pong, a ping, and a text, each with the payload `a`. */
const FRAMES = Buffer.from([0x8a, 0x81, 0, 0, 0, 0, 0x61, 0x89, 0x81, 0, 0, 0, 0, 0x61, 0x81, 0x81, 0, 0, 0, 0, 0x61])
const EVENTS = ['pong', 'ping', 'message'] as const

const tried = new WeakMap<object, Promise<string | null>>()

/** @throws FST_ERR_LIFELINE_RUNTIME */
export async function tryOut ({ constructor: Server }: WebSocketServer): Promise<void> {
  let trial = tried.get(Server)
  if (trial === undefined) tried.set(Server, trial = faultOf(Server as typeof WebSocketServer).catch(describe))
  const fault = await trial
  if (fault !== null) throw new FST_ERR_LIFELINE_RUNTIME(runtime(), fault)
}

function runtime (): string {
  const { node, bun, deno } = process.versions
  if (bun !== undefined) return `Bun ${bun}`
  return deno === undefined ? `Node.js ${node}` : `Deno ${deno}`
}

/** What is wrong with sockets of such a server; null: nothing. */
async function faultOf (Server: typeof WebSocketServer): Promise<string | null> {
  const server = new Server({ noServer: true })
  const options = server.options as { WebSocket?: typeof WebSocket }
  const supervision = superviseClass(options.WebSocket!)
  options.WebSocket = supervision.WebSocket
  const written: Buffer[] = []
  const stream = new Duplex({ read () {}, write (chunk, _encoding, done) { written.push(chunk); done() } })
  stream.on('error', () => {})
  try {
    let socket: WebSocket | undefined
    server.handleUpgrade(request(), stream as Socket, FRAMES, (made) => { socket = made })
    if (socket === undefined) return 'no socket is made for an upgrade'
    if (!(socket instanceof supervision.WebSocket)) return 'its sockets are not made from options.WebSocket'
    return hidden(socket) ?? await unheard(socket) ?? unwritten(socket, written)
  } finally {
    stream.destroy()
    server.close()
  }
}

function request (): IncomingMessage {
  const headers = { connection: 'upgrade', upgrade: 'websocket', 'sec-websocket-version': '13', 'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==' }
  return Object.assign(new IncomingMessage(null as unknown as Socket), { method: 'GET', url: '/', headers })
}

function hidden (socket: WebSocket): string | null {
  const own = supervised.find((name) => Object.hasOwn(socket, name))
  if (own !== undefined) return `its sockets have "${own}" as a member of their own, so that no class can change it`
  const { readyState, OPEN, bufferedAmount, isPaused } = socket
  return readyState === OPEN && bufferedAmount === 0 && isPaused === false ? null : '"readyState", "bufferedAmount" or "isPaused" does not say how a new socket is'
}

/** Of what comes in, what its class does not hear of. */
async function unheard (socket: WebSocket): Promise<string | null> {
  const heard = new Set<string>()
  let timer: NodeJS.Timeout | undefined
  await new Promise<void>((resolve) => {
    timer = setTimeout(resolve, PATIENCE)
    const { emit } = socket
    // As a class does that has a method of this name.
    socket.emit = function (this: WebSocket, event: string | symbol, ...args: unknown[]) {
      heard.add(String(event))
      if (EVENTS.every((one) => heard.has(one))) resolve()
      return Reflect.apply(emit, this, [event, ...args])
    } as typeof emit
  })
  clearTimeout(timer)
  const missing = EVENTS.filter((event) => !heard.has(event))
  return missing.length === 0 ? null : `its sockets do not emit ${missing.map((event) => `"${event}"`).join(', ')}`
}

/** Of what goes out, what does not come to the stream. */
function unwritten (socket: WebSocket, written: Buffer[]): string | null {
  written.length = 0
  socket.ping('a')
  return Buffer.concat(written).equals(Buffer.from([0x89, 0x01, 0x61])) ? null : 'a ping is not written to the stream of its socket'
}
