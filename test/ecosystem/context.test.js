import assert from 'node:assert/strict'
import { AsyncLocalStorage } from 'node:async_hooks'
import { once } from 'node:events'
import { both, connect, start } from './support.js'
import context from './documented/context.js'

both('@fastify/request-context: a message has the context of its upgrade, and what is bound at the end has it too', async (t, own) => {
  const { ws } = await start(t, context, { own })
  const [ada, eve] = [await connect(t, `${ws}/live`, { headers: { 'x-tenant': 'ada' } }), await connect(t, `${ws}/live`, { headers: { 'x-tenant': 'eve' } })]
  eve.send('')
  ada.send('')
  assert.deepEqual([await ada.next(), await eve.next()], ['a message of ada', 'a message of eve'])
  eve.close()
  assert.equal(await ada.next(), 'eve has left')
})

both('AsyncLocalStorage: whose context each callback has', async (t, own) => {
  const storage = new AsyncLocalStorage()
  const seen = {}
  const note = (what) => () => { (seen[what] ??= new Set()).add(storage.getStore()) }
  let connection
  const { app, ws } = await start(t, async (fastify) => {
    fastify.addHook('onRequest', (request, reply, done) => { storage.run('upgrade', done) })
    for (const event of ['open', 'join', 'full', 'drain', 'leave', 'close']) fastify.lifeline.on(event, note(event))
    const begin = (request) => {
      connection = fastify.lifeline.of(request)
      connection.join('all')
      connection.onClose(note('onClose'))
      connection.signal.addEventListener('abort', note('signal'))
    }
    fastify.get('/on', { websocket: true }, (socket, request) => {
      note('handler')()
      begin(request)
      connection.onMessage(note('onMessage'))
    })
    fastify.get('/loop', { websocket: true }, async (socket, request) => {
      begin(request)
      for await (const { data } of connection.messages()) note('messages()')(data)
    })
    fastify.get('/socket', { websocket: true }, (socket, request) => {
      begin(request)
      socket.on('message', note('socket'))
    })
  }, { own, options: { backpressure: { limit: 100_000 } } })
  for (const path of ['/on', '/loop', '/socket']) {
    const client = await connect(t, `${ws}${path}`)
    client.send('one')
    client.send('two')
    if (path === '/socket') {
      client.pause()
      const drained = once(app.lifeline, 'drain')
      storage.run('push', () => { while (connection.push('x'.repeat(60_000)) !== 'full'); })
      client.resume()
      await drained
      await storage.run('deliver', async () => {
        await connection.deliver('all of it?')
        note('after an await')()
      })
    }
    client.close()
    await connection.closed
  }
  assert.deepEqual(Object.fromEntries(Object.entries(seen).map(([what, stores]) => [what, [...stores]])), {
    handler: ['upgrade'],
    onMessage: ['upgrade'],
    'messages()': ['upgrade'],
    open: ['upgrade'],
    join: ['upgrade'],
    full: ['push'],
    drain: ['push'],
    'after an await': ['deliver'],
    socket: [undefined],
    onClose: [undefined],
    signal: [undefined],
    leave: [undefined],
    close: [undefined]
  })
})
