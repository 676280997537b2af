/**
 * `npm run bench -- --against REVISION`: that revision is built beside this one, in a temporary folder, and both are measured
 * in turn, round by round, each in processes of its own: one process differs from the next by more than two measurements in it
 * (by 15 %, of the same revision), so what is measured in one is one value. Fails if a row may be worse.
 * Invariant: the folder is gone when the process is, however it ends.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { medianOf, ratios, verdictOf, WORSE } from './pairs.js'
import { others } from './process.js'

const root = fileURLToPath(new URL('..', import.meta.url))

function build (revision) {
  const commit = execFileSync('git', ['rev-parse', '--verify', `${revision}^{commit}`], { cwd: root, encoding: 'utf8' }).trim()
  const folder = mkdtempSync(join(tmpdir(), 'bench-'))
  process.on('exit', () => { rmSync(folder, { recursive: true, force: true }) })
  const archive = execFileSync('git', ['archive', commit], { cwd: root, maxBuffer: 1 << 30 })
  execFileSync('tar', ['-x', '-C', folder], { input: archive })
  // Its `prepare` builds it.
  execFileSync('npm', ['ci', '--silent'], { cwd: folder, stdio: ['ignore', 'ignore', 'inherit'] })
  return { commit, plugin: String(pathToFileURL(join(folder, 'dist', 'index.js'))) }
}

const median = (list) => medianOf(list).median

/** How often a row is measured in a process. */
const MEASUREMENTS = 3

/** @returns what each round gave for both, this first */
async function rounded (row, rounds) {
  const [mine, theirs] = row.variants
  const figures = { [mine]: [], [theirs]: [] }
  for (let i = 0; i < rounds; i++) {
    // There and back, so that what drifts favours nobody.
    const variants = i % 2 === 0 ? row.variants : row.variants.toReversed()
    const samples = await { ...row, variants }.run(row.single === true ? 1 : MEASUREMENTS)
    for (const variant of variants) figures[variant].push(median(samples[variant]))
  }
  return [figures[mine], figures[theirs]]
}

/** @returns whether no row may be worse */
export async function compare (revision, rows, rounds) {
  const { commit, plugin } = build(revision)
  others.set('that', plugin)
  const began = performance.now()
  console.log(`this against ${commit.slice(0, 12)}, ${rounds} rounds: the median of each round's ratio and its 95 % interval, which must end below ${WORSE}\n`)
  console.log(['row', 'this', 'that', 'ratio', 'interval', 'verdict'].join(' | '))
  const bad = []
  for (const row of rows) {
    const [mine, theirs] = await rounded(row, rounds)
    const figure = medianOf(ratios(mine, theirs))
    const verdict = verdictOf(figure)
    const digits = row.digits ?? 2
    console.log([`${row.name} (${row.unit.replace(/ \(.*/, '')})`, median(mine).toFixed(digits), median(theirs).toFixed(digits), figure.median.toFixed(3), `${figure.from.toFixed(3)}–${figure.to.toFixed(3)}`, verdict].join(' | '))
    if (!['better', 'no worse'].includes(verdict)) bad.push(row.name)
  }
  console.log(`\n${rows.length - bad.length} no worse, ${bad.length} not${bad.length > 0 ? `: ${bad.join(', ')}` : ''}; ${Math.round((performance.now() - began) / 1000)} s`)
  return bad.length === 0
}
