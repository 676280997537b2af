import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { Duplex, PassThrough } from 'node:stream'
import { test } from 'node:test'
import { Tally } from '../../../src/observe/tally.js'
import { Wheel } from '../../../src/core/time/wheel.js'
import { Upgrades } from '../../../src/plugin/upgrades.js'
import { Clock } from '../clock.js'
import { busy, counting, END, FakeSocket, setUp, SLOT, TIMEOUT } from './watched.js'

test('an adopted socket is out of the ledger, and is left alone', (t) => {
  const { clock, wheel, upgrades, tally, come } = setUp(t)
  const { request, socket } = come()
  assert.equal(upgrades.size, 1)
  assert.equal(upgrades.adopt(request)?.socket, socket)
  assert.equal(upgrades.size, 0)
  socket.bytesWritten += 100
  clock.pass(10 * TIMEOUT)
  assert.equal(socket.destroyed, false)
  assert.deepEqual(tally.upgrades, { refused: 0, timedOut: 0 })
  assert.equal(wheel.running, false)
})

test('a request that never asked for an upgrade is adopted without a socket', (t) => {
  assert.equal(setUp(t).upgrades.adopt({} as IncomingMessage), undefined)
})

test('a socket that got an answer instead of a connection is ended, once the answer is whole', (t) => {
  const { clock, upgrades, tally, come } = setUp(t)
  const { socket } = come()
  for (let i = 0; i < 5; i++) {
    socket.bytesWritten += 10
    clock.pass(SLOT)
    assert.equal(socket.destroyed, false)
  }
  // Nobody says when an answer that passed no hook of ours is whole: when it has not grown for a while.
  clock.pass(END + SLOT)
  assert.equal(socket.destroyed, true)
  assert.equal(socket.written, '')
  assert.equal(upgrades.size, 0)
  assert.deepEqual(tally.upgrades, { refused: 1, timedOut: 0 })
})

test('who has hijacked a socket and ended it has its place until it is closed, and so much time for that', (t) => {
  const { clock, upgrades, come } = setUp(t)
  const { request, socket } = come()
  let left = 0
  upgrades.routed(request, { sent: true, raw: { headersSent: false, writableEnded: false } })
  upgrades.admitted(request, () => { left++ })
  socket.destroySoon = () => {}
  Object.assign(socket, { writableEnded: true })
  clock.pass(SLOT)
  assert.deepEqual([upgrades.size, left, socket.destroyed], [0, 0, false])
  clock.pass(END + SLOT)
  assert.equal(socket.destroyed, true)
  socket.emit('close')
  assert.equal(left, 1)
})

test('what was written before Fastify was asked shortens nobody\'s time: it may be a 1xx answer', (t) => {
  const { clock, upgrades, come } = setUp(t)
  const { request, socket } = come()
  socket.bytesWritten += 50
  clock.pass(TIMEOUT)
  assert.equal(upgrades.adopt(request)?.socket, socket)
  assert.equal(socket.destroyed, false)
})

test('when Fastify says that the answer is sent, the socket is ended at once', (t) => {
  const { upgrades, tally, come } = setUp(t)
  const { request, socket } = come()
  upgrades.answered(request)
  upgrades.answered(request)
  upgrades.answered({} as IncomingMessage)
  assert.equal(socket.destroyed, true)
  assert.equal(tally.upgrades.refused, 1)
})

test('what was written before the upgrade, on a connection kept alive, is no answer', (t) => {
  const { clock, upgrades, come } = setUp(t)
  const { socket } = come(new FakeSocket(5000))
  clock.pass(TIMEOUT)
  assert.equal(socket.destroyed, false)
  assert.equal(upgrades.size, 1)
})

test('an upgrade that nobody decides gets a 503 after upgradeTimeout', (t) => {
  const { clock, tally, come } = setUp(t)
  const { socket } = come()
  clock.pass(TIMEOUT)
  assert.equal(socket.destroyed, false)
  clock.pass(SLOT)
  assert.match(socket.written, /^HTTP\/1\.1 503 .*\r\n(.+\r\n)+\r\n$/)
  assert.equal(socket.destroyed, true)
  assert.deepEqual(tally.upgrades, { refused: 1, timedOut: 1 })
})

test('an upgrade to whatever else that nobody decides gets its 503 as well', (t) => {
  const { clock, tally, come } = setUp(t)
  for (const other of ['h2c', 'websocket, h2c', 'foo']) come().request.headers.upgrade = other
  clock.pass(TIMEOUT + SLOT)
  assert.deepEqual(tally.upgrades, { refused: 3, timedOut: 3 })
})

test('who has hijacked a socket has it, though nothing is written there yet; what @fastify/websocket hijacks is as undecided as before', (t) => {
  const { clock, upgrades, tally, come } = setUp(t)
  const [theirs, passed, gone] = [come(), come(), come()]
  let left = 0
  for (const { request } of [theirs, passed, gone]) {
    upgrades.routed(request, { sent: true, raw: { headersSent: false, writableEnded: false } })
    upgrades.admitted(request, () => { left++ })
  }
  upgrades.dispatched(passed.request)
  upgrades.dispatched({} as IncomingMessage)
  gone.socket.destroy()
  clock.pass(SLOT)
  assert.deepEqual([upgrades.size, left], [1, 1])
  // Early hints went before it.
  passed.socket.bytesWritten += 50
  clock.pass(2 * TIMEOUT)
  assert.deepEqual([theirs.socket.written, theirs.socket.destroyed, upgrades.size, left], ['', false, 0, 2])
  assert.match(passed.socket.written, / 503 /)
  assert.deepEqual(tally.upgrades, { refused: 2, timedOut: 1 })
  theirs.socket.emit('close')
  assert.equal(left, 3)
})

test('a client that leaves before the decision is forgotten', (t) => {
  const { clock, upgrades, tally, come } = setUp(t)
  const { socket } = come()
  socket.destroyed = true
  clock.pass(SLOT)
  assert.equal(upgrades.size, 0)
  assert.equal(socket.written, '')
  assert.equal(tally.upgrades.refused, 1)
})

test('while it closes, who waits gets a 503 now, and who comes gets one at the end of the turn', (t) => {
  const { clock, upgrades, come } = setUp(t)
  const before = come()
  upgrades.close()
  assert.match(before.socket.written, / 503 /)
  const [late, answered, adopted] = [come(), come(), come()]
  answered.socket.write('HTTP/1.1 503 by Fastify\r\n\r\n')
  upgrades.adopt(adopted.request)
  assert.equal(late.socket.destroyed, false)
  clock.stall(0)
  assert.match(late.socket.written, / 503 /)
  assert.equal(answered.socket.written, 'HTTP/1.1 503 by Fastify\r\n\r\n')
  assert.deepEqual([late, answered, adopted].map(({ socket }) => socket.destroyed), [true, true, false])
})

test('a stop lets go of the server and leaves nothing behind', (t) => {
  const { clock, wheel, server, upgrades, come } = setUp(t)
  const { socket } = come()
  upgrades.close()
  const late = come()
  upgrades.stop()
  assert.equal(server.listenerCount('upgrade'), 0)
  assert.deepEqual([socket.destroyed, late.socket.destroyed, upgrades.size], [true, true, 0])
  clock.pass(SLOT)
  assert.equal(wheel.running, false)
})

test('it hears of an upgrade before any other listener', (t) => {
  const clock = new Clock(t)
  const server = new EventEmitter()
  server.on('upgrade', () => { sizes.push(upgrades.size) })
  const sizes: number[] = []
  const upgrades = new Upgrades(server, new Wheel(SLOT, clock.now), { decide: TIMEOUT, end: TIMEOUT }, counting(new Tally()))
  server.emit('upgrade', {}, new FakeSocket())
  assert.deepEqual(sizes, [1])
  upgrades.stop()
})

test('a stream that cannot be destroyed softly is ended, then destroyed', (t) => {
  const { upgrades, server } = setUp(t)
  const calls: string[] = []
  const request = {} as IncomingMessage
  server.emit('upgrade', request, Object.assign(new EventEmitter(), { end (done: () => void) { calls.push('end'); done() }, destroy () { calls.push('destroy') } }))
  upgrades.answered(request)
  assert.deepEqual(calls, ['end', 'destroy'])
})

test('the timer runs while an upgrade is under way, and only then', (t) => {
  const { clock, wheel, upgrades, come } = setUp(t)
  assert.equal(wheel.running, false)
  const { request } = come()
  assert.equal(wheel.running, true)
  upgrades.adopt(request)
  clock.pass(2 * SLOT)
  assert.equal(wheel.running, false)
})

test('an answer that Fastify streams has its time as long as it grows, and no more', (t) => {
  const { clock, upgrades, come } = setUp(t)
  const { request, socket } = come()
  upgrades.routed(request, { sent: false, raw: { headersSent: true, writableEnded: false } })
  for (let i = 0; i < 10; i++) {
    socket.bytesWritten += 10
    clock.pass(TIMEOUT)
    assert.equal(socket.destroyed, false)
  }
  clock.pass(2 * TIMEOUT)
  assert.equal(socket.destroyed, true)
})

test('who is refused, and does not take why, is let go of at the end at the latest', (t) => {
  const { clock, upgrades, come } = setUp(t)
  const [early, late] = [come(), come()]
  for (const { socket } of [early, late]) socket.destroySoon = () => {}
  upgrades.answered(early.request)
  clock.pass(END + SLOT)
  assert.equal(early.socket.destroyed, true)
  upgrades.answered(late.request)
  assert.equal(late.socket.destroyed, false)
  upgrades.stop()
  assert.equal(late.socket.destroyed, true)
})

test('an error of a socket that nobody has taken harms nothing, and is its end: undecided, refused, or stopped', (t) => {
  const { upgrades, come } = setUp(t)
  const undecided = come().socket
  undecided.emit('error', new Error('read ECONNRESET'))
  assert.equal(undecided.destroyed, true)
  const refused = come()
  refused.socket.destroySoon = () => {}
  upgrades.answered(refused.request)
  refused.socket.emit('error', new Error('write EPIPE'))
  assert.equal(refused.socket.destroyed, true)
  const stopped = come().socket
  upgrades.stop()
  for (const socket of [undecided, refused.socket, stopped]) socket.emit('error', new Error('write ECONNRESET'))
})

test('a 503 at the end of the turn, when the server closes and nobody else has answered, may fail as well', async (t) => {
  const server = new EventEmitter()
  const upgrades = new Upgrades(server, new Wheel(SLOT), { decide: TIMEOUT, end: END }, counting(new Tally()))
  t.after(() => { upgrades.stop() })
  upgrades.close()
  const reset = new class extends Duplex {
    override _read (): void {}
    override _write (_chunk: Buffer, _encoding: string, done: (error: Error) => void): void { done(new Error('write ECONNRESET')) }
  }()
  const gone = new Promise((resolve) => { reset.on('close', resolve) })
  server.emit('upgrade', { headers: { upgrade: 'websocket' } }, reset, Buffer.alloc(0))
  await gone
  // One that was ended already is written to by nobody, and one that fails to end is let go of.
  const ended = new PassThrough().end()
  server.emit('upgrade', { headers: { upgrade: 'websocket' } }, ended, Buffer.alloc(0))
  await new Promise(setImmediate)
  assert.equal(upgrades.size, 0)
})

test('whoever takes a socket gets it without a listener of ours, and never without any', (t) => {
  const { clock, upgrades, come } = setUp(t)
  const theirs = (): void => {}
  const adopted = come()
  adopted.socket.on('error', theirs)
  upgrades.adopt(adopted.request)
  assert.deepEqual(adopted.socket.listeners('error'), [theirs])
  const [heard, unheard] = [come(), come()]
  for (const { request, socket } of [heard, unheard]) {
    upgrades.routed(request, { sent: true, raw: { headersSent: false, writableEnded: false } })
    socket.bytesWritten += 10
  }
  heard.socket.on('error', theirs)
  clock.pass(SLOT)
  assert.equal(upgrades.size, 0, 'hijacked')
  assert.deepEqual(heard.socket.listeners('error'), [theirs])
  assert.equal(unheard.socket.listenerCount('error'), 1)
  const [one, other] = [come(), come()]
  assert.equal(one.socket.listeners('error')[0], other.socket.listeners('error')[0], 'one function for all')
})

test('behind a 1xx answer it is as undecided as before: it keeps its place and its guard, and gets its 503', (t) => {
  const { clock, upgrades, tally, come } = setUp(t)
  const { request, socket } = come()
  let left = 0
  upgrades.routed(request, { sent: false, raw: { headersSent: false, writableEnded: false } })
  upgrades.admitted(request, () => { left++ })
  socket.bytesWritten += 50
  clock.pass(TIMEOUT)
  assert.deepEqual([upgrades.size, upgrades.waits(request), left], [1, true, 0])
  const other = come()
  upgrades.routed(other.request, { sent: false, raw: { headersSent: false, writableEnded: false } })
  other.socket.bytesWritten += 50
  clock.pass(SLOT)
  assert.match(socket.written, / 503 /)
  assert.deepEqual([socket.destroyed, left, tally.upgrades.timedOut], [true, 1, 1])
  assert.equal(upgrades.adopt(other.request)?.socket, other.socket)
})

for (const [how, sent, event] of [['says so', true, 'error'], ['reads from it', false, 'data'], ['reads from it', false, 'readable']] as const) {
  test(`who takes a socket past the reply, and ${how} (${event}), has its place until it is over, also while we close`, (t) => {
    const { clock, upgrades, come } = setUp(t)
    const [one, other] = [come(), come()]
    let left = 0
    for (const { request, socket } of [one, other]) {
      upgrades.routed(request, { sent, raw: { headersSent: false, writableEnded: false } })
      upgrades.admitted(request, () => { left++ })
      socket.on(event, () => {})
      socket.bytesWritten += 10
    }
    upgrades.close()
    clock.pass(2 * TIMEOUT)
    assert.deepEqual([upgrades.size, left, one.socket.destroyed, one.socket.written], [0, 0, false, ''])
    one.socket.emit('close')
    assert.equal(left, 1)
    other.socket.emit('close')
    assert.equal(left, 2)
  })
}

test('who is let in twice has one place', (t) => {
  const { upgrades, come } = setUp(t)
  const { request, socket } = come()
  const left: string[] = []
  upgrades.admitted(request, () => { left.push('first') })
  upgrades.admitted(request, () => { left.push('second') })
  assert.deepEqual(left, ['first'])
  upgrades.answered(request)
  assert.deepEqual(left, ['first', 'second'])
  upgrades.admitted(request, () => { left.push('late') })
  assert.deepEqual(left, ['first', 'second', 'late'])
  assert.equal(upgrades.waits(request), false)
  const undecided = come()
  assert.equal(upgrades.waits(undecided.request), true)
  undecided.socket.destroy()
  assert.equal(upgrades.waits(undecided.request), false)
  assert.equal(socket.destroyed, true)
})

test('deadlines keep their time when the slots become shorter', (t) => {
  const { clock, wheel, upgrades, come } = setUp(t)
  const undecided = come().socket
  const refused = come()
  refused.socket.destroySoon = () => {}
  upgrades.answered(refused.request)
  const behind = come(busy().socket).socket
  wheel.refine(SLOT / 5)
  clock.pass(END - 2 * SLOT, 1)
  assert.deepEqual([undecided.destroyed, refused.socket.destroyed, behind.destroyed], [false, false, false])
  clock.pass(3 * SLOT, 1)
  assert.deepEqual([undecided.destroyed, refused.socket.destroyed, behind.destroyed], [false, true, true])
  clock.pass(TIMEOUT - END - 2 * SLOT, 1)
  assert.equal(undecided.destroyed, false)
  clock.pass(2 * SLOT, 1)
  assert.equal(undecided.destroyed, true)
})
