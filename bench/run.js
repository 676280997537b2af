/**
 * `npm run bench`: measures all rows, prints one table with the goals beside the figures, says which are
 * missed, and writes results.json, RESULTS.md, the picture and the figures in docs/how-it-works.md.
 * Options: --rows a,b  --rounds N  --quick (3 rounds, no growth)  --profile (of our server, in the first row chosen)
 *   --against REVISION (this held against another, 15 rounds; see against.js)
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { compare } from './against.js'
import { draw } from './draw.js'
import { profile } from './profile.js'
import { pinned } from './process.js'
import { asMarkdown, asTable, intoDocument, judge, machine, missed } from './report.js'
import { growth, paired, rows } from './rows.js'

const { values } = parseArgs({ options: { rows: { type: 'string' }, rounds: { type: 'string' }, against: { type: 'string' }, quick: { type: 'boolean' }, profile: { type: 'boolean' } } })
const everything = values.against === undefined ? [...rows, ...growth] : paired
const named = values.rows?.split(',')
const unknown = named?.find((name) => !everything.some((row) => row.name === name))
if (unknown !== undefined) throw new Error(`there is no row ${unknown}; there are ${everything.map(({ name }) => name).join(', ')}`)
const chosen = named === undefined ? (values.quick === true ? rows : everything) : everything.filter(({ name }) => named.includes(name))
const rounds = values.quick === true ? 3 : Number(values.rounds ?? (values.against === undefined ? 9 : 15))

if (values.against !== undefined) {
  process.exitCode = await compare(values.against, chosen, rounds) ? 0 : 1
} else if (values.profile === true) {
  await profile(chosen[0].name)
} else {
  const figures = []
  for (const row of chosen) {
    const isGrowth = growth.includes(row)
    figures.push({ ...judge(row, await row.run(isGrowth ? Math.min(rounds, 3) : rounds)), growth: isGrowth })
    console.log(asTable([figures.at(-1)]))
  }
  const lacks = missed(figures)
  console.log(lacks.length === 0 ? '\nAll goals are met.' : `\n${lacks.map((text) => `MISSED: ${text}`).join('\n')}`)
  if (named === undefined && values.quick !== true) {
    const results = { machine: machine(pinned), rounds, figures }
    writeFileSync(new URL('results.json', import.meta.url), `${JSON.stringify(results, null, 2)}\n`)
    writeFileSync(new URL('RESULTS.md', import.meta.url), asMarkdown(results))
    writeFileSync(new URL('../docs/bench.svg', import.meta.url), draw(results))
    const document = new URL('../docs/how-it-works.md', import.meta.url)
    writeFileSync(document, intoDocument(readFileSync(document, 'utf8'), results))
  }
}
