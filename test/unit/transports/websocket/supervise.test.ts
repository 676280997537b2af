import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import WebSocket from 'ws'
import { superviseClass } from '../../../../src/transports/websocket/supervise.js'
import type { Supervision, Supervisor } from '../../../../src/transports/websocket/supervisor.js'
import { pair } from './pair.js'
import type { Pair } from './pair.js'

class FakeSupervisor implements Supervisor {
  errors: unknown[] = []
  calls: string[] = []
  taken = 0
  keeps = false
  keepsClose = false
  keepsSends = false
  appBytes = 0
  onThrew: () => void = () => {}

  message (): boolean { this.calls.push('message'); return this.keeps }
  pinged (): void {}
  pong (data: Buffer): boolean { return String(data) === 'ours' }
  arrived (): void { this.calls.push('arrived') }
  listening (): void { this.calls.push('listening') }
  faulted (): void { this.calls.push('faulted') }
  threw (error: unknown): void { this.errors.push(error); this.onThrew() }
  signalling (): void { this.calls.push('signalling') }
  sending (): boolean { this.calls.push('sending'); return false }
  notSent (before: boolean): void { this.calls.push(`not sent ${before}`) }
  sent (fin: boolean): void { this.calls.push(`sent ${fin}`) }
  flushed (): void { this.taken++ }
  slices (): boolean { return this.keepsSends }
  sendSliced (bytes: Buffer, binary: boolean, done: (error?: Error) => void): void {
    this.calls.push(`sliced ${bytes} ${binary}`)
    done()
  }

  signalled (): void {}
  readingBlob (on: boolean): void { this.calls.push(`reading ${on}`) }
  unreadable (): void { this.calls.push('unreadable') }
  closing (code: number | undefined): boolean { this.calls.push(`closing ${code}`); return this.keepsClose }
  closes (code: number | undefined): void { this.calls.push(`closes ${code}`) }
  terminating (): void { this.calls.push('terminating') }
  pausedByApp (on: boolean): void { this.calls.push(`paused ${on}`) }
  closed (code: number): void { this.calls.push(`closed ${code}`) }
}

interface Supervised extends Pair { supervision: Supervision, supervisor: FakeSupervisor }

async function supervised (t: TestContext, Base: typeof WebSocket = WebSocket): Promise<Supervised> {
  const supervision = superviseClass(Base)
  const both = await pair(t, supervision.WebSocket)
  const supervisor = new FakeSupervisor()
  assert.equal(supervision.supervise(both.socket, supervisor), true)
  return { ...both, supervision, supervisor }
}

/** A socket that is not connected, for what needs no wire. */
const plain = (): WebSocket => new WebSocket(null as never, undefined, {})
const watched = (): WebSocket => {
  const { WebSocket: Class, supervise } = superviseClass(WebSocket)
  const socket = new Class(null as never, undefined, {})
  supervise(socket, new FakeSupervisor())
  return socket
}

const identity: Record<string, (socket: WebSocket) => unknown> = {
  'on and off': (socket) => {
    const listener = (): void => {}
    socket.on('message', listener)
    const there = [socket.listenerCount('message'), socket.listeners('message')[0] === listener, socket.rawListeners('message')[0] === listener, socket.listenerCount('message', listener)]
    socket.off('message', listener)
    return [...there, socket.listenerCount('message')]
  },
  'once, and off before it': (socket) => {
    const listener = (): void => {}
    socket.once('message', listener)
    const there = [socket.listeners('message')[0] === listener, (socket.rawListeners('message')[0] as unknown as { listener: unknown }).listener === listener]
    socket.off('message', listener)
    return [...there, socket.listenerCount('message')]
  },
  prependListener: (socket) => {
    const [first, second] = [(): void => {}, (): void => {}]
    socket.on('message', second)
    socket.prependListener('message', first)
    socket.prependOnceListener('message', second)
    return [socket.listeners('message').map((listener) => [first, second].indexOf(listener as never)), socket.eventNames()]
  },
  'addEventListener twice, and removeEventListener': (socket) => {
    const handler = (): void => {}
    socket.addEventListener('message', handler)
    socket.addEventListener('message', handler)
    const there = socket.listenerCount('message')
    socket.removeEventListener('message', handler)
    return [there, socket.listenerCount('message')]
  },
  'addEventListener with an object': (socket) => {
    const handler = { handleEvent (): void {} }
    socket.addEventListener('message', handler)
    const there = socket.listenerCount('message')
    socket.removeEventListener('message', handler)
    return [there, socket.listenerCount('message')]
  },
  'removeEventListener of a stranger': (socket) => {
    socket.addEventListener('message', () => {})
    socket.removeEventListener('message', () => {})
    return socket.listenerCount('message')
  },
  'an event that ws does not know': (socket) => {
    socket.addEventListener('strange' as never, () => {})
    return socket.eventNames()
  },
  'onmessage, read, replaced and removed': (socket) => {
    const [one, other] = [(): void => {}, (): void => {}]
    const seen: unknown[] = [socket.onmessage]
    socket.onmessage = one
    seen.push(socket.onmessage === one, socket.listenerCount('message'))
    socket.onmessage = other
    seen.push(socket.onmessage === other, socket.listenerCount('message'))
    socket.onmessage = null
    return [...seen, socket.onmessage, socket.listenerCount('message')]
  },
  'onmessage beside addEventListener of the same function': (socket) => {
    const handler = (): void => {}
    socket.addEventListener('message', handler)
    socket.onmessage = handler
    const there = socket.listenerCount('message')
    socket.removeEventListener('message', handler)
    return [there, socket.listenerCount('message'), socket.onmessage === handler]
  },
  'onopen, onerror, onclose': (socket) => (['onopen', 'onerror', 'onclose'] as const).map((name) => {
    const handler = (): void => {}
    socket[name] = handler
    return socket[name] === handler
  }),
  'an on-attribute that is no function': (socket) => {
    socket.onmessage = 'nonsense' as never
    return [socket.onmessage, socket.listenerCount('message')]
  },
  'what is emitted reaches each listener, with this': (socket) => {
    const got: unknown[] = []
    socket.on('message', function (this: WebSocket, data, binary) { got.push([this === socket, String(data), binary]) })
    socket.once('message', function (this: WebSocket) { got.push(this === socket) })
    socket.addEventListener('message', function (this: WebSocket, event) { got.push([this === socket, event.target === socket, event.data, event.type]) } as (event: WebSocket.MessageEvent) => void)
    const object = { handleEvent (this: unknown) { got.push(this === object) } }
    socket.addEventListener('message', object as never)
    socket.addEventListener('message', () => { got.push('once') }, { once: true })
    for (let i = 0; i < 2; i++) got.push(socket.emit('message', Buffer.from('hi'), false))
    return got
  },
  'an event without listeners': (socket) => [socket.emit('message', Buffer.from('hi'), false), socket.emit('mine', 1)],
  removeAllListeners: (socket) => {
    socket.on('message', () => {})
    socket.addEventListener('message', () => {})
    socket.removeAllListeners('message')
    return socket.listenerCount('message')
  },
  'its constants and state': (socket) => [socket.OPEN, socket.readyState, socket.bufferedAmount, socket.extensions, socket.protocol, socket.isPaused, socket.binaryType, socket.url],
  'it is a WebSocket': (socket) => socket instanceof WebSocket
}

for (const [name, look] of Object.entries(identity)) {
  test(`to an app a supervised socket is a ws socket: ${name}`, () => {
    assert.deepEqual(look(watched()), look(plain()))
  })
}

test('the app\'s own class stays in the line', async (t) => {
  class Own extends WebSocket { mine = 'own' }
  const { socket, supervision } = await supervised(t, Own)
  assert.ok(socket instanceof Own && socket instanceof supervision.WebSocket)
  assert.equal(socket.mine, 'own')
})

test('a socket of another class cannot be supervised', () => {
  assert.equal(superviseClass(WebSocket).supervise(plain(), new FakeSupervisor()), false)
  assert.equal(superviseClass(WebSocket).supervise(watched(), new FakeSupervisor()), false)
})

test('without a supervisor what a listener throws is thrown', () => {
  const { WebSocket: Class } = superviseClass(WebSocket)
  const socket = new Class(null as never, undefined, {})
  socket.on('message', () => { throw new Error('boom') })
  assert.throws(() => socket.emit('message', Buffer.from(''), false), { message: 'boom' })
})

const boom = new Error('boom')
const failing: Record<string, (socket: WebSocket) => void> = {
  'a listener throws': (socket) => { socket.on('message', () => { throw boom }) },
  'a listener rejects': (socket) => { socket.on('message', async () => { throw boom }) },
  'a handler of addEventListener throws': (socket) => { socket.addEventListener('message', () => { throw boom }) },
  'a handler of addEventListener rejects': (socket) => { socket.addEventListener('message', async () => { throw boom }) },
  'handleEvent rejects': (socket) => { socket.addEventListener('message', { handleEvent: async () => { throw boom } } as never) },
  'onmessage rejects': (socket) => { socket.onmessage = async () => { throw boom } }
}

for (const [name, live] of Object.entries(failing)) {
  test(`${name}: its supervisor is told`, async (t) => {
    const { socket, client, supervisor } = await supervised(t)
    live(socket)
    const told = new Promise<void>((resolve) => { supervisor.onThrew = resolve })
    client.send('hi')
    await told
    assert.deepEqual(supervisor.errors, [boom])
  })
}

test('a close listener that throws or rejects keeps the event from nobody', async (t) => {
  const { socket, client, supervisor } = await supervised(t)
  let last = false
  socket.on('close', () => { throw boom })
  socket.on('close', async () => { throw boom })
  const closed = new Promise<void>((resolve) => { socket.on('close', () => { last = true; resolve() }) })
  client.close(4000)
  await closed
  await new Promise(setImmediate)
  assert.equal(last, true)
  assert.deepEqual(supervisor.errors, [boom, boom])
  assert.ok(supervisor.calls.includes('closed 4000'))
})

test('the supervisor hears of a message before the listeners, and may keep it', async (t) => {
  const { socket, client, supervisor } = await supervised(t)
  const got: string[] = []
  socket.on('message', (data) => { got.push(String(data)) })
  supervisor.keeps = true
  client.send('kept')
  client.ping()
  await once(socket, 'ping')
  supervisor.keeps = false
  client.send('seen')
  await once(socket, 'message')
  assert.deepEqual(got, ['seen'])
  assert.deepEqual(supervisor.calls.filter((call) => call === 'arrived').length, 3)
})

test('a pong of ours is for nobody else; the app\'s own reaches its listeners', async (t) => {
  const { socket } = await supervised(t)
  const pongs: string[] = []
  socket.on('pong', (data) => { pongs.push(String(data)) })
  socket.ping('ours')
  socket.ping('mine')
  await once(socket, 'pong')
  assert.deepEqual(pongs, ['mine'])
})

test('what the app does to the socket is told: sends and their fragments, pauses, closes, the end', async (t) => {
  const { socket, client, supervisor } = await supervised(t)
  socket.send('whole')
  socket.send('half', { fin: false })
  socket.send('other half', () => {})
  socket.pause()
  socket.resume()
  socket.close(4001)
  socket.close(4002)
  assert.deepEqual(supervisor.calls, ['sending', 'sent true', 'sending', 'sent false', 'sending', 'sent true', 'paused true', 'paused false', 'closing 4001', 'closes 4001'])
  const [code] = await once(client, 'close')
  assert.equal(code, 4001)
  assert.equal(supervisor.taken, 3)
})

test('a close that is kept for later makes the socket closing to the app, and to the wire nothing yet', async (t) => {
  const { socket, client, supervisor, supervision } = await supervised(t)
  supervisor.keepsClose = true
  socket.close()
  assert.equal(socket.readyState, socket.CLOSING)
  supervision.bare.reopen(socket)
  assert.equal(socket.readyState, socket.OPEN)
  supervision.bare.close(socket, 1012, 'later')
  const [code, reason] = await once(client, 'close')
  assert.deepEqual([code, String(reason)], [1012, 'later'])
})

test('the bare socket passes no supervision', async (t) => {
  const { socket, client, supervisor, supervision: { bare } } = await supervised(t)
  bare.ping(socket, Buffer.from('ping'), () => {})
  bare.send(socket, 'hello', { binary: false }, () => {})
  const [data] = await once(client, 'message')
  assert.equal(String(data), 'hello')
  bare.pause(socket)
  assert.equal(socket.isPaused, true)
  bare.resume(socket)
  bare.terminate(socket)
  assert.deepEqual(supervisor.calls.filter((call) => call !== 'arrived'), [])
  await once(socket, 'close')
})

test('a socket that is terminated while its close is kept for later ends like any other', async (t) => {
  const { socket, supervisor } = await supervised(t)
  supervisor.keepsClose = true
  socket.close()
  socket.terminate()
  await once(socket, 'close')
  assert.equal(socket.readyState, socket.CLOSED)
})

test('a ping or pong of the app\'s is announced before it is sent', async (t) => {
  const { socket, client, supervisor } = await supervised(t)
  for (const kind of ['ping', 'pong'] as const) {
    supervisor.calls = []
    let done = false
    socket[kind]('it', undefined, () => { done = true })
    assert.deepEqual(supervisor.calls, ['signalling'])
    const [data] = await once(client, kind)
    assert.equal(String(data), 'it')
    assert.equal(done, true)
  }
})

test('when a ping or pong of the app\'s has been taken is told, whether the app wants to know or not', async (t) => {
  const { socket, supervisor } = await supervised(t)
  let called = 0
  const done = (): void => { called++ }
  for (const send of [
    () => { socket.ping() }, () => { socket.ping('data') }, () => { socket.pong('data', false) },
    () => { socket.ping(done as never) }, () => { socket.ping('data', done as never) }, () => { socket.pong('data', false, done) }
  ]) {
    const before = supervisor.taken
    send()
    for (let i = 0; i < 100 && supervisor.taken === before; i++) await new Promise(setImmediate)
    assert.equal(supervisor.taken, before + 1)
  }
  assert.equal(called, 3)
})

test('a ping that ws refuses throws at the app, and is told all the same: what had to leave before it has left', async (t) => {
  const { socket, supervisor } = await supervised(t)
  let told = 0
  supervisor.signalled = () => { told++ }
  assert.throws(() => { socket.ping('x'.repeat(126)) }, RangeError)
  assert.equal(told, 1)
})

test('Blobs are announced until ws has read them, as messages, pings and pongs', async (t) => {
  const { socket, client, supervisor } = await supervised(t)
  client.on('error', () => {})
  const blob = new Blob(['it']) as never
  const sends: Record<string, (done: () => void) => void> = {
    message: (done) => { socket.send(blob, done) },
    'message with options': (done) => { socket.send(blob, { binary: true }, done) },
    ping: (done) => { socket.ping(blob, undefined, done) },
    'ping with two arguments': (done) => { Reflect.apply(socket.ping, socket, [blob, done]) },
    pong: (done) => { socket.pong(blob, false, done) }
  }
  for (const [what, send] of Object.entries(sends)) {
    supervisor.calls = []
    await new Promise<void>((resolve) => {
      send(resolve)
      assert.ok(supervisor.calls.includes('reading true'), what)
      assert.ok(!supervisor.calls.includes('reading false'), what)
    })
    assert.ok(supervisor.calls.includes('reading false'), what)
  }
  // Without a callback of the app's too.
  supervisor.calls = []
  socket.ping(blob)
  await once(client, 'ping')
  assert.ok(supervisor.calls.includes('reading false'))
})

test('the class is plain unless one between ours and that of ws has a send of its own', () => {
  class Other extends WebSocket { more = true }
  class Sending extends WebSocket { override send (...args: any[]): void { (super.send as any)(...args) } }
  assert.deepEqual([WebSocket, Other, Sending, class extends Sending {}].map((Class) => superviseClass(Class as typeof WebSocket).plain), [true, true, false, false])
})
