// Runs test files without coverage. The glob is ours: Node 20's runner expands none.
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

// Faults have a bound to keep, and a browser a page to draw: one at a time. All else may share the machine, and
// while a thin line is waited for, it is free.
const waits = (file) => /^test[/\\]faults[/\\]slow/.test(file)
const alone = (file) => /^test[/\\](faults|browser)[/\\]/.test(file) && !waits(file)

for (const [some, atOnce] of [[files.filter((file) => !alone(file)), files.some(waits) ? 3 : 2], [files.filter(alone), 1]]) {
  if (some.length === 0) continue
  // A file that does not end is a failure with a name, not a run without an end.
  const { status } = spawnSync(process.execPath, [
    '--import', 'tsx', '--test', '--test-concurrency', String(atOnce), '--test-timeout', '300000', '--test-reporter', 'spec', ...some
  ], { cwd: root, stdio: 'inherit' })
  if (status !== 0) process.exitCode = status ?? 1
}
