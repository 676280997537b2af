// Runs the unit and integration tests on other versions of Node.js, whose binaries come from npm: on all, or on those that
// are named; other arguments choose the test files. `npm run test:nodes -- 26 unit/core`
import { delimiter, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { cached } from './cache.js'
import { run } from './run.js'

const root = fileURLToPath(new URL('..', import.meta.url))
const isVersion = (argument) => /^\d+(\.\d+)*$/.test(argument)
const given = process.argv.slice(2)
const versions = given.some(isVersion) ? given.filter(isVersion) : ['22', '24', '26']
/** Documents, tools, examples and the services beside them are the same on every version. */
const tools = ['docs', 'arrows', 'unit/scripts/', 'unit/bench/', 'integration/examples', 'integration/quickstart', 'integration/team-chat', 'integration/prometheus', 'integration/autobahn'].map((part) => `!${part}`)
const parts = given.some((argument) => !isVersion(argument)) ? given.filter((argument) => !isVersion(argument)) : ['test/unit/', 'test/integration/', ...tools]

const name = `node-${process.platform}-${process.arch}`
const LIMIT = 5 * 60_000

const secondsSince = (began) => Math.round((performance.now() - began) / 1000)

/** Runs them, and says how it went; false if it did not go well. */
async function test (version) {
  const began = performance.now()
  const binary = await cached('nodes', name, version, 'bin/node')
  // What a test starts by its name, such as npm, is of this version too.
  const env = { PROOF: 'some', ...process.env, PATH: `${dirname(binary)}${delimiter}${process.env.PATH}` }
  const options = { cwd: root, env, limit: LIMIT }
  const exact = (await run(binary, ['--version'], options)).output.trim()
  const { status, output, late } = await run(binary, [join(root, 'scripts/files.js'), ...parts], options)
  const count = (what) => Array.from(output.matchAll(new RegExp(`^\\W+${what} (\\d+)$`, 'gm')), ([, figure]) => Number(figure)).reduce((sum, figure) => sum + figure, 0)
  const well = status === 0 && count('pass') > 0 && count('fail') + count('cancelled') === 0
  // What has passed is of no interest.
  if (!well) console.log(output.slice(Math.max(output.search(/^\W+failing tests:$/m), 0)))
  console.log(`Node.js ${exact}: ${count('pass')} passed, ${count('fail') + count('cancelled')} failed, ${count('skipped')} skipped, in ${secondsSince(began)} s${late ? '; given up' : ''}`)
  return well
}

if (given[0] === '--binary') {
  console.log(await cached('nodes', name, given[1], 'bin/node'))
  process.exit()
}
for (const version of versions) {
  if (!await test(version)) process.exitCode = 1
}
