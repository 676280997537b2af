/**
 * Turns what was measured into a table, a few sentences, and a list of promises that did not hold.
 * Invariant: only measured values are told.
 */
import { styleText } from 'node:util'

const coloured = process.stdout.isTTY === true && process.env.NO_COLOR === undefined
const WIDTH = 100
const paint = (style, text) => coloured ? styleText(style, text) : text

/** Timers, and the clocks of two processes, are not exact. In ms. */
const TOLERANCE = 50

export function printStory ({ fates, parts, servers }) {
  const of = (server) => parts.filter((part) => part.server === server)
  const ours = of('lifeline')
  const bare = of('bare')
  const rows = fates.map((_fate, index) => [...lifelineCells(ours[index]), ...bareCells(bare[index])])
  const heads = ['the client …', 'exists', 'safePush', 'cause', 'found in', 'readyState', 'send', 'found in']
  const widths = heads.map((head, column) => Math.max(head.length, ...rows.map((row) => row[column].text.length)))
  const leftWidth = widths.slice(0, 5).reduce((sum, width) => sum + width + 2, -2)
  const rightWidth = widths.slice(5).reduce((sum, width) => sum + width + 2, -2)
  const line = (cells) => `${cells.slice(0, 5).join('  ')} │ ${cells.slice(5).join('  ')}`.trimEnd()
  const pad = (text, column) => text.padEnd(widths[column])
  const title = ''.padEnd(widths[0] + 2)

  console.log(`${title}${paint('bold', 'fastify-lifeline'.padEnd(leftWidth - title.length))} │ ${paint('bold', 'bare @fastify/websocket')}`)
  console.log(paint('dim', line(heads.map(pad))))
  console.log(paint('dim', `${'─'.repeat(leftWidth)}─┼─${'─'.repeat(rightWidth)}`))
  for (const row of rows) console.log(line(row.map(({ text, style }, column) => paint(style, pad(text, column)))))
  console.log(paint('dim', 'before → after. send: got = the call returned and the client had it; lost = the call returned,\nno error, and no client had it. found in: from the act until the server knew.'))
  console.log()
  for (const sentence of sentences(ours, bare, servers)) console.log(wrap(sentence))
}

function lifelineCells ({ fate, before, after, end, actedAt }) {
  const exists = after.exists === (fate.cause === null)
  const pushed = after.pushed === (fate.cause === null)
  return [
    cell(fate.name, 'bold'),
    cell(`${before.exists} → ${show(after, 'exists')}`, exists ? 'green' : 'red'),
    cell(`${before.pushed} → ${show(after, 'pushed')}`, pushed ? 'green' : 'red'),
    cell(end?.cause ?? '-', (end?.cause ?? null) === fate.cause ? 'green' : 'red'),
    found({ fate, after, end, actedAt })
  ]
}

function bareCells (part) {
  const { before, after } = part
  const sent = ({ pushed, got }) => pushed ? (got ? 'got' : 'lost') : 'threw'
  const wrong = after.exit !== undefined || (after.readyState === 1 && part.fate.cause !== null)
  return [
    cell(`${before.readyState} → ${show(after, 'readyState')}`, wrong ? 'red' : 'reset'),
    cell(`${sent(before)} → ${after.exit === undefined ? sent(after) : '-'}`, after.got ? 'reset' : 'red'),
    found(part)
  ]
}

const cell = (text, style = 'reset') => ({ text, style })

/** Of a look: what it saw, or how the process had ended. */
const show = ({ exit, ...look }, member) => exit === undefined ? String(look[member] ?? 'no answer') : `exit ${exit.code ?? exit.signal}`

function found ({ fate, after, end, actedAt }) {
  if (actedAt === undefined) return cell('-')
  if (end !== undefined) return cell(duration(end.at - actedAt))
  if (after.exit !== undefined) return cell('-')
  return cell(`> ${duration(after.at - actedAt)}`, fate.cause === null ? 'reset' : 'red')
}

function duration (ms) {
  if (ms < 1) return '< 1 ms'
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(2)} s`
}

const wrap = (text) => text.replace(new RegExp(`(.{1,${WIDTH}})(?: |$)`, 'g'), '$1\n').trimEnd()

const count = (number, noun) => `${number} ${noun}${number === 1 ? '' : 's'}`

function sentences (ours, bare, servers) {
  const took = ({ end, actedAt }) => end.at - actedAt
  const hole = (parts) => parts.find(({ fate }) => fate.cause === 'heartbeat')
  const thrower = (parts) => parts.find(({ fate }) => fate.cause === 'handler')
  const gone = ours.filter(({ fate }) => fate.cause !== null)
  const known = gone.filter(({ end }) => end !== undefined)
  const others = known.filter((part) => part !== hole(ours))
  const slowest = others.length === 0 ? 'no time' : duration(Math.max(...others.map(took)))
  const told = gone.filter(({ after }) => after.pushed === false)
  const silent = bare.filter(({ after }) => after.pushed === true && !after.got)
  const theirs = hole(bare)
  const lines = []

  const ourHole = hole(ours).end === undefined
    ? 'did not find the black hole'
    : `found the black hole in ${duration(took(hole(ours)))} (promised: ${duration(hole(ours).before.bound)})`
  const theirHole = theirs.end === undefined
    ? `the bare app had not found it after ${duration(theirs.after.at - theirs.actedAt)} (readyState ${show(theirs.after, 'readyState')})`
    : `the bare app needed ${duration(took(theirs))}`
  lines.push(`fastify-lifeline ${ourHole}, and the other ${others.length} within ${slowest}; ${theirHole}.`)

  lines.push(`safePush said false for ${told.length} of the ${gone.length} that were gone; send of the bare app took ${count(silent.length, 'message')} for nobody, without an error.`)

  const { end } = thrower(ours)
  const rest = ours.filter(({ after }) => after.exists).length
  const ourThrow = end === undefined
    ? `The throw did not end its connection (${count(servers.lifeline.errorLines, 'error line')})`
    : `The throw ended its own connection (code ${end.code}, ${count(servers.lifeline.errorLines, 'error line')} in the log) and left ${count(rest, 'other')} untouched`
  const { exit } = thrower(bare).after
  const innocent = bare.find(({ fate }) => fate.cause === null).left
  const theirThrow = exit === undefined
    ? 'the bare process went on'
    : `the bare process died of it (${exit.code === null ? exit.signal : `exit code ${exit.code}`}: ${lastWords(servers.bare)}), and the client that stays was ${innocent === undefined ? 'not told' : `cut off (code ${innocent.code})`}`
  lines.push(`${ourThrow}; ${theirThrow}.`)
  return lines
}

const lastWords = ({ errors }) => /^\w*Error: .*$/m.exec(errors)?.[0] ?? 'no word of why'

/** The promises that were not kept, in words. */
export function findings ({ parts, servers }) {
  const broken = []
  const expect = (holds, { fate }, what) => { if (!holds) broken.push(`"${fate.name}": ${what}`) }
  for (const part of parts.filter(({ server }) => server === 'lifeline')) {
    const { fate, before, after, end, left, actedAt } = part
    const stays = fate.cause === null
    expect(before.exists === true && before.pushed === true && before.got, part, `before, exists said ${before.exists}, safePush ${before.pushed}, and the client ${before.got ? 'got' : 'did not get'} the message`)
    expect(after.exists === stays, part, `after, exists said ${show(after, 'exists')}`)
    expect(after.pushed === stays, part, `after, safePush said ${show(after, 'pushed')}`)
    expect(after.got === stays, part, `after, the client ${after.got ? 'got' : 'did not get'} the message`)
    expect((end?.cause ?? null) === fate.cause, part, `the cause is ${end?.cause ?? 'none'}, not ${fate.cause ?? 'none'}`)
    if (fate.cause === 'handler') expect(left?.code === 1011, part, `the client was told ${left?.code ?? 'nothing'}, not 1011`)
    if (stays || end === undefined) continue
    // A stalled loop kills nobody: the suspect gets a fresh ping, and its time anew.
    const limit = (before.bound ?? Infinity) * (1 + after.stalls - before.stalls) + TOLERANCE
    expect(end.at - actedAt <= limit, part, `it was found after ${duration(end.at - actedAt)}, promised were ${duration(limit)}`)
  }
  const { running, errorLines } = servers.lifeline
  if (!running) broken.push(`the process ended: ${servers.lifeline.errors.trim()}`)
  if (errorLines !== 1) broken.push(`one exception was logged in ${errorLines} error lines`)
  return broken
}
