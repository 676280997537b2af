/**
 * What an app emits on its socket by itself, with anything, reaches its listeners and nobody else: it must end neither the
 * process nor what is known of the connection. And a text that no string can hold is the matter of its reader alone.
 */
import assert from 'node:assert/strict'
import { constants } from 'node:buffer'
import { test } from 'node:test'
import type WebSocket from 'ws'
import { Held } from '../../src/transports/websocket/held.js'
import { connect, start, until } from '../support/app.js'

const revoked = (): object => {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  return proxy
}

const odd: Record<string, unknown> = {
  'a number': 5,
  text: 'text',
  nothing: undefined,
  null: null,
  'an object': {},
  'a list of numbers': [5],
  'what looks like a Blob': { [Symbol.toStringTag]: 'Blob', arrayBuffer () { throw new Error('no') }, size: 1 },
  'a revoked proxy': revoked()
}

for (const [what, data] of Object.entries(odd)) {
  test(`${what}: emitted as message, ping and pong it ends nothing, and messages come as before`, async (t) => {
    const sockets: WebSocket[] = []
    const { app, url, errors } = await start(t, {
      options: { limits: { messageRate: 1000, byteRate: 1_000_000 } },
      routes: (app) => app.get('/', { websocket: true }, (socket) => { sockets.push(socket) })
    })
    const client = await connect(t, url)
    await until('the handler has run', () => sockets.length === 1)
    for (const event of ['message', 'ping', 'pong']) sockets[0]!.emit(event, data, false)
    await new Promise(setImmediate)
    const [connection] = app.lifeline
    const got: unknown[] = []
    connection!.onMessage((message) => { got.push(message.data) })
    client.send('after')
    await until('it has come', () => got.includes('after'))
    assert.ok(client.readyState === 1 && connection!.state === 'open')
    assert.ok((await connection!.ping()) < Infinity)
    assert.equal(errors().length, 0)
  })
}

test('a close event without anything is the end, and is told', async (t) => {
  const { app, url, closed } = await start(t, { routes: (app) => app.get('/', { websocket: true }, (socket) => { setImmediate(() => socket.emit('close')) }) })
  const client = await connect(t, url)
  await until('it is over', () => closed.length === 1)
  assert.deepEqual(closed.map(({ code, reason }) => [code, reason]), [[1006, '']])
  assert.equal(app.lifeline.size, 0)
  // The wire is there still: the app has only said so.
  client.terminate()
})

test('a text that no string can hold is held as it is, and its reader is told', async () => {
  const held = new Held({ data: Buffer.alloc(constants.MAX_STRING_LENGTH + 1), binary: false })
  held.keep()
  await assert.rejects(held.toMessage(), { code: 'ERR_STRING_TOO_LONG' })
})
