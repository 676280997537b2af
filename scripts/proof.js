// Tries what is claimed with a figure as often as is claimed: all tests that count their tries, and all faults. `npm test` makes
// a tenth of the tries. Arguments choose among these files. It takes some ten minutes.
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const wanted = process.argv.slice(2)
const files = readdirSync(join(root, 'test'), { recursive: true, encoding: 'utf8' })
  .map((file) => relative(root, join(root, 'test', file)))
  .filter((file) => file.endsWith('.test.ts'))
  .filter((file) => /^test[/\\]faults[/\\]/.test(file) || readFileSync(join(root, file), 'utf8').includes('support/proof.js'))
  .filter((file) => wanted.length === 0 || wanted.some((part) => file.includes(part)))
if (files.length === 0) throw new Error(`no test of the proof has any of this in its path: ${wanted.join(', ')}`)

const began = performance.now()
const { status } = spawnSync(process.execPath, [join(root, 'scripts/files.js'), ...files], { cwd: root, env: { ...process.env, PROOF: 'full' }, stdio: 'inherit' })
console.log(`the proof of ${files.length} files ${status === 0 ? 'holds' : 'FAILED'}, in ${Math.round((performance.now() - began) / 1000)} s`)
process.exitCode = status ?? 1
