// The package as it is packed, in an app beside the libraries that people have: test/ecosystem, whose packages are its own, and the code
// of docs/ecosystem.md and docs/migrating.md, which it runs. `npm run ecosystem` tries all, `npm run ecosystem -- yjs` the files with that in their names.
// The versions are a table in docs/compatibility.md: WRITE_ECOSYSTEM=true writes it, otherwise it has to be true. Without a network it is
// skipped, but fails under CI=true.
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { cache, cached } from './cache.js'
import { packInto } from './packed.js'
import { run } from './run.js'

const root = fileURLToPath(new URL('..', import.meta.url))
const source = join(root, 'test/ecosystem')
const given = process.argv.slice(2)
const LIMIT = 5 * 60_000
const AT_ONCE = 3

const read = (path) => readFileSync(path, 'utf8')
const began = performance.now()
const tell = (what) => { console.log(`${what}, ${Math.round((performance.now() - began) / 1000)} s in all`) }

async function npm (args, cwd) {
  const { status, output } = await run('npm', [...args, '--ignore-scripts', '--no-audit', '--no-fund'], { cwd, limit: LIMIT })
  if (status !== 0) throw Object.assign(new Error(`npm ${args.join(' ')} failed:\n${output}`), { code: 'NOT_INSTALLED' })
}

/** The code of a document: each block whose first line names a file. */
function blocksOf (document) {
  return Array.from(read(join(root, document)).matchAll(/^```js\n\/\/ (\S+\.js)\n([\s\S]*?)^```$/gm), ([, file, code]) => ({ file, code }))
}

/** @returns {string} a project outside of the tree, so that nothing is found in our own node_modules; its packages are kept for the next run */
async function project () {
  const lock = join(source, 'package-lock.json')
  const folder = join(cache, 'ecosystem', createHash('sha256').update(read(lock)).digest('hex').slice(0, 16))
  const installed = join(folder, 'node_modules/.package-lock.json')
  mkdirSync(folder, { recursive: true })
  for (const name of readdirSync(folder)) if (name !== 'node_modules') rmSync(join(folder, name), { recursive: true })
  for (const name of ['package.json', 'package-lock.json']) copyFileSync(join(source, name), join(folder, name))
  if (!existsSync(installed)) await npm(['ci'], folder)
  // With what it depends on, as a user would.
  await npm(['install', '--no-save', '--prefer-offline', packInto(folder)], folder)
  for (const entry of readdirSync(source, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name).slice(source.length + 1)
    if (!entry.isFile() || path.startsWith('package') || path.startsWith('node_modules')) continue
    mkdirSync(join(folder, path, '..'), { recursive: true })
    copyFileSync(join(source, path), join(folder, path))
  }
  for (const { file, code } of [...blocksOf('docs/ecosystem.md'), ...blocksOf('docs/migrating.md')]) {
    mkdirSync(join(folder, 'documented', file, '..'), { recursive: true })
    writeFileSync(join(folder, 'documented', file), code)
  }
  return folder
}

/** The versions that were installed, as a table. */
function versionsIn (folder) {
  const { dependencies } = JSON.parse(read(join(source, 'package.json')))
  const rows = Object.keys(dependencies).map((name) => `| ${name} | ${JSON.parse(read(join(folder, 'node_modules', name, 'package.json'))).version} |`)
  return ['| package | version |', '| --- | --- |', ...rows].join('\n')
}

function hold (folder) {
  const path = join(root, 'docs/compatibility.md')
  const text = read(path)
  const now = text.replace(/(?<=<!-- ecosystem -->\n)[\s\S]*?(?=<!-- \/ecosystem -->)/, () => `${versionsIn(folder)}\n`)
  if (process.env.WRITE_ECOSYSTEM === 'true') writeFileSync(path, now)
  else assert.equal(now, text, 'the versions in docs/compatibility.md are others: WRITE_ECOSYSTEM=true npm run ecosystem')
}

let folder, node24
try {
  folder = await project()
  // Jest in CommonJS can require an ES module on that one alone.
  node24 = await cached('nodes', `node-${process.platform}-${process.arch}`, '24', 'bin/node')
} catch (error) {
  if (error.code !== 'NOT_INSTALLED' || process.env.CI === 'true') throw error
  console.log(`skipped: ${error.message}`)
  process.exit()
}
tell('== installed')
const files = readdirSync(folder).filter((file) => file.endsWith('.test.js') && (given.length === 0 || given.some((part) => file.includes(part))))
assert.ok(files.length > 0, `test/ecosystem has no file with any of this in its name: ${given.join(', ')}`)
const env = { ...process.env, NODE_24: node24 }
// (Some libraries leave a timer.)
const { status, output, late } = await run(process.execPath, ['--test', '--test-force-exit', '--test-concurrency', String(AT_ONCE), '--test-timeout', String(LIMIT / 2), '--test-reporter', 'spec', ...files], { cwd: folder, env, limit: LIMIT })
console.log(output)
if (status !== 0) throw new Error(late ? 'the tests did not end in time' : 'a test has failed')
hold(folder)
tell('== tested')
