/**
 * What an app may do with its connections, as data: played on a server with real clients, and held
 * against what has to arrive. The order of arrival is the order of the calls, but for one rule:
 * what is pushed between two fragments of the app's own comes behind the last of them.
 */
import assert from 'node:assert/strict'
import type { Duplex } from 'node:stream'
import { setImmediate as turn } from 'node:timers/promises'
import type { TestContext } from 'node:test'
import fc from 'fast-check'
import type { FastifyInstance } from 'fastify'
import { createWebSocketStream } from 'ws'
import type WebSocket from 'ws'
import type { Connection } from '../../src/index.js'
import { opened } from './app.js'
import type { App } from './app.js'
import { openClient, Python } from './wire-clients.js'
import type { Kind, WireClient } from './wire-clients.js'
import { endLine, lineOf } from './wire-lines.js'
import { make, payloads, sendables } from './wire-payloads.js'
import type { Made, Payload } from './wire-payloads.js'
import { socketOf, startWire } from './wire-server.js'

/** `to` is the number of a connection of the scenario. */
export type Step =
  | { do: 'push' | 'safePush', to: number, payload: Payload, binary?: boolean | undefined }
  | { do: 'broadcast', payload: Payload, binary?: boolean | undefined, group?: boolean | undefined, except?: number | undefined }
  | { do: 'send', to: number, payload: Payload, binary?: boolean | undefined, compress?: boolean | undefined }
  /** A fragment of a message of the app's own. */
  | { do: 'fragment', to: number, payload: Payload, last: boolean }
  /** A chunk to a `createWebSocketStream`. */
  | { do: 'stream', to: number, payload: Payload }
  | { do: 'ping' | 'pong', to: number, text: string, blob?: boolean | undefined }
  /** A ping of the plugin, by `connection.ping()`. */
  | { do: 'ask', to: number }
  | { do: 'turn', how: 'immediate' | 'nextTick' | 'microtask' }
  | { do: 'close', to: number, by: 'connection' | 'socket', code?: number | undefined, reason: string }

export interface Scenario {
  /** Who connects: with which client, with compression if the server has it, and as a member of the group? */
  clients: Array<{ kind: Kind, deflate: boolean, member: boolean }>
  steps: Step[]
}

export interface World {
  app: FastifyInstance
  url: string
  python: Python | null
  /** What was logged as an error. */
  errors: App['errors']
}

const GROUP = 'members'

/** A server for many scenarios. Its limits are out of the way: what is dropped has tests of its own. */
export async function startWorld (t: Pick<TestContext, 'after'>, { secure, deflate, python }: { secure: boolean, deflate: boolean, python: boolean }): Promise<World> {
  const { app, url, errors } = await startWire(t, {
    backpressure: { limit: 1024 ** 3 },
    websocket: { options: { perMessageDeflate: deflate ? { threshold: 0 } : false } }
  }, secure)
  return { app, url, errors, python: python ? new Python(t) : null }
}

/** One connection: what the app does to it, and what its client has to see of that. */
class Line {
  readonly connection: Connection
  readonly client: WireClient
  readonly expected: string[] = []
  open = true
  readonly #socket: WebSocket
  /** The message whose fragments are under way, and what was pushed since. */
  #message: { binary: boolean, parts: Buffer[], behind: string[] } | null = null
  #stream: Duplex | null = null
  #writing: Promise<unknown> | null = null

  constructor (connection: Connection, client: WireClient) {
    this.connection = connection
    this.client = client
    this.#socket = socketOf(connection)
  }

  /** The plugin was given a message. */
  pushed (binary: boolean, bytes: Buffer): void {
    if (this.open) (this.#message?.behind ?? this.expected).push(lineOf(binary ? 'binary' : 'text', bytes))
  }

  send ({ data, bytes }: Made, binary: boolean, options: object): void {
    this.finish()
    this.#socket.send(data as Buffer, options)
    this.pushed(binary, bytes)
  }

  fragment (made: Made, binary: boolean, last: boolean): void {
    if (!this.open) return
    this.#message ??= { binary, parts: [], behind: [] }
    const { parts, behind } = this.#message
    // Only the first tells which kind of message it is. A text must remain one.
    const fits = this.#message.binary || made.text
    this.#socket.send((fits ? made.data : 'no text') as Buffer, { binary, fin: last })
    parts.push(fits ? made.bytes : Buffer.from('no text'))
    if (!last) return
    const whole = lineOf(this.#message.binary ? 'binary' : 'text', Buffer.concat(parts))
    this.expected.push(whole, ...behind)
    this.#message = null
  }

  /** Between two fragments an app may send nothing but fragments. */
  finish (): void {
    if (this.#message !== null) this.fragment({ data: '', bytes: Buffer.alloc(0), text: true }, false, true)
  }

  async stream ({ data, bytes }: Made): Promise<void> {
    // The stream hands on one chunk after the other: the next is sent in its call only when the last is done.
    await this.#writing
    if (!this.open) return
    this.finish()
    this.#stream ??= createWebSocketStream(this.#socket).on('error', () => {})
    const stream = this.#stream
    this.#writing = new Promise<unknown>((resolve) => { stream.write(data, resolve) })
    this.pushed(true, bytes)
  }

  control (kind: 'ping' | 'pong', text: string, blob: boolean): void {
    // ws takes a Blob too.
    this.#socket[kind](blob ? new Blob([text]) : text)
    if (this.open) this.expected.push(lineOf(kind, Buffer.from(text)))
  }

  close (by: 'connection' | 'socket', code: number | undefined, reason: string): void {
    this.finish()
    if (by === 'connection') this.connection.close(code, reason)
    else if (code === undefined) this.#socket.close()
    else this.#socket.close(code, reason)
    if (!this.open) return
    this.open = false
    const silent = code === undefined && by === 'socket'
    this.expected.push(endLine(silent ? 1005 : code ?? 1000, silent ? '' : reason))
  }

  /** All has been called: the client leaves when it has got everything, if the server has not closed. */
  async end (): Promise<void> {
    this.finish()
    if (this.open) {
      await this.client.until(this.expected.length)
      this.client.close(1000)
      this.expected.push(endLine(1000, ''))
    }
    await this.client.ended()
  }
}

/** Plays a scenario. Fails if a client got anything else than it should have. */
export async function play ({ app, url, python }: World, { clients, steps }: Scenario): Promise<void> {
  const cleanups: Array<() => unknown> = []
  const scope = { after: (cleanup: () => unknown) => { cleanups.push(cleanup) } } as Pick<TestContext, 'after'>
  const lines: Line[] = []
  const asked: Array<Promise<number>> = []
  try {
    for (const { kind, deflate, member } of clients) {
      const adopted = opened(app)
      const client = await openClient(scope, kind, url, deflate, python)
      const connection = await adopted
      lines.push(new Line(connection, client))
      if (member) await connection.join(GROUP)
    }
    for (const step of steps) await act(app, lines, clients.map(({ member }) => member), step, asked)
    await Promise.all(lines.map((line) => line.end()))
    assert.deepEqual(lines.map(({ client }) => client.came), lines.map(({ expected }) => expected))
  } finally {
    for (const { connection } of lines) connection.terminate()
    for (const cleanup of cleanups) await cleanup()
    await Promise.all([...asked, ...lines.map(({ connection }) => connection.closed)])
  }
}

async function act (app: FastifyInstance, lines: Line[], members: boolean[], step: Step, asked: Array<Promise<number>>): Promise<void> {
  if (step.do === 'turn') {
    if (step.how === 'immediate') await turn()
    else if (step.how === 'nextTick') await new Promise<void>((resolve) => { process.nextTick(resolve) })
    else await Promise.resolve()
    return
  }
  if (step.do === 'broadcast') {
    const { payload, except, group = false } = step
    const { data, bytes, text } = make(payload)
    const { options, binary } = pushOptions(data, text, step.binary)
    const receivers = lines.filter(({ open }, i) => open && i !== except && (!group || members[i]!))
    const given = { ...options, ...(except !== undefined && lines[except] !== undefined && { except: lines[except].connection }) }
    const count = group ? app.lifeline.group(GROUP).push(data, given) : app.lifeline.broadcast(data, given)
    assert.equal(count, receivers.length)
    for (const line of receivers) line.pushed(binary, bytes)
    return
  }
  const line = lines[step.to]
  if (line === undefined) return
  switch (step.do) {
    case 'push':
    case 'safePush': {
      const { data, bytes, text } = make(step.payload)
      const { options, binary } = pushOptions(data, text, step.binary)
      if (step.do === 'safePush') assert.equal(app.safePush(line.connection.fd, data, options), line.open)
      else assert.ok((line.open ? ['sent', 'buffered'] : ['gone']).includes(line.connection.push(data, options)))
      line.pushed(binary, bytes)
      break
    }
    case 'send': {
      const made = make(step.payload)
      const { options, binary } = pushOptions(made.data, made.text, step.binary)
      line.send(made, binary, { ...options, ...(step.compress !== undefined && { compress: step.compress }) })
      break
    }
    case 'fragment': {
      const made = make(step.payload)
      line.fragment(made, !made.text || typeof made.data !== 'string', step.last)
      break
    }
    case 'stream': {
      const { data, bytes } = make(step.payload)
      await line.stream(typeof data === 'string' ? { data, bytes, text: true } : { data: bytes, bytes, text: false })
      break
    }
    case 'ping':
    case 'pong':
      line.control(step.do, step.text, step.blob ?? false)
      break
    case 'ask':
      asked.push(line.connection.ping())
      break
    case 'close':
      line.close(step.by, step.code, step.reason)
  }
}

/** Noise is not sent as text, whatever the step says: that would be an error of the app's. */
function pushOptions (data: unknown, text: boolean, binary: boolean | undefined): { options: { binary?: boolean }, binary: boolean } {
  const said = text ? binary : undefined
  const bytes = data instanceof Blob || ArrayBuffer.isView(data) || data instanceof ArrayBuffer || data instanceof SharedArrayBuffer
  return { options: said === undefined ? {} : { binary: said }, binary: said ?? bytes }
}

const COUNT = 3
const to = fc.nat(COUNT - 1)
const maybe = <T> (arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(arbitrary, { nil: undefined, freq: 2 })
const binary = maybe(fc.boolean())

const steps: fc.Arbitrary<Step[]> = fc.array(fc.oneof(
  { weight: 6, arbitrary: fc.record({ do: fc.constantFrom('push' as const, 'safePush' as const), to, payload: payloads, binary }) },
  { weight: 5, arbitrary: fc.record({ do: fc.constant('broadcast' as const), payload: payloads, binary, group: maybe(fc.boolean()), except: maybe(to) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('send' as const), to, payload: sendables, binary, compress: maybe(fc.boolean()) }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('fragment' as const), to, payload: sendables, last: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('stream' as const), to, payload: payloads }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constantFrom('ping' as const, 'pong' as const), to, text: fc.constantFrom('', 'app', 'app 12345', `app${'é'.repeat(61)}`), blob: maybe(fc.boolean()) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('ask' as const), to }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('turn' as const), how: fc.constantFrom('immediate' as const, 'nextTick' as const, 'microtask' as const) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('close' as const), to, by: fc.constantFrom('connection' as const, 'socket' as const), code: maybe(fc.constantFrom(1000, 1001, 1011, 3000, 4999)), reason: fc.constantFrom('', 'bye', 'Grüße 🎈') }) }
), { maxLength: 40, size: 'max' })

/** Any scenario, with these clients in any order; on average a run takes a few hundredths of a second. */
export const scenarios = (kinds: Kind[]): fc.Arbitrary<Scenario> => fc.record({
  clients: fc.shuffledSubarray(kinds, { minLength: COUNT, maxLength: COUNT })
    .chain((order) => fc.tuple(...order.map((kind) => fc.record({ kind: fc.constant(kind), deflate: fc.boolean(), member: fc.boolean() })))),
  steps
})
