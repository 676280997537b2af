import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import fastifyWebsocket from '@fastify/websocket'
import type { FastifyInstance } from 'fastify'
import WebSocket from 'ws'
import type { CloseInfo } from '../../src/index.js'
import { connect, ended, level, opened, start, until } from '../support/app.js'
import { patience, tries } from '../support/proof.js'

const FDS = tries('fds')

const silent = (app: FastifyInstance): unknown => app.get('/', { websocket: true }, () => {})

test(`${FDS} connections opened and closed: no fd twice, each larger than the last (field 2)`, { timeout: patience(60_000) }, async (t) => {
  const { app, url } = await start(t, { fastify: { logger: false }, routes: silent })
  const fds: number[] = []
  app.lifeline.on('open', ({ fd }) => { fds.push(fd) })
  for (let done = 0; done < FDS; done += 200) {
    await Promise.all(Array.from({ length: 200 }, async () => {
      const client = new WebSocket(url)
      await once(client, 'open')
      client.close()
      await once(client, 'close')
    }))
  }
  assert.equal(fds.length, FDS)
  assert.equal(new Set(fds).size, FDS)
  assert.deepEqual(fds, fds.toSorted((a, b) => a - b))
  assert.ok(fds[0]! % 1_000_000 > 0 && fds[0]! < 1_000_000_000)
  await until('all are gone', () => app.lifeline.size === 0)
  await until('the heartbeat has stopped', () => !app.lifeline.heartbeat.running)
})

test('exists is false, and safePush too, in the turn in which the end is heard of (field 1)', async (t) => {
  const heard: unknown[] = []
  const { app, url, closed } = await start(t, {
    routes: (app) => app.get('/', { websocket: true }, (socket, request) => {
      const { fd } = request
      socket.on('close', () => { heard.push([app.exists(fd), app.safePush(fd, 'x'), app.lifeline.get(fd)]) })
    })
  })
  for (const leave of [(client: WebSocket) => { client.close(1000) }, (client: WebSocket) => { client.terminate() }]) {
    const end = ended(app)
    leave(await connect(t, url))
    await end
  }
  assert.deepEqual(heard, [[false, false, undefined], [false, false, undefined]])
  assert.deepEqual(closed.map(({ cause, code }) => [cause, code]), [['client', 1000], ['reset', 1006]])
})

test('from our own close frame on nothing is sent any more', async (t) => {
  const { app, url } = await start(t, { routes: silent })
  const client = await connect(t, url)
  const [connection] = app.lifeline
  connection!.close(4000)
  assert.equal(connection!.state, 'closing')
  assert.equal(app.exists(connection!.fd), false)
  assert.equal(app.lifeline.push(connection!.fd, 'x'), 'gone')
  const [code] = await once(client, 'close')
  assert.equal(code, 4000)
  const info = await connection!.closed
  assert.equal(info.cause, 'server')
  assert.equal(connection!.state, 'closed')
})

test('a connection outlived by its Connection answers everything, and harmlessly', async (t) => {
  const { app, url } = await start(t, { routes: silent })
  const client = await connect(t, url)
  const [connection] = app.lifeline
  const { id } = connection!
  client.close()
  const info = await connection!.closed
  assert.equal(info.id, id)
  assert.equal(connection!.push('x'), 'gone')
  assert.equal(await connection!.ping(), Infinity)
  assert.equal(connection!.signal.aborted, true)
  assert.equal(connection!.attached.aborted, true)
  for await (const message of connection!.messages()) assert.fail(String(message.data))
  connection!.pauseReading()
  connection!.resumeReading()
  connection!.protect()
  connection!.close()
  connection!.terminate()
  assert.equal(connection!.info().state, 'closed')
  assert.equal(await app.lifeline.disconnect(id), 0)
})

test('an id that was first asked for after the end is not remembered', async (t) => {
  const { app, url } = await start(t, { routes: silent })
  const client = await connect(t, url)
  const [connection] = app.lifeline
  client.close()
  const info = await connection!.closed
  assert.equal(connection!.id, info.id)
  assert.match(info.id, /^[\w-]+\.[\w-]+$/)
  assert.equal(await app.lifeline.disconnect(info.id), 0)
})

const codes = [
  [999, 1000], [1004, 1000], [1016, 1000], [2999, 1000], [5000, 1000], [NaN, 1000], [1.5, 1000],
  [1000, 1000], [1001, 1001], [1014, 1014], [3000, 3000], [4999, 4999]
] as const

test('close codes and reasons that RFC 6455 forbids are replaced, and reported', async (t) => {
  const errors: unknown[] = []
  const { app, url, closed } = await start(t, { routes: silent })
  app.lifeline.on('error', (_connection, error) => { errors.push((error as { code: string }).code) })
  for (const [asked, sent] of codes) {
    const adopted = opened(app)
    const client = await connect(t, url)
    const connection = await adopted
    connection.close(asked, 'ü'.repeat(80))
    const [code, reason] = await once(client, 'close')
    assert.equal(code, sent)
    assert.equal(String(reason), 'ü'.repeat(61))
    await connection.closed
  }
  assert.deepEqual(closed.map(({ code }) => code), codes.map(([, sent]) => sent))
  assert.equal(errors.length, codes.length)
  assert.deepEqual([...new Set(errors)], ['FST_ERR_LIFELINE_INVALID_CLOSE'])
})

test('the code and the reason with which another connection has ended can be passed on as they are, and nothing is reported', async (t) => {
  const errors: unknown[] = []
  const { app, url, closed } = await start(t, { routes: silent })
  app.lifeline.on('error', (_connection, error) => { errors.push(error) })
  const given = [[1005, Buffer.alloc(0)], [1006, Buffer.alloc(0)], [1015, ''], [1000, Buffer.from('für ein Jahr')], [4000, new Uint8Array([111, 107])]] as const
  const sent: Array<[number, string]> = []
  for (const [i, [code, reason]] of given.entries()) {
    const adopted = opened(app)
    const client = await connect(t, url)
    const connection = await adopted
    const over = once(client, 'close')
    if (i % 2 === 0) connection.close(code, reason)
    else await app.lifeline.disconnect(connection.fd, code, reason)
    const [came, why] = await over
    sent.push([came, String(why)])
    await connection.closed
  }
  assert.deepEqual(sent, [[1000, ''], [1012, ''], [1012, ''], [1000, 'für ein Jahr'], [4000, 'ok']])
  assert.deepEqual(closed.map(({ code, reason }) => [code, reason]), sent)
  assert.deepEqual(errors, [])
})

test('causes: what the wire and the app say of an end', async (t) => {
  const { app, url } = await start(t, {
    options: { limits: { payload: 1_000 } },
    routes: (app) => {
      app.get('/', { websocket: true }, (socket) => { socket.on('message', (data) => { (socket as unknown as Record<string, () => void>)[String(data)]?.() }) })
      app.get('/code', { websocket: true }, (socket) => { socket.on('message', (data) => { socket.close(Number(data), 'because') }) })
    }
  })
  async function end (path: string, act: (client: WebSocket) => void): Promise<Array<string | number>> {
    const end = ended(app)
    act(await connect(t, url + path))
    const { cause, code, reason } = await end
    return [cause, code, reason]
  }
  assert.deepEqual(await end('/', (client) => { client.close(4123, 'bye') }), ['client', 4123, 'bye'])
  assert.deepEqual(await end('/', (client) => { client.close() }), ['client', 1005, ''])
  assert.deepEqual(await end('/', (client) => { client.terminate() }), ['reset', 1006, ''])
  assert.deepEqual(await end('/', (client) => { client.send('terminate') }), ['server', 1006, ''])
  assert.deepEqual(await end('/', (client) => { client.send('close') }), ['server', 1005, ''])
  assert.deepEqual(await end('/code', (client) => { client.send('4001') }), ['server', 4001, 'because'])
  assert.deepEqual(await end('/', (client) => { client.send(Buffer.alloc(1_001)) }), ['limit', 1009, ''])
  assert.deepEqual(await end('/', (client) => { rawSocket(client).write(Buffer.from([0xff, 0xff])) }), ['protocol', 1002, ''])
})

/** The stream under a client of ws, for garbage: the test's own end of the wire. */
function rawSocket (client: WebSocket): Socket {
  return (client as unknown as { _socket: never })._socket
}

test('garbage on the wire is churn: no error line', async (t) => {
  const { app, url, errors, closed } = await start(t, { routes: silent })
  for (let i = 0; i < 20; i++) {
    const end = ended(app)
    const client = await connect(t, url)
    client.on('error', () => {})
    rawSocket(client).write(Buffer.from(Array.from({ length: 64 }, (_, j) => (i * 31 + j * 17) | 0x70)))
    await end
  }
  assert.equal(closed.length, 20)
  assert.deepEqual(errors(), [])
})

test('churn is debug level, and one line a minute at info sums it up', async (t) => {
  const { app, url, lines } = await start(t, { routes: silent })
  for (let i = 0; i < 5; i++) {
    const end = ended(app)
    const client = await connect(t, url)
    rawSocket(client).resetAndDestroy()
    await end
  }
  assert.equal(lines.filter(({ msg, level: at }) => msg.startsWith('lifeline') && at > level.debug).length, 0)
  assert.equal(app.lifeline.stats().closed.reset, 5)
  await app.close()
  const summary = lines.filter(({ msg, level: at }) => msg.startsWith('lifeline') && at > level.debug)
  assert.equal(summary.length, 1)
  assert.equal(summary[0]!.level, level.info)
  assert.deepEqual(summary[0]!.closed, { reset: 5 })
})

const registering = {
  'we register @fastify/websocket': undefined,
  'the app registers @fastify/websocket': (app: FastifyInstance) => app.register(fastifyWebsocket)
}

for (const [name, before] of Object.entries(registering)) {
  test(`${name}: fastify.close() tells every client 1012 and settles`, async (t) => {
    const { app, url, closed } = await start(t, { ...(before !== undefined && { before }), routes: silent })
    const clients = await Promise.all(Array.from({ length: 20 }, () => connect(t, url)))
    const told = Promise.all(clients.map((client) => once(client, 'close')))
    await app.close()
    assert.deepEqual([...new Set((await told).map(([code]) => code))], [1012])
    assert.deepEqual([...new Set(closed.map(({ cause }) => cause))], ['shutdown'])
    assert.equal(closed.length, 20)
    assert.equal(app.lifeline.heartbeat.running, false)
  })
}

test('where the app registered @fastify/websocket, a close() without a code is only put off when a shutdown begins', async (t) => {
  const states: number[] = []
  const { app, url } = await start(t, {
    before: (app) => app.register(fastifyWebsocket),
    routes: (app) => app.get('/', { websocket: true }, (socket) => {
      socket.close()
      states.push(socket.readyState)
    })
  })
  const end = ended(app)
  const client = new WebSocket(url)
  const [code] = await once(client, 'close')
  assert.equal(code, 1005)
  assert.deepEqual(states, [WebSocket.CLOSING])
  assert.deepEqual([(await end).cause, (await end).code], ['server', 1005])
})

test('fastify.close() waits for what is buffered, and it all arrives', async (t) => {
  const { app, url } = await start(t, { options: { backpressure: { limit: 8_000_000 } }, routes: silent })
  const client = await connect(t, url)
  const [connection] = app.lifeline
  client.pause()
  let bytes = 0
  client.on('message', (data: Buffer) => { bytes += data.length })
  const message = Buffer.alloc(100_000)
  let pushed = 0
  while (connection!.bufferedBytes < 5_000_000) {
    assert.notEqual(connection!.push(message), 'full')
    pushed += message.length
  }
  const closing = app.close()
  setTimeout(() => { client.resume() }, 300)
  const [code] = await once(client, 'close')
  assert.equal(code, 1012)
  assert.equal(bytes, pushed)
  await closing
})

test('shutdown.window spreads the closing (field 11)', async (t) => {
  const { app, url, closed } = await start(t, { options: { shutdown: { window: 500, timeout: 1_000 } }, routes: silent })
  await Promise.all(Array.from({ length: 10 }, () => connect(t, url)))
  await app.close()
  const times = closed.map(({ closedAt }) => closedAt)
  assert.ok(Math.max(...times) - Math.min(...times) >= 400)
})

test('a drain that takes longer than pluginTimeout does not fail fastify.close()', async (t) => {
  const { app, url } = await start(t, {
    options: { closeTimeout: 700 },
    fastify: { pluginTimeout: 500 },
    routes: silent
  })
  const client = await connect(t, url)
  client.pause()
  const infos: CloseInfo[] = []
  app.lifeline.on('close', (_connection, info) => { infos.push(info) })
  await app.close()
  assert.deepEqual(infos.map(({ cause, code }) => [cause, code]), [['shutdown', 1012]])
})

/** Runs a script in a process of its own and gives its exit code; a process that does not end by itself fails the test. */
async function run (t: TestContext, script: string): Promise<number> {
  const child = spawn(process.execPath, ['--import', './scripts/typescript.js', '--input-type=module', '--eval', script], { stdio: 'inherit', cwd: new URL('../..', import.meta.url) })
  const limit = setTimeout(() => { child.kill('SIGKILL') }, 20_000)
  t.after(() => { child.kill('SIGKILL') })
  const [code] = await once(child, 'exit')
  clearTimeout(limit)
  return code
}

const injecting = (body: string): string => `
  import Fastify from 'fastify'
  import lifeline from './src/index.ts'
  const app = Fastify()
  await app.register(lifeline)
  app.get('/live', { websocket: true }, () => {})
  app.get('/', async (request) => ({ fd: request.fd }))
  ${body}
`

describe('a process of its own', { concurrency: 2 }, () => {
  test('an app that only injects is not kept alive', async (t) => {
    assert.equal(await run(t, injecting('if ((await app.inject("/")).body !== \'{"fd":0}\') process.exitCode = 1')), 0)
  })

  test('an app that injects a WebSocket is kept alive neither by it nor by the heartbeat', async (t) => {
    assert.equal(await run(t, injecting('await app.ready(); await app.injectWS("/live"); if (app.lifeline.size !== 1) process.exitCode = 1')), 0)
  })
})

test('at shutdown a connection that waits for its turn is closed by it, also where @fastify/websocket closes at once', async (t) => {
  const { app, url, closed } = await start(t, {
    options: { shutdown: { window: 300, timeout: 2000 } },
    before: (app) => app.register(fastifyWebsocket),
    routes: silent
  })
  const clients = await Promise.all([1, 2, 3].map(() => connect(t, url)))
  const codes = clients.map((client) => once(client, 'close'))
  const [slow] = app.lifeline
  clients[0]!.pause()
  while (slow!.bufferedBytes < 100_000) slow!.push(Buffer.alloc(50_000))
  const done = app.close()
  setTimeout(() => { clients[0]!.resume() }, 200)
  for (const [code] of await Promise.all(codes)) assert.equal(code, 1012)
  await done
  assert.deepEqual(closed.map(({ cause }) => cause), ['shutdown', 'shutdown', 'shutdown'])
})
