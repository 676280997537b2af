/**
 * How a peer that sends more than a rate allows is read, by each kind of reader: the transport over a socket and a stream that do
 * nothing, by the test's own clock.
 */
import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import type { Duplex } from 'node:stream'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { createWebSocketStream } from 'ws'
import type WebSocket from 'ws'
import type { Rates } from '../../../../src/core/limited.js'
import { Wheel } from '../../../../src/core/time/wheel.js'
import type { Message, TransportOwner } from '../../../../src/transports/transport.js'
import type { Supervision } from '../../../../src/transports/websocket/supervisor.js'
import { WebSocketTransport } from '../../../../src/transports/websocket/transport.js'
import { Clock } from '../../clock.js'

const SLOT = 10

class FakeStream extends EventEmitter {
  writable = true
  destroyed = false
  writableLength = 0
  bytesRead = 0
  bytesWritten = 0
  isPaused (): boolean { return false }
  write (): boolean { return true }
}

class FakeSocket extends EventEmitter {
  readonly OPEN = 1
  readyState = 1
  extensions = ''
  isPaused = false
  transport!: WebSocketTransport

  override emit (event: string | symbol, ...args: any[]): boolean {
    if (event === 'newListener' && args[0] === 'message') this.transport.listening()
    return super.emit(event, ...args)
  }

  pause (): void { this.transport.pausedByApp(true) }
  resume (): void { this.transport.pausedByApp(false) }
}

interface World {
  transport: WebSocketTransport
  socket: FakeSocket
  wheel: Wheel
  clock: Clock
  limited: string[]
  /** Messages of so many bytes come in one packet. */
  come: (count: number, size?: number) => void
  /** Time passes, in steps of a slot, and whoever reads has his turn after each. */
  pass: (ms: number) => Promise<void>
}

/** Everybody who waits for nothing but his turn has it. */
async function settle (): Promise<void> {
  for (let i = 0; i < 20; i++) await new Promise<void>((resolve) => { process.nextTick(resolve) })
}

function make (t: TestContext, rates: Partial<Rates>): World {
  const clock = new Clock(t)
  t.mock.method(performance, 'now', clock.now)
  const wheel = new Wheel(SLOT, clock.now)
  const socket = new FakeSocket()
  const stream = new FakeStream()
  stream.on('data', () => {})
  const limited: string[] = []
  const supervision = {
    plain: true,
    supervise: () => true,
    bare: {
      bufferedAmount: () => 0,
      reopen: () => false,
      pause: () => { socket.isPaused = true },
      resume: () => { socket.isPaused = false },
      close: () => {},
      pong: () => {},
      ping: () => {},
      emit: (_socket: unknown, event: string, ...args: unknown[]) => { socket.emit(event, ...args) }
    }
  } as unknown as Supervision
  const all: Rates = { messageRate: Infinity, byteRate: Infinity, pongRate: 100, payload: 1_000, policy: 'pause', ...rates }
  const transport = new WebSocketTransport(socket as unknown as WebSocket, stream as unknown as Duplex, supervision, { defers: false, answers: true, receipts: false, fragments: true, patience: 10_000, rates: all, wheel, loop: { away: 0 } })
  socket.transport = transport
  const owner: Partial<TransportOwner> = { came () {}, took () {}, ignored () {}, queued () {}, flushed () {}, closing () {}, dropped () {}, exceeded: (limit) => { limited.push(limit) }, ended () {} }
  transport.start(supervision, owner as TransportOwner)
  let number = 0
  return {
    transport,
    socket,
    wheel,
    clock,
    limited,
    come (count, size = 4) {
      for (let i = 0; i < count; i++) {
        const data = Buffer.from(String(number++).padStart(size, '0'))
        if (!transport.message(data, false)) socket.emit('message', data, false)
      }
    },
    async pass (ms) {
      await settle()
      for (let passed = 0; passed < ms; passed += SLOT) {
        clock.pass(SLOT, SLOT)
        await settle()
      }
    }
  }
}

const readers: Record<string, (world: World, take: (data: unknown) => void) => unknown> = {
  'a listener': ({ socket }, take) => { socket.on('message', take) },
  'listeners for one time': ({ socket }, take) => {
    const next = (): void => {
      socket.once('message', (data) => {
        take(data)
        next()
      })
    }
    next()
  },
  'a loop': async ({ transport }, take) => { for await (const { data } of transport.reader.messages()) take(data) },
  'loops for one time, as of next()': async ({ transport }, take) => {
    for (;;) {
      const messages = transport.reader.messages()
      const { value, done } = await messages.next() as IteratorResult<Message>
      await messages.return!()
      if (done === true) break
      take(value.data)
    }
  },
  'a stream': ({ socket }, take) => { createWebSocketStream(socket as unknown as WebSocket).on('data', take) }
}

/** What came, and when, in ms. */
type Came = Array<{ data: string, at: number }>

/** Those past the first `atOnce` came one by one, each `every` ms, and none before its time. */
function evenly (came: Came, atOnce: number, every: number): void {
  assert.deepEqual(came.map(({ data }) => Number(data)), came.map((_, i) => i))
  for (const [i, { at }] of came.entries()) {
    const due = Math.max(0, i + 1 - atOnce) * every
    assert.ok(at >= due && at <= due + SLOT + 1, `the ${i + 1}th came at ${at} ms, not at ${due}`)
  }
}

const rates: Record<string, { given: Partial<Rates>, size: number, limit: string }> = {
  messageRate: { given: { messageRate: 50 }, size: 4, limit: 'messageRate' },
  byteRate: { given: { byteRate: 5_000 }, size: 100, limit: 'byteRate' },
  'both, and messageRate is the stricter': { given: { messageRate: 50, byteRate: 6_000 }, size: 100, limit: 'messageRate' },
  'both, and byteRate is the stricter': { given: { messageRate: 60, byteRate: 5_000 }, size: 100, limit: 'byteRate' }
}

for (const [kind, read] of Object.entries(readers)) {
  for (const [name, { given, size, limit }] of Object.entries(rates)) {
    test(`200 at once at 50 a second (${name}): ${kind} gets 50 at once, and one each 20 ms`, async (t) => {
      const world = make(t, given)
      const came: Came = []
      read(world, (data) => { came.push({ data: String(data), at: world.clock.ms }) })
      await settle()
      world.come(200, size)
      await settle()
      assert.equal(came.length, 50)
      assert.equal(world.socket.isPaused, true)
      await world.pass(3_020)
      assert.equal(came.length, 200)
      evenly(came, 50, 20)
      assert.deepEqual([world.socket.isPaused, world.limited], [false, [limit]])
      // What comes now has no more than has been saved up since.
      world.come(10, size)
      await settle()
      assert.ok(came.length <= 202, `${came.length - 200} at once`)
      await world.pass(300)
      assert.equal(came.length, 210)
      assert.equal(world.wheel.running, false)
    })
  }

  test(`what had come in time before there was ${kind} is there at once`, async (t) => {
    const world = make(t, { messageRate: 50 })
    const came: Came = []
    world.come(150)
    await world.pass(1_000)
    read(world, (data) => { came.push({ data: String(data), at: world.clock.ms - 1_000 }) })
    await world.pass(SLOT)
    assert.ok(came.length === 100 || came.length === 101, `${came.length}`)
    await world.pass(1_010)
    evenly(came, 100, 20)
    assert.equal(came.length, 150)
  })
}

test('whoever keeps to the rate waits for nothing, however slow his reader is', async (t) => {
  const { transport, come, pass, limited, socket } = make(t, { messageRate: 50 })
  const messages = transport.reader.messages()
  for (let i = 0; i < 40; i++) {
    come(5)
    await pass(100)
  }
  let came = 0
  const all = (async () => { while ((await messages.next()).done !== true) came++ })()
  await settle()
  assert.deepEqual([limited, socket.isPaused, came], [[], false, 200])
  transport.closed(1000, Buffer.alloc(0))
  await all
})

test('the pings of a peer count, and put off what comes behind them', async (t) => {
  const { transport, come, pass, clock, socket } = make(t, { messageRate: 50 })
  const came: Came = []
  socket.on('message', (data) => { came.push({ data: String(data), at: clock.ms }) })
  for (let i = 0; i < 60; i++) transport.pinged(Buffer.alloc(0))
  come(2)
  for (let i = 0; i < 30; i++) transport.pinged(Buffer.alloc(0))
  await pass(240)
  assert.equal(came.length, 2)
  evenly(came, -10, 20)
  assert.equal(socket.isPaused, true)
  await pass(610)
  assert.equal(socket.isPaused, false)
})

test('while somebody waits for an answer what comes is kept, and is handed out no sooner', async (t) => {
  const { transport, come, pass, clock, socket } = make(t, { messageRate: 50 })
  const came: Came = []
  socket.on('message', (data) => { came.push({ data: String(data), at: clock.ms }) })
  transport.reader.readOn(true)
  come(100)
  assert.equal(socket.isPaused, false)
  await settle()
  come(50)
  await pass(2_020)
  evenly(came, 50, 20)
  assert.equal(came.length, 150)
})

test('when it closes, what waits is handed out no more; when all is over, nothing waits for a time', async (t) => {
  const { transport, come, pass, socket, wheel } = make(t, { messageRate: 50 })
  let came = 0
  socket.on('message', () => { came++ })
  come(100)
  await pass(100)
  assert.equal(came, 55)
  transport.close({ code: 1000, reason: '' }, false)
  assert.equal(socket.isPaused, false)
  await pass(200)
  assert.equal(came, 55)
  come(100)
  transport.closed(1000, Buffer.alloc(0))
  assert.equal(wheel.running, true)
  await pass(2 * SLOT)
  assert.deepEqual([came, wheel.running], [55, false])
})

test('when the peer is gone, a listener gets what waits, before it hears of the end', async (t) => {
  const { transport, come, pass, socket, wheel } = make(t, { messageRate: 50 })
  let came = 0
  socket.on('message', () => { came++ })
  come(100)
  transport.closed(1006, Buffer.alloc(0))
  assert.equal(came, 100)
  await pass(2 * SLOT)
  assert.equal(wheel.running, false)
})
