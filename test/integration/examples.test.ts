/**
 * The small examples do what they show: from the built package, with real clients. (The quickstart
 * and the playground have tests of their own.)
 */
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { createInterface } from 'node:readline'
import { before, test } from 'node:test'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { FastifyInstance } from 'fastify'
import WebSocket from 'ws'
import { connect, keepLog, level, until } from '../support/app.js'
import type { LogLine } from '../support/app.js'
import lifeline from '../../src/index.js'

const root = fileURLToPath(new URL('../..', import.meta.url))

before(() => {
  if (existsSync(`${root}/dist/index.js`)) return
  const build = spawnSync('npm', ['run', 'build'], { cwd: root, encoding: 'utf8' })
  assert.equal(build.status, 0, build.stdout + build.stderr)
})

interface Example {
  app: FastifyInstance
  /** http://127.0.0.1:port; ws takes it as well. */
  url: string
  /** Of level error. */
  errors: () => LogLine[]
}

async function run (t: TestContext, name: string, options: object = {}): Promise<Example> {
  const { stream, lines } = keepLog()
  const { build } = await import(String(new URL(`../../examples/${name}/app.js`, import.meta.url)))
  const app: FastifyInstance = await build({ ...options, logger: { level: 'debug', stream } })
  t.after(() => app.close())
  await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.server.address() as AddressInfo
  return { app, url: `http://127.0.0.1:${port}`, errors: () => lines.filter((line) => line.level >= level.error) }
}

interface Heard { client: WebSocket, got: object[] }

/** A client, and all that it gets. */
async function hear (t: TestContext, url: string, options: WebSocket.ClientOptions = {}): Promise<Heard> {
  const client = await connect(t, url, options)
  const got: object[] = []
  client.on('message', (data) => { got.push(JSON.parse(String(data))) })
  return { client, got }
}

const last = async (who: Heard, message: object): Promise<void> => {
  const text = JSON.stringify(message)
  await until(`the last that came is ${text}`, () => JSON.stringify(who.got.at(-1)) === text, 5000)
}

/** What a GET answers. */
const ask = async (url: string): Promise<unknown> => (await fetch(url)).json()

test('chat: what somebody says goes to the others in the room, not back, and not to other rooms', async (t) => {
  const { url, errors } = await run(t, 'chat')
  const ada = await hear(t, `${url}/rooms/kitchen?name=Ada`)
  const bob = await hear(t, `${url}/rooms/kitchen?name=Bob`)
  const eve = await hear(t, `${url}/rooms/garden?name=Eve`)
  const mallory = await hear(t, `${url}/rooms/garden?name=Mallory`)

  ada.client.send('tea?')
  await last(bob, { from: 'Ada', text: 'tea?' })
  bob.client.send('please')
  await last(ada, { from: 'Bob', text: 'please' })
  mallory.client.send('rain')
  await last(eve, { from: 'Mallory', text: 'rain' })

  // What came before the last would have come too, had it been for them.
  assert.deepEqual(ada.got, [{ joined: 'Bob' }, { from: 'Bob', text: 'please' }])
  assert.deepEqual(bob.got, [{ from: 'Ada', text: 'tea?' }])
  assert.deepEqual(eve.got, [{ joined: 'Mallory' }, { from: 'Mallory', text: 'rain' }])
  assert.deepEqual(mallory.got, [])
  assert.deepEqual(errors(), [])
})

test('chat: the room knows who is there, and is told who leaves, with a goodbye or without', async (t) => {
  const { url, errors } = await run(t, 'chat')
  const ada = await hear(t, `${url}/rooms/kitchen?name=Ada`)
  const bob = await hear(t, `${url}/rooms/kitchen?name=Bob`)
  const eve = await hear(t, `${url}/rooms/kitchen`)
  assert.deepEqual(await ask(`${url}/rooms/kitchen`), { size: 3, names: ['Ada', 'Bob', 'somebody'] })

  bob.client.close()
  await last(ada, { left: 'Bob' })
  eve.client.terminate()
  await last(ada, { left: 'somebody' })
  assert.deepEqual(await ask(`${url}/rooms/kitchen`), { size: 1, names: ['Ada'] })
  assert.deepEqual(await ask(`${url}/rooms/garden`), { size: 0, names: [] })
  await assert.rejects(connect(t, `${url}/rooms/kitchen?name=`), /400/)
  assert.deepEqual(errors(), [])
})

test('chat: the end of a connection that is in no room is told to nobody', async (t) => {
  const { stream, lines } = keepLog()
  const { build } = await import(String(new URL('../../examples/chat/app.js', import.meta.url)))
  const app: FastifyInstance = await build({ logger: { stream } })
  t.after(() => app.close())
  app.get('/other', { websocket: true }, () => {})
  await app.listen({ port: 0, host: '127.0.0.1' })
  const url = `http://127.0.0.1:${(app.server.address() as AddressInfo).port}`
  const ada = await hear(t, `${url}/rooms/kitchen?name=Ada`)
  const other = await hear(t, `${url}/other`)
  other.client.close()
  await until('it has left', () => app.lifeline.size === 1)
  const bob = await hear(t, `${url}/rooms/kitchen?name=Bob`)
  bob.client.close()
  await last(ada, { left: 'Bob' })
  assert.deepEqual(ada.got, [{ joined: 'Bob' }, { left: 'Bob' }])
  assert.deepEqual(lines.filter((line) => line.level >= level.error), [])
})

test('progress: every step is told, in order, until the job is done', async (t) => {
  const { url, errors } = await run(t, 'progress', { stepTime: 5 })
  const who = await hear(t, `${url}/work`)
  const steps = [{ step: 1, of: 3 }, { step: 2, of: 3 }, { step: 3, of: 3 }, { done: true }]
  who.client.send('{"start":3}')
  await last(who, { done: true })
  assert.deepEqual(who.got, steps)
  assert.deepEqual(await ask(`${url}/jobs`), { running: 0, done: 1, abandoned: 0 })

  // What is no job is answered, and the connection lives on.
  for (const nonsense of ['{"start":0}', '{"start":101}', '{"start":"3"}', 'null', '{']) who.client.send(nonsense)
  who.client.send('{"start":1}')
  const refused = { error: 'send {"start": n}, n from 1 to 100' }
  await until('the second job is done', () => who.got.length === steps.length + 7)
  assert.deepEqual(who.got.slice(steps.length), [...Array(5).fill(refused), { step: 1, of: 1 }, { done: true }])
  assert.deepEqual(errors(), [])
})

test('progress: a job whose client leaves is given up at once, and is no error in the log', async (t) => {
  // Of a step that takes an hour nobody sees the end.
  const { url, errors } = await run(t, 'progress', { stepTime: 3_600_000 })
  for (const [count, leave] of (['terminate', 'close'] as const).entries()) {
    const { client } = await hear(t, `${url}/work`)
    client.send('{"start":2}')
    await until('the job runs', async () => (await ask(`${url}/jobs`) as { running: number }).running === 1)
    client[leave]()
    await until('the job is given up', async () => (await ask(`${url}/jobs`) as { running: number }).running === 0)
    assert.deepEqual(await ask(`${url}/jobs`), { running: 0, done: 0, abandoned: count + 1 })
  }
  assert.deepEqual(errors(), [])
})

test('progress: a client that leaves between two steps gets no more of the job done', async (t) => {
  const { app, url, errors } = await run(t, 'progress', { stepTime: 20 })
  const who = await hear(t, `${url}/work`)
  who.client.send('{"start":100}')
  await last(who, { step: 2, of: 100 })
  who.client.terminate()
  await until('the job is given up', async () => (await ask(`${url}/jobs`) as { running: number }).running === 0)
  assert.deepEqual(await ask(`${url}/jobs`), { running: 0, done: 0, abandoned: 1 })
  const { sent, buffered } = app.lifeline.stats().pushes
  assert.ok(sent + buffered < 100)
  assert.deepEqual(errors(), [])
})

const notify = (url: string, user: string, token: string, body: object): Promise<Response> =>
  fetch(`${url}/users/${user}/notify`, {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    body: JSON.stringify(body)
  })

test('notifications: a user is reached on every device, and nobody else is', async (t) => {
  const { url, errors } = await run(t, 'notifications')
  const phone = await hear(t, `${url}/notifications?token=ada-token`)
  const laptop = await hear(t, `${url}/notifications`, { headers: { authorization: 'Bearer ada-token' } })
  const bob = await hear(t, `${url}/notifications?token=bob-token`)

  assert.deepEqual(await (await notify(url, 'ada', 'shop-token', { text: 'for Ada' })).json(), { reached: 2 })
  assert.deepEqual(await (await notify(url, 'bob', 'shop-token', { text: 'for Bob' })).json(), { reached: 1 })
  assert.deepEqual(await (await notify(url, 'eve', 'shop-token', { text: 'for Eve' })).json(), { reached: 0 })
  await Promise.all([last(phone, { text: 'for Ada' }), last(laptop, { text: 'for Ada' }), last(bob, { text: 'for Bob' })])
  assert.deepEqual([phone.got.length, laptop.got.length, bob.got.length], [1, 1, 1])
  assert.deepEqual(errors(), [])
})

test('notifications: who has no token, or one of the wrong kind, is refused and becomes no connection', async (t) => {
  const { app, url, errors } = await run(t, 'notifications')
  await assert.rejects(connect(t, `${url}/notifications`), /401/)
  await assert.rejects(connect(t, `${url}/notifications?token=guessed`), /401/)
  await assert.rejects(connect(t, `${url}/notifications?token=ada-token`, { headers: { authorization: 'Bearer guessed' } }), /401/)
  await assert.rejects(connect(t, `${url}/notifications?token=shop-token`), /403/)
  assert.equal(app.lifeline.stats().opened, 0)

  const bob = await hear(t, `${url}/notifications?token=bob-token`)
  assert.equal((await notify(url, 'bob', 'guessed', { text: 'from nobody' })).status, 401)
  assert.equal((await notify(url, 'bob', 'ada-token', { text: 'from Ada' })).status, 403)
  assert.equal((await notify(url, 'bob', 'shop-token', { text: 'from the shop' })).status, 200)
  await last(bob, { text: 'from the shop' })
  assert.equal(bob.got.length, 1)
  assert.deepEqual(errors(), [])
})

for (const name of ['chat', 'progress', 'notifications']) {
  test(`${name}: run by itself, it listens on PORT`, async (t) => {
    // The example loads dist: its coverage is not that of the sources under test.
    const { NODE_V8_COVERAGE, NODE_OPTIONS, ...env } = process.env
    const app = spawn(process.execPath, [`examples/${name}/app.js`], { cwd: root, env: { ...env, PORT: '0' }, stdio: ['ignore', 'pipe', 'inherit'] })
    const exit = once(app, 'exit')
    t.after(async () => { app.kill(); await exit })
    for await (const line of createInterface({ input: app.stdout })) {
      const address = /http:\/\/[^"]+/.exec(line)?.[0]
      if (address === undefined) continue
      assert.equal((await fetch(`${address}/nowhere`)).status, 404)
      return
    }
    assert.fail('it ended before it listened')
  })
}

test('the client comes back to a server that was restarted, after the delay that it was told, and stays away when it is told to', async (t) => {
  const before = globalThis.WebSocket
  globalThis.WebSocket = WebSocket as unknown as typeof globalThis.WebSocket
  t.after(() => { globalThis.WebSocket = before })
  const { connect: dial } = await import(String(new URL('../../examples/client/client.js', import.meta.url)))
  const serve = async (port: number): Promise<FastifyInstance> => {
    const { default: Fastify } = await import('fastify')
    const app = Fastify()
    t.after(() => app.close())
    await app.register(lifeline, { shutdown: { reconnect: { after: 300, within: 100 } } })
    app.get('/live', { websocket: true }, (_socket, request) => { app.safePush(request.fd, 'hello') })
    await app.listen({ port, host: '127.0.0.1' })
    return app
  }
  const first = await serve(0)
  const { port } = first.server.address() as AddressInfo
  const heard: string[] = []
  const ends: number[] = []
  t.after(dial(`ws://127.0.0.1:${port}/live`, { message: (data: Buffer) => { heard.push(String(data)) }, end: (code: number) => { ends.push(code) } }))
  await until('it is there', () => heard.length === 1)
  const closed = performance.now()
  await first.close()
  const second = await serve(port)
  await until('it is there again', () => heard.length === 2)
  assert.ok(performance.now() - closed >= 300)
  await second.lifeline.disconnect([...second.lifeline][0]!, 1008)
  await until('it was told to stay away', () => ends.length === 1)
  assert.deepEqual([ends, heard.length], [[1008], 2])
})
