/**
 * The plugin in a process of its own, driven from the test by calls over IPC: so that it can be
 * stopped, killed, stalled, looked at from outside, and put into a network namespace.
 */
import { fork } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { EventEmitter, once } from 'node:events'
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { CloseInfo, LifelineOptions, Outcome, PushResult, Stats } from '../../src/index.js'
import type { LogLine } from './app.js'

export interface RemoteOptions {
  lifeline?: LifelineOptions
  host?: string
  /** wss, with a certificate that nobody knows. */
  tls?: boolean
  /** Without the plugin: @fastify/websocket alone. */
  bare?: boolean
  /** Behind a proxy: addresses are those of X-Forwarded-For. */
  trustProxy?: boolean
  /** Logs into this file; `lines()` stays empty. */
  logFile?: string
  /** Nothing is kept of what is over, so that what leaks can be seen; `closed()` and `lines()` stay empty. */
  forgets?: boolean
  /** A program to run it with, such as `ip netns exec name`. */
  prefix?: string[]
}

/** How a connection ended, and whose it was. */
export interface Closed extends CloseInfo { remoteAddress: string }

export interface Census {
  connections: number
  groups: number
  bufferedBytes: number
  timerRuns: boolean
  /** Whether an fd was given more than once. */
  fdTwice: boolean
  /** What keeps the process alive, by kind. */
  resources: Record<string, number>
  /** Listeners on the servers and the process, by event. */
  listeners: Record<string, number>
  heap: number
}

/** What the process can be asked; see server.ts. */
export interface Calls {
  exists (fd: number): boolean
  safePush (fd: number, data: unknown): boolean
  /** Delivers `count` messages of `bytes` bytes, all at once: what became of each. */
  deliver (fd: number, count: number, bytes: number, timeout?: number): Outcome[]
  /** How many delivers were answered with `delivered` so far. */
  delivered (): number
  list (): Array<{ fd: number, state: string, roundTrip: number | null, bufferedBytes: number }>
  closed (): Closed[]
  stats (): Stats
  lines (): LogLine[]
  size (): number
  running (): boolean
  /** The stated bound of the heartbeat, in ms. */
  bound (): number
  broadcast (data: unknown): number
  /** Pushes `count` messages of `bytes` bytes that cannot be compressed, or sends them on the socket itself. */
  flood (fd: number, count: number, bytes: number, bySocket?: boolean): boolean
  /** Pushes messages of `bytes` bytes, each another, until one is not taken: how many were, what it said, and what waited at most. */
  fill (fd: number, bytes: number): { taken: number, result: PushResult, most: number }
  /** Waits for `drained()`; what waits then. */
  drained (fd: number): number
  /** Resident bytes of the process. */
  resident (): number
  /** What the process holds, after a collection of garbage. */
  census (): Census
  /** From now on every connection is pushed 100 bytes every so many ms; 0: no more. */
  traffic (every: number): void
  /** What `safePush` has said to that, by the address of the peer. */
  pushed (): Record<string, { true: number, false: number }>
  /** Log lines that could not be written to `logFile`. */
  unlogged (): number
  /** The wall clock is put ahead by so many ms; or back. */
  jump (ms: number): void
  pauseAll (): void
  /** How often, and for how long in sum (ms), the loop has been away for 200 ms or more: by a timer of its own, not by the heartbeat. */
  away (): { times: number, ms: number }
  /** Blocks the event loop, in ms. */
  stall (ms: number): void
  /** `fastify.close()`; answers with how long it took, in ms. */
  close (): number
}

export type Remote = { [K in keyof Calls]: (...args: Parameters<Calls[K]>) => Promise<ReturnType<Calls[K]>> } & {
  process: ChildProcess
  pid: number
  port: number
  /** How many sockets the process holds, by /proc. */
  sockets: () => number
  /** Resolves with the exit code when the process ends by itself. */
  exited: Promise<number | null>
}

/**
 * How many network sockets a process holds: the truth about leaks. Those of the Unix domain are its own plumbing (stdio, the
 * channel to us, what its loader talks to), of which some end when a Node.js, or a loader, no longer needs them.
 */
export function sockets (pid: number): number {
  const plumbing = (): string[] => readFileSync(`/proc/${pid}/net/unix`, 'utf8').split('\n').map((line) => `socket:[${line.trim().split(/\s+/)[6]}]`)
  const before = plumbing()
  const held = readdirSync(`/proc/${pid}/fd`).map((fd) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${fd}`)
    } catch {
      // It was closed since the listing.
      return ''
    }
  })
  // Some may have come or gone during the listing.
  const known = new Set([...before, ...plumbing()])
  return held.filter((name) => name.startsWith('socket:') && !known.has(name)).length
}

const script = fileURLToPath(new URL('server.ts', import.meta.url))
const loader = new URL('../../scripts/typescript.js', import.meta.url).href

/** A script of ours in a process of its own, and calls to it. It is killed when the test ends. */
export interface Launched {
  process: ChildProcess
  pid: number
  /** The first message, with which it says that it is ready. */
  ready: any
  /** Resolves with the exit code when the process ends by itself. */
  exited: Promise<number | null>
  call: (name: string, args: unknown[]) => Promise<unknown>
}

/**
 * Processes that start take all of a small machine. Whoever measures begins when all that are
 * starting have started, or its clients are too slow for a heartbeat that is short for a test.
 */
let starting = 0
const quiet = new EventEmitter()
quiet.setMaxListeners(0)

async function settled (): Promise<void> {
  starting--
  if (starting === 0) quiet.emit('quiet')
  else await once(quiet, 'quiet')
}

/** @param given arguments of the script's own; else it gets the setup, as JSON */
export async function launch (t: Pick<TestContext, 'after'>, path: string, setup: object, prefix: string[] = [], given: string[] = [JSON.stringify(setup)]): Promise<Launched> {
  starting++
  const [program, ...args] = [...prefix, process.execPath]
  const child = fork(path, given, {
    execPath: program!,
    execArgv: [...args, '--expose-gc', '--import', loader],
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    serialization: 'advanced'
  })
  // Not by `once` of node:events, which an error of the channel rejects.
  const exited = new Promise<number | null>((resolve) => { child.once('exit', resolve) })
  t.after(async () => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGCONT')
      child.kill('SIGKILL')
      await exited
    }
  })
  const [ready] = await Promise.race([
    once(child, 'message'),
    exited.then((code) => { throw new Error(`the process of ${path} ended at its start, with ${code}`) })
  ]).finally(settled)
  let last = 0
  const waiting = new Map<number, { resolve: (value: unknown) => void, reject: (error: Error) => void }>()
  child.on('message', ({ id, value, error }: { id?: number, value?: unknown, error?: string }) => {
    if (id === undefined) return
    const call = waiting.get(id)
    waiting.delete(id)
    if (error === undefined) call?.resolve(value)
    else call?.reject(new Error(error))
  })
  child.on('exit', (code) => {
    for (const { reject } of waiting.values()) reject(new Error(`the process of ${path} ended, with ${code}`))
    waiting.clear()
  })
  return {
    process: child,
    pid: child.pid!,
    ready,
    exited,
    call: (name, callArgs) => new Promise((resolve, reject) => {
      const id = ++last
      waiting.set(id, { resolve, reject })
      child.send({ id, name, args: callArgs }, (error) => {
        if (error === null) return
        waiting.delete(id)
        reject(error)
      })
    })
  }
}

/** What has these members, and a call to the process for every other name. */
export function withCalls<T extends object> (own: object, call: Launched['call']): T {
  return new Proxy(own as T, {
    get (target, name: string) {
      if (name in target || name === 'then') return Reflect.get(target, name)
      return (...args: unknown[]) => call(name, args)
    }
  })
}

export async function startRemote (t: TestContext, options: RemoteOptions = {}): Promise<Remote> {
  const { prefix = [], ...setup } = options
  const { process, pid, ready, exited, call } = await launch(t, script, setup, prefix)
  return withCalls<Remote>({ process, pid, port: ready.port, exited, sockets: () => sockets(pid) }, call)
}
