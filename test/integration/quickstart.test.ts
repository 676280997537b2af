/**
 * examples/quickstart is run as a user runs it: from the built package, in processes of its own.
 */
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { before, test } from 'node:test'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { until } from '../support/app.js'

const root = fileURLToPath(new URL('../..', import.meta.url))

before(() => {
  if (existsSync(`${root}/dist/index.js`)) return
  const build = spawnSync('npm', ['run', 'build'], { cwd: root, encoding: 'utf8' })
  assert.equal(build.status, 0, build.stdout + build.stderr)
})

/** Those that run: one that nobody has reaped yet is gone as well. */
function processes () {
  const { stdout } = spawnSync('ps', ['-A', '-o', 'pid=,ppid=,stat='], { encoding: 'utf8' })
  return stdout.trim().split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter(([, , stat]) => stat?.startsWith('Z') === false)
    .map(([pid, ppid]) => ({ pid: Number(pid), ppid: Number(ppid) }))
}

function tell (t: TestContext) {
  // The example loads dist: its coverage is not that of the sources under test.
  const { NODE_V8_COVERAGE, NODE_OPTIONS, ...env } = process.env
  const story = spawn(process.execPath, ['examples/quickstart/story.js'], { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'] })
  const told = { story, output: '', ended: once(story, 'close') }
  for (const stream of [story.stdout, story.stderr]) stream.setEncoding('utf8').on('data', (text: string) => { told.output += text })
  t.after(async () => { story.kill(); await told.ended })
  return told
}

test('the quickstart tells a story that goes as the plugin promises', async (t) => {
  const told = tell(t)
  const [code] = await told.ended
  assert.equal(code, 0, told.output)
  const rows: Array<[fate: string, cause: string]> = [
    ['closes cleanly', 'client'],
    ['resets', 'reset'],
    ['is SIGKILLed', 'reset'],
    ['black hole', 'heartbeat'],
    ['gone mid-answer', 'reset'],
    ['throws', 'handler']
  ]
  for (const [fate, cause] of rows) {
    assert.match(told.output, new RegExp(`^${fate} +true → false +true → false +${cause} +\\S.* │ `, 'm'))
  }
  assert.match(told.output, /^stays +true → true +true → true +- +- +│ /m)
  assert.doesNotMatch(told.output, /undefined|NaN|Infinity|\x1b/) // eslint-disable-line no-control-regex
  assert.ok(told.output.split('\n').every((line) => line.length <= 100), told.output)
})

test('the quickstart, interrupted, leaves no process behind', { skip: process.platform === 'win32' }, async (t) => {
  const told = tell(t)
  await once(told.story.stdout, 'data')
  const players = processes().filter(({ ppid }) => ppid === told.story.pid).map(({ pid }) => pid)
  assert.equal(players.length, 4)
  told.story.kill('SIGINT')
  const [code] = await told.ended
  assert.equal(code, 130, told.output)
  await until('its processes have ended', () => !processes().some(({ pid }) => players.includes(pid)))
})
