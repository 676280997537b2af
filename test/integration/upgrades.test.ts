import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect as connectSocket } from 'node:net'
import type { Socket } from 'node:net'
import { test } from 'node:test'
import { connect, start, until } from '../support/app.js'
import { startRemote } from '../support/remote.js'
import type { Remote } from '../support/remote.js'

const TIMES = 1_000
const AT_ONCE = 100

const request = (path: string, header = ''): string =>
  `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
  `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n${header}\r\n`

/** Asks for an upgrade and gives the first line of the answer, once the server has ended the socket. It never ends it itself. */
async function refused (port: number, path: string): Promise<string> {
  const socket = connectSocket({ port, host: '127.0.0.1', allowHalfOpen: true })
  let answer = ''
  socket.setEncoding('latin1').on('data', (chunk) => { answer += chunk })
  socket.write(request(path))
  await once(socket, 'end')
  socket.destroy()
  return answer.split('\r\n')[0]!
}

async function many (task: () => Promise<string>): Promise<Set<string>> {
  const answers = new Set<string>()
  for (let done = 0; done < TIMES; done += AT_ONCE) {
    for (const answer of await Promise.all(Array.from({ length: AT_ONCE }, task))) answers.add(answer)
  }
  return answers
}

async function noneLeft (remote: Remote, before: number): Promise<void> {
  await until('no socket is left', () => remote.sockets() <= before)
  const settled = await remote.close()
  assert.ok(settled < 5_000, `close() took ${settled} ms`)
  assert.equal(await remote.exited, 0)
}

const cases = {
  'a hook registered before us that replies': ['/hook?do=reply', 'HTTP/1.1 401 Unauthorized'],
  'a hook registered before us that throws': ['/hook?do=throw', 'HTTP/1.1 500 Internal Server Error'],
  'a route that does not exist': ['/nowhere', 'HTTP/1.1 404 Not Found'],
  'a bad URL': ['/%', 'HTTP/1.1 400 Bad Request'],
  'a hook that never answers': ['/hook?do=never', 'HTTP/1.1 503 Service Unavailable']
} as const

for (const [name, [path, answer]] of Object.entries(cases)) {
  test(`${name}: a thousand refused upgrades leave no socket, and close() settles`, async (t) => {
    const remote = await startRemote(t, { lifeline: { upgradeTimeout: 200 } })
    const before = remote.sockets()
    assert.deepEqual([...await many(() => refused(remote.port, path))], [answer])
    assert.equal((await remote.stats()).upgrades.refused, TIMES)
    assert.equal((await remote.stats()).upgrades.timedOut, name.includes('never') ? TIMES : 0)
    await noneLeft(remote, before)
  })
}

test('a client gone during a slow hook, by FIN or by reset: a thousand leave no socket', async (t) => {
  const remote = await startRemote(t)
  const before = remote.sockets()
  let count = 0
  await many(async () => {
    const socket = connectSocket({ port: remote.port, host: '127.0.0.1' })
    socket.on('error', () => {})
    socket.write(request('/hook?do=slow'))
    await once(socket, 'connect')
    await new Promise(setImmediate)
    if (++count % 2 === 0) socket.resetAndDestroy()
    else socket.destroy()
    return ''
  })
  await until('no connection is left', async () => await remote.size() === 0)
  assert.deepEqual((await remote.lines()).filter(({ level }) => level >= 50), [])
  await noneLeft(remote, before)
})

test('503 while closing: sockets that ask for an upgrade meanwhile are answered and ended, and close() settles', async (t) => {
  let release!: () => void
  const { app, port } = await start(t, {
    routes: (app) => {
      app.get('/', { websocket: true }, () => {})
      // Keeps the server in its closing for as long as the test wants it.
      app.addHook('preClose', (done) => { release = done })
    }
  })
  const idle = await Promise.all(Array.from({ length: TIMES }, async () => {
    const socket = connectSocket({ port, host: '127.0.0.1', allowHalfOpen: true })
    await once(socket, 'connect')
    return socket
  }))
  const closing = app.close()
  await until('the closing has begun', () => release !== undefined)
  const answers = await Promise.all(idle.map(async (socket: Socket) => {
    let answer = ''
    socket.setEncoding('latin1').on('data', (chunk) => { answer += chunk })
    socket.write(request('/'))
    await once(socket, 'end')
    socket.destroy()
    return answer.split('\r\n')[0]
  }))
  assert.deepEqual([...new Set(answers)], ['HTTP/1.1 503 Service Unavailable'])
  release()
  await closing
})

test('upgrades that wait in a hook when close() begins are refused with 503, and close() settles', async (t) => {
  const { app, port } = await start(t, {
    before: (app) => { app.addHook('onRequest', () => new Promise(() => {})) },
    routes: (app) => app.get('/', { websocket: true }, () => {})
  })
  const answer = refused(port, '/')
  await until('the upgrade is under way', () => app.lifeline.heartbeat.running)
  await app.close()
  assert.equal(await answer, 'HTTP/1.1 503 Service Unavailable')
})

test('a hook that answers after upgradeTimeout harms nothing', async (t) => {
  let answerLate!: () => void
  const { app, port, errors } = await start(t, {
    options: { upgradeTimeout: 50 },
    before: (app) => { app.addHook('onRequest', () => new Promise<void>((resolve) => { answerLate = resolve })) },
    routes: (app) => app.get('/', { websocket: true }, () => { assert.fail('the handler ran') })
  })
  assert.equal(await refused(port, '/'), 'HTTP/1.1 503 Service Unavailable')
  answerLate()
  await new Promise(setImmediate)
  assert.equal(app.lifeline.size, 0)
  assert.equal(errors().length, 0)
})

test('a socket that has served requests before is not taken for a refused upgrade', async (t) => {
  const { app, port } = await start(t, {
    before: (app) => {
      app.addHook('onRequest', async (request) => {
        if (request.url === '/live') await new Promise((resolve) => { setTimeout(resolve, 700) })
      })
    },
    routes: (app) => {
      app.get('/', async () => 'ok')
      app.get('/live', { websocket: true }, () => {})
    }
  })
  const socket = connectSocket({ port, host: '127.0.0.1' })
  socket.setEncoding('latin1')
  let heard = ''
  socket.on('data', (chunk) => { heard += chunk })
  socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n')
  await until('the first answer', () => heard.endsWith('ok'))
  socket.write(request('/live'))
  await until('the upgrade', () => heard.includes('HTTP/1.1 101'))
  assert.equal(app.lifeline.size, 1)
  socket.destroy()
})

test('an accepted upgrade outlives upgradeTimeout', async (t) => {
  const { app, url } = await start(t, { options: { upgradeTimeout: 50 }, routes: (app) => app.get('/', { websocket: true }, () => {}) })
  const client = await connect(t, url)
  const [connection] = app.lifeline
  await new Promise((resolve) => { setTimeout(resolve, 400) })
  assert.equal(client.readyState, client.OPEN)
  assert.equal(connection!.state, 'open')
})
