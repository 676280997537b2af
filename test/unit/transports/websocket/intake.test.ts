import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { Wheel } from '../../../../src/core/time/wheel.js'
import { Intake } from '../../../../src/transports/websocket/intake.js'
import type { Rates } from '../../../../src/transports/websocket/intake.js'
import { Clock } from '../../clock.js'

const off: Rates = { messageRate: Infinity, byteRate: Infinity, pongRate: Infinity, payload: 1000, policy: 'pause' }

function setUp (t: TestContext, rates: Partial<Rates>): { intake: Intake, clock: Clock, wheel: Wheel, happened: string[] } {
  const clock = new Clock(t)
  t.mock.method(performance, 'now', clock.now)
  const wheel = new Wheel(10, clock.now)
  const happened: string[] = []
  const intake = new Intake({ ...off, ...rates }, wheel, {
    throttle: (on) => { happened.push(on ? 'pause' : 'resume') },
    answer: (payload) => { happened.push(`pong ${payload.toString()}`) },
    exceeded: (limit, fatal) => { happened.push(fatal ? `close for ${limit}` : limit) }
  })
  return { intake, clock, wheel, happened }
}

const tickEnd = (): Promise<void> => new Promise((resolve) => { process.nextTick(resolve) })

const times = (count: number, call: () => void): void => { for (let i = 0; i < count; i++) call() }

test('past the rate of messages reading pauses, until what came has been paid for', (t) => {
  const { intake, clock, happened } = setUp(t, { messageRate: 10 })
  times(10, () => { intake.took(1) })
  assert.deepEqual(happened, [])
  times(5, () => { intake.took(1) })
  assert.deepEqual(happened, ['messageRate', 'pause'])
  clock.pass(490)
  assert.deepEqual(happened, ['messageRate', 'pause'])
  clock.pass(20)
  assert.deepEqual(happened, ['messageRate', 'pause', 'resume'])
  intake.took(1)
  assert.deepEqual(happened.slice(3), ['messageRate', 'pause'])
})

test('what comes while it is paused is paid for as well, from when it comes', async (t) => {
  const { intake, clock, happened } = setUp(t, { messageRate: 10, byteRate: 1000 })
  times(20, () => { intake.took(0) })
  clock.pass(500)
  intake.took(1700)
  await tickEnd()
  // 11 messages too many are paid for at 1.1 s; 700 bytes too many at 1.2 s.
  clock.pass(690)
  assert.deepEqual(happened, ['messageRate', 'pause'])
  clock.pass(30)
  assert.deepEqual(happened, ['messageRate', 'pause', 'resume'])
})

test('past a rate nothing that comes reads the clock, waits anew or makes a Buffer', (t) => {
  const { intake, clock, wheel } = setUp(t, { messageRate: 10, pongRate: 1 })
  times(11, () => { intake.took(0) })
  times(2, () => { intake.pinged(Buffer.alloc(0)) })
  const payload = Buffer.from('ping')
  const calls = [t.mock.method(performance, 'now', clock.now), t.mock.method(wheel, 'wait'), t.mock.method(Buffer, 'allocUnsafeSlow')]
  times(1000, () => {
    intake.took(1)
    intake.pinged(payload)
  })
  assert.deepEqual(calls.map(({ mock }) => mock.callCount()), [0, 0, 0])
})

test('one message of the largest size is never over the rate of bytes by itself', (t) => {
  const { intake, happened } = setUp(t, { byteRate: 100, policy: 'close' })
  intake.took(1000)
  assert.deepEqual(happened, [])
  intake.took(1)
  assert.deepEqual(happened, ['close for byteRate'])
})

test('the policy close closes once, whatever comes then', (t) => {
  const { intake, happened } = setUp(t, { messageRate: 2, policy: 'close' })
  times(10, () => { intake.took(1) })
  intake.pinged(Buffer.from('late'))
  assert.deepEqual(happened, ['close for messageRate'])
})

test('pings are answered at once up to the rate; past it the last of them is, when it may be', (t) => {
  const { intake, clock, happened } = setUp(t, { pongRate: 2 })
  const chunk = Buffer.from('abcdef')
  for (let i = 0; i < 5; i++) intake.pinged(chunk.subarray(i, i + 1))
  assert.deepEqual(happened, ['pong a', 'pong b', 'pongRate', 'pongRate', 'pongRate'])
  // What it remembers is its own.
  chunk.fill('x')
  clock.pass(520)
  assert.deepEqual(happened.slice(5), ['pong e'])
  clock.pass(2000)
  intake.pinged(Buffer.from('g'))
  assert.deepEqual(happened.slice(6), ['pong g'])
})

test('without a limit every ping is answered', (t) => {
  const { intake, happened } = setUp(t, {})
  times(500, () => { intake.pinged(Buffer.from('a')) })
  assert.equal(happened.length, 500)
})

test('at the end nothing waits any more', (t) => {
  const { intake, clock, wheel, happened } = setUp(t, { messageRate: 1, pongRate: 1 })
  times(2, () => { intake.took(1) })
  times(2, () => { intake.pinged(Buffer.from('a')) })
  const before = happened.length
  intake.end()
  clock.pass(10_000)
  assert.equal(happened.length, before)
  assert.equal(wheel.running, false)
})
