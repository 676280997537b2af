import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { nextFd, Registry } from '../../../src/core/registry.js'

test('an fd is never given twice, and they count up by one', () => {
  const first = nextFd()
  for (let i = 1; i <= 10_000; i++) assert.equal(nextFd(), first + i)
})

test('the first fd of a process follows a multiple of a million below a thousand million, another one in each process', async () => {
  // A process loads it once; with another query it is loaded again.
  const load = async (i: number): Promise<{ nextFd: () => number }> => await import(`../../../src/core/registry.js?${i}`)
  const fds = (await Promise.all([1, 2, 3, 4].map(load))).map(({ nextFd }) => nextFd())
  for (const fd of fds) {
    assert.equal(fd % 1_000_000, 1)
    assert.ok(fd >= 1 && fd < 1_000_000_000, String(fd))
  }
  // That four draws of a thousand are all the same happens once in a thousand million runs.
  assert.ok(new Set(fds).size > 1, `all are ${fds[0]}`)
})

test('who is added is found by fd, and not any more when removed', () => {
  const registry = new Registry<object>()
  const one = {}
  registry.add(1, one)
  assert.equal(registry.get(1), one)
  assert.equal(registry.size, 1)
  registry.remove(1, undefined)
  assert.equal(registry.get(1), undefined)
  assert.equal(registry.size, 0)
})

test('asking for anything at all finds nobody, and throws nothing', () => {
  const registry = new Registry<object>()
  registry.add(1, {})
  fc.assert(fc.property(fc.anything().filter((value) => value !== 1), (value) => registry.get(value) === undefined))
  for (const value of ['1', 1n, [1], NaN, -0, Symbol('1')]) assert.equal(registry.get(value), undefined)
})

test('an id is found once it was asked for, until its connection is removed', () => {
  const registry = new Registry<object>()
  const one = {}
  registry.add(1, one)
  const id = registry.name(one)
  assert.equal(registry.byId(id), one)
  registry.remove(1, id)
  assert.equal(registry.byId(id), undefined)
})

test('one that is over gets a name, and is not found by it', () => {
  const registry = new Registry<object>()
  assert.equal(registry.byId(registry.name(undefined)), undefined)
})

test('ids are unique, safe in a URL, and begin with the name of their node', () => {
  const registry = new Registry<object>()
  const ids = Array.from({ length: 1000 }, () => registry.name({}))
  assert.equal(new Set(ids).size, 1000)
  assert.equal(new Set(ids.map((id) => id.split('.')[0])).size, 1)
  for (const id of ids) assert.equal(encodeURIComponent(id), id)
  assert.notEqual(new Registry().name({}).split('.')[0], ids[0]!.split('.')[0])
})

test('connections are listed in the order of their fd', () => {
  const registry = new Registry<{ fd: number }>()
  for (const fd of [3, 4, 9]) registry.add(fd, { fd })
  registry.remove(4, undefined)
  registry.add(11, { fd: 11 })
  assert.deepEqual(Array.from(registry.values(), ({ fd }) => fd), [3, 9, 11])
  assert.deepEqual(Array.from(registry.entries(), ([fd]) => fd), [3, 9, 11])
})
