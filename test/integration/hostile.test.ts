/**
 * Arguments that throw when they are looked at: what comes of it is an error of ours with a code, or a result, as of any other
 * argument that cannot be taken.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { FastifyInstance } from 'fastify'
import { connect, start } from '../support/app.js'

const silent = (app: FastifyInstance): unknown => app.get('/', { websocket: true }, () => {})

function revoked (of: object): any {
  const { proxy, revoke } = Proxy.revocable(of, {})
  revoke()
  return proxy
}

const no = (): never => { throw revoked({}) }
const throwing = new Proxy({}, { get: no, getPrototypeOf: no, ownKeys: no, has: no, getOwnPropertyDescriptor: no })
/** Plain, and throws when one of its options is read. */
const getter = (name: string): any => Object.defineProperty({}, name, { get: no, enumerable: true })

test('what throws when it is looked at is refused with a code', async (t) => {
  const { app, url } = await start(t, { routes: (app) => app.get('/', { websocket: true }, () => {}) })
  await connect(t, url)
  const { lifeline } = app
  const [connection] = lifeline
  const argument = { code: 'FST_ERR_LIFELINE_ARGUMENT' }
  for (const odd of [revoked({}), revoked([]), revoked(() => {}), throwing]) {
    assert.throws(() => { connection!.protect(odd) }, argument)
    assert.throws(() => { connection!.expire(odd) }, argument)
    assert.throws(() => connection!.writable(odd), argument)
    assert.throws(() => connection!.join(odd), argument)
    assert.throws(() => connection!.deliver('x', odd), argument)
    assert.throws(() => connection!.deliver('x', { signal: odd }), argument)
    assert.throws(() => lifeline.group(odd), argument)
    assert.throws(() => lifeline.list(odd), argument)
    assert.throws(() => lifeline.sweep(odd), argument)
    assert.throws(() => lifeline.sweep({ close: odd }), argument)
    assert.throws(() => lifeline.broadcast('x', odd), argument)
    assert.throws(() => lifeline.broadcast('x', { except: odd }), argument)
    assert.throws(() => lifeline.broadcast('x', { except: [odd] }), argument)
    assert.throws(() => lifeline.of(odd), { code: 'FST_ERR_LIFELINE_NO_CONNECTION' })
    assert.equal(connection!.push('x', odd), 'invalid')
    assert.equal(app.safePush(odd, 'x'), false)
    assert.equal(app.exists(odd), false)
  }
  assert.throws(() => lifeline.list(getter('after')), argument)
  assert.throws(() => lifeline.sweep(getter('close')), argument)
  assert.throws(() => lifeline.broadcast('x', getter('group')), argument)
  assert.throws(() => connection!.writable(getter('objectMode')), argument)
  assert.throws(() => connection!.deliver('x', getter('timeout')), argument)
  assert.throws(() => connection!.deliver('x', { signal: Object.create(AbortSignal.prototype) }), argument)
  assert.throws(() => lifeline.broadcast('x', { except: new Proxy([connection!], { get: no }) }), argument)
  assert.equal(connection!.state, 'open')
})

test('a message whose own option throws when it is read is invalid, and nothing is thrown', async (t) => {
  const { app, url } = await start(t, { routes: (app) => app.get('/', { websocket: true }, () => {}) })
  await connect(t, url)
  const [connection] = app.lifeline
  assert.equal(connection!.push('x', getter('binary')), 'invalid')
  assert.equal(app.lifeline.broadcast('x', getter('binary')), 0)
  assert.deepEqual(await connection!.deliver('x', getter('binary')), { outcome: 'invalid' })
})

const hostile: Record<string, [unknown, unknown?]> = {
  'options that cannot be read': ['x', { get binary () { throw new Error('no') } }],
  'a proxy that throws null': [new Proxy({}, { get () { throw null } })], // eslint-disable-line no-throw-literal
  'a toJSON that throws what cannot be read': [{ toJSON () { throw { get message () { throw new Error('no') } } } }], // eslint-disable-line no-throw-literal
  'a toJSON whose error has a cause that cannot be read': [{ toJSON () { throw new Error('x', { cause: { get message () { throw new Error('no') } } }) } }]
}

for (const [name, [data, options]] of Object.entries(hostile)) {
  test(`safePush of ${name} is false, and does not throw`, async (t) => {
    const { app, url, errors } = await start(t, { routes: silent })
    await connect(t, url)
    const [connection] = app.lifeline
    assert.equal(app.safePush(connection!.fd, data, options as never), false)
    assert.equal(app.lifeline.broadcast(data, options as never), 0)
    assert.equal(errors().length, 1)
    assert.equal(connection!.state, 'open')
  })
}

test('a detached buffer is no message', async (t) => {
  const { app, url } = await start(t, { routes: silent })
  await connect(t, url)
  const [connection] = app.lifeline
  const bytes = new Uint8Array(8)
  structuredClone(bytes, { transfer: [bytes.buffer] })
  let reported: unknown
  app.lifeline.on('error', (_connection, error) => { reported = error })
  assert.equal(app.safePush(connection!.fd, bytes), false)
  assert.equal((reported as { code: string }).code, 'FST_ERR_LIFELINE_INVALID_DATA')
})

test('messages that can never be sent, in a loop, are one line in the log', async (t) => {
  const { app, url, errors } = await start(t, { routes: silent })
  await connect(t, url)
  const [connection] = app.lifeline
  for (let i = 0; i < 1_000; i++) app.safePush(connection!.fd, undefined)
  assert.equal(errors().length, 1)
})
