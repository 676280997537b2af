import assert from 'node:assert/strict'
import { test } from 'node:test'
import { tick, Turn, turn } from '../../../../src/transports/websocket/turn.js'

function make (): { turn: Turn, ends: Array<() => void> } {
  const ends: Array<() => void> = []
  return { turn: new Turn((end) => { ends.push(end) }), ends }
}

test('whoever asks is told of the end of the turn once; who asks then, of the end of the next', () => {
  const { turn, ends } = make()
  const told: string[] = []
  turn.add({ turnEnded: () => { told.push('first'); turn.add({ turnEnded: () => { told.push('second') } }) } })
  turn.add({ turnEnded: () => { told.push('too') } })
  assert.deepEqual([told.length, ends.length], [0, 1])
  ends[0]!()
  assert.deepEqual(told, ['first', 'too'])
  ends[1]!()
  assert.deepEqual(told, ['first', 'too', 'second'])
  assert.equal(ends.length, 2)
})

test('a turn has one number, and the next another', () => {
  const { turn, ends } = make()
  const { number } = turn
  assert.equal(turn.number, number)
  ends[0]!()
  assert.notEqual(turn.number, number)
})

test('nothing is scheduled while nobody asks', () => {
  assert.equal(make().ends.length, 0)
})

test('a tick ends before the turn does', async () => {
  const told: string[] = []
  await new Promise<void>((resolve) => {
    turn.add({ turnEnded: () => { told.push('turn'); resolve() } })
    tick.add({ turnEnded: () => { told.push('tick') } })
  })
  assert.deepEqual(told, ['tick', 'turn'])
})
