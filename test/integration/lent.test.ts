/**
 * Bytes that are pushed are the app's again when its code runs, be that after the push or within it: a listener that is told
 * of one connection must not change what the next one gets, nor what anybody is told.
 */
import assert from 'node:assert/strict'
import { constants } from 'node:buffer'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import WebSocket from 'ws'
import type { Connection, Drop, LifelineOptions } from '../../src/index.js'
import { toOutgoing } from '../../src/core/outgoing.js'
import { connect, start, until } from '../support/app.js'
import type { App } from '../support/app.js'

const tight = { backpressure: { limit: 1, low: 0 }, shutdown: { timeout: 10 }, closeTimeout: 10 }

interface Two extends App { full: Connection, other: Connection, got: string[] }

/** Two connections, of which the first is full; what the second gets is kept. */
async function two (t: TestContext, options: LifelineOptions = {}, compressed = false): Promise<Two> {
  const deflate = { options: { perMessageDeflate: { threshold: 0 } } }
  const app = await start(t, { options: { ...tight, ...(compressed ? { websocket: deflate } : {}), ...options }, routes: (app) => app.get('/', { websocket: true }, () => {}) })
  const stuck = await connect(t, app.url)
  const reads = await connect(t, app.url)
  const got: string[] = []
  reads.on('message', (data) => { got.push(String(data)) })
  await until('both are there', () => app.app.lifeline.size === 2)
  const [full, other] = app.app.lifeline as unknown as [Connection, Connection]
  stuck.pause()
  while (full.bufferedBytes === 0) full.push(Buffer.alloc(100_000))
  return { ...app, full, other, got }
}

const whole = 'a'.repeat(1000)
/** By itself, for only what has an ArrayBuffer of its own can be transferred. */
const bytesOf = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text))

/** What an app may do to its bytes as soon as its code runs. */
const doings: Record<string, (bytes: Uint8Array) => void> = {
  'uses them again': (bytes) => { bytes.fill(0x62) },
  'transfers them': (bytes) => { structuredClone(bytes.buffer, { transfer: [bytes.buffer as ArrayBuffer] }) }
}

for (const [what, act] of Object.entries(doings)) {
  for (const event of ['full', 'drop'] as const) {
    for (const compressed of [false, true]) {
      test(`a broadcast is as it was, though a listener for "${event}" of one connection ${what} before the next has it (${compressed ? 'compressed' : 'bare'})`, async (t) => {
        const { app, got } = await two(t, {}, compressed)
        const bytes = bytesOf(whole)
        app.lifeline.on(event, () => { if (bytes.length > 0) act(bytes) })
        assert.equal(app.lifeline.broadcast(bytes), 1)
        await until('it has come', () => got.length > 0)
        assert.deepEqual(got, [whole])
      })
    }
  }

  test(`a push that does not fit is told as it was, though a listener for "full" ${what}`, async (t) => {
    const { app, full } = await two(t)
    const bytes = bytesOf(whole)
    const drops: Drop[] = []
    app.lifeline.on('full', () => { act(bytes) })
    app.lifeline.on('drop', (_connection, drop) => { drops.push(drop) })
    assert.equal(app.safePush(full.fd, bytes), false)
    assert.deepEqual(drops.map(({ data, bytes }) => [String(data), bytes]), [[whole, 1000]])
  })

  test(`an option that ${what} when it is read is no harm`, async (t) => {
    const { app, other, got } = await two(t)
    for (const push of [(bytes: Uint8Array, options: object) => other.push(bytes, options), (bytes: Uint8Array, options: object) => app.lifeline.broadcast(bytes, options)]) {
      const bytes = bytesOf(whole)
      push(bytes, { get binary () { act(bytes); return true } })
      await until('it has left', () => other.bufferedBytes === 0)
    }
    other.push('last')
    await until('all has come', () => got.at(-1) === 'last')
    for (const text of got.slice(0, -1)) assert.equal(text, 'b'.repeat(1000))
  })
}

test('the bytes that one connection is told of are not those that the next gets', async (t) => {
  const { app, got } = await two(t)
  app.lifeline.on('drop', (_connection, { data }) => { (data as Buffer).fill(0x62) })
  assert.equal(app.lifeline.broadcast(Buffer.from(whole)), 1)
  await until('it has come', () => got.length > 0)
  assert.deepEqual(got, [whole])
})

test('bytes that have gone already are no message', async (t) => {
  const { app, other } = await two(t)
  const errors: unknown[] = []
  app.lifeline.on('error', (_connection, error) => { errors.push((error as { code?: string }).code) })
  const bytes = Buffer.from(new ArrayBuffer(10))
  structuredClone(bytes.buffer, { transfer: [bytes.buffer as ArrayBuffer] })
  assert.equal(other.push(bytes), 'invalid')
  assert.equal(app.lifeline.broadcast(bytes), 0)
  assert.deepEqual(errors, Array(2).fill('FST_ERR_LIFELINE_INVALID_DATA'))
  assert.notEqual(other.push(Buffer.alloc(0)), 'invalid')
})

test('a push whose sending fails says so, though the app pushes again when it is told, and fails again', async (t) => {
  class Fails extends WebSocket {
    override send (_data: any, _options?: any, done?: any): void { done(new Error('not that')) }
  }
  const { app, url } = await start(t, { options: { websocket: { options: { WebSocket: Fails as never } } }, routes: (app) => app.get('/', { websocket: true }, () => {}) })
  await connect(t, url)
  const [connection] = app.lifeline
  const results: string[] = []
  app.lifeline.once('error', () => { results.push(connection!.push('again')) })
  results.push(connection!.push('first'))
  assert.deepEqual(results, ['invalid', 'invalid'])
})

test('text that was pushed as bytes is told as a string', async (t) => {
  const { app, full, other, closed } = await two(t, { receipts: { limit: 1e9, messages: 1e6 } })
  const drops: Drop[] = []
  app.lifeline.on('drop', (_connection, drop) => { drops.push(drop) })
  const text = 'é'.repeat(200)
  assert.equal(full.push(Buffer.from(text), { binary: false }), 'full')
  assert.deepEqual(drops.map(({ data, binary, bytes }) => [data, binary, bytes]), [[text, false, 400]])
  other.push(Buffer.from(text), { binary: false })
  other.terminate()
  await until('it is over', () => closed.length === 1)
  assert.deepEqual(closed[0]!.unconfirmed.map(({ data, binary }) => [data, binary]), [[text, false]])
  for (const own of [false, true]) {
    const told = (data: unknown, binary: boolean): unknown => own ? toOutgoing(data, { binary }).own().data : toOutgoing(data, { binary }).data
    assert.deepEqual([told(new Uint8Array([65, 66]), false), told('é', true), told('é', false), told(Buffer.from(text), true)], ['AB', Buffer.from('é'), 'é', Buffer.from(text)])
  }
})

test('bytes that are to be text and are not UTF-8 are no message: they would end the connection', async (t) => {
  const { app, full, other, got } = await two(t)
  const errors: unknown[] = []
  app.lifeline.on('error', (_connection, error: any) => { errors.push([error.code, error.message.includes('not UTF-8')]) })
  const bytes = Buffer.from([0x61, 0xff])
  assert.equal(other.push(bytes, { binary: false }), 'invalid')
  assert.equal(full.push(bytes, { binary: false }), 'invalid')
  assert.equal(app.lifeline.broadcast(bytes, { binary: false }), 0)
  assert.deepEqual(errors, Array(3).fill(['FST_ERR_LIFELINE_INVALID_DATA', true]))
  assert.equal(other.push(Buffer.from('é'), { binary: false }), 'sent')
  await until('the text has come', () => got.length === 1)
  assert.deepEqual(got, ['é'])
})

test('text that no string can hold is no message', () => {
  const bytes = Buffer.alloc(constants.MAX_STRING_LENGTH + 1)
  assert.throws(() => toOutgoing(bytes, { binary: false }), { code: 'FST_ERR_LIFELINE_INVALID_DATA' })
  assert.equal(toOutgoing(bytes, undefined).size, bytes.length)
})
