/**
 * Runtimes that are not what they stand for: what does not behave as npm's ws on Node.js is refused, and what does not count is not gone by.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { Socket } from 'node:net'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import fastifyWebsocket from '@fastify/websocket'
import Fastify from 'fastify'
import WebSocket, { WebSocketServer } from 'ws'
import lifeline from '../../src/index.js'
import { connect, start } from '../support/app.js'
import { madeFrom, without } from '../support/runtimes.js'

test('a ws that tells no pong, as a runtime may put it in the place of npm\'s, is refused at the registration; nothing stays behind', { timeout: 10_000 }, async (t) => {
  // @fastify/websocket finds it there.
  t.after(() => { Object.assign(WebSocket, { Server: WebSocketServer }) })
  Object.assign(WebSocket, { Server: madeFrom(without('pong')) })
  for (const theirs of [false, true]) {
    const app = Fastify()
    if (theirs) await app.register(fastifyWebsocket)
    await assert.rejects(async () => { await app.register(lifeline) }, { code: 'FST_ERR_LIFELINE_RUNTIME', statusCode: 500, message: /do not emit "pong"$/ })
    await app.close().catch(() => {})
    assert.equal(app.server.listenerCount('upgrade'), 0)
  }
})

test('where the runtime does not count what comes in, who answers lives, and who does not is found', { timeout: 10_000 }, async (t) => {
  const { app, url, closed } = await start(t, {
    options: { heartbeat: { interval: 100, timeout: 100 } },
    before: (app) => { app.server.on('connection', (socket: Socket) => { Object.defineProperty(socket, 'bytesRead', { get: () => 0 }) }) },
    routes: (app) => app.get('/', { websocket: true }, () => {})
  })
  const healthy = await connect(t, url)
  const silent = await connect(t, url, { autoPong: false } as WebSocket.ClientOptions)
  assert.equal((await once(silent, 'close'))[0], 1006)
  await sleep(1_000)
  assert.equal(healthy.readyState, WebSocket.OPEN)
  assert.deepEqual([closed.map(({ cause }) => cause), app.lifeline.size], [['heartbeat'], 1])
})
