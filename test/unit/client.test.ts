/**
 * examples/client/client.js: one socket at a time, that comes back when and where it shall.
 */
import assert from 'node:assert/strict'
import { beforeEach, mock, test } from 'node:test'
import { nextOf } from '../../src/protocol/close-codes.js'
import { retryReason } from '../../src/protocol/retry.js'
// @ts-expect-error: an example, in JavaScript
import { connect } from '../../examples/client/client.js'

class FakeWebSocket {
  onopen: (() => void) | null = null
  onmessage: ((event: { data: string }) => void) | null = null
  onclose: ((event: { code: number, reason: string }) => void) | null = null
  closes = 0
  constructor () { dialled.push(this) }
  close (): void { this.closes++ }
  /** As a browser tells it. */
  ends (code: number, reason = ''): void { this.onclose?.({ code, reason }) }
}

let dialled: FakeWebSocket[] = []
let heard: string[] = []
let ends: Array<[number, string]> = []
let opened = 0

beforeEach((t) => {
  [dialled, heard, ends, opened] = [[], [], [], 0]
  mock.timers.enable({ apis: ['setTimeout', 'Date'] })
  mock.method(Math, 'random', () => 0.5)
  const before = globalThis.WebSocket
  globalThis.WebSocket = FakeWebSocket as unknown as typeof WebSocket
  ;(t as unknown as { after: (call: () => void) => void }).after(() => {
    globalThis.WebSocket = before
    mock.reset()
  })
})

const start = (more = {}): () => void => connect('ws://x/live', {
  message: (data: string) => { heard.push(data) },
  open: () => { opened++ },
  end: (code: number, reason: string) => { ends.push([code, reason]) },
  ...more
})
const last = (): FakeWebSocket => dialled.at(-1)!

test('it comes back, or stays away, as the table of close codes says of each code', () => {
  for (let code = 1000; code < 5000; code++) {
    if (code === 1004 || (code > 1014 && code < 3000)) continue
    const [before, over] = [dialled.length, ends.length]
    const stop = start()
    last().ends(code)
    mock.timers.tick(30_000)
    assert.equal(dialled.length - before, nextOf(code) === 'back' ? 2 : 1, String(code))
    assert.equal(ends.length - over, nextOf(code) === 'back' ? 0 : 1, String(code))
    stop()
  }
})

test('when the server names a delay it comes then, not before', () => {
  start()
  last().ends(1012, retryReason(4213))
  mock.timers.tick(4212)
  assert.equal(dialled.length, 1)
  mock.timers.tick(1)
  assert.equal(dialled.length, 2)
})

test('without one it waits longer each time, up to 30 s, also when it is let in and thrown out at once', () => {
  start()
  const waited = []
  for (let i = 0; i < 7; i++) {
    last().onopen!()
    last().ends(1011)
    const before = dialled.length
    let ms = 0
    for (; dialled.length === before; ms += 100) mock.timers.tick(100)
    waited.push(ms)
  }
  assert.deepEqual(waited, [500, 1000, 2000, 4000, 8000, 15_000, 15_000])
  last().onopen!()
  mock.timers.tick(10_001)
  last().ends(1006)
  mock.timers.tick(500)
  assert.equal(dialled.length, 9, 'after a connection that lasted it begins anew')
})

test('a line on which nothing is heard is given up, and its late close opens no second socket', () => {
  start({ silence: 40_000 })
  const first = last()
  first.onopen!()
  mock.timers.tick(39_000)
  first.onmessage!({ data: 'a' })
  mock.timers.tick(39_000)
  assert.equal(dialled.length, 1)
  mock.timers.tick(1_000)
  assert.equal(first.closes, 1)
  mock.timers.tick(500)
  assert.equal(dialled.length, 2)
  first.ends(1006)
  mock.timers.tick(60_000)
  assert.equal(dialled.length, 2)
  assert.deepEqual([heard, opened], [['a'], 1])
})

test('without silence an idle line is left alone', () => {
  start()
  last().onopen!()
  mock.timers.tick(3_600_000)
  assert.deepEqual([dialled.length, last().closes], [1, 0])
})

test('stopped, it says so once, and stays away: open, and while it waits to come back', () => {
  const stop = start()
  last().onopen!()
  stop()
  stop()
  assert.deepEqual([last().closes, ends], [1, [[1000, '']]])
  const stopWaiting = start()
  last().ends(1006)
  stopWaiting()
  mock.timers.tick(60_000)
  assert.equal(dialled.length, 2)
})
