import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { connect, opened, start } from '../support/app.js'
import { startRemote } from '../support/remote.js'

test('a push reaches the client', async (t) => {
  const { app, url } = await start(t, { routes: (app) => app.get('/', { websocket: true }, () => {}) })
  const adopted = opened(app)
  const client = await connect(t, url)
  const { fd } = await adopted
  assert.equal(app.safePush(fd, { hello: 'world' }), true)
  const [data] = await once(client, 'message')
  assert.equal(String(data), '{"hello":"world"}')
})

test('the remote process answers and ends', async (t) => {
  const remote = await startRemote(t)
  const client = await connect(t, `ws://127.0.0.1:${remote.port}/echo`)
  client.send('hi')
  const [data] = await once(client, 'message')
  assert.equal(String(data), 'hi')
  assert.equal(await remote.size(), 1)
  await remote.close()
  assert.equal(await remote.exited, 0)
})
