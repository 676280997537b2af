import assert from 'node:assert/strict'
import { HocuspocusProvider, HocuspocusProviderWebsocket } from '@hocuspocus/provider'
import WebSocket from 'ws'
import { WebsocketProvider } from 'y-websocket'
import * as Y from 'yjs'
import { both, start, until } from './support.js'
import hocuspocus from './documented/hocuspocus.js'
import yWebsocket from './documented/y-websocket.js'

const options = { limits: { payload: 8 << 20 } }
const large = 'x'.repeat(3 << 20)

both('y-websocket: two clients have one document, of which one brought 3 MiB', async (t, own) => {
  const { app, ws, closed } = await start(t, yWebsocket, { own, options })
  const client = (doc) => {
    const provider = new WebsocketProvider(`${ws}/docs`, `paper-${own}`, doc, { WebSocketPolyfill: WebSocket, disableBc: true })
    t.after(() => { provider.destroy() })
    return doc
  }
  const first = new Y.Doc()
  first.getText('body').insert(0, large)
  client(first)
  const second = client(new Y.Doc())
  await until('it has come', () => second.getText('body').length === large.length)
  second.getText('body').insert(0, 'and back')
  await until('it has come back', () => first.getText('body').length > large.length)
  assert.equal(app.lifeline.size, 2)
  assert.deepEqual(closed, [])
})

both('y-websocket: a document past limits.payload ends the connection with 1009', async (t, own) => {
  const { ws, closed } = await start(t, yWebsocket, { own })
  const doc = new Y.Doc()
  doc.getText('body').insert(0, large)
  const provider = new WebsocketProvider(`${ws}/docs`, `other-${own}`, doc, { WebSocketPolyfill: WebSocket, disableBc: true })
  t.after(() => { provider.destroy() })
  await until('it has been closed, and has come back', () => closed.length > 1)
  assert.deepEqual(closed.map(({ cause, code }) => [cause, code])[0], ['limit', 1009])
})

both('Hocuspocus: two clients have one document, and a stranger has none', async (t, own) => {
  const { app, ws } = await start(t, hocuspocus, { own, options })
  const client = (token, given = {}) => {
    const document = new Y.Doc()
    const websocketProvider = new HocuspocusProviderWebsocket({ url: `${ws}/collaboration`, WebSocketPolyfill: WebSocket })
    const provider = new HocuspocusProvider({ websocketProvider, name: 'paper', document, token, ...given })
    provider.attach?.()
    t.after(() => {
      provider.destroy()
      websocketProvider.destroy()
    })
    return document
  }
  const [first, second] = [client('let me in'), client('let me in')]
  first.getText('body').insert(0, large)
  await until('it has come', () => second.getText('body').length === large.length)
  assert.equal(app.lifeline.size, 2)
  let refused = false
  const stranger = client('a guess', { onAuthenticationFailed: () => { refused = true } })
  await until('the stranger is refused', () => refused)
  assert.equal(stranger.getText('body').length, 0)
})
