/**
 * From samples to figures, and from figures to text. Nothing is measured here, and no figure is known.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { cpus, release } from 'node:os'

const median = (list) => {
  const sorted = list.toSorted((a, b) => a - b)
  const half = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2
}
const spread = (list) => [Math.min(...list), Math.max(...list)]

/** Medians and spread of each variant, and each goal with what was reached: ratios are taken round by round. */
export function judge ({ name, title, unit, goals, besideGoal, variants, subject = 'lifeline', digits = 2 }, { beside, ...samples }) {
  const figures = Object.fromEntries(variants.map((variant) => [variant, {
    median: median(samples[variant]),
    spread: spread(samples[variant]),
    ...(beside !== undefined && { beside: median(beside[variant]) })
  }]))
  const judged = goals.map(([against, goal]) => {
    const absolute = !variants.includes('lifeline')
    const reached = absolute ? figures[against].median : median(samples[subject].map((value, i) => value / samples[against][i]))
    return { against, goal, reached, absolute, met: reached <= goal }
  })
  if (besideGoal !== undefined) {
    const [against, goal] = besideGoal
    const reached = figures.lifeline.beside
    judged.push({ against, goal, reached, absolute: true, met: reached <= goal })
  }
  return { name, title, unit, digits, variants: figures, goals: judged }
}

const number = (value, digits) => value.toFixed(digits)

function cellOf ({ median, spread, beside }, digits) {
  const range = `${number(spread[0], digits)}–${number(spread[1], digits)}`
  return `${number(median, digits)} (${range})${beside === undefined ? '' : `; ${number(beside, 0)}`}`
}

const goalOf = ({ against, goal, reached, absolute, met }) =>
  absolute
    ? `${against}: ${number(reached, 1)}, at most ${goal}${met ? '' : ' MISSED'}`
    : `${number(reached, 3)} of ${against}, at most ${goal}${met ? '' : ' MISSED'}`

function rowsOf (figures) {
  return figures.map(({ title, unit, variants, goals, digits }) => [
    `${title}, ${unit}`,
    Object.entries(variants).map(([name, figure]) => `${name} ${cellOf(figure, digits)}`),
    goals.map(goalOf)
  ])
}

export const asTable = (figures) => rowsOf(figures).map(([title, cells, goals]) =>
  [title, ...cells.map((cell) => `    ${cell}`), ...goals.map((goal) => `    -> ${goal}`)].join('\n')).join('\n')

export const missed = (figures) => figures.flatMap(({ title, goals }) => goals.filter(({ met }) => !met).map((goal) => `${title}: ${goalOf(goal)}`))

const versionOf = (require, name) => JSON.parse(readFileSync(require.resolve(`${name}/package.json`), 'utf8')).version

export function machine (pinned) {
  const here = createRequire(import.meta.url)
  const root = createRequire(new URL('../package.json', import.meta.url))
  const git = (...args) => execFileSync('git', args, { encoding: 'utf8', cwd: new URL('..', import.meta.url) }).trim()
  return {
    cpu: cpus()[0].model,
    cpus: cpus().length,
    kernel: release(),
    pinned,
    node: process.version,
    fastify: versionOf(here, 'fastify'),
    '@fastify/websocket': versionOf(here, '@fastify/websocket'),
    ws: versionOf(root, 'ws'),
    'socket.io': versionOf(here, 'socket.io'),
    commit: git('rev-parse', '--short', 'HEAD'),
    date: new Date().toISOString().slice(0, 10)
  }
}

export function asMarkdown ({ machine, rounds, figures }) {
  const table = (list) => [
    '| row | measured: median (least–most) | ratio, and goal |', '| --- | --- | --- |',
    ...rowsOf(list).map(([title, cells, goals]) => `| ${title} | ${cells.join('<br>')} | ${goals.join('<br>')} |`)
  ].join('\n')
  const lacks = missed(figures)
  return `# Results

Written by \`npm run bench\`; how it is measured is in [README.md](README.md).

${Object.entries(machine).map(([name, value]) => `- ${name}: ${value}`).join('\n')}
- rounds: ${rounds}, interleaved

${table(figures.filter(({ growth }) => !growth))}

${lacks.length === 0 ? 'All goals are met.' : lacks.map((text) => `- MISSED: ${text}`).join('\n')}

## How it grows

${table(figures.filter(({ growth }) => growth))}
`
}

const NAMES = { ws: '@fastify/websocket', cork: 'the same, corked by hand', 'socket.io': 'Socket.IO', lifeline: 'fastify-lifeline' }

/** The figures for docs/how-it-works.md: what stands between its two marks. Goals that were missed are told in RESULTS.md. */
export function asFigures ({ machine, figures }) {
  const compared = figures.filter(({ growth, variants }) => !growth && variants.ws !== undefined)
  const cell = ({ variants, digits }, name) => variants[name] === undefined ? '' : number(variants[name].median, digits)
  return [
    `| | ${Object.values(NAMES).join(' | ')} |`,
    `| --- | ${Object.keys(NAMES).map(() => '---').join(' | ')} |`,
    ...compared.map((row) => `| ${row.title}, ${row.unit.replace(/ \(.*/, '')} | ${Object.keys(NAMES).map((name) => cell(row, name)).join(' | ')} |`),
    '',
    `Node.js ${machine.node}, ${machine.cpu}, medians.`
  ].join('\n')
}

const MARKS = ['<!-- bench -->\n', '\n<!-- /bench -->']

export function intoDocument (text, results) {
  const [from, to] = MARKS.map((mark) => text.indexOf(mark))
  if (from === -1 || to === -1) throw new Error('the document has lost its marks')
  return text.slice(0, from + MARKS[0].length) + asFigures(results) + text.slice(to)
}
