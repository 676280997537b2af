// Runs every test file (or those whose path has one of the arguments in it), with coverage of src.
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))

const { status } = spawnSync(process.execPath, [
  join(root, 'node_modules/c8/bin/c8.js'),
  '--include', 'src', '--all', '--check-coverage', '--branches', '95', '--lines', '95', '--functions', '95', '--statements', '95',
  '--reporter', 'text-summary', '--reporter', 'lcovonly',
  process.execPath, join(root, 'scripts/files.js'), ...process.argv.slice(2)
], { cwd: root, stdio: 'inherit' })
process.exitCode = status ?? 1
