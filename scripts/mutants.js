// How much the tests see: of all places in src where one token may be another, a sample is tried, one at a time, in a copy of the tree.
// A mutant that no unit, contract or integration test finds LIVES: it is equivalent, or a test is missing. Not part of CI.
// `npm run mutants -- --count 100 --seed 1`; the same seed tries the same. `--only part` of a path: those of some files.
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { parseArgs } from 'node:util'
import { copies } from './copies.js'
import { apply, mutantsOf, sample } from './mutations.js'
import { run } from './run.js'

const root = process.cwd()
const { values } = parseArgs({ options: { count: { type: 'string', default: '20' }, seed: { type: 'string', default: '1' }, only: { type: 'string', default: '' } } })
const [count, seed] = [Number(values.count), Number(values.seed)]
if (!(count > 0 && Number.isInteger(seed))) throw new Error('--count is a number, and --seed a whole one')

const loader = String(new URL('typescript.js', import.meta.url))
const brief = String(new URL('brief.js', import.meta.url))
const reporter = join(root, 'scripts', 'reporter.js')
/** For one run of tests: what waits for ever is found as well. */
const LIMIT = 6 * 60_000
/** These look at the text of the tree, at other programs, or at the package as it was built. */
const OTHER = /unit\/(scripts|docs|bench|arrows|fuzz)|integration\/(quickstart|examples|compat\/registering)/

const list = (folder, end) => readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile() && entry.name.endsWith(end))
  .map((entry) => relative(root, join(entry.parentPath, entry.name)))
  .sort()

const places = list('src', '.ts').filter((file) => file.includes(values.only)).flatMap((file) => mutantsOf(readFileSync(join(root, file), 'utf8')).map((mutant) => ({ file, ...mutant })))
const groups = ['unit', 'contract', 'integration'].map((folder) => list(`test/${folder}`, '.test.ts').filter((file) => !OTHER.test(file)))
const { copy } = copies('mutants-')
const tree = copy(root, 'tree')

/** Which test of these fails first; null: none does. */
async function killer (files) {
  const { NODE_TEST_CONTEXT, NODE_V8_COVERAGE, NODE_OPTIONS, ...env } = process.env
  const { output, late, status } = await run(process.execPath, ['--import', loader, '--import', brief, '--test', '--test-force-exit', '--test-concurrency', '2', '--test-reporter', reporter, ...files], { cwd: tree, env, limit: LIMIT })
  if (late) return 'did not end'
  const failed = output.split('\n').find((line) => line.startsWith('{"name"') && line.includes('"passed":false'))
  if (failed !== undefined) return JSON.parse(failed).name
  return status === 0 ? null : 'ended badly'
}

async function attempt ({ file }) {
  const own = file.replace(/^src/, 'test/unit').replace(/\.ts$/, '.test.ts')
  for (const files of [existsSync(join(root, own)) ? [own] : [], ...groups]) {
    const by = files.length === 0 ? null : await killer(files)
    if (by !== null) return by
  }
  return null
}

for (const files of groups) {
  const failed = await killer(files)
  if (failed !== null) throw new Error(`the tests are not green as they are: ${failed}`)
}

let lives = 0
const tried = sample(places, count, seed)
console.log(`${places.length} places in src; ${tried.length} are tried, seed ${seed}`)
for (const mutant of tried) {
  const { file, line, before, after } = mutant
  const text = readFileSync(join(root, file), 'utf8')
  writeFileSync(join(tree, file), apply(text, mutant))
  const by = await attempt(mutant)
  writeFileSync(join(tree, file), text)
  if (by === null) lives++
  const short = (code) => code.replace(/\s+/g, ' ').slice(0, 60)
  console.log(`${by === null ? 'LIVES ' : 'killed'}  ${file}:${line}  ${short(before)} -> ${short(after)}${by === null ? '' : `  (${by.slice(0, 80)})`}`)
}
console.log(`${tried.length - lives} of ${tried.length} killed, ${(100 * (1 - lives / tried.length)).toFixed(0)} %`)
