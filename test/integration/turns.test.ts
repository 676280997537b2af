/**
 * Whatever of ours a loop awaits over and over, the event loop turns in between: timers fire, and other connections are served.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Connection } from '../../src/index.js'
import { connect, start } from '../support/app.js'
import type { App } from '../support/app.js'

interface Both { open: Connection, gone: Connection, app: App }

async function both (t: TestContext): Promise<Both> {
  const app = await start(t, {
    options: { receipts: { limit: 1000 }, shutdown: { timeout: 200 }, closeTimeout: 200 },
    routes: (app) => app.get('/', { websocket: true }, (socket) => { socket.on('message', () => {}) })
  })
  await connect(t, app.url)
  const [open] = app.app.lifeline
  const client = await connect(t, app.url)
  const [, gone] = app.app.lifeline
  client.terminate()
  await gone!.closed
  return { open: open!, gone: gone!, app }
}

/** So often a loop goes round at most, if a timer does not end it. */
const ROUNDS = 20_000

/** How often it went round until a timer fired. */
async function rounds (once: () => Promise<unknown>): Promise<number> {
  const timer = { fired: false }
  setTimeout(() => { timer.fired = true }, 1)
  let count = 0
  for (; count < ROUNDS && !timer.fired; count++) await once()
  return count
}

const aborted = AbortSignal.abort(new Error('enough'))

const loops: Record<string, (both: Both) => Promise<unknown>> = {
  'push and drained() over one that has gone': ({ gone }) => {
    gone.push('x')
    return gone.drained()
  },
  'drained() where there always is room': ({ open }) => open.drained(),
  'deliver() to one that has gone': ({ gone }) => gone.deliver('x'),
  'deliver() to an fd that has gone': ({ gone, app }) => app.app.lifeline.deliver(gone.fd, 'x'),
  'deliver() of what is no message': ({ open }) => open.deliver(undefined),
  'deliver() to what is no fd': ({ app }) => app.app.lifeline.deliver('1', 'x'),
  'deliver() with a signal that has aborted': ({ open }) => open.deliver('x', { signal: aborted }).catch((error: Error) => { assert.equal(error.message, 'enough') }),
  'ping() of one that has gone': ({ gone }) => gone.ping(),
  'join()': ({ open }) => open.join('room'),
  'leave()': ({ open }) => open.leave('room'),
  'join() of one that has gone': ({ gone }) => gone.join('room'),
  'members()': ({ app }) => app.app.lifeline.members('room'),
  'disconnect() of nobody': ({ gone, app }) => app.app.lifeline.disconnect(gone.fd)
}

for (const [name, once] of Object.entries(loops)) {
  test(`a loop over ${name} lets the event loop turn`, async (t) => {
    const world = await both(t)
    const count = await rounds(() => once(world))
    assert.ok(count < ROUNDS, 'no timer fired')
  })
}

test('so does one over deliver() where it is full', async (t) => {
  const { open } = await both(t)
  for (let i = 0; i < 2_000; i++) open.push('x')
  const outcomes = new Set<string>()
  const count = await rounds(async () => {
    while (open.push('x'.repeat(900)) !== 'full');
    outcomes.add((await open.deliver('x'.repeat(900))).outcome)
  })
  assert.ok(count < ROUNDS, 'no timer fired')
  assert.ok(outcomes.has('full'))
})

test('so does a pipeline whose source never waits', async (t) => {
  const app = await start(t, { routes: (app) => app.get('/', { websocket: true }, () => {}) })
  const client = await connect(t, app.url)
  client.on('message', () => {})
  const [connection] = app.app.lifeline
  const timer = { fired: false }
  setTimeout(() => { timer.fired = true }, 1)
  let count = 0
  const source = function * (): Iterable<string> {
    for (; count < ROUNDS && !timer.fired; count++) yield 'x'
  }
  // By chunks: else Node's stream itself takes as many as its highWaterMark has bytes (16 to 64 KiB) before it waits for anybody.
  await pipeline(Readable.from(source()), connection!.writable({ objectMode: true }))
  assert.ok(count < ROUNDS, 'no timer fired')
})

test('drained() is true while the next push is taken, and false when there is nobody to push to', async (t) => {
  const { open, gone } = await both(t)
  assert.equal(await open.drained(), true)
  assert.notEqual(open.push('x'), 'full')
  assert.equal(await gone.drained(), false)
  while (open.push('x'.repeat(100)) !== 'full');
  const waits = open.drained()
  open.terminate()
  assert.equal(await waits, false)
})

test('none of them resolves within the call\'s own microtasks', async (t) => {
  const world = await both(t)
  for (const [name, once] of Object.entries(loops)) {
    let settled = false
    const pending = once(world).then(() => { settled = true })
    for (let i = 0; i < 100; i++) await null
    assert.equal(settled, false, name)
    await pending
  }
})
