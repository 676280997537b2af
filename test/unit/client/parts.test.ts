/** The parts of the client that know no sockets. */
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import fc from 'fast-check'
import { backoff, toldBy } from '../../../src/client/backoff.js'
import { Emitter } from '../../../src/client/events.js'
import { delivering } from '../../../src/client/sent.js'
import type { Outcome } from '../../../src/client/sent.js'
import { watchSigns } from '../../../src/client/signs.js'
import { Watch } from '../../../src/client/watch.js'
import { own, sizeOf, utf8Length, world } from '../../../src/client/world.js'

test('a wait is any time up to a bound that doubles, to a most', () => {
  const most = () => 0.999999
  assert.deepEqual([0, 1, 2, 5, 10, 2000].map((attempts) => Math.round(backoff(attempts, { min: 1000, max: 30_000 }, most))), [1000, 2000, 4000, 30_000, 30_000, 30_000])
  assert.equal(backoff(3, { min: 1000, max: 30_000 }, () => 0), 0)
})

test('when to come back is read from a reason, and from nothing else', () => {
  assert.deepEqual(['retry: 4213', 'retry: 0', '', 'retry:1', 'retry: -1', 'retry: 1e3', 'please retry: 5', 'retry: 99999999999'].map(toldBy), [4213, 0, ...Array(6).fill(undefined)])
})

test('sizes are those on the wire', () => {
  fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => { assert.equal(utf8Length(text), Buffer.byteLength(text)) }))
  // Halves of pairs are replaced by U+FFFD.
  for (const text of ['\ud800', 'a\udc00b', '\ud800\ud800\udc00']) assert.equal(utf8Length(text), Buffer.byteLength(text), JSON.stringify(text))
  assert.deepEqual([sizeOf('ü'), sizeOf(new Uint8Array(5)), sizeOf(new ArrayBuffer(6)), sizeOf(new Blob(['abc'])), sizeOf(12)], [2, 5, 6, 3, 2])
})

test('what is kept is nobody else\'s to change', async () => {
  const bytes = new Uint8Array([1, 2, 3])
  const [view, buffer] = [own(bytes.subarray(1)), own(bytes.buffer)]
  bytes.fill(0)
  assert.deepEqual([[...view], [...new Uint8Array(buffer)]], [[2, 3], [1, 2, 3]])
  assert.equal(own(12), '12')
  assert.equal(await own(new Blob(['abc'])).text(), 'abc')
})

describe('events', () => {
  class Some extends Emitter {
    onping: ((event: any) => void) | null = null
    ping (more?: object): void { this.tell('ping', more) }
  }

  test('handler and listeners hear in order; once is once; twice the same is once', () => {
    const some = new Some()
    const heard: string[] = []
    const twice = (): void => { heard.push('listener') }
    some.onping = ({ target, type, more }) => { heard.push(`handler ${type} ${String(more)} ${String(target === some)}`) }
    some.addEventListener('ping', twice)
    some.addEventListener('ping', twice)
    some.addEventListener('ping', { handleEvent: () => { heard.push('object') } }, { once: true })
    some.addEventListener('ping', null)
    some.ping({ more: 1 })
    some.onping = null
    some.ping()
    assert.deepEqual(heard, ['handler ping 1 true', 'listener', 'object', 'listener'])
    some.removeEventListener('ping', twice)
    some.ping()
    assert.equal(heard.length, 4)
  })

  test('a signal takes a listener off; who is taken off meanwhile hears nothing, who comes meanwhile the next', () => {
    const some = new Some()
    const heard: string[] = []
    const abort = new AbortController()
    const third = (): void => { heard.push('third') }
    some.addEventListener('ping', () => {
      heard.push('first')
      some.removeEventListener('ping', third)
      some.addEventListener('ping', fourth)
    }, { signal: abort.signal })
    const fourth = (): void => { heard.push('fourth') }
    some.addEventListener('ping', third)
    some.ping()
    abort.abort()
    some.addEventListener('ping', third, { signal: abort.signal })
    some.ping()
    assert.deepEqual(heard, ['first', 'fourth'])
  })

  test('a listener that throws keeps nobody from hearing, and what it has thrown is reported', (t) => {
    const reported: unknown[] = []
    Object.assign(world, { reportError: (error: unknown) => { reported.push(error) } })
    t.after(() => { delete (world as { reportError?: unknown }).reportError })
    const some = new Some()
    let heard = 0
    some.addEventListener('ping', () => { throw new Error('one') })
    some.addEventListener('ping', () => { heard++ })
    some.ping()
    assert.deepEqual([heard, reported.map(String)], [1, ['Error: one']])
  })
})

/** Timers and the clock are those of the test. */
function timed (t: TestContext): (ms: number) => void {
  t.mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'Date'], now: 1_000_000 })
  return (ms) => { t.mock.timers.tick(ms) }
}

describe('watching the line', () => {
  function make (t: TestContext): { watch: Watch, pass: (ms: number) => void, seen: string[] } {
    const pass = timed(t)
    const seen: string[] = []
    return { watch: new Watch({ ask: (why) => { seen.push(`ask ${why}`) }, silent: () => { seen.push('silent') } }), pass, seen }
  }

  test('a server that says something every beat is not asked', (t) => {
    const { watch, pass, seen } = make(t)
    watch.start(1000)
    for (let i = 0; i < 20; i++) { pass(1000); watch.heard() }
    assert.deepEqual(seen, [])
    watch.stop()
  })

  test('one that says nothing for a beat and a half is asked, and left two seconds later', (t) => {
    const { watch, pass, seen } = make(t)
    watch.start(1000)
    pass(1499)
    assert.deepEqual(seen, [])
    pass(1)
    assert.deepEqual(seen, ['ask silence'])
    pass(2000)
    assert.deepEqual(seen, ['ask silence', 'silent'])
    pass(100_000)
    assert.equal(seen.length, 2)
  })

  test('one that answers is there, and watched on; asking twice is asking once more', (t) => {
    const { watch, pass, seen } = make(t)
    watch.start(10_000)
    watch.ask('online')
    pass(1000)
    watch.ask('pageshow')
    pass(1000)
    watch.heard()
    pass(1000)
    assert.deepEqual(seen, ['ask online', 'ask pageshow'])
    pass(15_000)
    assert.deepEqual(seen, ['ask online', 'ask pageshow', 'ask silence'])
    watch.stop()
  })
})

describe('signs', () => {
  function make (t: TestContext): { pass: (ms: number) => void, seen: string[], fire: (type: string, event?: object) => void, end: () => void, state: { visibilityState: string }, listeners: Map<string, Set<(event: any) => void>> } {
    const pass = timed(t)
    const listeners = new Map<string, Set<(event: any) => void>>()
    const target = {
      addEventListener: (type: string, listener: () => void) => { (listeners.get(type) ?? listeners.set(type, new Set()).get(type)!).add(listener) },
      removeEventListener: (type: string, listener: () => void) => { listeners.get(type)?.delete(listener) }
    }
    const state = { visibilityState: 'visible', ...target }
    Object.assign(world, target, { document: state })
    t.after(() => { for (const name of ['addEventListener', 'removeEventListener', 'document']) delete (world as unknown as Record<string, unknown>)[name] })
    const seen: string[] = []
    const end = watchSigns({ woke: (why) => { seen.push(why) }, leaves: (comesBack) => { seen.push(`leaves ${String(comesBack)}`) } })
    t.after(end)
    return { pass, seen, fire: (type, event = {}) => { for (const listener of listeners.get(type) ?? []) listener({ type, ...event }) }, end, state, listeners }
  }

  test('a page that is shown, a network that is there again, and a page that goes', (t) => {
    const { seen, fire, state, end, listeners } = make(t)
    fire('online')
    fire('visibilitychange')
    state.visibilityState = 'hidden'
    fire('visibilitychange')
    fire('pagehide', { persisted: true })
    fire('pagehide', { persisted: false })
    state.visibilityState = 'visible'
    fire('pageshow')
    assert.deepEqual(seen, ['online', 'visibilitychange', 'leaves true', 'leaves false', 'pageshow'])
    end()
    assert.equal([...listeners.values()].reduce((sum, { size }) => sum + size, 0), 0)
  })

  test('a clock that has jumped, and not one that is a little late', (t) => {
    const { pass, seen } = make(t)
    for (let i = 0; i < 10; i++) pass(1000)
    assert.deepEqual(seen, [])
    const now = Date.now()
    t.mock.method(Date, 'now', () => now + 3_600_000)
    pass(1000)
    assert.deepEqual(seen, ['clock'])
  })
})

describe('waiting for a message', () => {
  test('the first answer counts, and leaves no timer', async (t) => {
    const pass = timed(t)
    let settle!: (outcome: Outcome) => void
    const answer = delivering((settles) => { settle = settles; return null }, {})
    settle('delivered')
    settle('gone')
    pass(20_000)
    assert.deepEqual(await answer, { outcome: 'delivered' })
  })

  test('what was not taken is told at once; a signal that was aborted before sends nothing', async () => {
    assert.deepEqual(await delivering(() => 'full', {}), { outcome: 'full' })
    let sent = false
    await assert.rejects(delivering(() => { sent = true; return null }, { signal: AbortSignal.abort(new Error('before')) }), /before/)
    assert.equal(sent, false)
  })
})
