import assert from 'node:assert/strict'
import { once } from 'node:events'
import { both, connect, refused, start, until } from './support.js'
import rooms from './documented/rooms.js'

both('from @fastify/websocket: what is said to work as ever does, and so does what stands beside it', async (t, own) => {
  const seen = []
  const dead = []
  const { app, ws } = await start(t, async (fastify) => {
    const beat = setInterval(() => {
      for (const socket of fastify.websocketServer.clients) {
        if (socket.isAlive === undefined) continue
        if (socket.isAlive === false) dead.push(socket)
        socket.isAlive = false
        socket.ping()
      }
    }, 200)
    fastify.addHook('preClose', (done) => { clearInterval(beat); done() })
    fastify.get('/there', { websocket: true }, (socket, request) => {
      socket.isAlive = true
      socket.on('pong', () => { socket.isAlive = true; seen.push('pong') })
      socket.on('message', (data, isBinary) => {
        assert.ok(Buffer.isBuffer(data))
        if (socket.readyState === 1) socket.send(JSON.stringify({ there: String(data), isBinary }))
        for (const client of fastify.websocketServer.clients) client.send('to all')
      })
      socket.on('close', (code) => { seen.push(code) })
    })
    fastify.get('/here', { websocket: true }, (socket, request) => {
      const connection = fastify.lifeline.of(request)
      connection.onMessage(({ data, binary }) => {
        assert.equal(typeof data, 'string')
        fastify.safePush(request.fd, { here: data, binary })
        fastify.lifeline.broadcast('to all')
      })
      connection.onClose(({ cause, code }) => { seen.push(`${cause} ${code}`) })
    })
  }, { own, options: { heartbeat: { interval: 200, timeout: 5_000 } } })
  const [there, here] = [await connect(t, `${ws}/there`), await connect(t, `${ws}/here`)]
  there.send('one')
  assert.deepEqual(JSON.parse(await there.next()), { there: 'one', isBinary: false })
  assert.deepEqual([await there.next(), await here.next()], ['to all', 'to all'])
  here.send('two')
  assert.deepEqual(JSON.parse(await here.next()), { here: 'two', binary: false })
  assert.deepEqual([await there.next(), await here.next()], ['to all', 'to all'])
  await until('three pings of the app have been answered', () => seen.filter((what) => what === 'pong').length >= 3)
  assert.deepEqual(dead, [])
  there.close(1000)
  here.close(1000)
  await until('both are over', () => app.lifeline.size === 0 && seen.includes(1000) && seen.includes('client 1000'))
})

both('from @fastify/websocket: limits.payload, what a handler throws, and fastify.close()', async (t, own) => {
  const errors = []
  const { app, ws } = await start(t, async (fastify) => {
    fastify.lifeline.on('error', (connection, error) => { errors.push(error.message) })
    fastify.get('/', { websocket: true }, (socket, request) => { fastify.lifeline.of(request).onMessage(() => { throw new Error('boom') }) })
  }, { own, options: { limits: { payload: 1_000 } } })
  const [large, thrown, shut] = [await connect(t, ws), await connect(t, ws), await connect(t, ws)]
  const codes = Promise.all([large, thrown, shut].map(async (client) => (await once(client, 'close'))[0]))
  large.send('x'.repeat(1_001))
  thrown.send('x')
  await until('two are over', () => app.lifeline.size === 1)
  await app.close()
  assert.deepEqual(await codes, [1009, 1011, 1012])
  assert.deepEqual(errors, ['boom'])
})

both('from Socket.IO: what stands in the table', async (t, own) => {
  const seen = []
  const { app, ws } = await start(t, async (fastify) => {
    const message = { type: 'object', required: ['type'], properties: { type: { enum: ['say', 'leave'] }, text: { type: 'string' } } }
    fastify.get('/chat', { websocket: true, onRequest: async (request, reply) => { if (request.query.token !== 'good') return reply.code(401).send() }, config: { lifeline: { message } } }, (socket, request) => {
      const connection = fastify.lifeline.of(request)
      const room = fastify.lifeline.group('room')
      connection.data.name = request.query.name
      connection.join('room')
      connection.push({ type: 'news', data: 'welcome' })
      connection.onMessage(({ value }) => {
        if (value.type === 'leave') connection.leave('room')
        if (value.type === 'say') room.push({ ...value, name: connection.data.name }, { except: connection })
      })
      connection.onClose(({ cause }) => { seen.push(`${connection.data.name} ${cause}`) })
    })
  }, { own, options: { backpressure: { limit: 100_000 } } })
  assert.equal(await refused(`${ws}/chat?token=bad`), 401)
  const enter = async (name) => {
    const client = await connect(t, `${ws}/chat?token=good&name=${name}`)
    assert.deepEqual(JSON.parse(await client.next()), { type: 'news', data: 'welcome' })
    return client
  }
  const [ada, eve, odd] = [await enter('ada'), await enter('eve'), await enter('odd')]
  odd.send('{"type":"shout"}')
  assert.equal((await once(odd, 'close'))[0], 1007)
  ada.send('{"type":"say","text":"hello"}')
  assert.deepEqual(JSON.parse(await eve.next()), { type: 'say', text: 'hello', name: 'ada' })
  eve.send('{"type":"leave"}')
  await until('eve has left', () => app.lifeline.group('room').size === 1)
  assert.equal(app.lifeline.group('room').push('x'), 1)
  ada.pause()
  const [connection] = app.lifeline.group('room')
  while (connection.push('x'.repeat(60_000)) !== 'full');
  ada.terminate()
  eve.close()
  await until('all are over', () => seen.length === 3)
  assert.deepEqual(seen.toSorted(), ['ada reset', 'eve client', 'odd invalid'])
})

both('from Socket.IO: rooms, an answer of the client\'s code, and a receipt without any', async (t, own) => {
  const { app, ws } = await start(t, rooms, { own })
  const [ada, eve, elsewhere] = [await connect(t, `${ws}/rooms/a`), await connect(t, `${ws}/rooms/a`), await connect(t, `${ws}/rooms/b`)]
  ada.send('{"type":"say","text":"hello"}')
  assert.deepEqual(JSON.parse(await eve.next()), { type: 'say', text: 'hello' })
  ada.send('{"type":"quiz"}')
  const { type, id, question } = JSON.parse(await ada.next())
  assert.deepEqual([type, question], ['question', '6 * 7?'])
  ada.send(JSON.stringify({ type: 'answer', id, answer: 42 }))
  assert.deepEqual(JSON.parse(await ada.next()), { type: 'told', answer: 42 })
  const { delivered } = await app.lifeline.group('room a').deliver('who has it?', { timeout: 5_000 })
  assert.equal(delivered, 2)
  assert.equal(await eve.next(), 'who has it?')
  const closed = Promise.all([once(ada, 'close'), once(eve, 'close')])
  assert.equal(await app.lifeline.disconnect({ group: 'room a' }), 2)
  await closed
  await until('two are over', () => app.lifeline.size === 1)
  assert.deepEqual(elsewhere.came, [])
})
