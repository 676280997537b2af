import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { Wheel } from '../../../src/core/time/wheel.js'
import { answerUnavailable, Ending } from '../../../src/plugin/ending.js'
import type { Socket } from '../../../src/plugin/ending.js'
import { Clock } from '../clock.js'
import { END, FakeSocket, SLOT } from './watched.js'

/** One that does not go before it is destroyed: its peer takes nothing. */
class Stuck extends FakeSocket {
  override destroySoon (): void {}
}

function setUp (t: TestContext): { wheel: Wheel, ending: Ending, end: (socket: FakeSocket) => FakeSocket } {
  const wheel = new Wheel(SLOT, new Clock(t).now)
  t.after(() => { wheel.stop() })
  const ending = new Ending(wheel, END)
  return { wheel, ending, end: (socket) => { ending.end(socket as unknown as Socket); return socket } }
}

test('who goes is forgotten at the next look; who does not is destroyed when its time is up, and not before', (t) => {
  const { wheel, ending, end } = setUp(t)
  const [gone, stuck] = [end(new FakeSocket()), end(new Stuck())]
  assert.deepEqual([gone.destroyed, stuck.destroyed, ending.size], [true, false, 2])
  ending.look()
  assert.equal(ending.size, 1)
  // The slot that is now may be nearly over.
  wheel.slot += wheel.slots(END)
  ending.look()
  assert.equal(stuck.destroyed, false)
  wheel.slot++
  ending.look()
  assert.deepEqual([stuck.destroyed, ending.size], [true, 0])
})

test('a stop leaves nobody', (t) => {
  const { ending, end } = setUp(t)
  const stuck = end(new Stuck())
  ending.stop()
  assert.deepEqual([stuck.destroyed, ending.size], [true, 0])
})

test('a 503 is written to whoever can still be written to, and ends nobody by itself', () => {
  const [open, ended] = [new FakeSocket(), new FakeSocket()]
  ended.writable = false
  for (const socket of [open, ended]) answerUnavailable(socket as unknown as Socket)
  assert.match(open.written, /^HTTP\/1\.1 503 .*\r\n(.+\r\n)+\r\n$/)
  assert.deepEqual([open.destroyed, ended.written], [false, ''])
})
