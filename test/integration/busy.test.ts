/**
 * Peers that keep us busy: what they cause is bounded, in time and in memory.
 */
import assert from 'node:assert/strict'
import { pbkdf2, randomBytes } from 'node:crypto'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Socket } from 'node:net'
import { promisify } from 'node:util'
import { deflateRawSync } from 'node:zlib'
import WebSocket from 'ws'
import { ended, opened, start, until } from '../support/app.js'
import { frame, opcode } from '../support/frames.js'
import { dial } from '../support/raw-client.js'
import type { RawClient } from '../support/raw-client.js'

/** Answers pings late, so that something is always on its way. */
function answerLate (t: TestContext, peer: RawClient, ms: number): void {
  let answered = 0
  const timer = setInterval(() => {
    for (; answered < peer.pings.length; answered++) peer.socket.write(frame(opcode.pong, peer.pings[answered]))
  }, ms)
  t.after(() => { clearInterval(timer) })
}

for (const receipts of [true, false]) {
  test(`the shutdown waits for what was there when it began, and not for what is pushed later (receipts: ${receipts})`, async (t) => {
    // Longer than any test may take.
    const { app, url } = await start(t, { options: { receipts, heartbeat: false, shutdown: { timeout: 600_000 } }, routes: (app) => app.get('/', { websocket: true }, () => {}) })
    const opening = opened(app)
    const peer = await dial(t, url, { answers: false })
    answerLate(t, peer, 40)
    const connection = await opening
    const delivery = connection.deliver('awaited', { timeout: 600_000 })
    for (let i = 0; i < 10; i++) connection.push(`before ${i}`)
    // Something is unconfirmed at every moment.
    let later = 0
    const pushing = setInterval(() => {
      connection.push(`later ${later++}`)
      if (later % 3 === 0) connection.deliver('later', { timeout: 600_000 }).catch(assert.ifError)
    }, 5)
    t.after(() => { clearInterval(pushing) })
    const end = ended(app)
    await app.close()
    assert.equal((await delivery).outcome, 'delivered')
    const { cause, unconfirmed } = await end
    assert.equal(cause, 'shutdown')
    assert.ok(unconfirmed.every(({ data }) => String(data).startsWith('later')))
    assert.ok(later > 0)
  })
}

test('the shutdown does wait until what was there has been taken, though more is pushed behind it all the time', async (t) => {
  const { app, url } = await start(t, { options: { heartbeat: false, shutdown: { timeout: 600_000 }, backpressure: { limit: 64 * 1024 * 1024 } }, routes: (app) => app.get('/', { websocket: true }, () => {}) })
  const opening = opened(app)
  const peer = await dial(t, url)
  const connection = await opening
  peer.socket.pause()
  const size = 100_000
  let pushed = 0
  while (connection.bufferedBytes < 10 * size) {
    connection.push('a'.repeat(size))
    pushed++
  }
  const closing = app.close()
  // Something waits at every moment.
  const pushing = { on: true }
  const push = (): void => {
    while (connection.state === 'open' && connection.bufferedBytes < 10 * size) connection.push('b'.repeat(size))
    if (pushing.on && connection.state === 'open') setImmediate(push)
  }
  push()
  t.after(() => { pushing.on = false })
  await new Promise((resolve) => { setTimeout(resolve, 100) })
  assert.equal(connection.state, 'open')
  peer.socket.resume()
  await closing
  assert.equal(peer.received.filter(({ data }) => data[0] === 0x61).length, pushed)
  assert.equal(peer.code, 1012)
})

const classes: Record<string, typeof WebSocket | undefined> = {
  'a socket of ours': undefined,
  'a socket of a class that the app has put in the place of ours': class extends WebSocket {}
}

for (const [name, Class] of Object.entries(classes)) {
  test(`a peer that pings and reads nothing makes no more than 64 KiB of answers wait; the last is answered when it reads (${name})`, async (t) => {
    const { app, url } = await start(t, { options: { heartbeat: false, limits: { pongRate: Infinity }, shutdown: { timeout: 200 }, closeTimeout: 200 }, routes: (app) => app.get('/', { websocket: true }, () => {}) })
    if (Class !== undefined) (app.websocketServer.options as { WebSocket?: unknown }).WebSocket = Class
    const peer = await dial(t, url)
    peer.socket.pause()
    const [socket] = app.websocketServer.clients as Set<WebSocket>
    let pings = 0
    const batch = Buffer.concat(Array.from({ length: 5_000 }, () => frame(opcode.ping, 'x'.repeat(125))))
    socket!.on('ping', () => { pings++ })
    let sent = 0
    // When the kernel takes no more of them, so many come once more.
    for (let behind = 0; behind < 10 && sent < 200_000;) {
      peer.socket.write(batch)
      sent += 5_000
      await until('they have come', () => pings === sent)
      assert.ok(socket!.bufferedAmount <= 64 * 1024 + 127, `${socket!.bufferedAmount} bytes wait`)
      if (socket!.bufferedAmount > 32 * 1024) behind++
    }
    assert.ok(socket!.bufferedAmount > 32 * 1024, 'it never came to that')
    peer.socket.write(frame(opcode.ping, 'last'))
    await until('it has come', () => pings === sent + 1)
    peer.socket.resume()
    await peer.until(() => peer.received.some(({ kind, data }) => kind === 'pong' && String(data) === 'last'))
    assert.ok(peer.received.length < sent)
  })
}

for (const alive of [true, false]) {
  test(`of a peer whose stream the app has paused behind our back it is found out whether it lives: ${alive ? 'it does' : 'it does not'}`, { timeout: 10_000 }, async (t) => {
    const { app, url } = await start(t, {
      options: { heartbeat: { interval: 100, timeout: 100 } },
      routes: (app) => app.get('/', { websocket: true }, (_socket, request) => { request.raw.socket.pause() })
    })
    const opening = opened(app)
    const peer = await dial(t, url, { answers: alive })
    // More than the stream takes in while it is paused.
    for (let i = 0; i < 10; i++) peer.socket.write(frame(opcode.binary, Buffer.alloc(60_000)))
    const connection = await opening
    if (!alive) {
      assert.equal((await connection.closed).cause, 'heartbeat')
      return
    }
    // Several looks, each of which reads a little.
    await sleep(1500)
    assert.equal(connection.state, 'open')
  })
}

test('a look at a peer whose stream the app has paused leaves it paused: a little is read, and no more', { timeout: 20_000 }, async (t) => {
  let got = 0
  let stream!: Socket
  const { app, url } = await start(t, {
    options: { heartbeat: { interval: 100, timeout: 100 } },
    routes: (app) => app.get('/', { websocket: true }, (socket, request) => {
      socket.on('message', () => { got++ })
      stream = request.raw.socket
      stream.pause()
    })
  })
  const opening = opened(app)
  const peer = await dial(t, url)
  const connection = await opening
  const count = 2_000
  for (let i = 0; i < count; i++) peer.socket.write(frame(opcode.binary, Buffer.alloc(5_000)))
  await until('it was looked at', () => got > 0 || connection.state !== 'open')
  await sleep(600)
  assert.equal(connection.state, 'open')
  assert.ok(got < count / 2, `${got} were read`)
  stream.resume()
  await until('all have come', () => got === count)
})

test('a live peer is not dead while zlib is not done with what it has sent', async (t) => {
  const work = promisify(pbkdf2)
  const [rounds, began] = [200_000, performance.now()]
  await work('a', 'b', rounds, 32, 'sha256')
  const enough = Math.ceil(600 / (performance.now() - began)) * rounds
  const threads = Number(process.env.UV_THREADPOOL_SIZE ?? 4)
  const got: string[] = []
  const { app, url } = await start(t, {
    options: { heartbeat: { interval: 100, timeout: 100 }, websocket: { options: { perMessageDeflate: true } } },
    routes: (app) => app.get('/', { websocket: true }, (socket) => { socket.on('message', (data) => { got.push(String(data)) }) })
  })
  const opening = opened(app)
  const peer = await dial(t, url, { deflate: true })
  const connection = await opening
  // The threads that zlib shares with others are busy for some time: all that follows waits in their queue.
  const busy = Promise.all(Array.from({ length: threads }, () => work('a', 'b', enough, 32, 'sha256')))
  // Past 16 KiB ws reads no further.
  const texts = Array.from({ length: 2 }, () => randomBytes(20_000).toString('base64'))
  for (const text of texts) peer.socket.write(frame(opcode.text, deflateRawSync(Buffer.from(text)), { rsv: 4 }))
  await busy
  await until('both have come', () => got.length === 2 || connection.state === 'closed')
  assert.deepEqual([connection.state === 'closed' ? (await connection.closed).cause : null, got.join() === texts.join()], [null, true])
})
