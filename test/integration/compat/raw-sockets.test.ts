/**
 * Sockets that are nobody's yet, or nobody's any more: their errors end no process, and who takes one gets it bare.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { EventEmitter } from 'node:events'
import { connect as connectSocket } from 'node:net'
import { test } from 'node:test'
import type { FastifyRequest } from 'fastify'
import { until } from '../../support/app.js'
import { begin, onEveryWay, ways } from './setups.js'

const UPGRADE = 'GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n'
const TIMES = 60

for (const way of ways.filter(({ ours }) => ours)) {
  test(`${way.name}: clients that ask for an upgrade during fastify.close(), and reset, end nothing`, async (t) => {
    // A peer that answers no close frame keeps the server closing for as long as the test wants it.
    const { app, port, say } = await begin(t, way, { options: { closeTimeout: 8_000 }, routes: (app) => { app.get('/', { websocket: true }, () => {}) } })
    const stubborn = say(UPGRADE)
    await once(stubborn, 'data')
    let came = 0
    let gone = 0
    app.server.prependListener('upgrade', (_request, socket) => {
      came++
      socket.once('close', () => { gone++ })
    })
    const told = once(stubborn, 'data')
    const closing = app.close()
    await told
    for (let i = 0; i < TIMES; i++) {
      const socket = connectSocket({ port, host: '127.0.0.1' })
      socket.on('error', () => {})
      socket.once('connect', () => {
        socket.write(UPGRADE)
        if (i % 2 === 0) socket.resetAndDestroy()
        else setImmediate(() => { socket.resetAndDestroy() })
      })
      await new Promise((resolve) => { socket.once('close', resolve) })
    }
    await until('some have come, and all of them are gone', () => came > TIMES / 2 && gone === came)
    stubborn.destroy()
    await closing
  })
}

onEveryWay('an adopted socket has the one listener that ws gives it', async (t, way) => {
  let socket!: EventEmitter
  const { app, dial } = await begin(t, way, {
    routes: (app) => {
      app.get('/', { websocket: true }, (_socket: unknown, request: FastifyRequest) => { socket = request.raw.socket })
    }
  })
  await dial()
  assert.equal(socket.listenerCount('error'), 1)
  // An injected one is no net.Socket, and ends as well.
  const injected = await app.injectWS('/')
  injected.terminate()
})

onEveryWay('an error of the socket that comes after the upgrade is the connection\'s matter', async (t, way) => {
  let socket!: EventEmitter & { destroy: (error: Error) => void }
  const { dial } = await begin(t, way, {
    routes: (app) => {
      app.get('/', { websocket: true }, (_socket: unknown, request: FastifyRequest) => { socket = request.raw.socket })
    }
  })
  const client = await dial()
  const over = new Promise((resolve) => { socket.once('close', resolve) })
  socket.destroy(new Error('write EPIPE'))
  await over
  socket.emit('error', new Error('once more'))
  assert.ok(client)
})

onEveryWay('a socket that a hook has hijacked is the hook\'s, and its reset ends nothing', async (t, way) => {
  let hijacked: { write: (text: string) => void, destroyed: boolean } | undefined
  const { app, say } = await begin(t, way, {
    routes: (app) => {
      app.get('/', {
        websocket: true,
        preValidation: async (request: FastifyRequest, reply: { hijack: () => void }) => {
          reply.hijack()
          hijacked = request.raw.socket
          hijacked.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: other\r\n\r\n')
        }
      }, () => { assert.fail('the handler ran') })
    }
  })
  const client = say(UPGRADE)
  await once(client, 'data')
  await until('the ledger has let go of it', () => !way.ours || !app.lifeline.heartbeat.running)
  assert.equal(hijacked!.destroyed, false)
  client.resetAndDestroy()
  hijacked!.write('x'.repeat(100_000))
  await until('it is gone', () => hijacked!.destroyed)
})
