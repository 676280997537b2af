import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import fc from 'fast-check'
import { Wheel } from '../../../src/core/time/wheel.js'
import { Detached } from '../../../src/resume/detached.js'
import type { Absent, DetachedLimits } from '../../../src/resume/detached.js'
import { Clock } from '../clock.js'

class Someone implements Absent {
  heldBytes = 0
  readonly identity: string
  readonly name: string
  readonly #gone: string[]

  constructor (name: string, identity: string, gone: string[]) {
    this.name = name
    this.identity = identity
    this.#gone = gone
  }

  expire (): void { this.#gone.push(this.name) }
}

function make (t: TestContext, limits: Partial<DetachedLimits> = {}): { detached: Detached, gone: string[], come: (name: string, identity?: string, window?: number) => Someone, clock: Clock, wheel: Wheel } {
  const clock = new Clock(t)
  const wheel = new Wheel(10, clock.now)
  t.after(() => { wheel.stop() })
  const gone: string[] = []
  const detached = new Detached(wheel, { max: 100, total: 1000, perIdentity: 16, ...limits })
  const come = (name: string, identity = name, window = 60_000): Someone => {
    const someone = new Someone(name, identity, gone)
    detached.add(someone, window)
    return someone
  }
  return { detached, gone, come, clock, wheel }
}

test('whose time is up is over, and nobody else', (t) => {
  const { detached, gone, come, clock } = make(t)
  come('a', 'a', 100)
  come('b', 'b', 300)
  clock.pass(250)
  assert.deepEqual([gone, detached.size], [['a'], 1])
  clock.pass(250)
  assert.deepEqual([gone, detached.size], [['a', 'b'], 0])
})

test('who comes back is not over, and has all of its time the next time', (t) => {
  const { detached, gone, come, clock } = make(t)
  const a = come('a', 'a', 100)
  clock.pass(80)
  detached.delete(a)
  clock.pass(200)
  detached.add(a, 100)
  clock.pass(80)
  assert.deepEqual(gone, [])
  // Twice in a row is once.
  detached.add(a, 100)
  assert.equal(detached.size, 1)
  clock.pass(300)
  assert.deepEqual(gone, ['a'])
})

test('of one identity the oldest gives way to its own', (t) => {
  const { gone, come } = make(t, { perIdentity: 2 })
  for (const name of ['a1', 'a2', 'a3', 'a4']) come(name, 'a')
  come('b1', 'b')
  assert.deepEqual(gone, ['a1', 'a2'])
})

test('past the number of all, the oldest of who has most gives way', (t) => {
  const { gone, come } = make(t, { max: 4 })
  come('b1', 'b')
  for (const name of ['a1', 'a2', 'a3']) come(name, 'a')
  come('c1', 'c')
  come('d1', 'd')
  assert.deepEqual(gone, ['a1', 'a2'])
  // All have as many: the oldest of all.
  come('e1', 'e')
  assert.deepEqual(gone, ['a1', 'a2', 'b1'])
})

test('past the bytes of all likewise, also when they grow later', (t) => {
  const { detached, gone, come } = make(t, { total: 100 })
  const [a, b] = [come('a'), come('b')]
  b.heldBytes = 90
  detached.update(b)
  assert.deepEqual([gone, detached.bytes], [[], 90])
  a.heldBytes = 20
  detached.update(a)
  assert.deepEqual([gone, detached.bytes], [['a'], 90])
  b.heldBytes = 101
  detached.update(b)
  assert.deepEqual([gone, detached.bytes, detached.size], [['a', 'b'], 0, 0])
})

test('whatever happens, its sums are those of who is there, and its bounds hold', (t) => {
  const names = fc.nat(12)
  fc.assert(fc.property(fc.array(fc.oneof(
    fc.record({ what: fc.constant('add' as const), who: names, bytes: fc.nat(40) }),
    fc.record({ what: fc.constant('delete' as const), who: names, bytes: fc.constant(0) }),
    fc.record({ what: fc.constant('update' as const), who: names, bytes: fc.nat(80) })
  ), { maxLength: 60 }), (steps) => {
    const { detached, gone } = make(t, { max: 6, total: 150, perIdentity: 3 })
    const all = Array.from({ length: 13 }, (_, i) => new Someone(`n${i}`, `id${i % 4}`, gone))
    const there = new Set<Someone>()
    for (const { what, who, bytes } of steps) {
      const someone = all[who]!
      const before = gone.length
      someone.heldBytes = bytes
      if (what === 'add') {
        there.delete(someone)
        there.add(someone)
        detached.add(someone, 60_000)
      } else if (what === 'delete') {
        there.delete(someone)
        detached.delete(someone)
      } else {
        detached.update(someone)
      }
      for (const name of gone.slice(before)) there.delete(all.find((one) => one.name === name)!)
      assert.equal(detached.size, there.size)
      assert.ok(there.size <= 6)
      assert.ok(detached.bytes <= 150)
      for (const identity of ['id0', 'id1', 'id2', 'id3']) assert.ok([...there].filter((one) => one.identity === identity).length <= 3)
    }
    for (const someone of all) detached.delete(someone)
    assert.deepEqual([detached.size, detached.bytes], [0, 0])
  }), { numRuns: 300 })
})

test('with ten thousand who give way to others it takes as long as with ten', (t) => {
  const { detached, come, wheel } = make(t, { max: 10_000 })
  for (let i = 0; i < 30_000; i++) come(`n${i}`)
  assert.equal(detached.size, 10_000)
  // One timer for all of them: that of the wheel.
  assert.ok(wheel.width > 0)
})
