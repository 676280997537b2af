import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PARTS_DEFAULT, partsOf } from '../../../src/plugin/unfinished.js'

const KIB = 1024
const MIB = 1024 * KIB

test('a message of the largest size may come in fragments of 4 KiB, and one more; a small one in 64', () => {
  assert.equal(partsOf(MIB).maxFragments, 257)
  assert.equal(partsOf(MIB + 1).maxFragments, 258)
  for (const payload of [1, KIB, 252 * KIB]) assert.equal(partsOf(payload).maxFragments, 64)
})

test('and in pieces of 32 bytes; a small one in 1,024', () => {
  assert.equal(partsOf(MIB).maxBufferedChunks, 32 * KIB)
  for (const payload of [1, 32 * KIB]) assert.equal(partsOf(payload).maxBufferedChunks, KIB)
})

test('what an unfinished message keeps, at 64 KiB a fragment, is 16 times the largest message, and 4 MiB more', () => {
  for (const payload of [1, 10 * KIB, MIB, 10 * MIB, 60 * MIB]) {
    assert.ok(partsOf(payload).maxFragments * 64 * KIB <= 16 * payload + 4 * MIB)
  }
})

test('nothing is looser than ws has it, also where a message may be of any size', () => {
  for (const payload of [0, Infinity, 100 * MIB, 2 ** 31 - 1]) assert.deepEqual(partsOf(payload), PARTS_DEFAULT)
})
