import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Wheel } from '../../../src/core/time/wheel.js'
import { Waits } from '../../../src/life/waits.js'
import type { Awaited } from '../../../src/life/waits.js'

/** A connection for which so many bytes wait. */
function setUp (): { waits: Waits, of: { transport: { bufferedBytes: number, reader: null, asker: null, roomy: boolean }, over: boolean } } {
  const of = { transport: { bufferedBytes: 50, reader: null, asker: null, roomy: true }, deliveries: null, over: false, shed () {}, stalled () {} }
  return { of, waits: new Waits(of as unknown as Awaited, new Wheel(10), { limit: 100, low: 10, policy: 'drop', stallTimeout: 1000 }) }
}

test('whoever is called back first may take the room: the others wait on, each in its turn', () => {
  const { waits, of: connection } = setUp()
  const called: string[] = []
  const waitAs = (name: string): void => {
    waits.forRoom(() => {
      called.push(name)
      connection.transport.bufferedBytes = 50
      if (called.length < 6) waitAs(name)
    })
  }
  for (const name of ['a', 'b', 'c']) waitAs(name)
  for (let i = 0; i < 6; i++) {
    assert.equal(called.length, i)
    connection.transport.bufferedBytes = 0
    waits.changed()
  }
  assert.deepEqual(called, ['a', 'b', 'c', 'a', 'b', 'c'])
})

test('who takes no room leaves it to the others, who takes back that it waits is not called, and at the end all are', () => {
  const { waits, of: connection } = setUp()
  const called: string[] = []
  waits.forRoom(() => { called.push('a'); forget() })
  const forget = waits.forRoom(() => { called.push('b') })
  waits.forRoom(() => { called.push('c'); connection.transport.bufferedBytes = 50 })
  for (const name of ['d', 'e']) waits.forRoom(() => { called.push(name) })
  connection.transport.bufferedBytes = 10
  waits.changed()
  assert.deepEqual(called, ['a', 'c'])
  connection.over = true
  waits.changed()
  assert.deepEqual(called, ['a', 'c', 'd', 'e'])
})

test('what one of them throws keeps nobody else waiting, and comes out where the app can see it', async (t) => {
  const { waits, of: connection } = setUp()
  const called: string[] = []
  waits.forRoom(() => { throw new Error('of the app') })
  waits.forRoom(() => { called.push('b') })
  connection.transport.bufferedBytes = 0
  const immediates: Array<() => void> = []
  t.mock.method(globalThis, 'setImmediate', (callback: () => void) => { immediates.push(callback) })
  waits.changed()
  assert.deepEqual(called, ['b'])
  assert.throws(() => { for (const callback of immediates) callback() }, { message: 'of the app' })
})
