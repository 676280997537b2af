/**
 * Three independent clients of one shape: the `ws` package, Python's `websockets`, and a raw socket
 * with a strict reader. Each tells what came, in the order of the wire.
 */
import { spawn } from 'node:child_process'
import type { ChildProcessByStdio } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Readable, Writable } from 'node:stream'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import WebSocket from 'ws'
import { dial, isOfPlugin, PATIENCE } from './raw-client.js'
import { endLine, FEW, line, lineOf } from './wire-lines.js'

export type Kind = 'ws' | 'raw' | 'python'

type Cleanup = Pick<TestContext, 'after'>

export interface WireClient {
  /** Messages, pings and pongs; then the end. Those of the plugin itself are left out. */
  readonly came: string[]
  /** Resolves when so many have come, or the stream is over. */
  until (count: number): Promise<void>
  close (code: number): void
  /** Resolves when the stream is over. */
  ended (): Promise<void>
}

class Account implements Omit<WireClient, 'close'> {
  readonly came: string[] = []
  #over = false
  readonly #news = new EventEmitter()

  add (what: string): void {
    this.came.push(what)
    this.#news.emit('news')
  }

  end (what: string): void {
    this.#over = true
    this.add(what)
  }

  async until (count: number): Promise<void> {
    await this.#wait(() => this.came.length >= count)
  }

  async ended (): Promise<void> {
    await this.#wait(() => false)
  }

  /** Patience that ends is no error here: the comparison that follows tells what is missing. */
  async #wait (holds: () => boolean): Promise<void> {
    try {
      while (!holds() && !this.#over) await once(this.#news, 'news', { signal: AbortSignal.timeout(PATIENCE) })
    } catch {
      this.came.push(`nothing for ${PATIENCE} ms`)
    }
  }
}

async function openWs (t: Cleanup, url: string, deflate: boolean): Promise<WireClient> {
  const options = { rejectUnauthorized: false, perMessageDeflate: deflate, maxPendingAutoPongs: 1000 }
  const socket = new WebSocket(url, options as WebSocket.ClientOptions)
  t.after(() => { socket.terminate() })
  const account = new Account()
  const add = (kind: string, data: Buffer): void => {
    if (!isOfPlugin({ kind, data })) account.add(lineOf(kind, data))
  }
  socket.on('message', (data: Buffer, binary) => { add(binary ? 'binary' : 'text', data) })
  socket.on('ping', (data) => { add('ping', data) })
  socket.on('pong', (data) => { add('pong', data) })
  socket.on('error', (error) => { account.add(`error ${error.message}`) })
  socket.on('close', (code, reason) => { account.end(endLine(code, String(reason))) })
  await once(socket, 'open')
  return Object.assign(account, { close: (code: number) => { socket.close(code) } })
}

async function openRaw (t: Cleanup, url: string): Promise<WireClient> {
  const client = await dial(t, url)
  let silence: string[] = []
  const wait = (holds: () => boolean): Promise<void> => client.until(holds).catch((error: Error) => { silence = [error.message] })
  const came = (): string[] => {
    const all = client.received.map(({ kind, data }) => kind !== 'close'
      ? lineOf(kind, data)
      : endLine(client.code!, data.toString('utf8', 2)))
    if (client.fault !== null) all.push(`fault ${client.fault.message}`)
    return [...all, ...silence]
  }
  return {
    get came () { return came() },
    until: (count) => wait(() => client.received.length >= count),
    close: (code) => { client.close(code) },
    ended: () => wait(() => false)
  }
}

/** A process of Python's, and the clients in it. */
export class Python {
  readonly #process: ChildProcessByStdio<Writable, Readable, null>
  readonly #records = new Map<number, { account: Account, open: () => void }>()
  #last = 0

  constructor (t: Cleanup) {
    const script = fileURLToPath(new URL('wire-peer.py', import.meta.url))
    this.#process = spawn('/usr/bin/python3', [script], { stdio: ['pipe', 'pipe', 'inherit'] })
    const exited = once(this.#process, 'exit')
    t.after(async () => {
      this.#process.kill('SIGKILL')
      await exited
    })
    createInterface(this.#process.stdout).on('line', (text) => { this.#told(JSON.parse(text)) })
  }

  async open (url: string, deflate: boolean): Promise<WireClient> {
    const id = ++this.#last
    const account = new Account()
    const opened = new Promise<void>((resolve) => { this.#records.set(id, { account, open: resolve }) })
    this.#order({ id, open: url, deflate })
    await opened
    return Object.assign(account, { close: (code: number) => { this.#order({ id, close: code }) } })
  }

  #order (order: object): void {
    this.#process.stdin.write(`${JSON.stringify(order)}\n`)
  }

  #told ({ id, open, came, closed }: { id: number, open?: true, came?: [string, number, string], closed?: [number, string] }): void {
    const one = this.#records.get(id)!
    if (open === true) one.open()
    if (came !== undefined) {
      const [kind, length, body] = came
      const few = length <= FEW
      if (!few || !isOfPlugin({ kind, data: Buffer.from(body, 'base64') })) one.account.add(line(kind, length, body))
    }
    if (closed !== undefined) {
      one.open()
      one.account.end(endLine(...closed))
      this.#records.delete(id)
    }
  }
}

export async function openClient (t: Cleanup, kind: Kind, url: string, deflate: boolean, python: Python | null): Promise<WireClient> {
  switch (kind) {
    case 'ws': return await openWs(t, url, deflate)
    case 'raw': return await openRaw(t, url)
    case 'python': return await python!.open(url, deflate)
  }
}
