// Runs test files without coverage: all, or those whose path has one of the arguments in it, but for those with one that stands
// behind a `!`. The glob is ours: Node 20's runner expands none.
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { strip } from './typescript-hooks.js'

const loader = new URL('typescript.js', import.meta.url).href
const root = fileURLToPath(new URL('..', import.meta.url))
const given = process.argv.slice(2)
const wanted = given.filter((part) => !part.startsWith('!'))
const unwanted = given.filter((part) => part.startsWith('!')).map((part) => part.slice(1))
const below = (folder) => readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
  .map((entry) => relative(root, join(entry.parentPath, entry.name)))
const files = below('test')
  .filter((file) => file.endsWith('.test.ts'))
  .filter((file) => (wanted.length === 0 || wanted.some((part) => file.includes(part))) && !unwanted.some((part) => file.includes(part)))
  .sort()
if (files.length === 0) throw new Error(`no test file has any of this in its path: ${wanted.join(', ')}`)

// Faults have a bound to keep, though they wait more than they work, and a browser has a page to draw. The slow ones wait for a thin
// line alone: they share the machine with all else.
const isFault = (file) => /^test[/\\]faults[/\\](?!slow)/.test(file)
const isBrowser = (file) => /^test[/\\]browser[/\\]/.test(file)
const groups = [
  { some: files.filter((file) => !isFault(file) && !isBrowser(file)), atOnce: 3 },
  { some: files.filter(isFault), atOnce: 2 },
  { some: files.filter(isBrowser), atOnce: 2 }
]

// A file that does not end is a failure with a name, not a run without an end. A proof takes its time.
const LIMIT = process.env.PROOF === 'full' ? 3_600_000 : 300_000

// Once, and not in each process that meets a file first.
if (process.features.typescript !== 'strip') for (const file of [...below('src'), ...below('test')]) await strip(readFileSync(join(root, file), 'utf8'))

for (const { some, atOnce } of groups) {
  if (some.length === 0) continue
  // What faults and pages show is how long things take, and coverage takes of it.
  const { NODE_V8_COVERAGE, ...rest } = process.env
  const env = some.some(isFault) || some.some(isBrowser) ? rest : process.env
  const { status } = spawnSync(process.execPath, [
    '--import', loader, '--test', '--test-concurrency', String(atOnce), '--test-timeout', String(LIMIT), '--test-reporter', 'spec', ...some
  ], { cwd: root, env, stdio: 'inherit' })
  if (status !== 0) process.exitCode = status ?? 1
}
