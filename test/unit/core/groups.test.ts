import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { groupName, Groups } from '../../../src/core/groups.js'

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

      const byGroup = names.flatMap((name) => Array.from(groups.members(name), (one) => `${one.name} ${name}`))
      const byMember = people.flatMap((one) => Array.from(groups.groupsOf(one), (name) => `${one.name} ${name}`))
      assert.deepEqual(byGroup.toSorted(), [...model].toSorted())
      assert.deepEqual(byMember.toSorted(), [...model].toSorted())
      assert.equal(groups.size, names.filter((name) => groups.members(name).size > 0).length)
    }
  }))
})

test('a member that leaves while the members are gone through does not disturb it', () => {
  const groups = new Groups<Member>()
  for (const member of people) groups.join(member, 'red')
  const seen: string[] = []
  for (const member of groups.members('red')) {
    seen.push(member.name)
    groups.leave(member, 'red')
  }
  assert.deepEqual(seen, ['a', 'b', 'c', 'd'])
  assert.equal(groups.size, 0)
})

test('a group is named by a string that is not empty', () => {
  assert.equal(groupName('room:7'), 'room:7')
  for (const wrong of ['', 7, null, undefined, {}, ['room']]) {
    assert.throws(() => groupName(wrong), { code: 'FST_ERR_LIFELINE_ARGUMENT' })
  }
})
