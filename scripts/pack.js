// Packs the package as it would be published, and has it looked at: is it what its package.json says, and do its types resolve
// however they are looked for? What it has in it is held by test/unit/docs-package.test.ts.
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { packInto } from './packed.js'

const root = fileURLToPath(new URL('..', import.meta.url))
const folder = mkdtempSync(join(tmpdir(), 'lifeline-pack-'))
process.on('exit', () => { rmSync(folder, { recursive: true }) })

// dist/ is there: `npm test` has just built it.
const file = packInto(folder)
const checks = [
  ['publint/src/cli.js', '--strict'],
  // CommonJS gets ES modules, by `require(esm)` of the Node.js versions that are supported: all else holds, for every way to resolve.
  ['@arethetypeswrong/cli/dist/index.js', '--ignore-rules', 'cjs-resolves-to-esm', '--profile', 'strict']
]
for (const [cli, ...args] of checks) {
  const { status } = spawnSync(process.execPath, [join(root, 'node_modules', cli), ...args, file], { cwd: root, stdio: 'inherit' })
  if (status !== 0) process.exitCode = 1
}
