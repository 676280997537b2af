/**
 * examples/team-chat does what it shows, in all six parts and at their ends: from the built package, with real clients.
 */
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { createInterface } from 'node:readline'
import { before, test } from 'node:test'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { FastifyInstance } from 'fastify'
import WebSocket from 'ws'
import { nextOf } from '../../src/protocol/close-codes.js'
import { connect, keepLog, level, until } from '../support/app.js'
import type { LogLine } from '../support/app.js'
import { refused } from '../support/refused.js'

const root = fileURLToPath(new URL('../..', import.meta.url))

before(() => {
  if (existsSync(`${root}/dist/index.js`)) return
  const build = spawnSync('npm', ['run', 'build'], { cwd: root, encoding: 'utf8' })
  assert.equal(build.status, 0, build.stdout + build.stderr)
})

interface Mail { to: string, text: string }

interface Chat {
  app: FastifyInstance & { jwt: { sign: (payload: object, options?: object) => string } }
  url: string
  mails: Mail[]
  errors: () => LogLine[]
}

async function run (t: TestContext, options: object = {}): Promise<Chat> {
  const { stream, lines } = keepLog()
  const mails: Mail[] = []
  const sendMail = async (mail: Mail): Promise<void> => {
    await sleep(20)
    mails.push(mail)
  }
  const { build } = await import(String(new URL('../../examples/team-chat/app.js', import.meta.url)))
  const app = await build({ sendMail, logger: { level: 'debug', stream }, ...options })
  t.after(() => app.close())
  await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.server.address() as AddressInfo
  return { app, url: `http://127.0.0.1:${port}`, mails, errors: () => lines.filter((line) => line.level >= level.error) }
}

/** The cookie of a user, who has signed in. */
async function signIn (url: string, user: string): Promise<string> {
  const response = await post(`${url}/login`, '', { user, password: user })
  assert.equal(response.status, 200)
  const [cookie] = response.headers.getSetCookie()
  assert.match(cookie!, /^session=[^;]+; Path=\/; HttpOnly; SameSite=Strict$/)
  return cookie!.split(';')[0]!
}

const ask = (url: string, cookie: string, method = 'GET'): Promise<Response> => fetch(url, { method, headers: { cookie } })
const post = (url: string, cookie: string, body: object = {}): Promise<Response> =>
  fetch(url, { method: 'POST', headers: { cookie, 'content-type': 'application/json' }, body: JSON.stringify(body) })

interface Page { client: WebSocket, got: Array<Record<string, any>> }

async function enter (t: TestContext, { url }: Chat, cookie: string, room = 'red/kitchen'): Promise<Page> {
  const [team, name] = room.split('/')
  const client = new WebSocket(`${url}/teams/${team}/rooms/${name}`, { headers: { cookie } })
  t.after(() => { client.on('error', () => {}); client.terminate() })
  // What is pushed at once comes with the answer to the upgrade.
  const got: Page['got'] = []
  client.on('message', (data) => { got.push(JSON.parse(String(data))) })
  await once(client, 'open')
  return { client, got }
}

const texts = ({ got }: Page): unknown[] => got.map(({ text }) => text)
const notify = async ({ url }: Chat, cookie: string, user: string, text: string): Promise<unknown> =>
  (await post(`${url}/users/${user}/notifications`, cookie, { text })).json()

/** A heartbeat that finds the dead at once. */
const quick = { live: { heartbeat: { interval: 200, timeout: 100 } } }

// Who it is

test('only who has signed in comes in, and only until the cookie runs out', async (t) => {
  const chat = await run(t)
  const kitchen = `${chat.url}/teams/red/rooms/kitchen`
  assert.equal((await post(`${chat.url}/login`, '', { user: 'ada', password: 'guessed' })).status, 401)
  assert.equal((await refused(t, kitchen)).status, 401)
  const ada = await signIn(chat.url, 'ada')
  assert.equal((await refused(t, kitchen, { headers: { cookie: `${ada.slice(0, -3)}xxx` } })).status, 401)
  assert.equal((await refused(t, kitchen, { headers: { authorization: `Bearer ${ada.slice('session='.length)}` } })).status, 401)
  assert.equal(chat.app.lifeline.stats().opened, 0)

  const short = `session=${chat.app.jwt.sign({ sub: 'ada', team: 'red' }, { expiresIn: '1s' })}`
  const { client } = await enter(t, chat, short)
  const [code] = await once(client, 'close')
  assert.equal(code, 4401)
  assert.equal((await refused(t, kitchen, { headers: { cookie: short } })).status, 401)
  assert.deepEqual(chat.errors(), [])
})

test('the page of another origin may not use the cookie', async (t) => {
  const chat = await run(t, { origin: 'https://chat.example' })
  const cookie = await signIn(chat.url, 'ada')
  const kitchen = `${chat.url}/teams/red/rooms/kitchen`
  assert.equal((await refused(t, kitchen, { headers: { cookie }, origin: 'https://evil.example' })).status, 403)
  await connect(t, kitchen, { headers: { cookie }, origin: 'https://chat.example' })
})

// Rooms

test('what is said in a room goes to those in it; another team\'s room is refused', async (t) => {
  const chat = await run(t)
  const [ada, bob, eve] = await Promise.all(['ada', 'bob', 'eve'].map((user) => signIn(chat.url, user))) as [string, string, string]
  for (const [cookie, room] of [[eve, 'red'], [ada, 'blue']] as const) {
    const { status, body } = await refused(t, `${chat.url}/teams/${room}/rooms/kitchen`, { headers: { cookie } })
    assert.deepEqual([status, JSON.parse(body)], [403, { error: 'not your team' }])
  }
  assert.equal(chat.app.lifeline.stats().opened, 0)

  const inKitchen = await enter(t, chat, ada)
  const alsoThere = await enter(t, chat, bob)
  const inGarden = await enter(t, chat, bob, 'red/garden')
  const others = await enter(t, chat, eve, 'blue/kitchen')
  inKitchen.client.send('tea?')
  others.client.send('anybody?')
  inGarden.client.send('rain')
  await until('it is heard', () => alsoThere.got.length === 1)
  assert.deepEqual(Object.keys(alsoThere.got[0]!), ['id', 'from', 'text'])
  assert.deepEqual([alsoThere.got[0]!.from, alsoThere.got[0]!.text], ['ada', 'tea?'])
  alsoThere.client.send('please')
  await until('it is answered', () => inKitchen.got.length === 1)
  assert.deepEqual([texts(inKitchen), texts(alsoThere), texts(inGarden), texts(others)], [['please'], ['tea?'], [], []])
  assert.deepEqual(chat.errors(), [])
})

// Notify or e-mail

test('a notification goes to all of a user\'s connections, or, if there is none, becomes an e-mail', async (t) => {
  const chat = await run(t)
  const [ada, bob, eve] = await Promise.all(['ada', 'bob', 'eve'].map((user) => signIn(chat.url, user))) as [string, string, string]
  assert.deepEqual(await notify(chat, ada, 'bob', 'one'), { delivered: 0, mailed: true })
  const pages = [await enter(t, chat, bob), await enter(t, chat, bob, 'red/garden')] as const
  assert.deepEqual(await notify(chat, ada, 'bob', 'two'), { delivered: 2 })
  assert.deepEqual(pages.map(texts), [['two'], ['two']])
  assert.deepEqual(chat.mails, [{ to: 'bob', text: 'one' }])
  assert.equal((await post(`${chat.url}/users/bob/notifications`, eve, { text: 'x' })).status, 403)
  assert.equal((await post(`${chat.url}/users/nobody/notifications`, ada, { text: 'x' })).status, 403)
  assert.equal((await post(`${chat.url}/users/bob/notifications`, '', { text: 'x' })).status, 401)
  assert.deepEqual(chat.errors(), [])
})

for (const [first, options] of [['its time is over', { patience: 50 }], ['the heartbeat finds it dead', { patience: 5_000 }]] as const) {
  test(`a notification for a client whose network has vanished, where first ${first}: one e-mail`, async (t) => {
    const chat = await run(t, { ...quick, ...options })
    const ada = await signIn(chat.url, 'ada')
    const { client } = await enter(t, chat, await signIn(chat.url, 'bob'))
    client.pause() // Nothing is read or answered any more, and no goodbye said.
    assert.deepEqual(await notify(chat, ada, 'bob', 'lunch'), { delivered: 0, mailed: true })
    await until('it is found dead', () => chat.app.lifeline.size === 0)
    assert.equal(chat.app.lifeline.stats().closed.heartbeat, 1)
    await chat.app.close()
    assert.deepEqual(chat.mails, [{ to: 'bob', text: 'lunch' }])
    assert.deepEqual(chat.errors(), [])
  })
}

test('no e-mail for a notification that one connection has got, though the network of another has vanished', async (t) => {
  const chat = await run(t, { ...quick, patience: 200 })
  const ada = await signIn(chat.url, 'ada')
  const bob = await signIn(chat.url, 'bob')
  const there = await enter(t, chat, bob)
  const { client } = await enter(t, chat, bob)
  client.pause()
  assert.deepEqual(await notify(chat, ada, 'bob', 'lunch'), { delivered: 1 })
  await until('it is found dead', () => chat.app.lifeline.size === 1)
  await chat.app.close()
  assert.deepEqual(texts(there).filter(Boolean), ['lunch'])
  assert.deepEqual(chat.mails, [])
})

for (const vanished of [1, 2]) {
  test(`what was said in a room to somebody whose network has vanished, on ${vanished} of his pages, is one e-mail`, async (t) => {
    const chat = await run(t, quick)
    const bob = await signIn(chat.url, 'bob')
    const ada = await enter(t, chat, await signIn(chat.url, 'ada'))
    for (let i = 0; i < vanished; i++) (await enter(t, chat, bob)).client.pause()
    ada.client.send('tea?')
    await until('they are found dead', () => chat.app.lifeline.size === 1)
    await until('the e-mail is sent', () => chat.mails.length > 0)
    await chat.app.close()
    assert.deepEqual(chat.mails, [{ to: 'bob', text: 'tea?' }])
    assert.deepEqual(chat.errors(), [])
  })
}

test('what one page of a user has missed comes to the others, by the id that they may know, and is no e-mail', async (t) => {
  const chat = await run(t, quick)
  const bob = await signIn(chat.url, 'bob')
  const ada = await enter(t, chat, await signIn(chat.url, 'ada'))
  const there = await enter(t, chat, bob)
  const { client } = await enter(t, chat, bob)
  client.pause()
  ada.client.send('tea?')
  await until('it has come again', () => there.got.length === 2)
  assert.deepEqual(there.got[0], there.got[1])
  await chat.app.close()
  assert.deepEqual(chat.mails, [])
})

test('what has not arrived when the server closes is an e-mail before it has closed; what has, is none', async (t) => {
  const chat = await run(t, { live: { closeTimeout: 200, shutdown: { timeout: 200 } } })
  const ada = await enter(t, chat, await signIn(chat.url, 'ada'))
  const { client } = await enter(t, chat, await signIn(chat.url, 'bob'))
  const other = await enter(t, chat, await signIn(chat.url, 'ada'))
  client.pause()
  ada.client.send('tea?')
  await until('it was said', () => other.got.length === 1)
  await chat.app.close()
  assert.deepEqual(chat.mails, [{ to: 'bob', text: 'tea?' }])
  assert.deepEqual(chat.errors(), [])
})

// A job

test('a job tells all of its user\'s connections how far it is, and one that comes later, or again, where it stands', async (t) => {
  const chat = await run(t, { stepTime: 30 })
  const ada = await signIn(chat.url, 'ada')
  const bob = await enter(t, chat, await signIn(chat.url, 'bob'))
  const first = await enter(t, chat, ada)
  const second = await enter(t, chat, ada, 'red/garden')
  assert.equal((await post(`${chat.url}/job`, ada)).status, 202)
  assert.equal((await post(`${chat.url}/job`, ada)).status, 409)
  await until('it is at 3', () => first.got.length >= 4)
  first.client.terminate()
  const reloaded = await enter(t, chat, ada)
  await until('it is done', () => reloaded.got.at(-1)?.job.step === 10)
  const steps = ({ got }: Page): number[] => got.map(({ job }) => job.step)
  assert.deepEqual(steps(second), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10])
  assert.deepEqual(steps(reloaded), Array.from({ length: reloaded.got.length }, (_, index) => 11 - reloaded.got.length + index))
  assert.ok(steps(reloaded)[0]! >= 3)
  const afterwards = await enter(t, chat, ada)
  await until('it is told', () => afterwards.got.length === 1)
  assert.deepEqual(afterwards.got, [{ job: { step: 10, of: 10 } }])
  assert.equal((await post(`${chat.url}/job`, ada)).status, 202)
  assert.deepEqual(bob.got, [])
  await chat.app.close()
  assert.deepEqual(chat.mails, [])
  assert.deepEqual(chat.errors(), [])
})

// Deploys

test('at a deploy everybody gets a goodbye, and then when to come back', async (t) => {
  const chat = await run(t)
  const pages = await Promise.all(['ada', 'bob', 'bob'].map(async (user) => enter(t, chat, await signIn(chat.url, user))))
  const told = Promise.all(pages.map(({ client }) => once(client, 'close')))
  await chat.app.close()
  for (const [code, reason] of await told) {
    assert.equal(code, 1012)
    const delay = Number(/^retry: (\d+)$/.exec(String(reason))?.[1])
    assert.ok(delay >= 3_000 && delay <= 8_000, String(reason))
  }
  for (const { got } of pages) assert.deepEqual(got, [{ goodbye: 'A new version is on its way: back in a moment.' }])
  assert.deepEqual(chat.mails, [])
  assert.deepEqual(chat.errors(), [])
})

// Admin

test('an admin sees who is there, finds a user, and ends that user\'s connections with a code that keeps the page away', async (t) => {
  const chat = await run(t)
  const [ada, bob] = await Promise.all(['ada', 'bob'].map((user) => signIn(chat.url, user))) as [string, string]
  const admin = await enter(t, chat, ada)
  const pages = [await enter(t, chat, bob), await enter(t, chat, bob, 'red/garden')] as const
  for (const [cookie, status] of [['', 401], [bob, 403]] as const) {
    assert.equal((await ask(`${chat.url}/admin/connections`, cookie)).status, status)
    assert.equal((await ask(`${chat.url}/admin/users/ada`, cookie)).status, status)
    assert.equal((await ask(`${chat.url}/admin/users/ada`, cookie, 'DELETE')).status, status)
  }

  const list = await (await ask(`${chat.url}/admin/connections`, ada)).json() as Array<Record<string, any>>
  assert.deepEqual(list.map(({ data, groups, state }) => [data, groups, state]), [
    [{ user: 'ada', team: 'red' }, ['user:ada', 'room:red/kitchen'], 'open'],
    [{ user: 'bob', team: 'red' }, ['user:bob', 'room:red/kitchen'], 'open'],
    [{ user: 'bob', team: 'red' }, ['user:bob', 'room:red/garden'], 'open']
  ])
  const { members } = await (await ask(`${chat.url}/admin/users/bob`, ada)).json() as { members: Array<Record<string, any>> }
  assert.deepEqual(members.map(({ fd }) => fd), list.slice(1).map(({ fd }) => fd))

  const ends = Promise.all(pages.map(({ client }) => once(client, 'close')))
  assert.deepEqual(await (await ask(`${chat.url}/admin/users/bob`, ada, 'DELETE')).json(), { closed: 2 })
  assert.deepEqual((await ends).map(([code, reason]) => [code, String(reason)]), [[4403, 'signed out'], [4403, 'signed out']])
  assert.deepEqual(await (await ask(`${chat.url}/admin/users/bob`, ada, 'DELETE')).json(), { closed: 0 })
  assert.equal(admin.client.readyState, admin.client.OPEN)
  // Which keeps the page away.
  assert.equal(nextOf(4403), 'final')
  assert.ok(readFileSync(`${root}/examples/team-chat/page.html`, 'utf8').includes('if (code === 1000 || code === 1008 || code >= 3500) return'))
  assert.deepEqual(chat.errors(), [])
})

// Metrics

test('/metrics tells Prometheus what goes on', async (t) => {
  const chat = await run(t)
  const ada = await signIn(chat.url, 'ada')
  await enter(t, chat, ada)
  await enter(t, chat, ada)
  await notify(chat, ada, 'ada', 'note')
  const response = await fetch(`${chat.url}/metrics`)
  const metrics = await response.text()
  assert.match(response.headers.get('content-type')!, /^text\/plain; version=0\.0\.4/)
  assert.match(metrics, /^lifeline_connections 2$/m)
  assert.match(metrics, /^lifeline_deliveries_total\{outcome="delivered"\} 2$/m)
})

test('run by itself, it listens on PORT, serves its page, and ends by SIGTERM', { timeout: 20_000 }, async (t) => {
  // The example loads dist: its coverage is not that of the sources under test.
  const { NODE_V8_COVERAGE, NODE_OPTIONS, ...env } = process.env
  const app = spawn(process.execPath, ['examples/team-chat/app.js'], { cwd: root, env: { ...env, PORT: '0' }, stdio: ['ignore', 'pipe', 'inherit'] })
  const exit = once(app, 'exit')
  t.after(async () => { app.kill('SIGKILL'); await exit })
  for await (const line of createInterface({ input: app.stdout })) {
    const address = /http:\/\/[^"]+/.exec(line)?.[0]
    if (address === undefined) continue
    const page = await fetch(address, { headers: { connection: 'close' } })
    assert.match(await page.text(), /<title>Team chat<\/title>/)
    app.kill()
    assert.deepEqual(await exit, [0, null])
    return
  }
  assert.fail('it ended before it listened')
})

test('all of it is 150 lines at most', () => {
  assert.ok(readFileSync(`${root}/examples/team-chat/app.js`, 'utf8').trimEnd().split('\n').length <= 150)
})
