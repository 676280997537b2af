// Runs test files without coverage: all, or those whose path has one of the arguments in it. The glob is ours: Node 20's runner
// expands none.
import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const wanted = process.argv.slice(2)
const files = readdirSync(join(root, 'test'), { recursive: true, withFileTypes: true })
  .filter((entry) => entry.isFile() && entry.name.endsWith('.test.ts'))
  .map((entry) => relative(root, join(entry.parentPath, entry.name)))
  .filter((file) => wanted.length === 0 || wanted.some((part) => file.includes(part)))
  .sort()
if (files.length === 0) throw new Error(`no test file has any of this in its path: ${wanted.join(', ')}`)

// Faults have a bound to keep, and a browser a page to draw: one at a time. All else may share the machine, and
// while a thin line is waited for, it is free.
const waits = (file) => /^test[/\\]faults[/\\]slow/.test(file)
const alone = (file) => /^test[/\\](faults|browser)[/\\]/.test(file) && !waits(file)

// A file that does not end is a failure with a name, not a run without an end. A proof takes its time.
const LIMIT = process.env.PROOF === 'full' ? 3_600_000 : 300_000

for (const [some, atOnce] of [[files.filter((file) => !alone(file)), files.some(waits) ? 3 : 2], [files.filter(alone), 1]]) {
  if (some.length === 0) continue
  const { status } = spawnSync(process.execPath, [
    '--import', 'tsx', '--test', '--test-concurrency', String(atOnce), '--test-timeout', String(LIMIT), '--test-reporter', 'spec', ...some
  ], { cwd: root, stdio: 'inherit' })
  if (status !== 0) process.exitCode = status ?? 1
}
