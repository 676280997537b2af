/**
 * What a release would be refused for.
 */
import assert from 'node:assert/strict'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../../..', import.meta.url))
const { obstacles } = await import(join(root, 'scripts/release.js')) as { obstacles: (release: object) => string[] }

const fine = {
  tag: 'v1.2.0',
  manifest: { version: '1.2.0', repository: { url: 'git+https://github.com/one/lifeline.git' } },
  lock: { version: '1.2.0' },
  changelog: '# Changelog\n\n## [1.2.0] - 2026-12-01\n\n### Added\n',
  here: 'one/lifeline'
}

test('a release whose tag, version, lock, changelog and repository are those of each other goes out', () => {
  assert.deepEqual(obstacles(fine), [])
  assert.deepEqual(obstacles({ ...fine, here: undefined }), [])
})

for (const [what, wrong, word] of [
  ['another tag', { tag: 'v1.2.1' }, /tag/],
  ['a lock file of another version', { lock: { version: '1.1.0' } }, /package-lock/],
  ['a changelog without a date', { changelog: '## [1.2.0] - unreleased\n' }, /CHANGELOG/],
  ['a changelog of a version that only looks like it', { changelog: '## [1x2.0] - 2026-12-01\n' }, /CHANGELOG/],
  ['no repository', { manifest: { version: '1.2.0' } }, /provenance/],
  ['another repository', { here: 'two/lifeline' }, /two\/lifeline/]
] as const) {
  test(`${what} is in the way`, () => {
    const found = obstacles({ ...fine, ...wrong })
    assert.equal(found.length, 1)
    assert.match(found[0]!, word)
  })
}
