/**
 * Many clients in a process of their own, driven from the test: so that they can be put into a
 * network namespace, frozen and killed, and do not share an event loop with the test.
 */
import type { ChildProcess } from 'node:child_process'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { launch, withCalls } from '../../support/remote.js'

/**
 * `ws`: a client of the ws package, which answers pings. `mute`: a raw socket that shakes hands, then
 * reads and says nothing. `deaf`: one that shakes hands and does not read any more.
 */
export type Kind = 'ws' | 'mute' | 'deaf'

export interface Client {
  open: boolean
  /** The close code that it saw; null while open, and for raw sockets. */
  code: number | null
  /** Messages and payload bytes that came. */
  messages: number
  bytes: number
}

export interface FleetCalls {
  /** Opens so many; resolves when all are. Their indexes count up over all calls. */
  connect (url: string, kind: Kind, count: number): void
  state (): Client[]
  /** The first so many ws clients each send a message and wait for one to come back; how many came. */
  echo (count: number): number
  /** The ws client with this index sends so many messages of so many bytes. */
  send (index: number, count: number, bytes: number): void
  /** It closes cleanly. */
  close (index: number, code: number, reason: string): void
  /** `resetAndDestroy()` of its socket: a RST goes out. */
  reset (index: number): void
  /** It writes bytes that are no frame. */
  garbage (index: number): void
  /** `end()` of its socket, without a close frame: a FIN goes out. */
  end (index: number): void
}

export type Fleet = { [K in keyof FleetCalls]: (...args: Parameters<FleetCalls[K]>) => Promise<ReturnType<FleetCalls[K]>> } & {
  process: ChildProcess
  pid: number
}

const script = fileURLToPath(new URL('fleet-process.ts', import.meta.url))

/** @param prefix a program to run it with, such as `ip netns exec name` */
export async function startFleet (t: TestContext, prefix: string[] = []): Promise<Fleet> {
  const { process, pid, call } = await launch(t, script, {}, prefix)
  return withCalls<Fleet>({ process, pid }, call)
}
