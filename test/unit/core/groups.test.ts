import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import fc from 'fast-check'
import { groupName, Groups } from '../../../src/core/groups.js'
import { LiveSet } from '../../../src/core/live-set.js'

const membersOf = <T extends object>(groups: Groups<T>, name: string): ReadonlySet<T> => new LiveSet(groups.byName, name)

interface Member { name: string }
const people: Member[] = ['a', 'b', 'c', 'd'].map((name) => ({ name }))
const names = ['red', 'green', 'blue']

test('any sequence of joins and leaves: both sides say the same, and nothing is kept of who is in none', () => {
  const step = fc.record({
    verb: fc.constantFrom('join' as const, 'leave' as const, 'leaveAll' as const),
    member: fc.constantFrom(...people),
    group: fc.constantFrom(...names)
  })
  fc.assert(fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
    const groups = new Groups<Member>()
    const model = new Set<string>()
    for (const { verb, member, group } of steps) {
      if (verb === 'join') model.add(`${member.name} ${group}`)
      for (const name of verb === 'leaveAll' ? names : verb === 'leave' ? [group] : []) model.delete(`${member.name} ${name}`)
      if (verb === 'leaveAll') groups.leaveAll(member)
      else groups[verb](member, group)

      const byGroup = names.flatMap((name) => Array.from(membersOf(groups, name), (one) => `${one.name} ${name}`))
      const byMember = people.flatMap((one) => Array.from(groups.groupsOf(one), (name) => `${one.name} ${name}`))
      assert.deepEqual(byGroup.toSorted(), [...model].toSorted())
      assert.deepEqual(byMember.toSorted(), [...model].toSorted())
      assert.equal(groups.size, names.filter((name) => membersOf(groups, name).size > 0).length)
    }
  }))
})

test('a member that leaves while the members are gone through does not disturb it', () => {
  const groups = new Groups<Member>()
  for (const member of people) groups.join(member, 'red')
  const seen: string[] = []
  for (const member of membersOf(groups, 'red')) {
    seen.push(member.name)
    groups.leave(member, 'red')
  }
  assert.deepEqual(seen, ['a', 'b', 'c', 'd'])
  assert.equal(groups.size, 0)
})

test('a view is live: held since before the first came, and over a time when there was nobody', () => {
  const groups = new Groups<Member>()
  const [a, b] = people as [Member, Member]
  const red = membersOf(groups, 'red')
  const ofA = groups.groupsOf(a)
  const look = (): unknown[] => [red.size, red.has(a), [...red], [...ofA], ofA.size]
  assert.deepEqual(look(), [0, false, [], [], 0])
  for (let round = 0; round < 2; round++) {
    groups.join(a, 'red')
    assert.deepEqual(look(), [1, true, [a], ['red'], 1])
    groups.join(b, 'red')
    groups.leaveAll(a)
    assert.deepEqual(look(), [1, false, [b], [], 0])
    groups.leave(b, 'red')
    assert.deepEqual(look(), [0, false, [], [], 0])
    assert.equal(groups.size, 0)
  }
})

test('a view is a set to look at, and nothing can be changed through it', () => {
  const groups = new Groups<Member>()
  const [a, b] = people as [Member, Member]
  for (const member of [a, b]) groups.join(member, 'red')
  const red = membersOf(groups, 'red')
  assert.deepEqual([[...red.keys()], [...red.values()], [...red.entries()]], [[a, b], [a, b], [[a, a], [b, b]]])
  const told: unknown[] = []
  red.forEach(function (this: unknown, ...args) { told.push([this, ...args]) }, 'me')
  assert.deepEqual(told, [['me', a, a, red], ['me', b, b, red]])
  assert.equal(inspect(red), inspect(new Set([a, b])))
  for (const name of ['add', 'delete', 'clear']) assert.equal((red as unknown as Record<string, unknown>)[name], undefined)
  assert.equal((told[0] as unknown[])[3], red)
  // Of the methods of a set that Node.js 22 knows, those that it has.
  const union = (red as unknown as { union?: (other: Set<unknown>) => Set<unknown> }).union
  assert.equal(typeof union, typeof (Set.prototype as unknown as { union?: unknown }).union)
  if (union !== undefined) assert.deepEqual(union.call(red, new Set([1])), new Set([a, b, 1]))
})

test('a group is named by a string that is not empty', () => {
  assert.equal(groupName('room:7'), 'room:7')
  for (const wrong of ['', 7, null, undefined, {}, ['room']]) {
    assert.throws(() => groupName(wrong), { code: 'FST_ERR_LIFELINE_ARGUMENT' })
  }
})
