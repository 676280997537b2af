import assert from 'node:assert/strict'
import { PassThrough } from 'node:stream'
import { test } from 'node:test'
import { Pongs } from '../../../../src/transports/websocket/pongs.js'

function make (): { stream: PassThrough, wire: { open: boolean, untaken: number }, pongs: Pongs, written: string[] } {
  const written: string[] = []
  const stream = new PassThrough()
  const wire = { open: true, untaken: 0, writePong: (payload: Buffer) => { written.push(String(payload)) } }
  return { stream, wire, pongs: new Pongs(stream, wire), written }
}

const MUCH = 64 * 1024 + 1

test('every ping is answered at once while little waits', () => {
  const { wire, pongs, written } = make()
  for (const text of ['a', 'b']) pongs.answer(Buffer.from(text))
  wire.untaken = MUCH - 1
  pongs.answer(Buffer.from('c'))
  assert.deepEqual(written, ['a', 'b', 'c'])
})

test('an answer is a copy: it may have to wait, and keeps nothing of what the ping came in', () => {
  const answers: Buffer[] = []
  const pongs = new Pongs(new PassThrough(), { open: true, untaken: 0, writePong: (payload) => { answers.push(payload) } })
  const chunk = Buffer.alloc(65_536, 'a')
  pongs.answer(chunk.subarray(10, 14))
  chunk.fill('x')
  assert.deepEqual(answers.map((payload) => [String(payload), payload.buffer.byteLength]), [['aaaa', 4]])
})

test('while more than 64 KiB waits only the last is kept, a copy, and answered when it has been taken', () => {
  const { stream, wire, pongs, written } = make()
  wire.untaken = MUCH
  const chunk = Buffer.from('abc')
  for (let i = 0; i < 3; i++) pongs.answer(chunk.subarray(i, i + 1))
  chunk.fill('x')
  pongs.taken()
  assert.deepEqual(written, [])
  assert.equal(stream.listenerCount('drain'), 1)
  wire.untaken = 0
  stream.emit('drain')
  assert.deepEqual(written, ['c'])
  assert.equal(stream.listenerCount('drain'), 0)
  pongs.taken()
  assert.deepEqual(written, ['c'])
})

test('a later ping is answered instead of the one that was kept', () => {
  const { wire, pongs, written } = make()
  wire.untaken = MUCH
  pongs.answer(Buffer.from('a'))
  wire.untaken = 0
  pongs.answer(Buffer.from('b'))
  pongs.taken()
  assert.deepEqual(written, ['b'])
})

test('nothing is answered, nor left behind, once nothing can be sent, or it has ended', () => {
  const { stream, wire, pongs, written } = make()
  wire.untaken = MUCH
  pongs.answer(Buffer.from('a'))
  wire.open = false
  stream.emit('drain')
  pongs.answer(Buffer.from('b'))
  assert.deepEqual([written, stream.listenerCount('drain')], [[], 0])
  wire.open = true
  pongs.answer(Buffer.from('c'))
  pongs.end()
  wire.untaken = 0
  pongs.taken()
  assert.deepEqual([written, stream.listenerCount('drain')], [[], 0])
})
