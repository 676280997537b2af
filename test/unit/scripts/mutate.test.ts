/**
 * `npm run mutate` on small trees of its own: what it must not let pass, and that it touches no tree but its copies.
 */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../../..', import.meta.url))

const SUM = 'export const sum = (a: number, b: number): number => a + b\nexport const twice = (a: number): number => sum(a, a)\n'
const TEST = `import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { sum, twice } from '../src/sum.js'
describe('sums', () => {
  test('adds', () => { assert.ok(sum(1, 2) === 3) })
  test('adds nothing', () => { assert.equal(sum(1, 0), 1) })
})
test('doubles', () => { assert.equal(twice(2), 4) })
test('is not run', { skip: true }, () => {})
`

/** A patch that puts one line of src/sum.ts in the place of another. */
const patch = (line: number, to: string, header: string, from = SUM.split('\n')[line - 1]!): string => {
  const diff = SUM.trimEnd().split('\n').map((text, i) => i === line - 1 ? `-${from}\n+${to}\n` : ` ${text}\n`)
  return `A fault.\n\n${header}\n\n--- a/src/sum.ts\n+++ b/src/sum.ts\n@@ -1,2 +1,2 @@\n${diff.join('')}`
}

const multiplies = 'export const sum = (a: number, b: number): number => a * b'
const triples = 'export const twice = (a: number): number => sum(a, sum(a, a))'

/** What the run prints, line by line in the order of the names, and whether it was content. */
async function mutate (t: TestContext, patches: Record<string, string>, { given = [] as string[], tests = { 'sum.test.ts': TEST } as Record<string, string> } = {}): Promise<{ lines: string[], well: boolean }> {
  const folder = mkdtempSync(join(tmpdir(), 'lifeline-mutate-'))
  t.after(() => { rmSync(folder, { recursive: true }) })
  const [tree, temporary] = [join(folder, 'tree'), join(folder, 'temporary')]
  const files: Record<string, string> = {
    'package.json': '{ "type": "module" }',
    'src/sum.ts': SUM,
    ...Object.fromEntries(Object.entries(tests).map(([name, text]) => [`test/${name}`, text])),
    ...Object.fromEntries(Object.entries(patches).map(([name, text]) => [`test/mutations/${name}.patch`, text]))
  }
  for (const [file, text] of Object.entries(files)) {
    mkdirSync(join(tree, dirname(file)), { recursive: true })
    writeFileSync(join(tree, file), text)
  }
  symlinkSync(join(root, 'node_modules'), join(tree, 'node_modules'), 'dir')
  mkdirSync(temporary)
  const result = await new Promise<{ output: string, well: boolean }>((resolve) => {
    execFile(process.execPath, [join(root, 'scripts/mutate.js'), ...given], { cwd: tree, env: { ...process.env, TMPDIR: temporary } }, (error, stdout, stderr) => {
      resolve({ output: stdout + stderr, well: error === null })
    })
  })
  for (const [file, text] of Object.entries(files)) assert.equal(readFileSync(join(tree, file), 'utf8'), text)
  assert.deepEqual(readdirSync(temporary).filter((name) => name.startsWith('mutate-')), [])
  const lines = result.output.trim().split('\n')
  return { lines: [...lines.slice(0, -1).toSorted(), lines.at(-1)!], well: result.well }
}

test('a fault that turns just the named tests red has been found', async (t) => {
  const { lines, well } = await mutate(t, {
    one: patch(2, triples, 'Test: test/sum.test.ts\nRed: doubles'),
    two: patch(1, multiplies, 'Test: test/sum.test.ts\nRed: sums > adds\nRed: adds nothing')
  })
  assert.deepEqual(lines, ['ok      one: red: "doubles"', 'ok      two: red: "sums > adds" and 1 more', '2 passed, 0 failed'])
  assert.equal(well, true)
})

test('a fault that is not found, or turns others red as well, or is no fault of the code as it is, is a failure that says why', async (t) => {
  const header = (red: string): string => `Test: test/sum.test.ts\nRed: ${red}`
  const failures: Record<string, [text: string, says: RegExp]> = {
    'a-survives': [patch(2, 'export const twice = (a: number): number => a + a', header('doubles')), /stays green: "doubles"$/],
    'b-only-one-of-two': [patch(2, triples, 'Test: test/sum.test.ts\nRed: doubles\nRed: adds'), /stays green: "sums > adds"$/],
    'c-too-much': [patch(1, multiplies, header('adds')), /goes red as well: "sums > adds nothing"$/],
    'd-stale': [patch(1, multiplies, header('adds'), 'const old = 1'), /it does not apply any more: .*src\/sum\.ts/],
    'e-no-such-test': [patch(1, multiplies, header('multiplies')), /runs no test "multiplies"$/],
    'f-skipped': [patch(1, multiplies, header('is not run')), /runs no test "is not run"$/],
    'g-broken': [patch(1, 'export const sum = (', header('adds')), /with it test\/sum\.test\.ts cannot be run$/],
    'h-no-header': [patch(1, multiplies, 'Test: test/sum.test.ts'), /its header needs/],
    'i-no-such-file': [patch(1, multiplies, 'Test: test/none.test.ts\nRed: adds'), /test\/none\.test\.ts is not there$/],
    'j-patches-a-test': [patch(1, multiplies, header('adds')).replaceAll('src/sum.ts', 'test/sum.test.ts'), /no diff against src/],
    'k-red-without-it': [patch(1, multiplies, 'Test: test/red.test.ts\nRed: is red'), /without it test\/red\.test\.ts is not green: "is red"$/]
  }
  const { lines, well } = await mutate(t, Object.fromEntries(Object.entries(failures).map(([name, [text]]) => [name, text])), {
    tests: { 'sum.test.ts': TEST, 'red.test.ts': "import { test } from 'node:test'\ntest('is red', () => { throw new Error('red') })\n" }
  })
  assert.equal(lines.length, Object.keys(failures).length + 1)
  for (const [i, [name, [, says]]] of Object.entries(failures).entries()) {
    assert.ok(lines[i]!.startsWith(`FAILED  ${name}: `), lines[i])
    assert.match(lines[i]!, says)
  }
  assert.equal(lines.at(-1), `0 passed, ${Object.keys(failures).length} failed`)
  assert.equal(well, false)
})

test('where the tests have just been run those that must go red are run, and not once more without the fault, but for those that have not been run in full', async (t) => {
  const header = (red: string): string => `Test: test/sum.test.ts\nRed: ${red}`
  const red = 'Test: test/red.test.ts\nRed: is red'
  const { lines } = await mutate(t, {
    found: patch(2, triples, header('doubles')),
    lives: patch(2, 'export const twice = (a: number): number => a + a', header('doubles')),
    'no-such-test': patch(1, multiplies, header('multiplies')),
    'red-in-full': patch(1, multiplies, `${red}\nProof: full`),
    'of-a-suite': patch(1, multiplies, header('sums > adds'))
  }, {
    given: ['--tested'],
    tests: { 'sum.test.ts': TEST, 'red.test.ts': "import { test } from 'node:test'\ntest('is red', () => { throw new Error('red') })\n" }
  })
  const says = [/no-such-test: test\/sum.test.ts runs no test "multiplies"$/, /red-in-full: without it test\/red.test.ts is not green/, /lives: stays green/, /ok {6}of-a-suite: red: "sums > adds"$/, /ok {6}found: red: "doubles"$/, /^2 passed, 3 failed$/]
  assert.deepEqual(says.filter((one) => !lines.some((line) => one.test(line))), [], lines.join('\n'))
})

test('arguments choose some by their names; none with such a name is a failure', async (t) => {
  const patches = { good: patch(2, triples, 'Test: test/sum.test.ts\nRed: doubles'), bad: patch(1, multiplies, 'Test: test/sum.test.ts\nRed: doubles') }
  assert.deepEqual(await mutate(t, patches, { given: ['goo'] }), { lines: ['ok      good: red: "doubles"', '1 passed, 0 failed'], well: true })
  const { lines, well } = await mutate(t, patches, { given: ['nothing'] })
  assert.ok(lines.some((line) => line.includes('test/mutations has no patch with any of this in its name: nothing')))
  assert.equal(well, false)
})

test('every fault that is put back fits the code as it is', async () => {
  const folder = join(root, 'test/mutations')
  const patches = readdirSync(folder).filter((file) => file.endsWith('.patch'))
  assert.ok(patches.length > 0)
  for (const file of patches) {
    const error = await new Promise<string>((resolve) => {
      execFile('git', ['apply', '--check', join(folder, file)], { cwd: root }, (error, _stdout, stderr) => { resolve(error === null ? '' : stderr || String(error)) })
    })
    assert.equal(error, '', file)
  }
})
