/** An app with the plugin and one piece of docs/ecosystem.md, and clients of it. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import fastifyWebsocket from '@fastify/websocket'
import Fastify from 'fastify'
import lifeline from 'fastify-lifeline'
import WebSocket from 'ws'

/** Twice: the plugin registers @fastify/websocket, and the app has. */
export function both (name, attempt) {
  for (const own of [false, true]) {
    test(`${name}${own ? ' (the app has registered @fastify/websocket)' : ''}`, { timeout: 30_000 }, (t) => attempt(t, own))
  }
}

/** @param piece a module of `documented/`, or a function that adds routes */
export async function start (t, piece, { own = false, options = {}, fastify = {} } = {}) {
  const app = Fastify({ forceCloseConnections: true, ...fastify })
  t.after(() => app.close())
  if (own) await app.register(fastifyWebsocket)
  await app.register(lifeline, options)
  const closed = []
  app.lifeline.on('close', (_connection, info) => { closed.push(info) })
  // As if it stood where this does: what it decorates is there for the test.
  await app.register(Object.assign((instance, given) => piece(instance, given), { [Symbol.for('skip-override')]: true }))
  const url = await app.listen({ port: 0, host: '127.0.0.1' })
  return { app, closed, url, port: Number(new URL(url).port), ws: url.replace('http', 'ws') }
}

/** What comes is kept, so that a message that comes with the answer to the upgrade is not missed. */
export async function connect (t, url, { protocols = [], headers = {} } = {}) {
  const client = new WebSocket(url, protocols, { headers })
  t.after(() => { client.terminate() })
  const came = []
  client.on('message', (data) => { came.push(String(data)) })
  await once(client, 'open')
  return Object.assign(client, {
    came,
    next: async () => {
      if (came.length === 0) await once(client, 'message')
      return came.shift()
    }
  })
}

/** The status with which an upgrade was refused. */
export async function refused (url, { headers = {} } = {}) {
  const client = new WebSocket(url, { headers })
  client.on('error', () => {})
  client.on('open', () => { client.emit('error', new Error('it was let in')) })
  const [, response] = await once(client, 'unexpected-response')
  response.resume()
  client.terminate()
  return response.statusCode
}

export async function until (what, holds) {
  const end = performance.now() + 30_000
  while (!await holds()) {
    assert.ok(performance.now() < end, `in vain: ${what}`)
    await sleep(10)
  }
}

/** For those who cannot be asked which port they got. */
export async function freePort () {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address()
  server.close()
  await once(server, 'close')
  return port
}
