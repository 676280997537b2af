/**
 * What is short-lived leaves nothing on the connection that it used, however long that lives.
 */
import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { Connection } from '../../src/index.js'
import { lifeOf } from '../../src/api/connection.js'
import { connect, start } from '../support/app.js'
import { collect } from '../support/memory.js'

async function one (t: TestContext): Promise<Connection> {
  const app = await start(t, { options: { shutdown: { timeout: 200 } }, routes: (app) => app.get('/', { websocket: true }, (socket) => { socket.on('message', () => {}) }) })
  const client = await connect(t, app.url)
  client.on('message', () => {})
  const [connection] = app.app.lifeline
  return connection!
}

const COUNT = 100

/** Makes many, one after the other, and says how many are still there when all are done. */
async function left (make: () => Promise<object>): Promise<number> {
  const refs: Array<WeakRef<object>> = []
  for (let i = 0; i < COUNT; i++) refs.push(new WeakRef(await make()))
  await collect()
  return refs.filter((ref) => ref.deref() !== undefined).length
}

const uses: Record<string, (connection: Connection) => Promise<object>> = {
  'a writable that has finished': async (connection) => {
    const writable = connection.writable()
    await pipeline(Readable.from(['a', 'b']), writable)
    return writable
  },
  'a writable that was destroyed': async (connection) => {
    const writable = connection.writable()
    writable.destroy()
    return writable
  },
  'a writable that failed': async (connection) => {
    const writable = connection.writable({ objectMode: true })
    await assert.rejects(pipeline(Readable.from([Symbol('none')]), writable))
    return writable
  },
  'a writable that was destroyed while it waited': async (connection) => {
    const writable = connection.writable()
    writable.write('x'.repeat(3_000_000))
    writable.destroy()
    return writable
  },
  'a reader that has left': async (connection) => {
    const messages = connection.messages()
    await messages.return!()
    return messages
  },
  'a delivery': async (connection) => await connection.deliver('x'),
  'a promise of room': (connection) => {
    const promise = connection.drained()
    return promise.then(() => ({ promise }))
  }
}

for (const [name, use] of Object.entries(uses)) {
  test(`${name} is let go of`, async (t) => {
    const connection = await one(t)
    const kept = await left(() => use(connection))
    // What leaks is kept each time. The last few may still be on the stack, in a register, or in code that was just made faster.
    assert.ok(kept <= COUNT / 20, `${kept} of ${COUNT} are kept`)
  })
}

test('deadlines that have passed are let go of', async (t) => {
  const connection = await one(t)
  const refs = await Promise.all(Array.from({ length: COUNT }, () => new Promise<WeakRef<object>>((resolve) => {
    const mark = {}
    lifeOf(connection).after(0, () => { resolve(new WeakRef(mark)) })
  })))
  await collect()
  const kept = refs.filter((ref) => ref.deref() !== undefined).length
  assert.ok(kept <= 2, `${kept} of ${COUNT} are kept`)
})

test('a signal given to many deliveries, one after the other, has no listener left', async (t) => {
  const connection = await one(t)
  for (let i = 0; i < 20; i++) await connection.deliver('x', { signal: connection.signal })
  assert.equal(getEventListeners(connection.signal, 'abort').length, 0)
})
