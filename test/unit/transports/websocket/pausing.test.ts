import assert from 'node:assert/strict'
import { test } from 'node:test'
import type WebSocket from 'ws'
import { READ_ON_MAX } from '../../../../src/transports/websocket/inbox.js'
import { Pausing, why } from '../../../../src/transports/websocket/pausing.js'
import type { Bare } from '../../../../src/transports/websocket/supervisor.js'

type Reason = keyof typeof why

function make (): { pausing: Pausing, socket: { isPaused: boolean, changes: number }, owner: { held: number, over: boolean, blinds: number } } {
  const socket = { isPaused: false, changes: 0 }
  const owner = { held: 0, over: false, blinds: 0, blinded () { this.blinds++ } }
  const change = (on: boolean): void => {
    assert.notEqual(socket.isPaused, on, 'the socket is told of changes only')
    socket.isPaused = on
    socket.changes++
  }
  const bare = { pause: () => { change(true) }, resume: () => { change(false) } } as unknown as Bare
  return { pausing: new Pausing({ socket: socket as unknown as WebSocket, bare, look () {} }, owner), socket, owner }
}

const reasons = Object.keys(why) as Reason[]
const sets = Array.from({ length: 2 ** reasons.length }, (_, bits) => new Set(reasons.filter((_, i) => (bits & (1 << i)) !== 0)))

test('whatever reasons there are, in whatever order they come and go, the socket is paused by one rule', () => {
  for (const order of [reasons, reasons.toReversed()]) {
    const { pausing, socket, owner } = make()
    for (const set of sets) {
      for (const held of [0, READ_ON_MAX]) {
        for (const over of [false, true]) {
          Object.assign(owner, { held, over })
          for (const reason of order) pausing.because(why[reason], set.has(reason))
          const stopped = !over && (set.has('app') || set.has('rate') || set.has('behind'))
          const paused = stopped && !(set.has('answer') && held === 0)
          const name = JSON.stringify([...set, held, over])
          assert.equal(socket.isPaused, set.has('rest') || (paused && !set.has('look')), name)
          assert.deepEqual([pausing.stopped, pausing.paused, pausing.blind, pausing.peeking], [stopped, paused, stopped && held > 0, set.has('look')], name)
          assert.equal(pausing.throttled, stopped && set.has('rate') && !set.has('app') && !set.has('behind'), name)
          assert.equal(pausing.byApp, !over && set.has('app'), name)
        }
      }
    }
  }
})

test('whoever is behind goes on below half of 256 KiB, and whoever waits for an answer below 8 MiB', () => {
  const { pausing, socket, owner } = make()
  owner.held = READ_ON_MAX
  pausing.because(why.behind, true)
  pausing.because(why.answer, true)
  pausing.grown(false)
  pausing.grown(true)
  assert.deepEqual([socket.isPaused, owner.blinds], [true, 1])
  owner.held--
  pausing.shrunk()
  pausing.grown(false)
  assert.deepEqual([socket.isPaused, owner.blinds], [false, 1])
  pausing.because(why.answer, false)
  owner.held = 128 * 1024
  pausing.shrunk()
  assert.equal(socket.isPaused, true)
  owner.held--
  pausing.shrunk()
  assert.equal(socket.isPaused, false)
})
