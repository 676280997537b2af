/**
 * The client that comes back: to plain servers, and to one that resumes, over lines that are cut.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import WebSocket, { WebSocketServer } from 'ws'
import type { Connection } from '../../src/api/connection.js'
import type { LifelineSocketOptions } from '../../src/client/options.js'
import { LifelineSocket } from '../../src/client/socket.js'
import type { WebSocketConstructor } from '../../src/client/world.js'
import { until } from '../support/app.js'
import { share } from '../support/proof.js'
import { relay } from './cutting.js'
import { serve } from './resumed.js'

const inner = WebSocket as unknown as WebSocketConstructor

interface Heard { readonly socket: LifelineSocket, readonly events: string[], readonly messages: unknown[], readonly gaps: any[] }

function open (t: TestContext, url: ConstructorParameters<typeof LifelineSocket>[0], options: LifelineSocketOptions = {}, protocols?: ConstructorParameters<typeof LifelineSocket>[1]): Heard {
  const socket = new LifelineSocket(url, protocols, { WebSocket: inner, minDelay: 5, maxDelay: 50, ...options })
  t.after(() => { socket.close() })
  const [events, messages, gaps]: [string[], unknown[], any[]] = [[], [], []]
  for (const type of ['open', 'close', 'reconnecting', 'resume', 'gap', 'drop']) {
    socket.addEventListener(type, (event: { code?: number }) => { events.push(event.code === undefined ? type : `${type} ${event.code}`) })
  }
  socket.addEventListener('message', ({ data }: { data: unknown }) => { messages.push(data) })
  socket.addEventListener('gap', (gap: unknown) => { gaps.push(gap) })
  return { socket, events, messages, gaps }
}

/** One that knows nothing of us. */
async function plain (t: TestContext, options: object = {}): Promise<{ url: string, server: WebSocketServer, sockets: WebSocket[], said: string[] }> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', ...options })
  await once(server, 'listening')
  const [sockets, said]: [WebSocket[], string[]] = [[], []]
  server.on('connection', (socket) => {
    sockets.push(socket)
    socket.on('message', (data) => { said.push(String(data)) })
  })
  t.after(() => {
    for (const socket of server.clients) socket.terminate()
    server.close()
  })
  return { url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}`, server, sockets, said }
}

describe('on a plain server', () => {
  test('what is sent before it is open goes when it is, behind what the app says when it is told', async (t) => {
    const { url, said } = await plain(t)
    const { socket, events } = open(t, url)
    socket.onopen = () => { assert.equal(socket.send('first'), true) }
    assert.equal(socket.send('early'), true)
    assert.deepEqual([socket.readyState, socket.queued], [socket.CONNECTING, { messages: 1, bytes: 5 }])
    await until('all have come', () => said.length === 2)
    assert.deepEqual([said, events, socket.readyState, socket.queued.messages, socket.resumable], [['first', 'early'], ['open'], socket.OPEN, 0, false])
  })

  test('each wire is a session: a cut is a close, and what waits goes to the next', async (t) => {
    const { url, sockets, said } = await plain(t)
    const { socket, events, messages } = open(t, url)
    await until('it is open', () => socket.readyState === socket.OPEN)
    sockets[0]!.send('hello')
    await until('it has come', () => messages.length === 1)
    socket.onclose = () => {
      socket.onclose = null
      assert.equal(socket.readyState, socket.CONNECTING)
      socket.send('meanwhile')
    }
    sockets[0]!.terminate()
    await until('it is back', () => said.length === 1)
    assert.deepEqual([said, messages, events], [['meanwhile'], ['hello'], ['open', 'close 1006', 'reconnecting 1006', 'open']])
  })

  test('a server that selects none of what is offered is tried without the offer, at once', async (t) => {
    const { url } = await plain(t, { handleProtocols: () => false })
    const { socket, events } = open(t, url)
    await until('it is open', () => socket.readyState === socket.OPEN)
    assert.deepEqual([events, socket.protocol], [['open'], ''])
  })

  test('subprotocols of the app are offered, and the one that was chosen is told', async (t) => {
    const { url } = await plain(t, { handleProtocols: (offered: Set<string>) => [...offered].find((each) => each === 'b') })
    const { socket } = open(t, url, {}, ['a', 'b'])
    await until('it is open', () => socket.readyState === socket.OPEN)
    assert.equal(socket.protocol, 'b')
  })

  test('by a final code it stays away; by another it comes back when it was told', async (t) => {
    const { url, sockets } = await plain(t)
    const { socket, events } = open(t, url)
    const delays: number[] = []
    socket.onreconnecting = ({ delay }) => { delays.push(delay) }
    await until('it is open', () => sockets.length === 1)
    sockets[0]!.close(1012, 'retry: 37')
    await until('it is back', () => sockets.length === 2)
    assert.deepEqual(delays, [37])
    await until('it is open', () => socket.readyState === socket.OPEN)
    sockets[1]!.close(4000, 'enough')
    await until('it is over', () => socket.readyState === socket.CLOSED)
    assert.deepEqual(events.slice(-2), ['open', 'close 4000'])
    assert.deepEqual([socket.send('late'), events.at(-1)], [false, 'drop'])
  })

  test('4401: once with fresh credentials', async (t) => {
    const { url, server } = await plain(t)
    server.on('connection', (socket) => { socket.close(4401) })
    let asked = 0
    const { socket } = open(t, () => `${url}/?token=${++asked}`)
    await until('it is over', () => socket.readyState === socket.CLOSED)
    assert.equal(asked, 2)
  })

  test('a veto, and a number of attempts, end it', async (t) => {
    const { url, sockets } = await plain(t)
    const vetoed = open(t, url, { shouldReconnect: ({ code }) => code !== 1013 })
    await until('it is open', () => sockets.length === 1)
    sockets[0]!.close(1013)
    await until('it is over', () => vetoed.socket.readyState === vetoed.socket.CLOSED)
    const { socket, events } = open(t, 'ws://127.0.0.1:1', { maxRetries: 3 })
    await until('it has had enough', () => socket.readyState === socket.CLOSED)
    assert.deepEqual(events, ['reconnecting 1006', 'reconnecting 1006', 'reconnecting 1006', 'close 1006'])
  })

  test('URL and protocols may be functions, and asynchronous; one that fails is an attempt that has failed', async (t) => {
    const { url, sockets } = await plain(t)
    const errors: unknown[] = []
    let asked = 0
    const { socket } = open(t, async () => {
      if (++asked < 3) throw new Error(`no token yet: ${asked}`)
      return url
    }, {}, async () => [])
    socket.addEventListener('error', ({ error }: { error: unknown }) => { errors.push((error as Error).message) })
    await until('it is open', () => sockets.length === 1)
    assert.deepEqual(errors, ['no token yet: 1', 'no token yet: 2'])
  })

  test('close is final, also while nothing is open yet, and while it waits', async (t) => {
    const { url, sockets } = await plain(t)
    const { socket, events } = open(t, url)
    await until('it is open', () => socket.readyState === socket.OPEN)
    const codes: number[] = []
    sockets[0]!.on('close', (code) => { codes.push(code) })
    socket.close()
    assert.equal(socket.readyState, socket.CLOSING)
    await until('it is over', () => socket.readyState === socket.CLOSED && codes.length === 1)
    assert.deepEqual([events, codes], [['open', 'close 1000'], [1000]])
    const never = open(t, url)
    never.socket.close(3000, 'no')
    await until('it is over', () => never.socket.readyState === never.socket.CLOSED)
    assert.deepEqual(never.events, ['close 3000'])
    const waits = open(t, 'ws://127.0.0.1:1', { minDelay: 60_000, maxDelay: 60_000 })
    await until('it waits', () => waits.events.length === 1)
    waits.socket.close()
    await until('it is over', () => waits.socket.readyState === waits.socket.CLOSED)
    assert.throws(() => new LifelineSocket('no url', [], { WebSocket: inner }), SyntaxError)
    assert.throws(() => new LifelineSocket(url, [], { WebSocket: inner, wait: 3 } as object), TypeError)
    assert.throws(() => new LifelineSocket(url, [], { WebSocket: inner, minDelay: -1 }), TypeError)
  })

  test('what waits is bounded, and told', async (t) => {
    const { socket, events } = open(t, 'ws://127.0.0.1:1', { queue: { bytes: 10, messages: 3 }, minDelay: 60_000 })
    assert.deepEqual(['1234567', 'abcd', 'a', 'b', 'c'].map((text) => socket.send(text)), [true, false, true, true, false])
    assert.deepEqual([events.filter((event) => event === 'drop').length, socket.queued], [2, { messages: 3, bytes: 9 }])
    const outcomes = Promise.all([socket.deliver('x'), socket.deliver('y', { timeout: 1 })])
    assert.deepEqual(await outcomes, [{ outcome: 'full' }, { outcome: 'full' }])
  })

  test('deliver says that a plain server confirms nothing', async (t) => {
    const { url } = await plain(t)
    const { socket } = open(t, url)
    const early = socket.deliver('early')
    await until('it is open', () => socket.readyState === socket.OPEN)
    assert.deepEqual([await early, await socket.deliver('late')], [{ outcome: 'unconfirmed' }, { outcome: 'unconfirmed' }])
    const waits = open(t, 'ws://127.0.0.1:1', { minDelay: 60_000 })
    const abort = new AbortController()
    const [aborted, timeout, gone] = [waits.socket.deliver('a', { signal: abort.signal }), waits.socket.deliver('b', { timeout: 1 }), waits.socket.deliver('c')]
    abort.abort(new Error('no more'))
    await assert.rejects(aborted, /no more/)
    assert.deepEqual(await timeout, { outcome: 'timeout' })
    waits.socket.close()
    assert.deepEqual([await gone, await waits.socket.deliver('d')], [{ outcome: 'gone' }, { outcome: 'gone' }])
  })
})

describe('on a server that resumes', () => {
  const echo = (connection: Connection): void => { connection.onMessage(({ data }) => { connection.push(data) }) }

  test('a cut is no close: the session goes on, and nothing is lost', async (t) => {
    const { port: to, opened } = await serve(t, {}, echo)
    const { port } = await relay(t, to, (nth) => nth === 0 ? { down: 900 } : nth < 3 ? { down: 600 } : {})
    const { socket, events, messages } = open(t, `ws://127.0.0.1:${port}`)
    await until('it is open', () => socket.readyState === socket.OPEN)
    assert.deepEqual(await socket.deliver('one'), { outcome: 'delivered' })
    assert.equal(socket.resumable, true)
    const texts = Array.from({ length: 60 }, (_, i) => `${i % 3 === 0 ? '\0' : ''}message ${i}`)
    for (const text of texts) socket.send(text)
    await until('all have come back', () => messages.length === 61)
    assert.deepEqual([messages.slice(1), opened.size, socket.readyState], [texts, 1, socket.OPEN])
    assert.match(events.join(), /^open(,reconnecting 1006,resume)+$/)
  })

  test('another session is a close, a gap, and an open, in that order; what is not known is told', async (t) => {
    const { port, sessions } = await serve(t, {}, () => {})
    const { socket, events, gaps } = open(t, `ws://127.0.0.1:${port}`)
    await until('it is open', () => socket.readyState === socket.OPEN)
    await until('it may come back', () => sessions.size > 0)
    const unknown = socket.deliver('what becomes of it', { timeout: 60_000 })
    await until('it is on its way', () => socket.queued.messages === 1)
    for (const { connection } of new Set(sessions.values())) connection.close(1012)
    await until('it is another', () => events.filter((event) => event === 'open').length === 2)
    assert.deepEqual(events, ['open', 'reconnecting 1012', 'close 1012', 'gap', 'open'])
    assert.deepEqual([gaps[0].reason, gaps[0].unknown, await unknown], ['unknown', ['what becomes of it'], { outcome: 'unconfirmed' }])
  })

  test('a server that has gone silent is asked, and left', { timeout: 20_000 }, async (t) => {
    const { port: to } = await serve(t, { beat: 200 }, echo)
    let deaf = false
    const { port, hold } = await relay(t, to, () => ({}))
    const { socket, events } = open(t, `ws://127.0.0.1:${port}`)
    await until('it is open', () => socket.readyState === socket.OPEN)
    await socket.deliver('one')
    hold()
    deaf = true
    await until('it has come back', () => events.includes('resume'))
    assert.deepEqual([deaf, events], [true, ['open', 'reconnecting 1006', 'resume']])
  })

  test('cuts at random: every message once and in order, in both directions', { timeout: 120_000 }, async (t) => {
    const [count, cuts] = [share(5_000), share(500)]
    const handled: unknown[] = []
    let connection!: Connection
    const { port: to } = await serve(t, {}, (opened) => {
      connection = opened
      opened.onMessage(({ data }) => { handled.push(data) })
    })
    let seed = 7
    const cutting = await relay(t, to, (nth) => nth > 0 && nth <= cuts ? { [nth % 2 === 0 ? 'up' : 'down']: 600 + (seed = seed * 16807 % 2147483647) % 3000 } : {})
    const { socket, events, messages } = open(t, `ws://127.0.0.1:${cutting.port}`)
    await until('it is open', () => socket.readyState === socket.OPEN)
    await socket.deliver('first')
    const texts = Array.from({ length: count }, (_, i) => `message ${i} ${'x'.repeat(i % 50)}`)
    let [pushed, said] = [0, 0]
    socket.reconnect()
    await until('all have come', () => {
      for (let i = 0; i < 20 && pushed < count; i++) connection.push(texts[pushed++])
      for (let i = 0; i < 20 && said < count && socket.queued.messages < 900; i++) socket.send(texts[said++])
      return messages.length >= count && handled.length > count
    }, 100_000)
    assert.deepEqual([messages, handled], [texts, ['first', ...texts]])
    assert.deepEqual([events[0], events.includes('close'), events.includes('gap')], ['open', false, false])
    t.diagnostic(`${cutting.cuts} cuts, ${events.filter((event) => event === 'resume').length} times resumed`)
  })
})
