import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const here = fileURLToPath(new URL('.', import.meta.url))
const live = readFileSync(join(here, 'runner/live.test.js'), 'utf8')
const timers = readFileSync(join(here, 'runner/timers.test.js'), 'utf8')

/** A folder with a test, and for modules one with faked timers, as this runner and kind of module want them. */
function folder (name, type, change) {
  const path = join(here, 'runs', name)
  mkdirSync(path, { recursive: true })
  writeFileSync(join(path, 'package.json'), JSON.stringify({ type }))
  writeFileSync(join(path, 'live.test.js'), change(live))
  if (type === 'module') writeFileSync(join(path, 'timers.test.js'), change(timers))
  return path
}

function run (node, args, cwd) {
  return new Promise((resolve, reject) => {
    const child = spawn(node, args, { cwd, env: { ...process.env, NODE_TEST_CONTEXT: undefined, NO_COLOR: '1' }, stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => { output += text })
    child.once('error', reject)
    child.once('close', (status) => { resolve({ status, output }) })
  })
}

const vitest = [join(here, 'node_modules/vitest/vitest.mjs'), 'run']
const jest = ['--experimental-vm-modules', join(here, 'node_modules/jest/bin/jest.js'), '--rootDir', '.']
const module = (code) => code.replace('\'vitest\'', '\'@jest/globals\'').replace(', vi }', ', jest }').replace(/vi\.useFake.*/, 'jest.useFakeTimers({ doNotFake: [\'setImmediate\', \'clearImmediate\', \'nextTick\', \'queueMicrotask\'] })').replaceAll('vi.', 'jest.')
const required = (code) => module(code).replace(/^import (.+) from (.+)$/gm, 'const $1 = require($2)')
const imported = (code) => required(code).replace('const lifeline = require(\'fastify-lifeline\')\n', '').replace('  const fastify', '  const { default: lifeline } = await import(\'fastify-lifeline\')\n  const fastify')

for (const pool of ['forks', 'vmThreads']) {
  test(`Vitest: ${pool}`, { timeout: 60_000 }, async () => {
    const { status, output } = await run(process.execPath, [...vitest, '--pool', pool], folder(`vitest-${pool}`, 'module', (code) => code))
    assert.equal(status, 0, output)
    assert.match(output, /Tests +2 passed/)
  })
}

test('Jest: an ES module', { timeout: 60_000 }, async () => {
  const { status, output } = await run(process.execPath, jest, folder('jest-module', 'module', module))
  assert.equal(status, 0, output)
  assert.match(output, /Tests: +2 passed/)
})

test('Jest: CommonJS that imports', { timeout: 60_000 }, async () => {
  const { status, output } = await run(process.execPath, jest, folder('jest-imported', 'commonjs', imported))
  assert.equal(status, 0, output)
  assert.match(output, /Tests: +1 passed/)
})

test('Jest: CommonJS that requires, on Node.js 24, with the flag alone', { timeout: 60_000 }, async () => {
  const path = folder('jest-required', 'commonjs', required)
  const { status, output } = await run(process.env.NODE_24, jest, path)
  assert.equal(status, 0, output)
  assert.match(output, /Tests: +1 passed/)
  const without = await run(process.env.NODE_24, jest.slice(1), path)
  assert.match(without.output, /Must use import to load ES Module/)
  if (Number.parseInt(process.versions.node) < 24) assert.match((await run(process.execPath, jest, path)).output, /Must use import to load ES Module/)
})
