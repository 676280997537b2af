/**
 * What peers do, or lose, in a loop: a warning a minute that names the option, and no more.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connect, ended, level, opened, start } from '../support/app.js'
import { refused } from '../support/refused.js'

const silent = () => (app: any): void => { app.get('/', { websocket: true }, () => {}) }

test('behind a proxy an address counts once however it is written, and all that are none count as one: a 429, a warning a minute, and never a 500', async (t) => {
  const { app, url, lines } = await start(t, { fastify: { trustProxy: true }, options: { limits: { perAddress: 2 } }, routes: silent() })
  const same = [
    ['203.0.113.7:4711', '203.0.113.7', '::ffff:203.0.113.7', '[::ffff:cb00:7107]:443'],
    ['[2001:db8::1]:443', '2001:db8::2', '[2001:DB8:0::3]', '2001:0db8:0000:0000::4'],
    ['1:2:3:4:5:6:7:8::9:0', 'unknown', '1:2:3:4:5:6:7:8::9:1', 'A'.repeat(10_000)]
  ]
  for (const [first, second, ...others] of same) {
    for (const address of [first!, second!]) await connect(t, url, { headers: { 'x-forwarded-for': address } })
    for (const address of others) assert.equal((await refused(t, url, { headers: { 'x-forwarded-for': address } })).status, 429, address)
  }
  assert.equal(app.lifeline.stats().errors, 0)
  const told = lines.filter(({ level: at }) => at >= level.warn)
  assert.deepEqual(told.map(({ level: at, limit, times }) => [at, limit, times]), [[level.warn, 'perAddress', undefined], [level.warn, undefined, 1]])
  assert.match(told[1]!.msg, /limits\.perAddress.*such as "1:2:3:4:5:6:7:8::9:0"$/)
  for (const { msg } of lines) assert.ok(msg.length < 500, msg)
})

test('a client that comes back with a message past limits.payload again and again is one warning, which names the option', async (t) => {
  const { app, url, lines, errors } = await start(t, { options: { limits: { payload: 100 } }, routes: silent() })
  for (let i = 0; i < 3; i++) {
    const over = ended(app)
    const client = await connect(t, url)
    client.send('x'.repeat(101))
    assert.equal((await over).code, 1009)
  }
  const told = lines.filter(({ level: at }) => at >= level.warn)
  assert.deepEqual(told.map(({ level: at, times, connections }) => [at, times, connections]), [[level.warn, 1, 1]])
  assert.match(told[0]!.msg, /limits\.payload/)
  await app.close()
  assert.deepEqual(lines.filter(({ level: at, times }) => at === level.warn && times !== undefined).slice(1).map(({ times, connections }) => [times, connections]), [[2, 2]])
  assert.deepEqual(errors(), [])
})

for (const [policy, warnings] of [['drop', [[1, 1], [13, 2]]], ['close', []]] as const) {
  test(`under the policy ${policy}, what is dropped for a slow peer is ${policy === 'drop' ? 'one warning, which names the option' : 'no warning: its end tells it'}`, async (t) => {
    const { app, url, lines } = await start(t, { options: { backpressure: { limit: 1000, policy } }, routes: silent() })
    for (let i = 0; i < 2; i++) {
      const opening = opened(app)
      await connect(t, url)
      const connection = await opening
      const results = Array.from({ length: 9 }, () => connection.push('x'.repeat(600)))
      assert.equal(results.filter((result) => result === 'full').length, policy === 'drop' ? 7 : 1)
    }
    assert.equal(lines.filter(({ level: at, msg }) => at === level.warn && msg.includes('backpressure.limit')).length, policy === 'drop' ? 1 : 0)
    await app.close()
    assert.deepEqual(lines.filter(({ level: at }) => at >= level.warn).map(({ times, connections }) => [times, connections]), warnings)
  })
}
