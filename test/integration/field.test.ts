/**
 * What users of this field suffer from and no other test carries: see docs/reliability.md.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import WebSocket from 'ws'
// @ts-expect-error: an example, in JavaScript
import { connect as dial } from '../../examples/client/client.js'
import { connect, opened, start, until } from '../support/app.js'

test('a page that is sent a message it can see notices that the server has gone silent (field 4)', async (t) => {
  const before = globalThis.WebSocket
  globalThis.WebSocket = WebSocket as unknown as typeof globalThis.WebSocket
  t.after(() => { globalThis.WebSocket = before })
  const { app, url } = await start(t, { routes: (app) => app.get('/', { websocket: true }, () => {}) })
  const beat = setInterval(() => { app.lifeline.broadcast('') }, 50)
  t.after(() => { clearInterval(beat) })
  const sockets: WebSocket[] = []
  t.after(dial(url, { message: () => {}, open: (socket: WebSocket) => { sockets.push(socket) }, silence: 500 }))
  await until('it is there', () => sockets.length === 1)
  await sleep(1250)
  assert.equal(sockets.length, 1)
  clearInterval(beat)
  await until('it is noticed', () => sockets.length === 2 && sockets[0]!.readyState === WebSocket.CLOSED)
})

test('permessage-deflate is not negotiated unless the app asks for it (field 19)', async (t) => {
  const routes = (app: any): unknown => app.get('/', { websocket: true }, () => {})
  const plain = await start(t, { routes })
  assert.equal((await connect(t, plain.url, { perMessageDeflate: true })).extensions, '')
  const asked = await start(t, { options: { websocket: { options: { perMessageDeflate: true } } }, routes })
  assert.match((await connect(t, asked.url, { perMessageDeflate: true })).extensions, /^permessage-deflate/)
})

for (const reader of ['messages()', 'onMessage'] as const) {
  test(`a handler that awaits takes one message at a time, in order, by ${reader} (field 23)`, async (t) => {
    const began: string[] = []
    const done: string[] = []
    const take = async (data: string): Promise<void> => {
      began.push(data)
      await sleep(Math.random() * 10)
      done.push(data)
      assert.deepEqual(began, done)
    }
    const { app, url, errors } = await start(t, {
      routes: (app) => app.get('/', { websocket: true }, async (_socket, request) => {
        const connection = app.lifeline.of(request)
        if (reader === 'onMessage') connection.onMessage(async ({ data }) => { await take(String(data)) })
        else for await (const { data } of connection.messages()) await take(String(data))
      })
    })
    const open = opened(app)
    const client = await connect(t, url)
    await open
    const sent = Array.from({ length: 50 }, (_, i) => String(i))
    for (const data of sent) client.send(data)
    await until('all are done', () => done.length === sent.length)
    assert.deepEqual(done, sent)
    assert.deepEqual(errors(), [])
  })
}
