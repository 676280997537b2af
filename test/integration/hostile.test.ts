/**
 * Arguments that throw when they are looked at: what comes of it is an error of ours with a code, or a result, as of any other
 * argument that cannot be taken.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connect, start } from '../support/app.js'

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
