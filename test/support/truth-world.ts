/**
 * A server on which scenarios are played, one after the other, and the ways in which it may be built.
 */
import assert from 'node:assert/strict'
import { rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { setImmediate as turnOver } from 'node:timers/promises'
import WebSocket from 'ws'
import type { LifelineOptions } from '../../src/index.js'
import { opened } from './app.js'
import type { App } from './app.js'
import { makeNamed } from './truth-bodies.js'
import { binaryOf, Line } from './truth-line.js'
import type { Ground } from './truth-line.js'
import { Peer } from './truth-peer.js'
import type { Scenario, Step } from './truth-steps.js'
import { startWire } from './wire-server.js'

const GROUP = 'members'

export interface Ways {
  secure?: boolean
  deflate?: boolean
  /** A Unix domain socket: its kernel buffers are small. */
  unix?: boolean
  /** A class of the app's own, and when its `send` calls that of ws. */
  sends?: 'at once' | 'in a later turn' | 'in a promise'
}

export interface World extends Ground {
  readonly url: string
  readonly deflate: boolean
  readonly path: string | undefined
  readonly errors: App['errors']
}

type Send = (...args: [any, any?, any?]) => void

function ownClass (sends: NonNullable<Ways['sends']>): typeof WebSocket {
  class OwnWebSocket extends WebSocket {
    override send (...args: any[]): void {
      const send: Send = super.send
      const call = (): void => { Reflect.apply(send, this, args) }
      if (sends === 'at once') call()
      else if (sends === 'in a promise') Promise.resolve().then(call, assert.ifError)
      else setImmediate(call)
    }
  }
  return OwnWebSocket as typeof WebSocket
}

let paths = 0

export async function startWorld (t: Pick<TestContext, 'after'>, { secure = false, deflate = false, unix = false, sends }: Ways): Promise<World> {
  const path = unix ? join(tmpdir(), `lifeline-${process.pid}-${++paths}.sock`) : undefined
  if (path !== undefined) t.after(() => { rmSync(path, { force: true }) })
  const websocket = { options: { perMessageDeflate: deflate ? { threshold: 0 } : false, ...(sends !== undefined && { WebSocket: ownClass(sends) }) } } as NonNullable<LifelineOptions['websocket']>
  const { app, url, errors } = await startWire(t, { closeTimeout: 150, backpressure: { stallTimeout: 400 }, websocket }, secure, {
    path,
    routes: {
      '/off': { receipts: false },
      '/on': { receipts: { limit: 500_000, messages: 60 } },
      '/short': { receipts: true, heartbeat: { interval: 100, timeout: 100 } }
    }
  })
  const refused: World['refused'] = new Set()
  app.lifeline.on('drop', (connection, { reason }) => { if (reason === 'full') refused.add(connection) })
  let last = 0
  return { app, url, errors, path, deflate, refused, exact: !deflate && sends === undefined, next: () => ++last }
}

export async function play (world: World, { lines: given, steps }: Scenario): Promise<void> {
  const cleanups: Array<() => unknown> = []
  const scope = { after: (cleanup: () => unknown) => { cleanups.push(cleanup) } } as Pick<TestContext, 'after'>
  const lines: Line[] = []
  const errors = world.errors().length
  try {
    for (const { route, reader, member } of given) {
      const adopted = opened(world.app)
      const peer = await Peer.dial(scope, `${world.url}${route}`, { deflate: world.deflate, ...(world.path !== undefined && { path: world.path }) })
      const connection = await adopted
      lines.push(new Line(world, connection, peer, route !== '/off', reader))
      if (member) await connection.join(GROUP)
    }
    let exact = world.exact
    for (const step of steps) {
      // Nobody says when ws has read a Blob, or compressed something, or a class of the app's has sent it.
      if (step.do === 'unreadable' || step.do === 'empty' || ('blob' in step && step.blob !== 'no')) exact = false
      await act(world, lines, given.map(({ member }) => member), step)
      if (step.do === 'turn' && (step.how === 'immediate' || step.how === 'while')) await addUp(world, exact)
    }
    await Promise.all(lines.map((line, i) => line.over(given[i]!.end)))
    const failing = steps.some((step) => step.do === 'unreadable' || step.do === 'invalid')
    if (!failing) assert.deepEqual(world.errors().slice(errors), [])
  } finally {
    for (const { connection } of lines) connection.terminate()
    for (const cleanup of cleanups) await cleanup()
    await Promise.all(lines.map(({ connection }) => connection.closed))
  }
}

async function act (world: World, lines: Line[], members: boolean[], step: Step): Promise<void> {
  const line = lines[step.to]!
  switch (step.do) {
    case 'push': line.push(step.body, step.by); break
    case 'broadcast': broadcast(world, lines, members, step); break
    case 'deliver': line.deliver(step.body, step.timeout, step.abort).catch(() => {}); break
    case 'flood': line.flood(step.size, step.times); break
    case 'reenter': line.reenter(step.what); break
    case 'invalid': line.invalid(step.what); break
    case 'send': line.send(step.body, step.blob, step.compress, step.waits); break
    case 'fragment': line.fragment(step.body, step.blob, step.last); break
    case 'empty': line.empty(); break
    case 'unreadable': line.unreadable(step.waits); break
    case 'control': line.control(step.kind, step.text); break
    case 'ask': line.ask(); break
    case 'drained': line.drained(); break
    case 'reading': line.reading(step.on, step.by); break
    case 'end': line.end(step.how); break
    case 'peer answers': line.peer.answers(step.how); break
    case 'peer answers now': line.peer.answerNow(); break
    case 'peer reads': line.reads(step.on); break
    case 'peer talks': line.talk(step.size, step.times); break
    case 'peer forges': line.peer.forge(step.what); break
    case 'turn': await turn(step.how)
  }
}

/**
 * Whenever nothing moves, what is kept as a sum is the sum over all. (That a kernel has taken something, or that a socket is destroyed,
 * is told a few turns later.)
 */
async function addUp ({ app }: World, exact: boolean): Promise<void> {
  for (let turns = 0; ; turns++) {
    const { bufferedBytes, unconfirmed } = app.lifeline.stats()
    const sum = { messages: 0, bytes: 0, buffered: 0 }
    for (const { unconfirmed: { count, bytes }, bufferedBytes } of app.lifeline) {
      sum.messages += count
      sum.bytes += bytes
      sum.buffered += bufferedBytes
    }
    assert.deepEqual(unconfirmed, { messages: sum.messages, bytes: sum.bytes })
    if (!exact || bufferedBytes === sum.buffered) return
    assert.ok(turns < 20, `${bufferedBytes} bytes wait, by the sum, and ${sum.buffered} for all together`)
    await turnOver()
  }
}

function broadcast (world: World, lines: Line[], members: boolean[], { to, body, group, except }: Step & { do: 'broadcast' }): void {
  const number = world.next()
  const { data, bytes, betray } = makeNamed(number, body)
  const receivers = lines.filter(({ open }, i) => open && (!group || members[i]!) && !(except && i === to))
  world.refused.clear()
  const options = { ...(body.binary !== undefined && { binary: body.binary }), ...(except && { except: lines[to]!.connection }) }
  const { lifeline } = world.app
  const count = group ? lifeline.group(GROUP).push(data, options) : lifeline.broadcast(data, options)
  betray()
  for (const line of lines) line.pushed(number, bytes, binaryOf(body), receivers.includes(line) && !world.refused.has(line.connection))
  assert.equal(count, receivers.filter(({ connection }) => !world.refused.has(connection)).length)
}

async function turn (how: 'microtask' | 'tick' | 'immediate' | 'while'): Promise<void> {
  switch (how) {
    case 'microtask': await Promise.resolve(); break
    case 'tick': await new Promise<void>((resolve) => { process.nextTick(resolve) }); break
    case 'immediate': await turnOver(); break
    // There and back.
    case 'while': for (let i = 0; i < 6; i++) await turnOver()
  }
}
