// What looks at the tree and at the package without running it, at once: they share no file that one of them writes.
import { fileURLToPath } from 'node:url'
import { run } from './run.js'

const root = fileURLToPath(new URL('..', import.meta.url))
const LIMIT = 5 * 60_000

await Promise.all(['lint', 'types', 'pack:check'].map(async (name) => {
  const began = performance.now()
  const { status, output, late } = await run('npm', ['run', '--silent', name], { cwd: root, limit: LIMIT })
  console.log(`${output}== npm run ${name}: ${status === 0 ? 'well' : late ? 'FAILED, given up' : 'FAILED'}, ${Math.round((performance.now() - began) / 1000)} s`)
  if (status !== 0) process.exitCode = 1
}))
