import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { test } from 'node:test'
import type WebSocket from 'ws'
import { OVERHEAD } from '../../../../src/transports/websocket/held.js'
import { HELD_MAX, HIGH_WATER } from '../../../../src/transports/websocket/inbox.js'
import { Reading } from '../../../../src/transports/websocket/reading.js'
import type { TransportOwner } from '../../../../src/transports/transport.js'
import type { Bare } from '../../../../src/transports/websocket/supervisor.js'

/** A socket as Reading sees it: listeners, and whether it is paused. */
class FakeSocket extends EventEmitter {
  isPaused = false
  binaryType = 'nodebuffer'
  ignored = 0
  blinded = 0
  reading!: Reading

  /** As the supervised class does. */
  override emit (event: string | symbol, ...args: unknown[]): boolean {
    if (event === 'newListener' && args[0] === 'message') this.reading.listening()
    return super.emit(event, ...args)
  }

  arrive (text: string, time?: number): void {
    if (!this.reading.message(Buffer.from(text), false, time)) this.emit('message', Buffer.from(text), false)
  }

  appPauses (on: boolean): void {
    this.isPaused = on
    this.reading.pausedByApp(on)
  }
}

function make (): { socket: FakeSocket, reading: Reading, drops: Array<[number, number]> } {
  const socket = new FakeSocket()
  const drops: Array<[number, number]> = []
  const bare = {
    pause: () => { socket.isPaused = true },
    resume: () => { socket.isPaused = false },
    emit: (_socket: unknown, event: string, ...args: unknown[]) => { socket.emit(event, ...args) }
  } as unknown as Bare
  const owner = {
    took () {},
    dropped: (messages: number, bytes: number) => { drops.push([messages, bytes]) },
    ignored: () => { socket.ignored++ },
    // Who waits is to look again: an answer will not be seen.
    flushed: () => { socket.blinded++ }
  } as Partial<TransportOwner> as TransportOwner
  const reading = new Reading({ socket: socket as unknown as WebSocket, bare, look () {}, owner })
  socket.reading = reading
  return { socket, reading, drops }
}

function listen (socket: FakeSocket): string[] {
  const got: string[] = []
  socket.on('message', (data) => { got.push(String(data)) })
  return got
}

const turn = (): Promise<void> => new Promise((resolve) => { setImmediate(resolve) })
const LARGE = 'x'.repeat(70_000)
/** Of a message that has to wait for a rate: a time, in ms. */
const LATER = 1_000

test('a listener that is there gets a message at once', () => {
  const { socket } = make()
  const got = listen(socket)
  socket.arrive('1')
  assert.deepEqual(got, ['1'])
})

test('what comes before the first listener is held for it, and comes first', async () => {
  const { socket } = make()
  socket.arrive('1')
  socket.arrive('2')
  const got = listen(socket)
  socket.arrive('3')
  assert.deepEqual(got, [])
  await turn()
  socket.arrive('4')
  assert.deepEqual(got, ['1', '2', '3', '4'])
  assert.equal(socket.listenerCount('newListener'), 0)
})

test('a listener for one time takes one of those held; the rest waits for the next', async () => {
  const { socket } = make()
  for (const text of ['1', '2', '3']) socket.arrive(text)
  const got: string[] = []
  const take = async (): Promise<void> => {
    socket.once('message', (data) => { got.push(String(data)) })
    await turn()
  }
  await take()
  assert.deepEqual(got, ['1'])
  socket.arrive('4')
  for (let i = 0; i < 3; i++) await take()
  assert.deepEqual(got, ['1', '2', '3', '4'])
})

test('when a listener has been there and the handler has settled, no listener means none is wanted, as with ws', async () => {
  const { socket, reading } = make()
  const got = listen(socket)
  reading.settled()
  socket.arrive('1')
  socket.removeAllListeners('message')
  socket.arrive('2')
  const later = listen(socket)
  await turn()
  assert.deepEqual([got, later], [['1'], []])
})

test('while the handler is at work, what comes after a listener has left is held for the next reader', async () => {
  const { socket, reading } = make()
  socket.once('message', () => {})
  for (const text of ['hello', '1', '2']) socket.arrive(text)
  const messages = reading.messages()
  assert.deepEqual([(await messages.next()).value?.data, (await messages.next()).value?.data], ['1', '2'])
})

test('what a listener has heard beside a reader does not come to it again when the reader leaves', async () => {
  const { socket, reading, drops } = make()
  const got = listen(socket)
  const messages = reading.messages()
  for (const text of ['1', '2', '3']) socket.arrive(text)
  assert.equal((await messages.next()).value?.data, '1')
  await messages.return!()
  await turn()
  socket.arrive('4')
  assert.deepEqual(got, ['1', '2', '3', '4'])
  reading.closing()
  assert.deepEqual(drops, [])
})

test('a listener that pauses and resumes within does not change the order for the others', async () => {
  const { socket } = make()
  for (let i = 0; i < 2000; i++) socket.arrive(String(i))
  socket.on('message', () => {
    socket.appPauses(true)
    socket.appPauses(false)
  })
  const got = listen(socket)
  await turn()
  assert.deepEqual(got, Array.from({ length: 2000 }, (_, i) => String(i)))
})

test('when the app closes the socket itself, its listeners get what still comes, paused or not', async () => {
  const { socket, reading } = make()
  const got = listen(socket)
  socket.appPauses(true)
  socket.arrive('1')
  reading.closingByApp()
  assert.equal(socket.isPaused, true)
  socket.appPauses(false)
  socket.arrive('2')
  assert.deepEqual(got, ['1', '2'])
})

test('nothing comes any more: what waits because the app has paused goes to the listeners first', () => {
  const { socket, reading } = make()
  const got = listen(socket)
  socket.appPauses(true)
  socket.arrive('1')
  reading.end()
  assert.deepEqual(got, ['1'])
})

test('a message that was held comes in the binaryType that is set when it is given', async () => {
  for (const [type, expected] of [['nodebuffer', Buffer.from('ab')], ['arraybuffer', new Uint8Array(Buffer.from('ab')).buffer], ['fragments', [Buffer.from('ab')]]] as const) {
    const { socket, reading } = make()
    reading.message(Buffer.from('ab'), true)
    socket.binaryType = type
    const got: unknown[] = []
    socket.on('message', (data, binary) => { got.push(data, binary) })
    await turn()
    assert.deepEqual(got, [expected, true])
  }
})

test('while the app has paused, nothing is given; afterwards all is, in order', () => {
  const { socket, reading } = make()
  const got = listen(socket)
  socket.appPauses(true)
  assert.equal(reading.paused, true)
  socket.arrive('1')
  socket.arrive('2')
  assert.deepEqual(got, [])
  socket.appPauses(false)
  assert.deepEqual(got, ['1', '2'])
})

test('a listener that pauses stops what is being given to it', async () => {
  const { socket } = make()
  for (const text of ['1', '2', '3']) socket.arrive(text)
  const got = listen(socket)
  socket.on('message', () => { socket.appPauses(true) })
  await turn()
  assert.deepEqual(got, ['1'])
  socket.appPauses(false)
  assert.deepEqual(got, ['1', '2'])
})

test('reading rests when too much is held, and a listener sets it free', async () => {
  const { socket, reading } = make()
  socket.arrive(LARGE)
  assert.equal(socket.isPaused, true)
  assert.equal(reading.paused, true)
  listen(socket)
  await turn()
  assert.equal(socket.isPaused, false)
})

test('a route that has settled and reads nothing is push-only: what it holds is dropped, and it reads on', () => {
  const { socket, reading, drops } = make()
  socket.arrive('before')
  reading.settled()
  socket.arrive(LARGE)
  assert.deepEqual(drops, [[2, 70_006]])
  assert.equal(socket.isPaused, false)
})

test('what was settled before the first message counts too', () => {
  const { socket, reading, drops } = make()
  reading.settled()
  socket.arrive(LARGE)
  assert.equal(drops.length, 1)
})

test('a reader and a listener both get what comes', async () => {
  const { socket, reading } = make()
  const got = listen(socket)
  const messages = reading.messages()
  const next = messages.next()
  socket.arrive('1')
  assert.equal((await next).value.data, '1')
  assert.deepEqual(got, ['1'])
})

test('a reader ends with the transport, also one that begins after it', async () => {
  const { socket, reading } = make()
  socket.arrive('held')
  reading.end()
  const got: unknown[] = []
  for await (const { data } of reading.messages()) got.push(data)
  assert.deepEqual(got, ['held'])
})

test('a peek reads on although paused, until a message comes', () => {
  const { socket, reading } = make()
  listen(socket)
  socket.appPauses(true)
  reading.peek(true)
  assert.deepEqual([socket.isPaused, reading.paused, reading.peeking], [false, true, true])
  socket.arrive('1')
  assert.deepEqual([socket.isPaused, reading.peeking], [true, false])
  reading.peek(true)
  reading.peek(false)
  assert.equal(socket.isPaused, true)
})

test('a peek ends with a ping or a pong as well: it has heard what it was for', () => {
  const { socket, reading } = make()
  reading.throttle(true)
  for (let i = 0; i < 3; i++) {
    assert.equal(reading.peek(true), true)
    assert.equal(socket.isPaused, false)
    reading.signal(5)
    assert.deepEqual([socket.isPaused, reading.peeking], [true, false])
  }
})

/** What a ping counts as that came past a rate, in bytes. */
const SIGNAL = 168 + 125

test('past a rate pings and pongs count as if they were held: no look lets in more than 1 MiB of them, until they are paid for', () => {
  const { reading } = make()
  reading.throttle(true)
  let signals = 0
  for (; signals < 10_000 && reading.peek(true); signals++) reading.signal(125)
  assert.equal(signals, Math.ceil(1024 * 1024 / SIGNAL))
  assert.equal(reading.peek(true), false)
  reading.throttle(false)
  reading.throttle(true)
  assert.equal(reading.peek(true), true)
})

test('nor is more than 8 MiB of them read on for whoever waits for an answer: there it is blind, and says so', async () => {
  const { socket, reading } = make()
  reading.throttle(true)
  reading.readOn(true)
  let signals = 0
  for (; !reading.paused && signals < 100_000; signals++) {
    if (signals % 4_000 === 0) await turn()
    reading.signal(125)
  }
  assert.equal(signals, Math.ceil(8 * 1024 * 1024 / SIGNAL))
  assert.deepEqual([socket.isPaused, reading.blind, socket.blinded], [true, true, 1])
  reading.readOn(false)
  reading.throttle(false)
  reading.throttle(true)
  reading.readOn(true)
  assert.deepEqual([socket.isPaused, reading.blind], [false, false])
})

test('without a rate they count nothing', () => {
  const { socket, reading } = make()
  socket.appPauses(true)
  for (let i = 0; i < 100_000; i++) reading.signal(125)
  assert.equal(reading.peek(true), true)
})

test('after 5,000 pings and pongs in one turn it rests until the next', async () => {
  for (const closing of [false, true]) {
    const { socket, reading } = make()
    if (closing) reading.closing()
    for (let turns = 0; turns < 3; turns++) {
      for (let i = 1; i < 5_000; i++) reading.signal(0)
      assert.equal(socket.isPaused, false)
      for (let i = 0; i < 10; i++) reading.signal(0)
      assert.equal(socket.isPaused, true)
      assert.equal(reading.paused, false)
      await turn()
      assert.equal(socket.isPaused, false)
    }
    for (let i = 0; i < 5_000; i++) reading.signal(0)
    socket.appPauses(true)
    await turn()
    assert.equal(socket.isPaused, !closing, 'it stays as the app has it')
  }
})

test('whoever has come to an end while it rested is read on: it may be the app alone that has said so', async () => {
  const { socket, reading } = make()
  for (let i = 0; i < 5_000; i++) reading.signal(0)
  reading.end()
  assert.equal(socket.isPaused, true)
  await turn()
  assert.equal(socket.isPaused, false)
})

test('a reader that is stuck is peeked past only until 1 MiB waits for it', () => {
  const { socket, reading } = make()
  reading.messages()
  let peeks = 0
  for (; peeks < 100 && (!reading.paused || reading.peek(true)); peeks++) socket.arrive(LARGE)
  assert.deepEqual([reading.peeking, socket.isPaused], [false, true])
  assert.equal(peeks, Math.ceil(1024 * 1024 / LARGE.length))
})

test('a peek at a socket that is not paused changes nothing', () => {
  const { socket, reading } = make()
  reading.peek(true)
  reading.peek(false)
  assert.equal(socket.isPaused, false)
})

test('closing resumes a paused socket and discards what it reads; what was held counts as dropped', async () => {
  const { socket, reading, drops } = make()
  const got = listen(socket)
  socket.appPauses(true)
  socket.arrive('held')
  reading.closing()
  assert.deepEqual(drops, [[1, 4]])
  assert.equal(socket.isPaused, false)
  for (let i = 0; i < 10; i++) socket.arrive(LARGE)
  assert.equal(socket.isPaused, false)
  await turn()
  assert.deepEqual(got, [])
})

test('whatever nobody gets is counted, though it is told only once', () => {
  const { socket, reading, drops } = make()
  reading.settled()
  for (let i = 0; i < 5; i++) socket.arrive(LARGE)
  assert.deepEqual([drops, socket.ignored], [[[1, LARGE.length]], 4])
  reading.closing()
  socket.arrive('late')
  assert.equal(socket.ignored, 5)
})

test('closing ends the reader', async () => {
  const { reading } = make()
  const next = reading.messages().next()
  reading.closing()
  assert.equal((await next).done, true)
})

const MIB = 1024 * 1024
const HUGE = 'x'.repeat(MIB)

test('while somebody waits for an answer it reads on, whoever has paused it, and what comes is held in order', async () => {
  const pauses: Record<string, (world: ReturnType<typeof make>, on: boolean) => void> = {
    'by the app': ({ socket }, on) => { socket.appPauses(on) },
    'by a rate': ({ reading }, on) => {
      reading.throttle(on)
      if (!on) reading.release(LATER)
    }
  }
  for (const [name, pause] of Object.entries(pauses)) {
    const world = make()
    const { socket, reading } = world
    const time = name === 'by a rate' ? LATER : 0
    const got = listen(socket)
    pause(world, true)
    assert.deepEqual([socket.isPaused, reading.paused], [true, true], name)
    reading.readOn(true)
    assert.deepEqual([socket.isPaused, reading.paused], [false, false], name)
    socket.arrive('1', time)
    socket.arrive('2', time)
    assert.deepEqual([socket.isPaused, got], [false, []], name)
    reading.readOn(false)
    assert.deepEqual([socket.isPaused, reading.paused], [true, true], name)
    pause(world, false)
    assert.deepEqual([socket.isPaused, got], [false, ['1', '2']], name)
  }
})

test('so it does for a reader that has fallen behind, up to 8 MiB; there it is blind, and says so', async () => {
  const { socket, reading } = make()
  const messages = reading.messages()
  for (let i = 0; i < 4; i++) socket.arrive(LARGE)
  assert.equal(socket.isPaused, true)
  reading.readOn(true)
  let more = 0
  for (; !socket.isPaused && more < 20; more++) socket.arrive(HUGE)
  assert.equal(more, 8)
  assert.deepEqual([reading.paused, reading.blind, socket.blinded], [true, true, 1])
  // What the reader takes makes room.
  for (let i = 0; i < 4; i++) await messages.next()
  await messages.next()
  assert.deepEqual([socket.isPaused, reading.blind], [false, false])
  socket.arrive(HUGE)
  assert.deepEqual([socket.isPaused, socket.blinded], [true, 2])
  reading.readOn(false)
  await messages.next()
  assert.deepEqual([socket.isPaused, reading.paused, reading.blind], [true, true, false])
})

test('a message of more than 8 MiB makes it blind as well', () => {
  const { socket, reading } = make()
  reading.messages()
  let blind = false
  const { blinded } = socket
  reading.readOn(true)
  reading.message(Buffer.alloc(9 * MIB), true)
  blind = reading.blind
  assert.deepEqual([blind, socket.isPaused, socket.blinded - blinded], [true, true, 1])
})

test('what was read on for others while paused is let go when reading goes on and nobody reads', () => {
  const { socket, reading, drops } = make()
  reading.settled()
  socket.appPauses(true)
  reading.readOn(true)
  socket.arrive(LARGE)
  reading.readOn(false)
  assert.deepEqual([socket.isPaused, drops], [true, []])
  socket.appPauses(false)
  assert.deepEqual([socket.isPaused, reading.paused, drops], [false, false, [[1, LARGE.length]]])
})

test('closing, or the end, puts an end to it', () => {
  for (const end of ['closing', 'end'] as const) {
    const { socket, reading } = make()
    listen(socket)
    socket.appPauses(true)
    reading.readOn(true)
    for (let i = 0; i < 9; i++) socket.arrive(HUGE)
    reading[end]()
    assert.equal(reading.blind, false)
    const { isPaused } = socket
    reading.readOn(false)
    reading.readOn(true)
    assert.equal(socket.isPaused, isPaused)
  }
})

test('listeners get what has been held for them a part in each turn of the loop, in order', async () => {
  const { socket, reading } = make()
  const got = listen(socket)
  socket.appPauses(true)
  reading.readOn(true)
  const numbered = Array.from({ length: 50 }, (_, i) => String(i).padEnd(100_000))
  for (const text of numbered) socket.arrive(text)
  socket.appPauses(false)
  assert.ok(got.length > 0 && got.length <= 4, `${got.length} in one turn`)
  socket.arrive('last')
  for (let i = 0; i < 50 && got.length < 51; i++) await turn()
  assert.deepEqual(got, [...numbered, 'last'])
})

test('but all of it before they hear of the end', () => {
  const { socket, reading } = make()
  const got = listen(socket)
  socket.appPauses(true)
  reading.readOn(true)
  for (let i = 0; i < 5; i++) socket.arrive(HUGE)
  reading.end()
  assert.equal(got.length, 5)
})

test('what is read on for an answer of the peer comes to the reader when reading goes on, not before', async () => {
  for (const when of ['before', 'after']) {
    const { socket, reading } = make()
    const early = when === 'before' ? reading.messages() : null
    socket.appPauses(true)
    reading.readOn(true)
    const got: unknown[] = []
    const messages = early ?? reading.messages()
    const all = (async () => { for await (const { data } of messages) got.push(data) })()
    socket.arrive('1')
    socket.arrive('2')
    await turn()
    assert.deepEqual(got, [], when)
    socket.appPauses(false)
    await turn()
    assert.deepEqual(got, ['1', '2'], when)
    socket.appPauses(true)
    socket.arrive('3')
    await turn()
    assert.deepEqual(got, ['1', '2'], when)
    reading.end()
    await all
    assert.deepEqual(got, ['1', '2', '3'], when)
  }
})

// How much is held, and for whom.

const arrive = (reading: Reading, size: number): void => { reading.message(Buffer.alloc(size), true) }

test('while a reader may still come, reading rests past 64 KiB, and nothing is dropped', async () => {
  const { socket, reading, drops } = make()
  arrive(reading, HELD_MAX - OVERHEAD.bytes)
  assert.equal(socket.isPaused, false)
  arrive(reading, 0)
  assert.deepEqual([socket.isPaused, drops], [true, []])
  await reading.messages().next()
  assert.equal(socket.isPaused, false)
})

test('past 64 KiB, with the handler settled and no reader, what is held is dropped, once, and reading goes on', () => {
  const { socket, reading, drops } = make()
  arrive(reading, 40_000)
  reading.settled()
  assert.deepEqual(drops, [])
  arrive(reading, 40_000)
  assert.deepEqual(drops, [[2, 80_000]])
  assert.equal(socket.isPaused, false)
  for (let i = 0; i < 10; i++) arrive(reading, 40_000)
  assert.deepEqual([reading.held, drops.length, socket.ignored], [0, 1, 10])
})

test('a handler that settles without a reader, past 64 KiB, sets the socket free', () => {
  const { socket, reading, drops } = make()
  arrive(reading, 80_000)
  assert.equal(socket.isPaused, true)
  reading.settled()
  assert.deepEqual([socket.isPaused, drops], [false, [[1, 80_000]]])
})

test('what a listener waits for is not dropped', () => {
  const { socket, reading, drops } = make()
  arrive(reading, 1)
  listen(socket)
  reading.settled()
  arrive(reading, 80_000)
  assert.deepEqual([drops, socket.isPaused], [[], true])
})

test('a flood of empty messages counts as well', () => {
  const { reading, drops } = make()
  reading.settled()
  for (let i = 0; i < HELD_MAX; i++) arrive(reading, 0)
  assert.equal(drops.length, 1)
})

test('a reader that comes after the drop reads what comes from then on', async () => {
  const { socket, reading } = make()
  reading.settled()
  arrive(reading, 80_000)
  socket.arrive('lost')
  const messages = reading.messages()
  socket.arrive('found')
  assert.equal((await messages.next()).value.data, 'found')
})

test('reading rests when a reader is more than 256 KiB behind, and goes on below half of it', async () => {
  const { socket, reading } = make()
  const messages = reading.messages()
  const size = 32 * 1024 - OVERHEAD.bytes
  for (let i = 0; i < 8; i++) arrive(reading, size)
  assert.equal(socket.isPaused, false)
  arrive(reading, size)
  assert.equal(socket.isPaused, true)
  let taken = 0
  for (; socket.isPaused; taken++) await messages.next()
  assert.ok((9 - taken) * 32 * 1024 < HIGH_WATER / 2)
  assert.equal(taken, 6)
})

test('a reader that leaves a full inbox behind does not leave the peer waiting for ever', async () => {
  const { socket, reading, drops } = make()
  reading.settled()
  const messages = reading.messages()
  for (let i = 0; i < 10; i++) arrive(reading, 30_000)
  assert.equal(socket.isPaused, true)
  await messages.return!()
  await turn()
  assert.deepEqual([socket.isPaused, drops], [false, [[10, 300_000]]])
})

test('a reader that follows another in the same turn gets what that has left, however much, though the handler has settled', { timeout: 5_000 }, async () => {
  const { reading, drops } = make()
  reading.settled()
  const first = reading.messages()
  for (let i = 0; i < 5; i++) arrive(reading, 30_000)
  await first.next()
  const second = first.return!().then(async () => { await null; return reading.messages() })
  await turn()
  assert.deepEqual([drops, reading.held > 100_000], [[], true])
  const messages = await second
  for (let i = 0; i < 4; i++) assert.equal((await messages.next()).done, false)
  assert.deepEqual(drops, [])
})

test('when the app closes the socket while the rate has stopped it, the answer of the peer is read; its listeners get what waits, and of what comes only what fits', () => {
  const { socket, reading } = make()
  const got = listen(socket)
  reading.throttle(true)
  socket.arrive('1', LATER)
  assert.deepEqual([socket.isPaused, got], [true, []])
  reading.closingByApp()
  socket.arrive('2', LATER + 1)
  socket.arrive('3')
  assert.deepEqual([socket.isPaused, got], [false, ['1', '3']])
})

test('what had come before the app paused it the reader gets, and nothing of what comes', async () => {
  const { socket, reading } = make()
  for (const text of ['0', '1', '2']) socket.arrive(text)
  const got: unknown[] = []
  const read = async (): Promise<void> => { for await (const { data } of reading.messages()) got.push(data) }
  const all = read()
  socket.appPauses(true)
  socket.arrive('3')
  reading.throttle(true)
  socket.appPauses(true)
  socket.arrive('4')
  await turn()
  assert.deepEqual(got, ['0', '1', '2'])
  reading.throttle(false)
  await turn()
  assert.deepEqual(got, ['0', '1', '2'])
  socket.appPauses(false)
  await turn()
  assert.deepEqual(got, ['0', '1', '2', '3', '4'])
  reading.end()
  await all
})

// What has to wait for a rate.

/** How an app may read: each keeps in `got` what it gets, from when it is called. */
const readers: Record<string, (world: ReturnType<typeof make>, got: string[]) => void> = {
  listener: ({ socket }, got) => { socket.on('message', (data) => { got.push(String(data)) }) },
  'listeners for one time': ({ socket }, got) => {
    const next = (): void => {
      socket.once('message', (data) => {
        got.push(String(data))
        next()
      })
    }
    next()
  },
  loop: async ({ reading }, got) => { for await (const { data } of reading.messages()) got.push(String(data)) },
  'loops for one time': async ({ reading }, got) => {
    for (;;) {
      const messages = reading.messages()
      const { value, done } = await messages.next()
      await messages.return!()
      if (done === true) break
      got.push(String(value.data))
    }
  }
}

for (const [kind, read] of Object.entries(readers)) {
  for (const when of ['before', 'after']) {
    test(`${kind}, there ${when} they come: what may go at once does, the rest when its time has come, in order, though nothing is read meanwhile`, async () => {
      const world = make()
      const { socket, reading } = world
      const got: string[] = []
      if (when === 'before') read(world, got)
      await turn()
      socket.arrive('0')
      socket.arrive('1')
      reading.throttle(true)
      for (const [i, time] of [1_000, 1_020, 1_020, 1_040].entries()) socket.arrive(String(i + 2), time)
      if (when === 'after') read(world, got)
      const steps: string[] = []
      const step = async (now: number): Promise<void> => {
        const next = reading.release(now)
        for (let i = 0; i < 5; i++) await turn()
        steps.push(`${got.join('')}, next ${next}`)
      }
      for (const now of [990, 1_000, 1_019.9, 1_030]) await step(now)
      assert.equal(socket.isPaused, true)
      await step(1_040)
      assert.deepEqual(steps, ['01, next 1000', '012, next 1020', '012, next 1020', '01234, next 1040', '012345, next Infinity'])
      reading.throttle(false)
      socket.arrive('6')
      await turn()
      await turn()
      assert.equal(got.join(''), '0123456')
      assert.equal(reading.consumed, 7)
    })
  }

  test(`${kind}: at the end all that waits is handed out, whether its time has come or not`, async () => {
    const world = make()
    const { socket, reading } = world
    const got: string[] = []
    read(world, got)
    await turn()
    reading.throttle(true)
    for (let i = 0; i < 5; i++) socket.arrive(String(i), LATER + i)
    reading.release(LATER + 1)
    reading.end()
    for (let i = 0; i < 10; i++) await turn()
    assert.equal(got.join(''), '01234')
    assert.equal(reading.release(2 * LATER), Infinity)
  })
}

test('what may go at once, but comes behind what has to wait, waits as well', async () => {
  const { socket, reading } = make()
  const got = listen(socket)
  socket.arrive('1', LATER)
  socket.arrive('2')
  await turn()
  assert.deepEqual(got, [])
  assert.equal(reading.release(LATER), Infinity)
  assert.deepEqual(got, ['1', '2'])
})

test('whose time has come while the app had paused is handed out when it goes on; to a listener that pauses within, no sooner', async () => {
  const { socket, reading } = make()
  const got = listen(socket)
  socket.on('message', () => { socket.appPauses(true) })
  socket.appPauses(true)
  for (let i = 0; i < 3; i++) socket.arrive(String(i), LATER)
  assert.equal(reading.release(LATER), Infinity)
  assert.deepEqual(got, [])
  socket.appPauses(false)
  assert.deepEqual(got, ['0'])
  socket.appPauses(false)
  assert.deepEqual(got, ['0', '1'])
})

test('what is dropped while it waits for a rate makes room for nothing that comes', async () => {
  const { socket, reading, drops } = make()
  socket.arrive('lost', LATER)
  reading.throttle(true)
  reading.settled()
  socket.arrive(LARGE, LATER)
  assert.equal(drops.length, 1)
  const got: unknown[] = []
  reading.messages().next().then(({ value }) => { got.push(value.data) }, () => {})
  socket.arrive('found', LATER)
  await turn()
  assert.deepEqual(got, [])
  assert.equal(reading.release(LATER), Infinity)
  await turn()
  assert.deepEqual(got, ['found'])
})

test('closing lets go of what waits for a rate as well, and counts it', () => {
  const { socket, reading, drops } = make()
  const got = listen(socket)
  reading.throttle(true)
  for (let i = 0; i < 3; i++) socket.arrive('x', LATER)
  reading.closing()
  assert.deepEqual([drops, got, reading.release(LATER), socket.isPaused], [[[3, 3]], [], Infinity, false])
})

test('a listener that closes while it is given what has had its time gets no more of it', () => {
  const { socket, reading, drops } = make()
  const got = listen(socket)
  socket.on('message', () => { reading.closing() })
  for (let i = 0; i < 3; i++) socket.arrive(String(i), LATER + i)
  assert.equal(reading.release(LATER + 1), Infinity)
  assert.deepEqual([got, drops], [['0'], [[2, 2]]])
})

test('a look is over with whatever comes, for whomever it is', () => {
  const { socket, reading } = make()
  listen(socket)
  reading.peek(true)
  socket.arrive('1')
  assert.equal(reading.peeking, false)
  socket.appPauses(true)
  assert.equal(socket.isPaused, true)
})

// The end.

test('a socket that closes is read, whatever the app does with it', () => {
  for (const end of ['closing', 'end', 'shut'] as const) {
    const { socket, reading } = make()
    reading.throttle(true)
    reading[end]()
    assert.equal(socket.isPaused, false, end)
    socket.appPauses(true)
    assert.deepEqual([socket.isPaused, reading.paused, reading.throttled], [false, false, false], end)
  }
})

test('what listeners take at once counts as taken, as what a reader takes; what is ignored or let go does not', async () => {
  const { socket, reading } = make()
  socket.arrive('1')
  const messages = reading.messages()
  await messages.next()
  assert.equal(reading.consumed, 1)
  await messages.return!()
  const got = listen(socket)
  socket.arrive('2')
  await new Promise(setImmediate)
  assert.deepEqual([got, reading.consumed], [['2'], 2])
  reading.closing()
  reading.mute()
  socket.arrive('3')
  assert.equal(reading.consumed, 2)
})

test('when it closes for what came, listeners get nothing more; a gate that is shut does not count it either', () => {
  const { socket, reading } = make()
  const got = listen(socket)
  reading.closing()
  socket.arrive('1')
  reading.mute()
  socket.arrive('2')
  assert.deepEqual([got, socket.ignored], [['1'], 1])
  reading.shut()
  reading.closing()
  reading.end()
  socket.arrive('3')
  assert.deepEqual([got, socket.ignored], [['1'], 1])
})

test('when it closes for what came after the app has closed it, its listeners get nothing more either', () => {
  const { socket, reading } = make()
  const got = listen(socket)
  reading.closingByApp()
  socket.arrive('1')
  reading.mute()
  socket.arrive('2')
  assert.deepEqual([got, socket.ignored], [['1'], 1])
})

test('a gate that is shut ends the reader and lets go of what is held, uncounted', async () => {
  const { socket, reading, drops } = make()
  const messages = reading.messages()
  socket.arrive('1')
  socket.arrive('2')
  await messages.next()
  reading.shut()
  assert.deepEqual([await messages.next(), await reading.messages().next()], Array(2).fill({ done: true, value: undefined }))
  assert.deepEqual([reading.consumed, reading.held, drops, socket.ignored], [1, 0, [], 0])
})

test('what was held when all had come stays for whoever reads, and is not dropped', async () => {
  const { socket, reading, drops } = make()
  reading.settled()
  socket.appPauses(true)
  reading.readOn(true)
  socket.arrive(LARGE)
  reading.end()
  socket.appPauses(true)
  socket.appPauses(false)
  assert.deepEqual(drops, [])
  const got = listen(socket)
  await turn()
  assert.deepEqual(got, [LARGE])
})
