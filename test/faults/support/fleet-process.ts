/**
 * The process behind fleet.ts.
 */
import { once } from 'node:events'
import { connect as dial } from 'node:net'
import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import WebSocket from 'ws'
import type { Client, FleetCalls, Kind } from './fleet.js'

interface Member extends Client {
  readonly ws: WebSocket | null
  readonly socket: Socket
}

const members: Member[] = []

async function openWs (url: string): Promise<Member> {
  const ws = new WebSocket(url, { rejectUnauthorized: false })
  // Errors show as a close with 1006.
  ws.on('error', () => {})
  let socket!: Socket
  ws.once('upgrade', (response) => { socket = response.socket })
  // The first message may come in the same chunk as the handshake's answer.
  const seen = { messages: 0, bytes: 0, code: null as number | null }
  let member: Member | null = null
  ws.on('message', (data: Buffer) => {
    const target = member ?? seen
    target.messages++
    target.bytes += data.length
  })
  ws.on('close', (code) => {
    seen.code = code
    if (member !== null) Object.assign(member, { open: false, code })
  })
  await once(ws, 'open')
  member = { ...seen, ws, socket, open: seen.code === null }
  return member
}

async function openRaw (url: string, reads: boolean): Promise<Member> {
  const { hostname, port, pathname } = new URL(url)
  const socket = dial(Number(port), hostname)
  const member: Member = { ws: null, socket, open: true, code: null, messages: 0, bytes: 0 }
  socket.on('error', () => {})
  socket.on('close', () => { member.open = false })
  socket.write(`GET ${pathname} HTTP/1.1\r\nHost: ${hostname}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${Buffer.alloc(16, 7).toString('base64')}\r\n\r\n`)
  let answer = ''
  while (!answer.includes('\r\n\r\n')) {
    const [chunk] = await once(socket, 'data')
    answer += chunk.toString('latin1')
  }
  if (!answer.startsWith('HTTP/1.1 101')) throw new Error(`the handshake failed: ${answer}`)
  if (reads) socket.on('data', (chunk) => { member.bytes += chunk.length })
  else socket.pause()
  return member
}

const open = async (url: string, kind: Kind): Promise<Member> =>
  kind === 'ws' ? await openWs(url) : await openRaw(url, kind === 'mute')

const calls: { [K in keyof FleetCalls]: (...args: Parameters<FleetCalls[K]>) => ReturnType<FleetCalls[K]> | Promise<ReturnType<FleetCalls[K]>> } = {
  connect: async (url, kind, count) => {
    // A listening socket's queue is short: not all at once.
    while (count > 0) {
      const batch = Math.min(count, 50)
      members.push(...await Promise.all(Array.from({ length: batch }, () => open(url, kind))))
      count -= batch
    }
  },
  state: () => members.map(({ open, code, messages, bytes }) => ({ open, code, messages, bytes })),
  echo: async (count) => {
    const answers = await Promise.all(members.slice(0, count).filter(({ ws, open }) => open && ws !== null).map(async ({ ws }) => {
      ws!.send('echo')
      return await Promise.race([
        once(ws!, 'message').then(() => true),
        once(ws!, 'close').then(() => false),
        sleep(10_000, false)
      ])
    }))
    return answers.filter(Boolean).length
  },
  send: (index, count, bytes) => {
    const data = 'x'.repeat(bytes)
    for (let i = 0; i < count; i++) members[index]!.ws!.send(data)
  },
  close: (index, code, reason) => { members[index]!.ws!.close(code, reason) },
  reset: (index) => { members[index]!.socket.resetAndDestroy() },
  garbage: (index) => { members[index]!.socket.write(Buffer.alloc(64, 0xff)) },
  end: (index) => { members[index]!.socket.end() }
}

process.on('message', ({ id, name, args }: { id: number, name: keyof FleetCalls, args: never[] }) => {
  Promise.resolve((async () => await (calls[name] as (...args: never[]) => unknown)(...args))()).then(
    (value) => { process.send?.({ id, value }) },
    (error: Error) => { process.send?.({ id, error: error.stack }) })
})
process.send?.({ ready: true })
// Nobody is left to stop us.
process.on('disconnect', () => { process.exit() })
