/**
 * All that an app of @fastify/websocket sees differently with us. What is not listed here, or is
 * not new API, is a bug. Each difference is shown beside what it was before.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import type { FastifyInstance } from 'fastify'
import WebSocket from 'ws'
import { alone, bare, begin, behind, echo, onEveryWay, upgradeRequest, ways } from './setups.js'

const errorsOf = (lines: Array<{ level: number }>): number => lines.filter(({ level }) => level >= 50).length

for (const [name, handler] of Object.entries({
  throws: () => { throw new Error('boom') },
  rejects: async () => { await null; throw new Error('boom') }
})) {
  onEveryWay(`a handler that ${name} is one error line; its client is closed with 1011, where it was terminated`, async (t, way) => {
    const { dial, lines } = await begin(t, way, { routes: (app) => app.get('/', { websocket: true }, handler) })
    const client = await dial()
    // Behind the app's own @fastify/websocket its errorHandler stays in charge: by default it terminates.
    assert.equal((await client.closed).code, way === alone ? 1011 : 1006)
    assert.equal(errorsOf(lines), 1)
  })
}

for (const way of [alone, behind]) {
  test(`${way.name}: a message listener that throws or rejects closes its client with 1011, where it ended the process`, async (t) => {
    const { dial, lines } = await begin(t, way, {
      routes: (app) => {
        app.get('/throws', { websocket: true }, (socket) => { socket.on('message', () => { throw new Error('boom') }) })
        app.get('/rejects', { websocket: true }, (socket) => { socket.on('message', async () => { throw new Error('boom') }) })
      }
    })
    for (const path of ['/throws', '/rejects']) {
      const client = await dial(path)
      client.socket.send('x')
      assert.equal((await client.closed).code, 1011)
    }
    assert.equal(errorsOf(lines), 2)
  })
}

onEveryWay('an errorHandler of the app\'s that leaves the socket open: we close it with 1011', async (t, way) => {
  let told!: () => void
  const called = new Promise<void>((resolve) => { told = resolve })
  const { dial } = await begin(t, way, {
    websocket: { errorHandler () { told() } },
    routes: (app) => app.get('/', { websocket: true }, (socket) => { echo(socket); throw new Error('boom') })
  })
  const client = await dial()
  await called
  if (way === alone) assert.equal((await client.closed).code, 1011)
  else assert.equal(await client.ask('still open'), 'still open')
})

onEveryWay('an upgrade on a route without a WebSocket handler gets a 404 and a line at warn, where it was opened, closed with 1005 and noted at info; its handler is not run', async (t, way) => {
  let ran = false
  const { dial, refused, lines } = await begin(t, way, {
    routes: (app) => {
      app.get('/*', { websocket: true }, echo)
      app.get('/http', async () => { ran = true })
    }
  })
  if (way.ours) assert.equal((await refused('/http')).status, 404)
  else assert.equal((await (await dial('/http')).closed).code, 1005)
  assert.equal(ran, false)
  assert.deepEqual(lines.filter(({ msg }) => /no websocket handler|takes no WebSocket/.test(msg)).map(({ level, path, route }) => [level, path ?? route]), [way.ours ? [40, 'GET /http'] : [30, '/http']])
})

onEveryWay('an upgrade to h2c is refused with a 400 where Node.js takes it up, as before; else the request is served', async (t, way) => {
  const { app, say } = await begin(t, way, { routes: (app) => app.get('/http', async () => 'served') })
  const served = way.ours && 'shouldUpgradeCallback' in app.server
  const socket = say('GET /http HTTP/1.1\r\nHost: x\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n\r\n')
  const [answer] = await once(socket, 'data')
  assert.match(String(answer), served ? /^HTTP\/1\.1 200 / : /^HTTP\/1\.1 400 /)
})

onEveryWay('fastify.close() closes clients with 1012, where it was 1005, and waits until they are gone', async (t, way) => {
  const { app, dial } = await begin(t, way, { routes: (app) => app.get('/', { websocket: true }, () => {}) })
  const clients = await Promise.all([dial(), dial(), dial()])
  await app.close()
  for (const client of clients) {
    const { code, reason } = await client.closed
    assert.equal(code, way.ours ? 1012 : 1005)
    assert.match(reason, way.ours ? /^retry: \d+$/ : /^$/)
  }
  if (way.ours) assert.equal(app.websocketServer.clients.size, 0)
})

onEveryWay('clientTracking: false: fastify.close() closes the clients, where it waited for them without end', async (t, way) => {
  const { app, dial } = await begin(t, way, { websocket: { options: { clientTracking: false } }, routes: (app) => app.get('/', { websocket: true }, () => {}) })
  const client = await dial()
  const closed = app.close()
  if (way === bare) {
    assert.equal(await Promise.race([closed, new Promise((resolve) => { setTimeout(resolve, 200, 'waits') })]), 'waits')
    client.socket.terminate()
  } else {
    assert.equal((await client.closed).code, 1012)
  }
  await closed
})

onEveryWay('a peer has 5 s to answer a close frame, where it had 30, unless the app says', async (t, way) => {
  const { app } = await begin(t, way)
  const closeTimeout = (app: FastifyInstance): unknown => (app.websocketServer.options as { closeTimeout?: number }).closeTimeout
  // ws counts from the call; ours counts from when the close frame has left, and comes before it.
  assert.equal(closeTimeout(app), way.ours ? 45_000 : 30_000)
  const own = await begin(t, way, { websocket: { options: { closeTimeout: 1_234 } as never } })
  assert.equal(closeTimeout(own.app), 1_234)
})

onEveryWay('a message may have 1 MiB, where it was 100; a larger one is closed with 1009', async (t, way) => {
  const { app, dial } = await begin(t, way, { routes: (app) => app.get('/', { websocket: true }, echo) })
  assert.equal(app.websocketServer.options.maxPayload, (way.ours ? 1 : 100) * 1024 * 1024)
  const client = await dial()
  client.socket.send(Buffer.alloc(1024 * 1024))
  assert.equal((await client.message()).data.length, 1024 * 1024)
  if (way.ours) {
    // Behind the app's own @fastify/websocket the socket is terminated then: who is still sending may miss the close frame.
    client.announce(1024 * 1024 + 1)
    assert.equal((await client.closed).code, 1009)
  } else {
    client.socket.send(Buffer.alloc(1024 * 1024 + 1))
    assert.equal((await client.message()).data.length, 1024 * 1024 + 1)
  }
  if (way === alone) {
    const sending = await dial()
    sending.socket.send(Buffer.alloc(1024 * 1024 + 1))
    assert.equal((await sending.closed).code, 1009)
  }
})

onEveryWay('a peer that breaks the wire is no error line, where it was one for each', async (t, way) => {
  const { app, say, lines } = await begin(t, way, { routes: (app) => app.get('/', { websocket: true }, () => {}) })
  const client = say(upgradeRequest('/'))
  await once(client, 'data')
  const [socket] = app.websocketServer.clients
  const over = new Promise((resolve) => { socket!.once('close', resolve) })
  client.on('data', () => {}).write(Buffer.from([0xa2, 0x80, 0, 0, 0, 0]))
  await over
  assert.equal(errorsOf(lines), way === alone ? 0 : 1)
})

onEveryWay('messages that come before the first listener are held for it, where they were lost', async (t, way) => {
  let listen!: () => void
  const later = new Promise<void>((resolve) => { listen = resolve })
  const { app, dial } = await begin(t, way, {
    routes: (app) => app.get('/', { websocket: true }, async (socket) => {
      await later
      echo(socket)
    })
  })
  const client = await dial()
  const [socket] = app.websocketServer.clients
  const pinged = once(socket!, 'ping')
  client.socket.send('early')
  client.socket.ping()
  await pinged
  listen()
  assert.equal(await client.ask('late'), way.ours ? 'early' : 'late')
})

onEveryWay('a message that came before removeAllListeners() and a new listener is held for that, where it was lost', async (t, way) => {
  let listen!: () => void
  const later = new Promise<void>((resolve) => { listen = resolve })
  const { app, dial } = await begin(t, way, {
    routes: (app) => app.get('/', { websocket: true }, async (socket) => {
      await later
      socket.removeAllListeners()
      socket.on('error', () => {})
      echo(socket)
    })
  })
  const client = await dial()
  const [socket] = app.websocketServer.clients
  const pinged = once(socket!, 'ping')
  client.socket.send('held')
  client.socket.ping()
  await pinged
  listen()
  const timer = setTimeout(() => { client.socket.terminate() }, 1_000)
  assert.equal(await client.ask('late'), way.ours ? 'held' : 'late')
  if (way.ours) assert.equal(await client.text(), 'late')
  assert.equal(await client.ask('more'), 'more')
  clearTimeout(timer)
})

for (const way of ways) {
  test(`${way.name}: the socket of a refused upgrade is ended, where it could stay for ever`, async (t) => {
    const { say, lines } = await begin(t, way, { options: { closeTimeout: 500 }, routes: (app) => app.get('/', { websocket: true }, echo) })
    // No route, no hook: this is refused before any hook of a plugin runs, and is whole when it has not grown for closeTimeout.
    const client = say(upgradeRequest('/%'))
    const ended = once(client, 'end').then(() => 'ended')
    client.resume()
    await once(client, 'data')
    if (way.ours) assert.equal(await ended, 'ended')
    else assert.equal(await Promise.race([ended, new Promise((resolve) => { setTimeout(resolve, 600, 'open') })]), 'open')
    assert.equal(errorsOf(lines), 0)
  })
}

onEveryWay('an upgrade behind a request that is still being answered gets a 503 after that, where it was a warning and no answer', async (t, way) => {
  let answer!: () => void
  const answered = new Promise<void>((resolve) => { answer = resolve })
  const { app, say, lines } = await begin(t, way, {
    routes: (app) => {
      app.get('/slow', async () => { await answered; return 'slow' })
      app.get('/', { websocket: true }, echo)
    }
  })
  const came = once(app.server, 'upgrade')
  const client = say('GET /slow HTTP/1.1\r\nHost: x\r\n\r\n' + upgradeRequest('/')).setEncoding('latin1')
  let heard = ''
  client.on('data', (chunk) => { heard += chunk })
  await came
  const warned = lines.filter(({ level, msg }) => level === 40 && msg === 'websocket upgrade failed').length
  const whole = way.ours ? once(client, 'end') : once(client, 'data')
  answer()
  await whole
  assert.deepEqual([warned, heard.match(/HTTP\/1\.1 \d+|slow/g)], way.ours ? [0, ['HTTP/1.1 200', 'slow', 'HTTP/1.1 503']] : [1, ['HTTP/1.1 200', 'slow']])
})

test('lifeline alone: an upgrade that no hook decides on gets a 503 after upgradeTimeout, where it waited for ever', async (t) => {
  const { refused } = await begin(t, alone, {
    options: { upgradeTimeout: 50 },
    routes: (app) => app.get('/', { websocket: true, onRequest: () => {} }, echo)
  })
  assert.equal((await refused()).status, 503)
})

onEveryWay('a silent client is pinged, and cut if it does not answer, where it stayed', async (t, way) => {
  const { dial } = await begin(t, way, { options: { heartbeat: { interval: 50, timeout: 50 } }, routes: (app) => app.get('/', { websocket: true }, echo) })
  const client = await dial('/', { autoPong: false })
  if (way.ours) {
    await once(client.socket, 'ping')
    assert.equal((await client.closed).code, 1006)
  } else {
    assert.equal(await client.ask('never pinged'), 'never pinged')
  }
})

for (const way of [alone, behind]) {
  test(`${way.name}: pongs that answer our own pings are not shown to the app, its own are`, async (t) => {
    const pongs: string[] = []
    const { app, dial } = await begin(t, way, {
      options: { heartbeat: { interval: 40, timeout: 1_000 } },
      routes: (app) => app.get('/', { websocket: true }, (socket) => { socket.on('pong', (data) => { pongs.push(String(data)) }) })
    })
    const client = await dial()
    const [connection] = app.lifeline
    await connection!.ping()
    await connection!.ping()
    const [socket] = app.websocketServer.clients
    const ponged = once(socket!, 'pong')
    socket!.ping('own')
    await ponged
    assert.deepEqual(pongs, ['own'])
    assert.equal(client.socket.readyState, WebSocket.OPEN)
  })
}

test('the socket\'s class is ours, and extends the one it was', async (t) => {
  for (const way of ways) {
    const { app, dial } = await begin(t, way, { routes: (app) => app.get('/', { websocket: true }, () => {}) })
    await dial()
    const [socket] = app.websocketServer.clients
    assert.equal(socket instanceof WebSocket, true)
    assert.equal(Object.getPrototypeOf(socket) === WebSocket.prototype, !way.ours)
    assert.equal(app.websocketServer.options.WebSocket === WebSocket, !way.ours)
  }
})

test('lifeline alone: a listener or handler that returns something thenable, no promise, has its then called', async (t) => {
  const { dial } = await begin(t, alone, {
    routes: (app) => app.get('/', { websocket: true }, (socket) => {
      socket.on('message', () => ({ then: () => { socket.send('then') } }))
    })
  })
  assert.equal(await (await dial()).ask('x'), 'then')
})
