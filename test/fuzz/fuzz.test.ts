/**
 * Whatever comes over the wire, and whatever an app passes: as often as test/support/proof.ts says, or as you like:
 * `FUZZ_CASES=1000000 npm run fuzz`.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect as dial } from 'node:net'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import fc from 'fast-check'
import type { CloseInfo, Connection } from '../../src/index.js'
import { readOptions, readRouteOptions } from '../../src/plugin/options.js'
import { start } from '../support/app.js'
import type { App } from '../support/app.js'
import { closeFrame, frame, FrameReader, opcode } from '../support/frames.js'
import { tries } from '../support/proof.js'

const CASES = Number(process.env.FUZZ_CASES ?? tries('fuzz'))
const part = (share: number): { numRuns: number } => ({ numRuns: Math.ceil(CASES * share) })

/** So many clients at a time: a case waits for its peer, and the machine need not. */
const AT_ONCE = 8

const HANDSHAKE = 'GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n'

interface Ended { info: CloseInfo, received: Buffer }

/** A client that shakes hands, does something and is then done with sending; what it got, and how the server saw its end. */
async function visit (port: number, ends: Map<number, (info: CloseInfo) => void>, does: (write: (bytes: Buffer) => void) => void): Promise<Ended> {
  const socket = dial(port, '127.0.0.1')
  const chunks: Buffer[] = []
  socket.on('error', () => {})
  await once(socket, 'connect')
  const over = new Promise<CloseInfo>((resolve) => { ends.set(socket.localPort!, resolve) })
  const gone = new Promise<void>((resolve) => { socket.once('close', () => { resolve() }) })
  socket.on('data', (chunk) => { chunks.push(chunk) })
  socket.write(HANDSHAKE)
  does((bytes) => { if (socket.writable) socket.write(bytes) })
  socket.end()
  const info = await over
  socket.resume()
  await gone
  const received = Buffer.concat(chunks)
  return { info, received: received.subarray(received.indexOf('\r\n\r\n') + 4) }
}

interface World extends App { ends: Map<number, (info: CloseInfo) => void>, opened: (does: (connection: Connection) => void) => void }

/** A server that answers every message, and tells each visitor's end to whom it concerns. */
async function world (t: TestContext): Promise<World> {
  const ends: World['ends'] = new Map()
  let onOpen: (connection: Connection) => void = () => {}
  const begun = await start(t, {
    options: { heartbeat: false, closeTimeout: 2000, limits: { payload: 100_000 } },
    routes: (app) => app.get('/', { websocket: true }, async (socket, request) => {
      const connection = app.lifeline.of(request)
      const port = request.raw.socket.remotePort!
      app.lifeline.of(request).closed.then((info) => { ends.get(port)?.(info); ends.delete(port) }, () => {})
      onOpen(connection)
      if (request.fd % 2 === 0) for await (const { data } of connection.messages()) connection.push(data)
      else socket.on('message', (data: Buffer, binary: boolean) => { connection.push(data, { binary }) })
    })
  })
  return { ...begun, ends, opened: (does) => { onOpen = does } }
}

/** Runs a property over visits, some at a time. */
async function each<T> (arbitrary: fc.Arbitrary<T>, runs: number, check: (value: T) => Promise<void>): Promise<void> {
  await fc.assert(fc.asyncProperty(fc.array(arbitrary, { minLength: AT_ONCE, maxLength: AT_ONCE }), async (values) => { await Promise.all(values.map(check)) }), { numRuns: Math.ceil(runs / AT_ONCE), endOnFailure: false })
}

const payload = fc.oneof(
  { weight: 4, arbitrary: fc.uint8Array({ maxLength: 200 }) },
  { weight: 4, arbitrary: fc.string({ unit: 'binary', maxLength: 100 }).map((text) => Buffer.from(text)) },
  // A large one takes as long as a hundred small ones.
  { weight: 1, arbitrary: fc.integer({ min: 65_530, max: 101_000 }).map((length) => Buffer.alloc(length, 'x')) }
).map((bytes) => Buffer.from(bytes))

/** A frame: as it should be, or wrong in one thing or more. */
const piece: fc.Arbitrary<Buffer> = fc.oneof(
  { weight: 6, arbitrary: fc.tuple(fc.constantFrom(opcode.text, opcode.binary, opcode.continuation, opcode.ping, opcode.pong), payload, fc.boolean()).map(([code, data, fin]) => frame(code, data, { fin })) },
  { weight: 3, arbitrary: fc.tuple(fc.nat(15), payload, fc.boolean(), fc.nat(7)).map(([code, data, fin, rsv]) => frame(code, data, { fin, rsv })) },
  { weight: 2, arbitrary: fc.tuple(fc.option(fc.nat(65_535), { nil: undefined }), fc.uint8Array({ maxLength: 130 })).map(([code, reason]) => code === undefined ? closeFrame() : closeFrame(code, Buffer.from(reason))) },
  { weight: 2, arbitrary: fc.uint8Array({ minLength: 1, maxLength: 300 }).map((bytes) => Buffer.from(bytes)) },
  { weight: 1, arbitrary: fc.tuple(payload, fc.nat(20)).map(([data, cut]) => { const whole = frame(opcode.text, data); return whole.subarray(0, Math.max(1, whole.length - cut - 1)) }) }
)

test('bytes on the wire: the server says nothing but whole frames, ends with a cause of the wire\'s, logs no error, and forgets', { timeout: 3_600_000 }, async (t) => {
  const { app, port, ends, errors } = await world(t)
  const seen = new Set<string>()
  await each(fc.tuple(fc.array(piece, { minLength: 1, maxLength: 8 }), fc.boolean()), CASES * 0.4, async ([pieces, joined]) => {
    const { info, received } = await visit(port, ends, (write) => {
      if (joined) write(Buffer.concat(pieces))
      else for (const one of pieces) write(one)
    })
    assert.ok(['client', 'reset', 'protocol', 'limit'].includes(info.cause), info.cause)
    seen.add(info.cause)
    const reader = new FrameReader()
    reader.read(received)
    // A reset, for input that nobody read any more, may cut off what was on its way.
    if (info.cause === 'client') assert.equal(reader.torn, null)
  })
  assert.equal(app.lifeline.size, 0)
  assert.deepEqual(errors(), [])
  if (CASES >= 1000) assert.deepEqual([...seen].toSorted(), ['client', 'limit', 'protocol', 'reset'])
})

test('close codes and reasons: whatever the app passes, the peer gets a close frame that RFC 6455 allows', { timeout: 3_600_000 }, async (t) => {
  const { app, port, ends, opened } = await world(t)
  let frames = 0
  const queue: Array<[unknown, unknown]> = []
  opened((connection) => {
    const [code, reason] = queue.shift()!
    connection.close(code as number, reason as string)
  })
  const code = fc.oneof(fc.nat(65_535), fc.integer({ min: 995, max: 1020 }), fc.double(), fc.anything())
  const reason = fc.oneof(fc.string({ unit: 'binary', maxLength: 200 }), fc.string({ maxLength: 200 }), fc.anything())
  await each(fc.tuple(code, reason), CASES * 0.2, async (pair) => {
    queue.push(pair)
    const { info, received } = await visit(port, ends, () => {})
    const last = new FrameReader().read(received).at(-1)
    assert.equal(info.cause, 'server')
    if (last === undefined) return
    assert.equal(last.kind, 'close')
    assert.equal(last.data.readUInt16BE(0), info.code)
    assert.equal(last.data.toString('utf8', 2), Buffer.from(info.reason).toString())
    frames++
  })
  assert.equal(app.lifeline.size, 0)
  assert.ok(frames > CASES * 0.1, `only ${frames} close frames were seen`)
})

const anything = fc.anything({ withBigInt: true, withDate: true, withMap: true, withSet: true, withNullPrototype: true, withTypedArray: true })
const number = fc.oneof(fc.integer(), fc.double(), fc.constantFrom(0, -1, 1, 2 ** 31, Infinity, NaN))
const value = fc.oneof({ weight: 3, arbitrary: number }, { weight: 1, arbitrary: anything })
const members = (...names: string[]): fc.Arbitrary<object> => fc.record(Object.fromEntries(names.map((name) => [name, value])), { requiredKeys: [] })

/** Options that are nearly right, for what is all wrong is refused at the first look. */
const options = fc.record({
  heartbeat: fc.oneof(fc.constant(false), members('interval', 'timeout'), anything),
  backpressure: fc.oneof(members('limit', 'low', 'policy', 'total', 'stallTimeout'), anything),
  shutdown: fc.oneof(members('window', 'timeout', 'reconnect'), anything),
  limits: fc.oneof(members('payload', 'connections', 'perAddress', 'messageRate', 'byteRate', 'policy', 'firstMessage', 'pongRate'), anything),
  origins: fc.oneof(fc.webUrl(), fc.constant(/x/), anything),
  maxAge: value,
  closeTimeout: value,
  upgradeTimeout: value,
  websocket: fc.oneof(members('options', 'errorHandler', 'preClose'), anything),
  more: fc.option(anything)
}, { requiredKeys: [] })

test('options: taken whole, or refused with an error that says why', () => {
  const refusal = (error: unknown): void => {
    assert.equal((error as { code?: unknown }).code, 'FST_ERR_LIFELINE_OPTION')
    assert.match((error as Error).message, /^fastify-lifeline: .*(option "|the options must).*\(received /s)
  }
  const settings = readOptions({})
  let taken = 0
  fc.assert(fc.property(fc.oneof(options, fc.record({ maxAge: value, limits: members('messageRate', 'policy') }, { requiredKeys: [] })), (given) => {
    try {
      const { heartbeat, limits, shutdown, backpressure } = readOptions(given as never)
      for (const ms of [shutdown.window, shutdown.timeout, ...(heartbeat === null ? [] : [heartbeat.interval, heartbeat.timeout])]) assert.ok(Number.isInteger(ms) && ms >= 0)
      assert.ok(backpressure.low <= backpressure.limit && limits.messageRate > 0 && limits.payload > 0)
      taken++
    } catch (error) {
      if ((error as { code?: unknown }).code === 'ERR_ASSERTION') throw error
      refusal(error)
    }
    try {
      readRouteOptions(given, '/', settings)
    } catch (error) {
      refusal(error)
    }
  }), part(0.2))
  assert.ok(taken > 0)
})

test('ids, fds, groups and times: an answer of the promised type, or the error that says what is wrong', { timeout: 3_600_000 }, async (t) => {
  const { app, url } = await start(t, { fastify: { logger: { level: 'silent' } }, options: { heartbeat: false }, routes: (app) => app.get('/', { websocket: true }, () => {}) })
  const open = once(app.lifeline, 'open')
  const { WebSocket } = await import('ws')
  const client = new WebSocket(url)
  t.after(() => { client.terminate() })
  const [connection] = await open as [Connection]
  const orArgument = (call: () => unknown): void => {
    try {
      call()
    } catch (error) {
      assert.equal((error as { code?: unknown }).code, 'FST_ERR_LIFELINE_ARGUMENT')
    }
  }
  const target = fc.oneof(anything, fc.string(), fc.integer({ min: connection.fd - 2, max: connection.fd + 2 }).filter((fd) => fd !== connection.fd), fc.string({ maxLength: 5 }).map((end) => connection.id + end).filter((id) => id !== connection.id))
  await fc.assert(fc.asyncProperty(target, anything, async (one, other) => {
    assert.equal(app.exists(one), false)
    assert.equal(app.safePush(one, 'x'), false)
    assert.equal(app.lifeline.get(one), undefined)
    assert.equal(await app.lifeline.disconnect(one as never, other as never, other as never), 0)
    for (const call of [() => connection.join(one as never), () => connection.leave(one as never), () => app.lifeline.group(one as never), () => app.lifeline.group('room').push('x', { except: one as never })]) orArgument(call)
    orArgument(() => app.lifeline.list({ after: one as never, limit: other as never }))
    orArgument(() => { if (!(one instanceof Date) && (typeof one !== 'number' || one > Date.now() + 3_600_000)) connection.expire(one as never) })
    assert.equal(connection.state, 'open')
  }), part(0.2))
})
