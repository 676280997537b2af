import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { Wheel } from '../../../../src/core/time/wheel.js'
import { Intake } from '../../../../src/transports/websocket/intake.js'
import type { Rates } from '../../../../src/core/limited.js'
import { Clock } from '../../clock.js'

const off: Rates = { messageRate: Infinity, byteRate: Infinity, pongRate: Infinity, payload: 1000, policy: 'pause' }

interface World {
  intake: Intake
  clock: Clock
  wheel: Wheel
  happened: string[]
  /** A message comes, and waits for its time if it has to. */
  message: (name: string, bytes?: number) => void
  /** Called with each message that is handed out later. */
  onOut: (name: string) => void
}

function setUp (t: TestContext, rates: Partial<Rates>): World {
  const clock = new Clock(t)
  t.mock.method(performance, 'now', clock.now)
  const wheel = new Wheel(10, clock.now, 1000)
  const happened: string[] = []
  const waiting: Array<{ name: string, time: number }> = []
  const intake = new Intake({ rates: { ...off, ...rates }, wheel, loop: wheel }, {
    rested: 0,
    throttle: (on) => { happened.push(on ? 'pause' : 'resume') },
    release: (now) => {
      while (waiting.length > 0 && waiting[0]!.time <= now) world.onOut(waiting.shift()!.name)
      return waiting[0]?.time ?? Infinity
    }
  }, {
    answer: (payload) => { happened.push(`pong ${payload.toString()}`) },
    exceeded: (limit, fatal) => { happened.push(fatal ? `close for ${limit}` : limit) }
  })
  const world: World = {
    intake,
    clock,
    wheel,
    happened,
    message (name, bytes = 1) {
      const time = intake.took(bytes)
      if (time > 0) waiting.push({ name, time })
      else happened.push(`${name} at once`)
    },
    onOut: (name) => { happened.push(`${name} at ${clock.ms}`) }
  }
  return world
}

const tickEnd = (): Promise<void> => new Promise((resolve) => { process.nextTick(resolve) })

const times = (count: number, call: () => void): void => { for (let i = 0; i < count; i++) call() }

test('past the rate of messages each goes when it fits, and reading pauses until the last has gone', (t) => {
  const { message, clock, happened } = setUp(t, { messageRate: 10 })
  for (let i = 1; i <= 13; i++) message(String(i))
  assert.deepEqual(happened.splice(0), [...Array.from({ length: 10 }, (_, i) => `${i + 1} at once`), 'messageRate', 'pause'])
  clock.pass(90)
  assert.deepEqual(happened, [])
  clock.pass(500)
  assert.deepEqual(happened.splice(0), ['11 at 100', '12 at 200', '13 at 300', 'resume'])
  // Two have been saved up by now, and nine tenths of a third.
  for (let i = 14; i <= 17; i++) message(String(i))
  clock.pass(1_000)
  assert.deepEqual(happened, ['14 at once', '15 at once', 'messageRate', 'pause', '16 at 600', '17 at 700', 'resume'])
})

test('past the rate of bytes as well, and where both are set the stricter holds', (t) => {
  const { message, clock, happened } = setUp(t, { messageRate: 4, byteRate: 1000 })
  for (const [name, bytes] of [['a', 900], ['b', 200], ['c', 400], ['d', 0], ['e', 0], ['f', 0]] as const) message(name, bytes)
  clock.pass(2_000)
  // e is past the rate of messages by then, but would fit sooner than the bytes of c; f would not.
  assert.deepEqual(happened, ['a at once', 'byteRate', 'pause', 'b at 100', 'c at 500', 'd at 500', 'e at 500', 'f at 500', 'resume'])
})

test('what comes while it is paused is paid for as well, from when it comes', async (t) => {
  const { intake, message, clock, happened } = setUp(t, { messageRate: 10, byteRate: 1000 })
  times(20, () => { intake.took(0) })
  clock.pass(500)
  await tickEnd()
  message('late', 1700)
  await tickEnd()
  // 11 messages too many are paid for at 1.1 s; 700 bytes too many at 1.2 s.
  clock.pass(690)
  assert.deepEqual(happened, ['messageRate', 'pause'])
  clock.pass(30)
  assert.deepEqual(happened, ['messageRate', 'pause', 'late at 1200', 'resume'])
})

test('pings and pongs that nobody asked for put off what comes behind them, and not what came before', (t) => {
  const { intake, message, clock, happened } = setUp(t, { messageRate: 10 })
  times(10, () => { intake.took(0) })
  message('before')
  times(5, () => { intake.took(0) })
  message('behind')
  times(3, () => { intake.took(0) })
  clock.pass(2_000)
  assert.deepEqual(happened, ['messageRate', 'pause', 'before at 100', 'behind at 700', 'resume'])
})

test('a loop that was away lets out what has had its time meanwhile, and no more: what has come then has a rate too', async (t) => {
  const { message, clock, happened } = setUp(t, { messageRate: 10 })
  for (let i = 1; i <= 15; i++) message(String(i))
  happened.length = 0
  await tickEnd()
  // What has come by then is read before anything goes on.
  clock.poll = () => { for (let i = 16; i <= 40; i++) message(String(i)) }
  clock.stall(500)
  clock.poll = () => {}
  await tickEnd()
  clock.pass(90, 1)
  assert.deepEqual(happened.map((one) => parseInt(one)), [11, 12, 13, 14, 15])
  clock.pass(115, 1)
  assert.deepEqual(happened.slice(5), ['16 at 600', '17 at 700'])
})

test('whoever gets one may end it', (t) => {
  const world = setUp(t, { messageRate: 10 })
  const { intake, message, clock, wheel, happened } = world
  for (let i = 1; i <= 13; i++) message(String(i))
  world.onOut = () => { intake.end() }
  happened.length = 0
  clock.pass(2_000)
  assert.deepEqual([happened, wheel.running], [[], false])
})

test('past a rate nothing that comes waits anew or makes a Buffer, nor reads the clock more than once in a tick', async (t) => {
  const { intake, clock, wheel } = setUp(t, { messageRate: 10, pongRate: 1 })
  times(11, () => { intake.took(0) })
  times(2, () => { intake.pinged(Buffer.alloc(0)) })
  await tickEnd()
  const payload = Buffer.from('ping')
  const calls = [t.mock.method(performance, 'now', clock.now), t.mock.method(wheel, 'wait'), t.mock.method(Buffer, 'allocUnsafeSlow')]
  times(1000, () => {
    intake.took(1)
    intake.pinged(payload)
  })
  const [looks, ...others] = calls.map(({ mock }) => mock.callCount())
  assert.ok(looks! <= 1, `${looks}`)
  assert.deepEqual(others, [0, 0])
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
