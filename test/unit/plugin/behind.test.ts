import assert from 'node:assert/strict'
import { ServerResponse } from 'node:http'
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { test } from 'node:test'
import { busy, END, FakeSocket, setUp, SLOT } from './watched.js'

test('an upgrade behind a response that is under way is refused at once, and answered and ended when that is whole', (t) => {
  const { clock, wheel, upgrades, tally, come } = setUp(t)
  const { socket, end } = busy()
  const { request } = come(socket)
  assert.deepEqual(tally.upgrades, { refused: 1, timedOut: 0 })
  assert.deepEqual([upgrades.size, upgrades.has(request), socket.read], [0, false, true])
  clock.pass(END - 2 * SLOT)
  assert.deepEqual([socket.written, socket.destroyed], ['', false])
  end()
  clock.pass(SLOT)
  assert.match(socket.written, /^HTTP\/1\.1 503 .*\r\n(.+\r\n)+\r\n$/)
  assert.equal(socket.destroyed, true)
  assert.deepEqual(tally.upgrades, { refused: 1, timedOut: 0 })
  clock.pass(SLOT)
  assert.equal(wheel.running, false)
})

test('a response that takes longer than the end is cut off, and nothing is written into it', (t) => {
  const { clock, wheel, upgrades, come } = setUp(t)
  const [late, stopped, gone] = [busy().socket, busy().socket, busy().socket]
  for (const socket of [late, gone]) come(socket)
  gone.emit('error', new Error('read ECONNRESET'))
  assert.equal(gone.destroyed, true, 'guarded as any other')
  clock.pass(END - SLOT)
  assert.equal(late.destroyed, false)
  clock.pass(2 * SLOT)
  assert.deepEqual([late.destroyed, late.written, gone.written], [true, '', ''])
  assert.equal(wheel.running, false)
  come(stopped)
  upgrades.stop()
  assert.deepEqual([stopped.destroyed, stopped.written], [true, ''])
})

test('a stream that stands for a socket, as newer ones hand out for a request with a body, is as busy as that', (t) => {
  const { server, upgrades, tally } = setUp(t)
  const stream = new FakeSocket()
  const request = { headers: { upgrade: 'websocket' }, socket: busy().socket as unknown as Socket } as IncomingMessage
  server.emit('upgrade', request, stream, Buffer.alloc(0))
  assert.deepEqual([upgrades.has(request), stream.destroyed, tally.upgrades.refused], [false, false, 1])
})

test('a socket that has been looked at is no response\'s: who comes next may have it', (t) => {
  const { upgrades, come } = setUp(t)
  const { socket, end } = busy()
  end()
  const { request } = come(socket)
  assert.equal(upgrades.has(request), true)
  assert.deepEqual(socket.eventNames(), ['error'], 'the guard alone')
  new ServerResponse(request).assignSocket(socket as unknown as Socket)
})

test('a router of ours hears once of what a copy of the same has routed before it, and of all that another one has; of the rest when it is asked to', (t) => {
  const [kSame, kOther] = [Symbol('same'), Symbol('other')]
  for (const [mark, times] of [[kSame, 1], [kOther, 3]] as const) {
    const { server, upgrades, come } = setUp(t)
    const heard: unknown[] = []
    let routes = true
    // As @fastify/websocket does.
    server.on('upgrade', (request, socket) => {
      if (!routes) return
      request[kSame] = socket
      new ServerResponse(request).assignSocket(socket)
    })
    const ours = function (this: unknown, ...args: unknown[]): void {
      Object.assign(args[0] as object, { [mark]: args[1] })
      heard.push([this === server, args.length])
    }
    server.on('upgrade', ours)
    upgrades.shield([ours])
    const [{ request }] = [come(), come(), come()]
    assert.deepEqual(heard, Array(times).fill([true, 3]))
    heard.length = 0
    assert.equal(upgrades.hear(request), true)
    upgrades.adopt(request)
    assert.equal(upgrades.hear(request), false, 'it is no upgrade any more')
    assert.deepEqual(heard, [[true, 3]])
    routes = false
    come()
    assert.equal(heard.length, 2)
  }
})

test('what is refused behind a response reaches no listener that was shielded; everything else reaches all, in order', (t) => {
  const { server, upgrades, come } = setUp(t)
  const heard: unknown[] = []
  const hear = (name: string) => function (this: unknown, ...args: unknown[]): string {
    heard.push([name, this === server, args.length])
    return name
  }
  const [first, second, third] = [hear('first'), hear('second'), hear('third')]
  server.on('upgrade', first)
  server.once('upgrade', second)
  server.on('upgrade', third)
  upgrades.shield([])
  assert.deepEqual(server.listeners('upgrade').slice(1), [first, second, third], 'they are seen as they were')
  come()
  assert.deepEqual(heard, [['first', true, 3], ['second', true, 3], ['third', true, 3]])
  heard.length = 0
  come(busy().socket)
  assert.deepEqual(heard, [])
  server.removeListener('upgrade', first)
  come()
  assert.deepEqual(heard, [['third', true, 3]], 'removed by reference')
  server.removeListener('upgrade', third)
  upgrades.stop()
  assert.equal(server.listenerCount('upgrade'), 0)
})
