import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import type { Named } from '../../../src/life/journal.js'
import type { Life } from '../../../src/life/life.js'
import { Shutdown } from '../../../src/plugin/shutdown.js'
import type { Said } from '../../../src/transports/transport.js'

interface FakeLife { info: unknown, outstanding: boolean, asked: boolean, upTo: number | null, transport: { traits: { remote: boolean } }, closedAt: number | null, terminatedAt: number | null, said: unknown[] }

/** The clock of the drain, and lives whose peers behave as `peer` says. */
function world (t: TestContext): { pass: (ms: number) => Promise<void>, life: (peer: { outstanding?: boolean, answersAfter?: number, dies?: boolean }) => FakeLife, now: () => number, stall: (ms: number) => void } {
  let ms = 0
  t.mock.timers.enable({ apis: ['setTimeout'] })
  t.mock.method(performance, 'now', () => ms)
  const life = ({ outstanding = false, answersAfter, dies = true }: { outstanding?: boolean, answersAfter?: number, dies?: boolean }): FakeLife => {
    const self = {
      info: null as unknown,
      outstanding,
      asked: false,
      upTo: null as number | null,
      transport: { traits: { remote: true } },
      closedAt: null as number | null,
      terminatedAt: null as number | null,
      said: [] as unknown[],
      drain () {
        self.asked = true
        return 7
      },
      outstandingUpTo (seq: number) {
        self.upTo = seq
        return self.outstanding
      },
      close (...said: unknown[]) {
        if (self.info !== null) return
        self.closedAt = ms
        self.said = said
        if (answersAfter !== undefined) setTimeout(() => { self.info = {} }, answersAfter)
      },
      terminate (...said: unknown[]) {
        self.terminatedAt ??= ms
        self.said = said
        if (dies) self.info = {}
      }
    }
    return self
  }
  const pass = async (time: number): Promise<void> => {
    for (let left = time; left > 0; left -= 10) {
      ms += 10
      t.mock.timers.tick(10)
      // The drain goes on in microtasks.
      for (let i = 0; i < 5; i++) await null
    }
  }
  return { pass, life, now: () => ms, stall: (time) => { ms += time } }
}

const options = { window: 0, timeout: 1000, reconnect: { after: 0, within: 0 }, closeTimeout: 500 }

function run (lives: FakeLife[], given = options): { shutdown: Shutdown, done: { at: boolean } } {
  const shutdown = new Shutdown(given, () => lives as unknown as Array<Life<Named>>)
  const done = { at: false }
  shutdown.run().then(() => { done.at = true }, () => {})
  return { shutdown, done }
}

test('with nobody there it is done at once, and arms no timer', async (t) => {
  world(t)
  await new Shutdown(options, () => []).run()
})

test('who has nothing left to send is closed at once with 1012, in the same turn', (t) => {
  const { life } = world(t)
  const lives = [life({}), life({})]
  run(lives)
  assert.deepEqual(lives.map(({ closedAt, said }) => [closedAt, said]), Array(2).fill([0, [{ code: 1012, reason: '', retryAfter: 0 }, 'shutdown']]))
})

test('it is done when the last has ended', async (t) => {
  const { life, pass } = world(t)
  const { done } = run([life({ answersAfter: 50 }), life({ answersAfter: 200 })])
  await pass(190)
  assert.equal(done.at, false)
  await pass(50)
  assert.equal(done.at, true)
})

test('who still has something to send, or to know, is closed when it is sent and known', async (t) => {
  const { life, pass } = world(t)
  const one = life({ outstanding: true, answersAfter: 10 })
  run([one])
  await pass(300)
  assert.equal(one.closedAt, null)
  assert.deepEqual([one.asked, one.upTo], [true, 7], 'it waits for another message than the last when it began')
  one.outstanding = false
  await pass(40)
  assert.notEqual(one.closedAt, null)
})

test('who does not take what is buffered is closed after shutdown.timeout, and terminated closeTimeout later', async (t) => {
  const { life, pass } = world(t)
  const one = life({ outstanding: true })
  const { done } = run([one])
  await pass(options.timeout - 20)
  assert.equal(one.closedAt, null)
  await pass(40)
  assert.notEqual(one.closedAt, null)
  await pass(options.closeTimeout - 60)
  assert.equal(one.terminatedAt, null)
  await pass(100)
  assert.notEqual(one.terminatedAt, null)
  assert.deepEqual(one.said, ['shutdown'])
  assert.equal(done.at, true)
})

test('a loop that was away over the deadline leaves nobody behind: who does not answer is terminated, and its end waited for', async (t) => {
  const { life, pass, stall } = world(t)
  const one = life({ dies: false })
  const { done } = run([one])
  await pass(40)
  assert.notEqual(one.closedAt, null)
  stall(options.closeTimeout + 300)
  await pass(20)
  assert.notEqual(one.terminatedAt, null)
  assert.equal(done.at, false)
  one.info = {}
  await pass(40)
  assert.equal(done.at, true)
})

test('the closing is spread evenly over the window', async (t) => {
  const { life, pass } = world(t)
  const lives = Array.from({ length: 10 }, () => life({ answersAfter: 10 }))
  const { done } = run(lives, { ...options, window: 1000 })
  await pass(1100)
  lives.forEach(({ closedAt }, i) => { assert.ok(closedAt! >= i * 100 && closedAt! <= i * 100 + 20, `${i}: ${closedAt}`) })
  assert.equal(done.at, true)
})

test('who leaves while it waits for its turn is waited for no longer', async (t) => {
  const { life, pass } = world(t)
  const lives = [life({ answersAfter: 10 }), life({})]
  const { done } = run(lives, { ...options, window: 1000 })
  lives[1]!.info = {}
  await pass(60)
  assert.equal(done.at, true)
  assert.equal(lives[1]!.closedAt, null)
})

test('whatever the peers do, it settles within shutdown.timeout + closeTimeout', async (t) => {
  const { life, pass } = world(t)
  const lives = Array.from({ length: 40 }, (_, i) => life({ outstanding: i % 3 > 0, ...(i % 4 === 0 && { answersAfter: i * 30 }) }))
  const { done } = run(lives, { ...options, window: 900 })
  await pass(options.timeout + options.closeTimeout + 40)
  assert.equal(done.at, true)
})

test('a second run joins the first', (t) => {
  const { life } = world(t)
  const { shutdown } = run([life({})])
  assert.equal(shutdown.run(), shutdown.run())
})

test('each client is told another time to come back, none before `reconnect.after`, and all of them `within` from then (field 11)', (t) => {
  const { life } = world(t)
  const lives = Array.from({ length: 100 }, () => life({}))
  run(lives, { ...options, reconnect: { after: 3000, within: 5000 } })
  const delays = lives.map(({ said: [said] }) => {
    const { code, retryAfter } = said as Said
    assert.equal(code, 1012)
    return retryAfter!
  })
  assert.equal(new Set(delays).size, 100)
  assert.ok(delays.every((delay, i) => delay >= 3000 + i * 50 && delay <= 3000 + (i + 1) * 50), String(delays))
})
