import assert from 'node:assert/strict'
import { execFile, fork } from 'node:child_process'
import { once } from 'node:events'
import { copyFileSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { connect } from './support.js'

const here = fileURLToPath(new URL('.', import.meta.url))
const entry = join(here, 'bundled/app.js')

/** A folder in which no package is found that is not put there. */
function elsewhere (t) {
  const folder = mkdtempSync(join(tmpdir(), 'lifeline-bundle-'))
  t.after(() => { rmSync(folder, { recursive: true, force: true }) })
  return folder
}

async function serves (t, program) {
  const child = fork(program, { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
  t.after(() => { child.kill('SIGKILL') })
  const over = once(child, 'exit')
  const [port] = await Promise.race([once(child, 'message'), over.then(([status]) => { throw new Error(`${program} ended with ${status}`) })])
  const client = await connect(t, `ws://127.0.0.1:${port}/live`)
  client.send('{"hello":"you"}')
  assert.deepEqual(JSON.parse(await client.next()), { wrong: 'FST_ERR_LIFELINE_OPTION', hello: 'you' })
  const closed = once(client, 'close')
  child.send('close')
  assert.equal((await closed)[0], 1012)
  assert.deepEqual(await over, [0, null])
}

/** As the document says it, and as it says for CommonJS. */
async function bundler (format) {
  if (format === 'esm') return (await import('./documented/bundle.js')).bundle
  const code = readFileSync(new URL('documented/bundle.js', import.meta.url), 'utf8').replace(/format: 'esm',\n.*\n/, 'format: \'cjs\'\n')
  const path = new URL('documented/bundle.cjs-output.js', import.meta.url)
  writeFileSync(path, code)
  return (await import(path)).bundle
}

for (const [format, ending] of [['esm', 'mjs'], ['cjs', 'cjs']]) {
  test(`esbuild: one minified file, ${format}`, { timeout: 60_000 }, async (t) => {
    const program = join(elsewhere(t), `app.${ending}`)
    const { warnings } = await (await bundler(format))(entry, program)
    assert.deepEqual(warnings, [])
    await serves(t, program)
  })
}

test('pnpm: nothing is imported that is not declared', { timeout: 120_000 }, async (t) => {
  const folder = elsewhere(t)
  const packed = readdirSync(here).find((file) => /^fastify-lifeline-.*\.tgz$/.test(file))
  const { version } = JSON.parse(readFileSync(join(here, 'node_modules/fastify/package.json'), 'utf8'))
  copyFileSync(entry, join(folder, 'app.js'))
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ type: 'module', dependencies: { fastify: version, 'fastify-lifeline': `file:${join(here, packed)}` } }))
  await promisify(execFile)(process.execPath, [join(here, 'node_modules/pnpm/bin/pnpm.cjs'), 'install', '--prefer-offline', '--no-frozen-lockfile'], { cwd: folder })
  assert.deepEqual(readdirSync(join(folder, 'node_modules')).filter((name) => !name.startsWith('.')).sort(), ['fastify', 'fastify-lifeline'])
  await serves(t, join(folder, 'app.js'))
})
