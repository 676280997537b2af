/**
 * Both endpoints in worlds of chance (model.ts). One of them again: SEED=17 npm run test:some -- unit/protocol/model
 */
import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { World } from './model.js'
import type { Happened } from './model.js'

const COUNT = 20_000
const seeds = process.env.SEED === undefined ? Array.from({ length: COUNT }, (_, i) => i + 1) : [Number(process.env.SEED)]

describe('a client that comes back, over a network that loses, delays, cuts and repeats', () => {
  /** What was violated, by the word that it begins with. */
  const violated = new Map<string, string[]>()
  const happened: Partial<Record<keyof Happened, number>> = {}

  before(() => {
    for (const seed of seeds) {
      const world = new World(seed)
      let violations
      try {
        violations = world.play()
      } catch (error) {
        violations = [`thrown: ${String(error)}`]
      }
      for (const what of violations) {
        const [kind] = what.split(':') as [string]
        const list = violated.get(kind) ?? []
        violated.set(kind, list)
        list.push(`SEED=${seed}: ${what}`)
      }
      for (const [what, count] of Object.entries(world.happened) as Array<[keyof Happened, number]>) happened[what] = (happened[what] ?? 0) + count
    }
  })
  const holds = (...kinds: string[]): void => { assert.deepEqual(kinds.flatMap((kind) => violated.get(kind)?.slice(0, 5) ?? []), []) }

  test('nothing is lost untold', () => { holds('lost', 'told') })
  test('nothing comes twice', () => { holds('twice') })
  test('order is kept, and one is worked at after the other', () => { holds('order') })
  test('what was sent comes as it was sent', () => { holds('changed') })
  test('nobody is locked out', () => { holds('lock-out') })
  test('no gap is told of a session that lives', () => { holds('needless') })
  test('no token outlives its session', () => { holds('leak') })
  test('nothing throws', () => { holds('thrown') })
  test('all of it has happened, often', (t) => {
    t.diagnostic(`${seeds.length} histories: ${Object.entries(happened).map(([what, count]) => `${what} ${count}`).join(', ')}`)
    if (seeds.length === 1) return
    for (const [what, count] of Object.entries(happened)) assert.ok(count > COUNT / 10, `${what}: ${count}`)
  })
})
