/**
 * Clients of the soak, many in one process: each lives for a while, misbehaves, dies in some way, and comes again.
 * They check every message: numbers without a gap, whole, in order.
 * Arguments: the gate's port, how many, and the name of this process.
 */
import type { Socket } from 'node:net'
import WebSocket from 'ws'

/** What is asked of them. */
export interface ClientsCalls {
  account (): ClientsAccount
  /** All leave, and none comes again. */
  rest (): void
}

export interface ClientsAccount {
  open: number
  received: number
  /** What was torn, doubled, missing or out of order. */
  faults: string[]
}

const [port, count, prefix] = process.argv.slice(2) as [string, string, string]

/** ws ends a client that has more than 60 pings to answer at once; @types/ws does not know the option. */
const manyPongs = { maxPendingAutoPongs: 1000 }

let received = 0
const faults: string[] = []
const open = new Set<WebSocket>()
let resting = false
let made = 0

const pick = (below: number): number => Math.floor(Math.random() * below)

/** Checks the messages of one connection. */
function checker (name: string): (text: string) => void {
  let pushed = 0
  let broadcast = 0
  return (text) => {
    received++
    const [, kind, number, length, body] = /^([pb]) (\d+) (\d+) ([^]*)$/.exec(text) ?? []
    const n = Number(number)
    if (body === undefined || body.length !== Number(length) || body !== String.fromCharCode(97 + n % 26).repeat(body.length)) {
      faults.push(`${name}: torn: ${text.slice(0, 60)}`)
    } else if (kind === 'p') {
      if (n !== pushed + 1) faults.push(`${name}: push ${n} came after ${pushed}`)
      pushed = n
    } else {
      if (n <= broadcast) faults.push(`${name}: broadcast ${n} came after ${broadcast}`)
      broadcast = n
    }
  }
}

/** A fault of the network between, made by the gate. */
const gate = (name: string, act: string): void => { process.send?.({ gate: { name, act } }) }

const acts: Array<(ws: WebSocket, socket: Socket, name: string) => void> = [
  (ws) => { ws.close(1000) },
  (ws) => { ws.close(4001, 'done') },
  (ws) => { ws.terminate() },
  (_ws, socket) => { socket.resetAndDestroy() },
  (_ws, socket) => { socket.end() },
  (_ws, socket) => { socket.write(Buffer.alloc(1 + pick(500), pick(256))) },
  (_ws, _socket, name) => { gate(name, 'reset') },
  (_ws, _socket, name) => { gate(name, 'swallow') },
  (_ws, _socket, name) => { gate(name, 'freeze') },
  (_ws, _socket, name) => { gate(name, 'throttle') },
  (ws) => { ws.pause(); setTimeout(() => { ws.resume() }, pick(3000)) },
  (ws) => { ws.pause() },
  (ws) => { ws.send('throw') },
  (ws) => { ws.send('reply'); ws.terminate() },
  (ws) => { ws.send('close') },
  (ws) => { ws.send('x'.repeat(70_000)) },
  (ws) => { for (let i = 0; i < 1000; i++) ws.send('reply'.repeat(pick(10))) },
  (ws) => { for (let i = 0; i < 500; i++) ws.ping(String(i)) }
]

/** What does no harm. */
const talk: Array<(ws: WebSocket) => void> = [
  (ws) => { ws.send('reply') },
  (ws) => { ws.send('ping!') },
  (ws) => { ws.send(Buffer.alloc(pick(60_000))) },
  (ws) => { ws.ping() },
  (ws) => { ws.send('frag', { fin: false }); ws.send('mented') }
]

function come (): void {
  if (resting) return
  const name = `${prefix}-${++made}`
  const ws = new WebSocket(`ws://127.0.0.1:${port}/app/live?name=${name}`, { handshakeTimeout: 5000, ...manyPongs })
  const check = checker(name)
  let socket: Socket | undefined
  const timers: NodeJS.Timeout[] = []
  ws.on('error', () => {})
  ws.on('upgrade', (response) => { socket = response.socket })
  ws.on('message', (data) => { check(String(data)) })
  ws.on('open', () => {
    open.add(ws)
    timers.push(setInterval(() => { if (ws.readyState === WebSocket.OPEN && !ws.isPaused) talk[pick(talk.length)]!(ws) }, 500 + pick(5000)))
    timers.push(setTimeout(() => { if (ws.readyState === WebSocket.OPEN) acts[pick(acts.length)]!(ws, socket!, name) }, 1000 + pick(30_000)))
    // Whatever the act was, it is not for ever.
    timers.push(setTimeout(() => { ws.terminate() }, 60_000))
  })
  ws.on('close', () => {
    open.delete(ws)
    for (const timer of timers) clearInterval(timer)
    setTimeout(come, pick(2000))
  })
}

for (let i = 0; i < Number(count); i++) setTimeout(come, pick(2000))

const calls: ClientsCalls = {
  account: () => ({ open: open.size, received, faults: faults.slice(0, 20) }),
  rest: () => {
    resting = true
    for (const ws of open) ws.terminate()
  }
}

process.on('message', ({ id, name, args }: { id: number, name: keyof ClientsCalls, args: never[] }) => {
  process.send?.({ id, value: (calls[name] as (...args: never[]) => unknown)(...args) })
})
process.send?.({ ready: true })
process.on('disconnect', () => { process.exit() })
