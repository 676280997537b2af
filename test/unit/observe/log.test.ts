import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { Log, SUMMARY_WINDOW } from '../../../src/observe/log.js'

interface Line { level: string, fields: Record<string, unknown>, message: string }

function keep (t: TestContext): { log: Log, lines: Line[], above: () => Line[] } {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const lines: Line[] = []
  const at = (level: string) => (fields: object, message: string) => { lines.push({ level, fields: fields as Line['fields'], message }) }
  const log = new Log({ debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') })
  return { log, lines, above: () => lines.filter(({ level }) => level !== 'debug') }
}

const fd = 7
const reset = { fd, cause: 'reset', code: 1006, reason: '' } as const

test('opening and closing are said at debug, with fd', (t) => {
  const { log, lines } = keep(t)
  log.opened(fd, null)
  log.closed(null, { fd, cause: 'client', code: 1000, reason: 'bye' })
  assert.deepEqual(lines, [
    { level: 'debug', fields: { fd }, message: 'lifeline: open' },
    { level: 'debug', fields: { fd, cause: 'client', code: 1000, reason: 'bye' }, message: 'lifeline: closed' }
  ])
})

test('ten thousand ends in a minute are one line above debug', (t) => {
  const { log, above } = keep(t)
  for (let i = 0; i < 10_000; i++) log.closed(null, i % 4 === 0 ? { fd, cause: 'heartbeat', code: 1006, reason: '' } : reset)
  assert.deepEqual(above(), [])
  t.mock.timers.tick(SUMMARY_WINDOW)
  assert.deepEqual(above().map(({ level, fields }) => [level, fields]), [['info', { closed: { heartbeat: 2500, reset: 7500 } }]])
  t.mock.timers.tick(10 * SUMMARY_WINDOW)
  assert.equal(above().length, 1)
})

test('each window has its own line', (t) => {
  const { log, above } = keep(t)
  for (let i = 1; i <= 3; i++) {
    for (let n = 0; n < i; n++) log.closed(null, reset)
    t.mock.timers.tick(SUMMARY_WINDOW)
  }
  assert.deepEqual(above().map(({ fields }) => fields.closed), [{ reset: 1 }, { reset: 2 }, { reset: 3 }])
})

test('ends that are the app\'s fault are no churn: they have their own line', (t) => {
  const { log, above } = keep(t)
  log.failed(fd, null, new Error('boom'))
  log.closed(null, { fd, cause: 'handler', code: 1011, reason: '' })
  t.mock.timers.tick(SUMMARY_WINDOW)
  assert.deepEqual(above().map(({ level }) => level), ['error'])
})

test('the failure of a handler is an error with fd; a later one is at debug', (t) => {
  const { log, lines } = keep(t)
  const err = new Error('boom')
  log.failed(fd, null, err)
  log.failedAgain(fd, null, err)
  assert.deepEqual(lines.map(({ level, fields }) => [level, fields]), [['error', { err, fd }], ['debug', { err, fd }]])
})

test('a mistake that is made in a loop is one line a window for its kind, and is counted', (t) => {
  const { log, above } = keep(t)
  const wrong = (code: string): Error => Object.assign(new Error(`wrong ${code}`), { code })
  for (let i = 0; i < 1000; i++) {
    log.misused(wrong('A'), 3)
    log.misused(wrong('B'), undefined)
  }
  log.misused(new RangeError('no code'), 3)
  assert.deepEqual(above().map(({ level, message }) => [level, message]), [
    ['error', 'lifeline: wrong A'], ['error', 'lifeline: wrong B'], ['error', 'lifeline: no code']
  ])
  t.mock.timers.tick(SUMMARY_WINDOW)
  assert.deepEqual(above()[3]!.fields, { errors: { A: 1000, B: 1000 } })
  log.misused(wrong('A'), 3)
  assert.equal(above().length, 5)
})

test('a second mistake of a kind has a line beside the first, up to five; what reads otherwise each time fills no disk', (t) => {
  const { log, above } = keep(t)
  const wrong = (message: string): Error => Object.assign(new Error(message), { code: 'A' })
  for (let i = 0; i < 2; i++) for (const what of ['one', 'two']) log.misused(wrong(what), 3)
  for (let i = 0; i < 2; i++) for (const what of ['one', 'two']) log.listenerThrew('open', new Error(what))
  log.listenerThrew('open', null)
  assert.deepEqual(above().map(({ message }) => message), [
    'lifeline: one', 'lifeline: two', ...Array(3).fill('lifeline: a listener of the event "open" failed')
  ])
  for (let i = 0; i < 1000; i++) log.misused(wrong(`fd ${i}`), 3)
  assert.equal(above().length, 8)
  t.mock.timers.tick(SUMMARY_WINDOW)
  assert.deepEqual(above()[8]!.fields, { errors: { A: 1004, 'listener of "open"': 5 } })
  log.misused(wrong('fd 1'), 3)
  assert.equal(above().length, 10)
})

test('one mistake that was logged needs no summary', (t) => {
  const { log, above } = keep(t)
  log.misused(new Error('once'), 1)
  t.mock.timers.tick(SUMMARY_WINDOW)
  assert.equal(above().length, 1)
})

test('closing says what was gathered, at once, and arms no timer', (t) => {
  const { log, above } = keep(t)
  log.closed(null, reset)
  log.close()
  assert.deepEqual(above().map(({ fields }) => fields), [{ closed: { reset: 1 } }])
  log.close()
  t.mock.timers.tick(10 * SUMMARY_WINDOW)
  assert.equal(above().length, 1)
})

test('notices, and failures of listeners and of the app\'s errorHandler, have a line each', (t) => {
  const { log, lines } = keep(t)
  const err = new Error('boom')
  log.notice('hello')
  log.listenerThrew('open', err)
  log.errorHandlerThrew(err)
  log.unadopted(err)
  assert.deepEqual(lines.map(({ level }) => level), ['info', 'error', 'error', 'error'])
  assert.equal(lines[0]!.message, 'lifeline: hello')
  assert.match(lines[1]!.message, /"open"/)
  assert.match(lines[2]!.message, /errorHandler/)
  for (const { fields } of lines.slice(1)) assert.equal(fields.err, err)
})

test('the window keeps no process alive', (t) => {
  const real = setTimeout
  let timer: NodeJS.Timeout | undefined
  t.mock.method(globalThis, 'setTimeout', (callback: () => void, ms: number) => (timer = real(callback, ms)))
  const nothing = (): void => {}
  const log = new Log({ debug: nothing, info: nothing, warn: nothing, error: nothing })
  log.closed(null, reset)
  assert.equal(timer!.hasRef(), false)
  log.close()
})

test('refused upgrades are one line a window for each limit, and a count', (t) => {
  const { log, above } = keep(t)
  for (let i = 0; i < 1000; i++) log.refused('connections', 'it is full')
  log.refused('origins', 'a stranger')
  assert.deepEqual(above().map(({ level, fields, message }) => [level, fields, message]), [
    ['warn', { limit: 'connections' }, 'lifeline: an upgrade was refused: it is full'],
    ['warn', { limit: 'origins' }, 'lifeline: an upgrade was refused: a stranger']
  ])
  t.mock.timers.tick(SUMMARY_WINDOW)
  assert.deepEqual(above().slice(2).map(({ fields }) => fields), [{ refused: { connections: 1000, origins: 1 } }])
})

test('what peers do again and again is a warning at once, then one a window that says how often, and for how many connections', (t) => {
  const { log, above } = keep(t)
  for (let i = 0; i < 1000; i++) log.warned('full', i % 4)
  const [first, ...others] = above()
  assert.deepEqual([first!.level, first!.fields, others], ['warn', { times: 1, connections: 1 }, []])
  assert.match(first!.message, /^lifeline: .*backpressure\.limit.*: 1 since the last line for 1 connection$/)
  t.mock.timers.tick(SUMMARY_WINDOW)
  t.mock.timers.tick(SUMMARY_WINDOW)
  assert.deepEqual(above().slice(1).map(({ level, fields }) => [level, fields]), [['warn', { times: 999, connections: 4 }]])
  log.warned('full', 9)
  t.mock.timers.tick(SUMMARY_WINDOW)
  assert.deepEqual(above().slice(2).map(({ fields }) => fields), [{ times: 1, connections: 1 }])
  t.mock.timers.tick(10 * SUMMARY_WINDOW)
  assert.equal(above().length, 3)
  log.warned('full', 9)
  assert.equal(above().length, 4, 'after a quiet window it is told at once')
  log.close()
})

test('between two warnings of a kind lies a whole window, whenever in one it begins', (t) => {
  const { log, lines } = keep(t)
  const at: number[] = []
  log.closed(null, reset)
  for (let second = 0; second < 600; second++) {
    const before = lines.length
    if (second >= 50) for (let i = 0; i < 10; i++) log.warned('payload', second)
    t.mock.timers.tick(1000)
    if (lines.slice(before).some(({ level }) => level === 'warn')) at.push(second)
  }
  assert.ok(at.length >= 9, String(at))
  for (const [i, second] of at.slice(1).entries()) assert.ok((second - at[i]!) * 1000 >= SUMMARY_WINDOW, String(at))
  log.close()
  assert.equal(lines.reduce((sum, { fields }) => sum + Number(fields.times ?? 0), 0), 5500, 'all are told')
})

test('each kind of warning has its own line and names its option; of connections without end a thousand are remembered', (t) => {
  const { log, above } = keep(t)
  for (let fd = 1; fd <= 5000; fd++) {
    log.warned('payload', fd)
    log.warned('address', null, `"${fd}"`)
  }
  assert.deepEqual(above().map(({ level, fields }) => [level, fields]), [['warn', { times: 1, connections: 1 }], ['warn', { times: 1 }]])
  assert.match(above()[0]!.message, /limits\.payload/)
  assert.match(above()[1]!.message, /limits\.perAddress.*: 1 since the last line, such as "1"$/)
  log.close()
  assert.deepEqual(above().slice(2).map(({ fields }) => fields), [{ times: 4999, connections: 1000 }, { times: 4999 }])
  assert.match(above()[3]!.message, /such as "5000"$/)
  t.mock.timers.tick(10 * SUMMARY_WINDOW)
  assert.equal(above().length, 4)
})

test('a logger that throws, as on a full disk, is survived', (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] })
  const full = (): never => { throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' }) }
  const log = new Log({ debug: full, info: full, warn: full, error: full })
  log.opened(fd, null)
  log.closed(null, reset)
  log.failed(fd, null, new Error('boom'))
  log.refused('origins', 'a stranger')
  log.warned('full', fd)
  t.mock.timers.tick(SUMMARY_WINDOW)
  log.close()
})

test('what is said of a connection goes to the logger of its request', (t) => {
  const { log, lines } = keep(t)
  const own: string[] = []
  const say = (_fields: object, message: string): void => { own.push(message) }
  const logger = { debug: say, info: say, warn: say, error: say }
  log.opened(fd, logger)
  log.failed(fd, logger, new Error('boom'))
  log.failedAgain(fd, logger, new Error('boom'))
  log.closed(logger, reset)
  assert.deepEqual(own, ['lifeline: open', 'lifeline: the handler of a connection failed', 'lifeline: the handler of a connection that has ended failed', 'lifeline: closed'])
  assert.deepEqual(lines, [])
})
