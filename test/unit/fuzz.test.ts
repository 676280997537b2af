/**
 * "Never throws" and "takes anything", taken at their word: hostile arguments to what is promised so,
 * in a real app with connections that are open, closing and closed.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import type { FastifyInstance } from 'fastify'
import fc from 'fast-check'
import { Connection } from '../../src/api/connection.js'
import { connect, ended, opened, start } from '../support/app.js'
import { share } from '../support/proof.js'

const RESULTS = ['sent', 'buffered', 'gone', 'invalid']

const boom = (): never => { throw new Error('hostile') }
const circular: { self?: unknown } = {}
circular.self = circular
const every = ['get', 'set', 'has', 'ownKeys', 'getPrototypeOf', 'getOwnPropertyDescriptor', 'apply', 'construct', 'deleteProperty', 'defineProperty', 'isExtensible', 'preventExtensions', 'setPrototypeOf']
const revoked = (): object => {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  return proxy
}

/** What no JSON generator makes. */
const HOSTILE: readonly unknown[] = [
  Symbol('s'), Symbol.iterator, 1n, -(2n ** 64n), -0, NaN, Infinity, -Infinity, 2 ** 53, Number.MAX_VALUE, Number.MIN_VALUE, 2 ** 31, -1, 0.5,
  circular, Object.create(null), () => {}, class {}, Promise.resolve(1), new Blob(['x']), new WeakMap(), new Map([[1, 2]]), new Date(NaN), /x/,
  { toJSON: boom }, { toString: boom }, { valueOf: boom }, { [Symbol.toPrimitive]: boom }, { get it () { return boom() } }, { toJSON () {} }, { toJSON: 1 }, [boom], [undefined], [1n], [circular],
  new Proxy({}, Object.fromEntries(every.map((trap) => [trap, boom]))), new Proxy(() => {}, Object.fromEntries(every.map((trap) => [trap, boom]))), revoked(),
  new Proxy([], { get: boom }), new Proxy(new Uint8Array(4), {}), new Proxy({}, { getPrototypeOf: boom }),
  Buffer.alloc(0), new Uint8Array(3), new Float64Array(2), new DataView(new ArrayBuffer(4)), new ArrayBuffer(5), new SharedArrayBuffer(6), new BigInt64Array(1),
  '', '\ud800', '\u0000', 'x'.repeat(100_000), '__proto__', 'constructor', Object('boxed'), Object(1), Object(1n), Object(Symbol('boxed'))
]

/** fast-check looks into its values, which these do not bear: they are named by their place, and taken from it in the property. */
interface Pick { hostile: number | null, value: unknown }
const anything: fc.Arbitrary<Pick> = fc.oneof(
  fc.anything({ withBigInt: true, withDate: true, withMap: true, withSet: true, withNullPrototype: true, withTypedArray: true, withSparseArray: true, withObjectString: true }).map((value) => ({ hostile: null, value })),
  fc.nat({ max: HOSTILE.length - 1 }).map((hostile) => ({ hostile, value: undefined }))
)
const take = ({ hostile, value }: Pick): unknown => hostile === null ? value : HOSTILE[hostile]

interface World { app: FastifyInstance, fds: number[] }

/** Connections that are open, closing (a peer that does not answer), and closed. */
async function world (t: TestContext): Promise<World> {
  // The heartbeat is off and nothing is closed by it; a client that reads everything keeps the buffers small.
  const { app, url } = await start(t, {
    options: { heartbeat: false, closeTimeout: 100 },
    fastify: { logger: { level: 'silent' } },
    routes: (app) => { app.get('/', { websocket: true }, () => {}) }
  })
  const fds: number[] = []
  for (const state of ['open', 'closing', 'closed']) {
    const adopted = opened(app)
    const client = await connect(t, url)
    const connection = await adopted
    fds.push(connection.fd)
    if (state === 'closing') {
      client.pause()
      connection.close()
    } else if (state === 'closed') {
      const end = ended(app)
      client.terminate()
      await end
    } else {
      client.on('message', () => {})
    }
  }
  return { app, fds }
}

function all ({ app, fds }: World, fd: unknown, data: unknown, options: unknown): void {
  assert.equal(typeof app.exists(fd), 'boolean')
  assert.equal(typeof app.lifeline.exists(fd), 'boolean')
  assert.equal(typeof app.safePush(fd, data, options as never), 'boolean')
  const result = app.lifeline.push(fd, data, options as never)
  assert.ok(RESULTS.includes(result), `push gave ${String(result)}`)
  const connection = app.lifeline.get(fd)
  assert.ok(connection === undefined || connection instanceof Connection)
  if (!fds.includes(fd as number)) {
    assert.equal(connection, undefined)
    assert.equal(app.exists(fd), false)
    assert.equal(result, typeof fd === 'number' && !Number.isNaN(fd) ? 'gone' : 'invalid')
  }
}

/** Not `binary: false`: bytes that are no UTF-8, sent as text, would end the connection, and rightly. */
const options = fc.constantFrom(undefined, {}, { binary: true }, { binary: undefined })

test('an fd may be anything: every call answers with the type that it promises, and nothing throws', async (t) => {
  const here = await world(t)
  fc.assert(fc.property(anything, anything, options, (fd, data, given) => { all(here, take(fd), take(data), given) }), { numRuns: share(20_000) })
})

test('what is pushed to a connection that is open, closing or closed may be anything', async (t) => {
  const here = await world(t)
  fc.assert(fc.property(fc.constantFrom(...here.fds), anything, options, (fd, data, given) => { all(here, fd, take(data), given) }), { numRuns: share(10_000) })
})

test('an fd is a number and nothing that looks like one', async (t) => {
  const { app, fds: [open] } = await world(t)
  assert.equal(app.exists(open), true)
  for (const like of [String(open), BigInt(open!), [open], Object(open), { valueOf: () => open }, open! + 0.5, -open!]) {
    assert.equal(app.exists(like), false)
    assert.equal(app.safePush(like, 'x'), false)
    assert.equal(app.lifeline.get(like), undefined)
  }
})

test('after hostile calls the connection still works', async (t) => {
  const { app, url } = await start(t, { options: { heartbeat: false }, fastify: { logger: { level: 'silent' } }, routes: (app) => { app.get('/', { websocket: true }, () => {}) } })
  const adopted = opened(app)
  const client = await connect(t, url)
  const { fd } = await adopted
  const arrived = new Promise<void>((resolve) => {
    client.on('message', (data) => { if (String(data) === 'still there') resolve() })
  })
  for (const data of HOSTILE) app.safePush(fd, data, { binary: true })
  assert.equal(app.safePush(fd, 'still there'), true)
  await arrived
})
