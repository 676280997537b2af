// How much the tests see: of all places in src where one token may be another, a sample is tried, one at a time, in a copy of the tree.
// A mutant that no unit, contract or integration test finds LIVES: it is equivalent, or a test is missing. Not part of CI.
// `npm run mutants -- --count 100 --seed 1`; the same seed tries the same. `--only part` of a path: those of some files.
// First each test file runs as the tree is: it must be green, and what it runs of src is noted. A mutant is tried by those alone that
// come by its place, the quickest first.
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { copies } from './copies.js'
import { apply, comesBy, mutantsOf, sample } from './mutations.js'
import { run } from './run.js'

const root = process.cwd()
const { values } = parseArgs({ options: { count: { type: 'string', default: '20' }, seed: { type: 'string', default: '1' }, only: { type: 'string', default: '' } } })
const [count, seed] = [Number(values.count), Number(values.seed)]
if (!(count > 0 && Number.isInteger(seed))) throw new Error('--count is a number, and --seed a whole one')

const loader = String(new URL('typescript.js', import.meta.url))
const brief = String(new URL('brief.js', import.meta.url))
const reporter = join(root, 'scripts', 'reporter.js')
/** For one test file: what waits for ever is found as well. */
const LIMIT = 2 * 60_000
const AT_ONCE = 3
/** These look at the text of the tree, at other programs, or at the package as it was built. */
const OTHER = /unit\/(scripts|docs|bench|arrows|fuzz)|integration\/(required|quickstart|examples|team-chat|prometheus|autobahn|compat\/registering)/

const list = (folder, end) => readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile() && entry.name.endsWith(end))
  .map((entry) => relative(root, join(entry.parentPath, entry.name)))
  .sort()

const places = list('src', '.ts').filter((file) => file.includes(values.only)).flatMap((file) => mutantsOf(readFileSync(join(root, file), 'utf8')).map((mutant) => ({ file, ...mutant })))
const tests = ['unit', 'contract', 'integration'].flatMap((folder) => list(`test/${folder}`, '.test.ts')).filter((file) => !OTHER.test(file))
const { copy, temporary } = copies('mutants-')
const tree = copy(root, 'tree')

/** Which test of a file fails; null: none does. */
async function failing (file, coverage) {
  const { NODE_TEST_CONTEXT, NODE_V8_COVERAGE, NODE_OPTIONS, ...rest } = process.env
  const env = coverage === undefined ? rest : { ...rest, NODE_V8_COVERAGE: coverage }
  const { output, late, status } = await run(process.execPath, ['--import', loader, '--import', brief, '--test-force-exit', '--test-reporter', reporter, file], { cwd: tree, env, limit: LIMIT })
  if (late) return `${file} did not end`
  const failed = output.split('\n').find((line) => line.startsWith('{"name"') && line.includes('"passed":false'))
  if (failed !== undefined) return JSON.parse(failed).name
  return status === 0 ? null : `${file} ended badly`
}

/** Some at once, in their order, until one gives something. */
async function first (files, attempt) {
  let found = null
  const queue = files.values()
  await Promise.all(Array.from({ length: AT_ONCE }, async () => {
    for (const file of queue) {
      const result = await attempt(file)
      if (result !== null) found ??= result
      if (found !== null) return
    }
  }))
  return found
}

/** @returns {Map<string, object[][]>} of each file of src that was run: for each process the functions that V8 tells of */
function coverageIn (folder) {
  const reports = new Map()
  for (const name of existsSync(folder) ? readdirSync(folder) : []) {
    const { result } = JSON.parse(readFileSync(join(folder, name), 'utf8'))
    for (const { url, functions } of result) {
      if (!url.startsWith('file:')) continue
      const file = relative(tree, fileURLToPath(url))
      if (!file.startsWith('src')) continue
      if (!reports.has(file)) reports.set(file, [])
      reports.get(file).push(functions)
    }
  }
  return reports
}

/** What each test file has run, and how long it took, in ms. */
const known = new Map()
const red = await first(tests, async (file) => {
  const folder = join(temporary, 'coverage', String(known.size))
  mkdirSync(folder, { recursive: true })
  known.set(file, {})
  const began = performance.now()
  const failed = await failing(file, folder)
  Object.assign(known.get(file), { took: performance.now() - began, reports: coverageIn(folder) })
  return failed
})
if (red !== null) throw new Error(`the tests are not green as they are: ${red}`)
const byTime = [...tests].sort((a, b) => known.get(a).took - known.get(b).took)

let lives = 0
const tried = sample(places, count, seed)
console.log(`${places.length} places in src; ${tried.length} are tried, seed ${seed}`)
for (const mutant of tried) {
  const { file, line, from, before, after } = mutant
  const text = readFileSync(join(root, file), 'utf8')
  const files = byTime.filter((test) => known.get(test).reports.get(file)?.some((functions) => comesBy(functions, from)))
  writeFileSync(join(tree, file), apply(text, mutant))
  const by = await first(files, (test) => failing(test))
  writeFileSync(join(tree, file), text)
  if (by === null) lives++
  const short = (code) => code.replace(/\s+/g, ' ').slice(0, 60)
  console.log(`${by === null ? 'LIVES ' : 'killed'}  ${file}:${line}  ${short(before)} -> ${short(after)}${by === null ? `  (${files.length} files come by it)` : `  (${by.slice(0, 80)})`}`)
}
console.log(`${tried.length - lives} of ${tried.length} killed, ${(100 * (1 - lives / tried.length)).toFixed(0)} %`)
