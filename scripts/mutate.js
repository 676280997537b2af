// Puts known faults back, one at a time, each into a copy of the tree, and demands that just the tests named by it go red.
// The tree is the working directory; the faults are the patches in test/mutations (its README says how they look).
// `npm run mutate` tries all, `npm run mutate -- receipts close` those with one of these in their names. With `--tested` it takes for
// granted that the tests pass as the tree is, for they have just been run, and runs just the tests that must go red.
import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { basename, dirname, join, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { copies } from './copies.js'
import { run } from './run.js'

const root = process.cwd()
const reporter = fileURLToPath(new URL('reporter.js', import.meta.url))
const loader = String(new URL('typescript.js', import.meta.url))
const brief = String(new URL('brief.js', import.meta.url))
const folder = join(root, 'test', 'mutations')
// They wait more than they work.
const AT_ONCE = 5
/** For one run of a test file, and for all of it. */
const LIMIT = 2 * 60_000
const LIMIT_OF_ALL = 10 * 60_000

const given = process.argv.slice(2)
const tested = given.includes('--tested')
const wanted = given.filter((argument) => argument !== '--tested')

const { temporary, copy } = copies('mutate-')
const began = performance.now()

/** Gives a reason by being thrown; what else is thrown is a fault of ours. */
class Failure extends Error {}

/** What a patch says of itself, above its diff. */
function read (file) {
  const text = readFileSync(join(folder, file), 'utf8')
  const header = text.slice(0, text.search(/^(diff|---) /m))
  const lines = (name) => Array.from(header.matchAll(new RegExp(`^${name}: (.+)$`, 'gm')), ([, value]) => value.trim())
  const changed = Array.from(text.matchAll(/^\+\+\+ b\/(\S+)/gm), ([, path]) => path)
  const [test, ...others] = lines('Test')
  const red = [...lines('Red'), ...lines(`Red on Node\\.js ${process.versions.node.split('.')[0]}`)]
  const proof = lines('Proof')[0]
  if (test === undefined || others.length > 0 || red.length === 0) throw new Failure('its header needs one line "Test: file", and lines "Red: name of a test"')
  if (!existsSync(join(root, test))) throw new Failure(`${test} is not there`)
  if (changed.length === 0 || !changed.every((path) => path.startsWith('src/'))) throw new Failure('it is no diff against src/')
  return { test, red, proof }
}

/** For the runner, which knows a test by its own name or, from Node.js 22 on, with those of its suites before it. */
const pattern = (name) => `--test-name-pattern=/(^| )${name.split(' > ').at(-1).replace(/[$()*+./?[\\\]^{|}]/g, '\\$&')}$/`

/** Runs a test file in a tree. @param only names of tests; all run without @returns {Promise<Array<{ name: string, passed: boolean, skipped: boolean }>>} */
async function results (tree, test, { proof, only = [] }) {
  const left = LIMIT_OF_ALL - (performance.now() - began)
  if (left <= 0) throw new Failure(`no time was left: all must be done in ${LIMIT_OF_ALL / 60_000} min`)
  // A runner that runs within another says nothing; and coverage is that of the tests, not of these.
  const { NODE_TEST_CONTEXT, NODE_V8_COVERAGE, NODE_OPTIONS, PROOF, ...env } = process.env
  if (proof !== undefined) env.PROOF = proof
  // Not under `--test`: a process of the runner's own that is made to exit may lose what it has not yet told the runner.
  const { output, late } = await run(process.execPath, ['--import', loader, '--import', brief, '--test-force-exit', '--test-reporter', reporter, ...only.map(pattern), test], { cwd: tree, env, limit: Math.min(LIMIT, left) })
  if (late) throw new Failure(`${test} did not end in time; a test that may wait for ever needs a timeout of its own`)
  return output.split('\n').flatMap((line) => {
    try {
      const result = JSON.parse(line)
      return typeof result?.name === 'string' ? [result] : []
    } catch {
      // What a test has printed.
      return []
    }
  })
}

const quote = ([first, ...others]) => `"${first}"${others.length > 0 ? ` and ${others.length} more` : ''}`
const failing = (tests) => tests.filter(({ passed }) => !passed).map(({ name }) => name)
const isOne = (name, red) => name === red || name.endsWith(` > ${red}`)
/** A file that cannot be loaded is told of as a test with its name. */
const isFile = (name, test) => name.endsWith(test.split('/').join(sep))

const unchanged = copy(root, 'unchanged')
const baselines = new Map()

/** The file as it is, once for all faults that it finds. */
function baseline (test, proof) {
  const key = `${test} ${proof}`
  if (!baselines.has(key)) baselines.set(key, results(unchanged, test, { proof }))
  return baselines.get(key)
}

const apply = (file, tree, ...more) => run('git', ['apply', '--whitespace=nowarn', ...more, join(folder, file)], {
  cwd: tree, env: { ...process.env, GIT_CEILING_DIRECTORIES: dirname(temporary) }, limit: LIMIT
})

/** A tree serves one fault after the other. */
async function attempt (file, tree) {
  const { test, red, proof } = read(file)
  const applied = await apply(file, tree)
  if (applied.status !== 0) throw new Failure(`it does not apply any more: ${applied.output.trim().split('\n').join('; ')}`)
  try {
    return await compare({ test, red, proof }, tree)
  } finally {
    const { status, output } = await apply(file, tree, '--reverse')
    assert.equal(status, 0, output)
  }
}

/** @returns the names of the tests that have gone red, which are those that should */
async function compare ({ test, red, proof }, tree) {
  const tests = await results(tree, test, { proof, only: tested ? red : [] })
  if (tests.length === 0 || tests.some(({ name }) => isFile(name, test))) throw new Failure(`with it ${test} cannot be run`)
  // How it is with all tries of a random test nobody has seen yet.
  const green = tested && proof === undefined ? tests.map((one) => ({ ...one, passed: true })) : await baseline(test, proof)
  if (failing(green).length > 0) throw new Failure(`without it ${test} is not green: ${quote(failing(green))}`)
  for (const name of red) {
    if (!green.some((one) => isOne(one.name, name) && !one.skipped)) throw new Failure(`${test} runs no test "${name}"`)
  }
  const named = (name) => red.some((one) => isOne(name, one))
  const survived = green.map(({ name }) => name).filter((name) => named(name) && !failing(tests).includes(name))
  if (survived.length > 0) throw new Failure(`stays green: ${quote(survived)}`)
  const others = failing(tests).filter((name) => !named(name))
  if (others.length > 0) throw new Failure(`goes red as well: ${quote(others)}`)
  return failing(tests)
}

const files = readdirSync(folder).filter((file) => file.endsWith('.patch') && (wanted.length === 0 || wanted.some((part) => file.includes(part)))).sort()
assert.ok(files.length > 0, `test/mutations has no patch with any of this in its name: ${wanted.join(', ')}`)

let failed = 0
const queue = files.values()
await Promise.all(Array.from({ length: AT_ONCE }, async (_, worker) => {
  const tree = copy(unchanged, `changed-${worker}`)
  for (const file of queue) {
    const name = basename(file, '.patch')
    try {
      console.log(`ok      ${name}: red: ${quote(await attempt(file, tree))}`)
    } catch (error) {
      if (!(error instanceof Failure)) throw error
      failed++
      console.log(`FAILED  ${name}: ${error.message}`)
    }
  }
}))
console.log(`${files.length - failed} passed, ${failed} failed`)
if (failed > 0) process.exitCode = 1
