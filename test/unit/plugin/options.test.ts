import assert from 'node:assert/strict'
import { constants } from 'node:buffer'
import { EventEmitter } from 'node:events'
import { test } from 'node:test'
import WebSocket from 'ws'
import { defaults, readOptions, readRouteOptions } from '../../../src/plugin/options.js'
import type { LifelineOptions } from '../../../src/plugin/options.js'

const read = (options: unknown): unknown => readOptions(options as LifelineOptions)

/** An option's path, and a value for it, as the app would write them. */
const nest = (path: string, value: unknown): unknown =>
  path.split('.').reduceRight((inner, name) => ({ [name]: inner }), value)

function breaks (options: unknown, ...parts: string[]): void {
  assert.throws(() => read(options), (error: Error & { code: string }) => {
    assert.equal(error.code, 'FST_ERR_LIFELINE_OPTION')
    assert.ok(error instanceof TypeError)
    for (const part of parts) assert.ok(error.message.includes(part), `${error.message} does not say ${part}`)
    return true
  })
}

const fromOne = ['heartbeat.interval', 'heartbeat.timeout', 'backpressure.stallTimeout', 'closeTimeout', 'upgradeTimeout', 'limits.payload', 'backpressure.limit', 'backpressure.total', 'limits.connections', 'limits.perAddress', 'limits.firstMessage', 'receipts.limit', 'receipts.messages', 'maxAge']
const fromZero = ['shutdown.window', 'shutdown.timeout', 'shutdown.reconnect.after', 'shutdown.reconnect.within', 'backpressure.low']
const offByInfinity = ['backpressure.total', 'limits.connections', 'limits.perAddress', 'limits.firstMessage', 'maxAge']
const rates = ['limits.messageRate', 'limits.byteRate', 'limits.pongRate']
const times = [...fromOne, ...fromZero].filter((path) => !/payload|limit|total|low|receipts/.test(path) || path === 'limits.firstMessage')

/** All defaults, as they are read. */
const whole = { ...defaults, origins: null, receipts: null, on: null, message: null, serializeData: null }

test('a message may be no larger than a string', () => {
  const { MAX_STRING_LENGTH: most } = constants
  assert.equal(readOptions({ limits: { payload: most } }).limits.payload, most)
  breaks({ limits: { payload: most + 1 } }, 'option "limits.payload"', `must be <= ${most}`, `(received ${most + 1})`)
  breaks({ websocket: { options: { maxPayload: most + 1 } } }, 'option "websocket.options.maxPayload"', `must be <= ${most}`, `(received ${most + 1})`)
})

test('no options are all defaults', () => {
  assert.deepEqual(read({}), whole)
})

test('an option that is undefined is its default', () => {
  const settings = readOptions({ heartbeat: { interval: undefined }, limits: { payload: undefined } } as never)
  assert.equal(settings.heartbeat!.interval, 20_000)
  assert.equal(settings.limits.payload, 1_048_576)
})

test('every default may be said', () => {
  assert.deepEqual(read({ ...defaults, receipts: false }), whole)
  assert.deepEqual(read({ ...defaults, receipts: defaults.receipts }), { ...whole, receipts: defaults.receipts })
})

const cadence = { interval: 1000, timeout: 500 }
const inherited: Record<string, () => unknown> = {
  'all of them inherited': () => Object.create({ heartbeat: cadence }),
  'members inherited': () => ({ heartbeat: Object.create(cadence) }),
  'getters of a class': () => ({ heartbeat: new (class { get interval () { return 1000 } get timeout () { return 500 } })() }),
  'getters of their own': () => ({ get heartbeat () { return { get interval () { return 1000 }, timeout: 500 } } }),
  'without a prototype': () => Object.assign(Object.create(null), { heartbeat: cadence })
}

for (const [how, options] of Object.entries(inherited)) {
  test(`options count, ${how}`, () => {
    assert.deepEqual(read(options()), { ...whole, heartbeat: cadence })
    assert.deepEqual(readRouteOptions(options(), '/', readOptions({})).heartbeat, cadence)
  })
}

test('a mistake is one inherited, too, and so is an option that cannot be read', () => {
  breaks(Object.create({ nonsense: 5 }), 'option "nonsense" does not exist', '(received 5)')
  breaks({ nonsense: undefined }, 'option "nonsense" does not exist')
  breaks(JSON.parse('{"__proto__": {"heartbeat": false}}'), 'option "__proto__" does not exist')
  breaks({ get limits () { throw new Error('no') } }, 'the options cannot be read: Error: no')
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  breaks(proxy, 'the options cannot be read: TypeError')
  breaks({ limits: proxy }, 'the options cannot be read: TypeError')
})

test('an option is read once: what is checked is what holds', () => {
  let reads = 0
  const settings = read({ limits: { get connections () { return ++reads === 1 ? 5 : -1 } } }) as typeof defaults
  assert.deepEqual([settings.limits.connections, reads], [5, 1])
  const list = ['https://a.example']
  const { origins } = readOptions({ origins: list })
  list.push('https://b.example')
  assert.deepEqual(['https://a.example', 'https://b.example'].map((origin) => origins!(origin, {} as never)), [true, false])
})

test('what is for ws is read once as well, and kept as it was', () => {
  let reads = 0
  const given = { perMessageDeflate: true, get maxPayload () { return reads++ === 0 ? 1000 : 'none' } }
  const { options } = readOptions({ websocket: { options: given as never } }).websocket
  given.perMessageDeflate = false
  assert.deepEqual([options, reads], [{ perMessageDeflate: true, maxPayload: 1000 }, 1])
})

test('what ws reads again for each connection is kept as it was, too', () => {
  const given = { threshold: 10, zlibDeflateOptions: { level: 1 }, zlibInflateOptions: { chunkSize: 100 } }
  const { options } = readOptions({ websocket: { options: { perMessageDeflate: given } } }).websocket
  const before = structuredClone(given)
  given.threshold = 20
  given.zlibDeflateOptions.level = given.zlibInflateOptions.chunkSize = 9
  assert.deepEqual(options!.perMessageDeflate, before)
})

test('so is what ws is given by a class, or inherits; what is undefined was left out', () => {
  const { server } = { server: new EventEmitter() }
  for (const options of [
    Object.create({ perMessageDeflate: true, server, ofANewerOne: 1 }),
    new (class { ofANewerOne = 1; get perMessageDeflate () { return true } get server () { return server } get WebSocket () { return undefined } })(),
    { perMessageDeflate: true, server, ofANewerOne: 1, other: undefined }
  ]) {
    const read = readOptions({ websocket: { options } }).websocket.options as unknown as Record<string, unknown>
    assert.deepEqual({ ...read }, { perMessageDeflate: true, server, ofANewerOne: 1 })
    assert.equal(read.server, server)
  }
})

function revoked (): object {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  return proxy
}

test('what is for ws, and is read here, is checked', () => {
  class Sub extends WebSocket {}
  for (const options of [{ closeTimeout: 1 }, { closeTimeout: 2 ** 31 - 1 }, { autoPong: false }, { WebSocket: Sub }, { server: null }]) read({ websocket: { options } })
  const wrong: Record<string, [string, unknown[]]> = {
    closeTimeout: ['must be', ['500', NaN, Infinity, -1, 0, {}, null, 2 ** 31]],
    autoPong: ['must be boolean', [0, 'false', null]],
    WebSocket: ['must be a class that extends the WebSocket of ws', [null, {}, class {}, () => {}, EventEmitter]],
    server: ['must be an HTTP server', [false, {}, 3000, revoked()]],
    noServer: ['must be left out', [true, false, null]],
    port: ['must be left out', [3000]]
  }
  for (const [name, [rule, values]] of Object.entries(wrong)) {
    for (const value of values) {
      breaks({ websocket: { options: { [name]: value } } }, `option "websocket.options.${name}" ${rule}`, '(received ')
    }
  }
  breaks({ websocket: { options: { closeTimeout: '500' } } }, 'option "websocket.options.closeTimeout" must be integer (received "500")')
})

for (const path of [...fromOne, ...fromZero]) {
  const wrong: Array<[unknown, string, string]> = [
    [-1, '-1', 'must be >='],
    [NaN, 'NaN', 'must be integer'],
    [-Infinity, '-Infinity', 'must be integer'],
    [1.5, '1.5', 'must be integer'],
    ['1000', '"1000"', 'must be integer'],
    ['', '""', 'must be integer'],
    [true, 'true', 'must be integer'],
    [null, 'null', 'must be integer'],
    [1000n, '1000', 'must be integer'],
    [{}, 'an object', 'must be integer'],
    [[1000], 'an array', 'must be integer'],
    [Symbol('ms'), 'Symbol(ms)', 'must be integer']
  ]
  if (!offByInfinity.includes(path)) wrong.push([Infinity, 'Infinity', 'must be integer'])
  if (fromOne.includes(path)) wrong.push([0, '0', 'must be >= 1'])
  if (times.includes(path)) wrong.push([2 ** 31, '2147483648', 'must be <= 2147483647'])
  for (const [value, shown, rule] of wrong) {
    test(`${path}: ${typeof value} ${shown} is refused, and the message names option, rule and value`, () => {
      breaks(nest(path, value), `option "${path}"`, rule, `(received ${shown})`)
    })
  }

  test(`${path} is taken, and nothing else changes`, () => {
    const settings = read(nest(path, 42)) as Record<string, unknown>
    const [name, ...members] = path.split('.') as [keyof typeof defaults, ...string[]]
    const changed = (value: unknown, [member, ...inner]: string[]): unknown => member === undefined ? 42 : { ...value as object, [member]: changed((value as Record<string, unknown>)[member], inner) }
    const expected = changed(defaults[name], members) as object
    // A quarter of the limit, unless it is given.
    if (path === 'backpressure.limit') Object.assign(expected, { low: 10 })
    assert.deepEqual(settings, { ...whole, [name]: expected })
  })
}

for (const path of [...offByInfinity, ...rates]) {
  test(`${path}: Infinity is off`, () => { read(nest(path, Infinity)) })
}

for (const path of rates) {
  test(`${path} is any rate above 0`, () => {
    for (const value of [0.1, 1, 1e9]) read(nest(path, value))
    for (const [value, shown, rule] of [[0, '0', 'must be > 0'], [-1, '-1', 'must be > 0'], [NaN, 'NaN', 'must be number'], ['1', '"1"', 'must be number'], [null, 'null', 'must be number']] as const) {
      breaks(nest(path, value), `option "${path}"`, rule, `(received ${shown})`)
    }
  })
}

test('limits.policy is pause or close', () => {
  for (const policy of ['pause', 'close']) read({ limits: { policy } })
  breaks({ limits: { policy: 'drop' } }, 'option "limits.policy"', 'must be one of pause, close', '(received "drop")')
})

test('origins that no browser sends are refused, and the message says what is right', () => {
  breaks({ origins: 'https://app.example/' }, 'option "origins" must be false, an origin as browsers send it', '(received "https://app.example/")')
  breaks({ origins: true }, 'option "origins"', '(received true)')
  breaks({ origins: [] }, 'option "origins" must be', '(received an array)')
})

for (const path of fromZero) {
  test(`${path} may be 0`, () => { read(path === 'shutdown.timeout' ? { shutdown: { window: 0, timeout: 0 } } : nest(path, 0)) })
}

for (const path of ['nonsense', 'Heartbeat', 'heartbeat.intervall', 'backpressure.limits', 'shutdown.windows', 'limits.maxPayload', 'websocket.option']) {
  test(`${path} does not exist, and the message says what does`, () => {
    const siblings = path.includes('.') ? path.split('.')[0]! : 'closeTimeout'
    breaks(nest(path, 5), `option "${path}" does not exist`, '(received 5)', 'known here: ')
    if (siblings === 'heartbeat') breaks(nest(path, 5), 'known here: interval, timeout')
  })
}

for (const [value, shown] of [[true, 'true'], [null, 'null'], [5, '5'], ['off', '"off"'], [[], 'an array']] as const) {
  test(`heartbeat: ${shown} is refused`, () => { breaks({ heartbeat: value }, 'option "heartbeat" must be', `(received ${shown})`) })
  if (value !== true) test(`receipts: ${shown} is refused`, () => { breaks({ receipts: value }, 'option "receipts" must be', `(received ${shown})`) })
  for (const name of ['backpressure', 'shutdown', 'limits', 'websocket']) {
    test(`${name}: ${shown} is refused`, () => { breaks({ [name]: value }, `option "${name}" must be an object`, `(received ${shown})`) })
  }
}

test('heartbeat: false is none', () => {
  assert.deepEqual(read({ heartbeat: false }), { ...whole, heartbeat: null })
})

test('half a heartbeat is completed by the defaults', () => {
  assert.deepEqual((read({ heartbeat: { timeout: 5 } }) as { heartbeat: unknown }).heartbeat, { interval: 20_000, timeout: 5 })
})

test('a shutdown window that is longer than the shutdown is refused', () => {
  breaks({ shutdown: { window: 11_000 } }, 'option "shutdown.window" must be <= shutdown.timeout, which is 10000', '(received 11000)')
  read({ shutdown: { window: 11_000, timeout: 11_000 } })
})

test('options of @fastify/websocket are passed on as they are; handlers must be functions', () => {
  const websocket = { options: { maxPayload: 5, anything: true }, errorHandler () {}, preClose () {} }
  const passed = (read({ websocket }) as { websocket: typeof websocket }).websocket
  assert.deepEqual(passed, websocket)
  for (const maxPayload of [0, Infinity, undefined]) read({ websocket: { options: { maxPayload } } })
  // ws would take each of them for "no limit".
  for (const [maxPayload, shown] of [[-1, '-1'], [NaN, 'NaN'], ['1 MB', '"1 MB"'], [2 ** 31, '2147483648']] as const) {
    breaks({ websocket: { options: { maxPayload } } }, 'option "websocket.options.maxPayload" must be', `(received ${shown})`)
  }
  breaks({ websocket: { errorHandler: 'log' } }, 'option "websocket.errorHandler" must be a function', '(received "log")')
  breaks({ websocket: { preClose: 1 } }, 'option "websocket.preClose" must be a function', '(received 1)')
  breaks({ websocket: { options: 1 } }, 'option "websocket.options" must be an object', '(received 1)')
})

test('a mistake in a route names the route', () => {
  const settings = readOptions({})
  for (const [options, said] of [
    [{ heartbeat: { interval: 0 } }, 'option "heartbeat.interval" must be >= 1 (received 0)'],
    [{ heartbeat: true }, 'option "heartbeat" must be false or an object (received true)'],
    [{ closeTimeout: 5 }, 'option "closeTimeout" cannot be set for a route: set it where the plugin is registered (received 5); known here: heartbeat, receipts, fragments, origins, maxAge, limits, message, codec, onInvalid, on'],
    [{ hartbeat: 5 }, 'option "hartbeat" does not exist (received 5); known here: heartbeat, receipts, fragments, origins, maxAge, limits, message, codec, onInvalid, on'],
    [{ heartbeat: { payload: 5 } }, 'option "heartbeat.payload" does not exist (received 5); known here: interval, timeout'],
    [{ receipts: 'yes' }, 'option "receipts" must be true, false or an object (received "yes")'],
    [{ heartbeat: 'yes' }, 'option "heartbeat" must be false or an object (received "yes")'],
    [{ limits: true }, 'option "limits" must be an object (received true)'],
    [{ maxAge: 'long' }, 'option "maxAge" must be integer, or Infinity (received "long")'],
    [{ limits: { payload: 5 } }, 'option "limits.payload" cannot be set for a route: set it where the plugin is registered (received 5); known here: messageRate, byteRate, pongRate, firstMessage, policy'],
    [{ maxAge: 0 }, 'option "maxAge" must be >= 1 (received 0)'],
    [null, 'the options must be an object (received null)'],
    ['off', 'the options must be an object (received "off")']
  ] as const) {
    assert.throws(() => readRouteOptions(options, '/live', settings), { code: 'FST_ERR_LIFELINE_OPTION', message: `fastify-lifeline: route /live, config.lifeline: ${said}` })
  }
})

test('a mistake in the options of the plugin says what may be, and where', () => {
  breaks({ receipts: 5 }, 'option "receipts" must be true, false or an object (received 5)')
  breaks({ websocket: { options: { perMessageDeflate: 'yes' } } }, 'option "websocket.options.perMessageDeflate" must be true, false or an object (received "yes")')
  breaks({ message: {} }, 'option "message" is set for a route: config: { lifeline: … } (received an object); known here: heartbeat,')
  breaks({ on: {} }, 'option "on" is set for a route')
  breaks({ limits: { connections: 'x' } }, 'option "limits.connections" must be integer, or Infinity (received "x")')
  breaks({ closeTimeout: '5s' }, 'option "closeTimeout" must be integer (received "5s")')
})

test('a route\'s heartbeat is the plugin\'s where it does not say otherwise', () => {
  const settings = readOptions({ heartbeat: { interval: 100, timeout: 50 } })
  assert.deepEqual(readRouteOptions({}, '/', settings).heartbeat, { interval: 100, timeout: 50 })
  assert.deepEqual(readRouteOptions({ heartbeat: { timeout: 5 } }, '/', settings).heartbeat, { interval: 100, timeout: 5 })
  assert.equal(readRouteOptions({ heartbeat: false }, '/', settings).heartbeat, null)
})

test('receipts of a route are the plugin\'s where it does not say otherwise', () => {
  const settings = readOptions({ receipts: { messages: 5 } })
  assert.deepEqual(settings.receipts, { limit: 1_048_576, messages: 5 })
  assert.deepEqual(readOptions({ receipts: true }).receipts, defaults.receipts)
  assert.equal(readOptions({ receipts: false }).receipts, null)
  const of = (options: unknown, base = settings): unknown => readRouteOptions(options, '/', base).receipts
  assert.deepEqual([of({}), of({ receipts: true })], [settings.receipts, settings.receipts])
  assert.deepEqual(of({ receipts: { limit: 7 } }), { limit: 7, messages: 5 })
  assert.equal(of({ receipts: false }), null)
  assert.deepEqual([of({}, readOptions({})), of({ receipts: true }, readOptions({}))], [null, defaults.receipts])
})

test('a route can have a heartbeat though the plugin has none', () => {
  const settings = readOptions({ heartbeat: false })
  assert.equal(readRouteOptions({}, '/', settings).heartbeat, null)
  assert.deepEqual(readRouteOptions({ heartbeat: { interval: 100 } }, '/', settings).heartbeat, { interval: 100, timeout: 10_000 })
})

test('backpressure.low may be the limit, and not more', () => {
  assert.equal((read({ backpressure: { limit: 100, low: 100 } }) as typeof defaults).backpressure.low, 100)
  breaks({ backpressure: { limit: 100, low: 101 } }, 'option "backpressure.low"', 'must be <= backpressure.limit, which is 100', '(received 101)')
})

test('backpressure.policy is drop or close', () => {
  for (const policy of ['drop', 'close']) assert.equal((read({ backpressure: { policy } }) as typeof defaults).backpressure.policy, policy)
  breaks({ backpressure: { policy: 'wait' } }, 'option "backpressure.policy"', 'must be one of drop, close', '(received "wait")')
})

test('limits of a route are the plugin\'s where it does not say otherwise', () => {
  const settings = readOptions({ limits: { messageRate: 10, policy: 'close' }, maxAge: 1000, origins: () => true })
  const route = readRouteOptions({ limits: { messageRate: Infinity, byteRate: 5 } }, '/', settings)
  assert.deepEqual(route.limits, { ...settings.limits, messageRate: Infinity, byteRate: 5 })
  assert.equal(route.maxAge, 1000)
  assert.equal(route.origins, settings.origins)
  assert.equal(readRouteOptions({ origins: false, maxAge: Infinity }, '/', settings).origins, null)
})
