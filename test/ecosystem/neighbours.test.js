import assert from 'node:assert/strict'
import { Writable } from 'node:stream'
import proxy from '@fastify/http-proxy'
import fastifyWebsocket from '@fastify/websocket'
import Fastify from 'fastify'
import lifeline from 'fastify-lifeline'
import { io } from 'socket.io-client'
import { both, connect, refused, start, until } from './support.js'
import socketIo from './documented/socket-io.js'

/** A logger, and the lines of the plugin that are warnings. */
function logger () {
  const warnings = []
  const stream = new Writable({
    write (chunk, _encoding, done) {
      const { level, msg } = JSON.parse(chunk)
      if (level === 40) warnings.push(msg)
      done()
    }
  })
  return { warnings, fastify: { logger: { level: 'warn', stream } } }
}

const echo = async (fastify) => {
  fastify.get('/live', { websocket: true }, (socket, request) => {
    const connection = fastify.lifeline.of(request)
    connection.onMessage(({ data }) => { fastify.safePush(request.fd, `you said ${data}`) })
  })
}

both('@fastify/http-proxy in front: messages pass, and receipts are the proxy\'s', async (t, own) => {
  const behind = await start(t, echo, { own, options: { receipts: true } })
  const front = Fastify({ forceCloseConnections: true })
  t.after(() => front.close())
  await front.register(proxy, { upstream: behind.url, prefix: '/upstream', websocket: true })
  await front.listen({ port: 0, host: '127.0.0.1' })
  const client = await connect(t, `ws://127.0.0.1:${front.server.address().port}/upstream/live`)
  client.send('hi')
  assert.equal(await client.next(), 'you said hi')
  client.pause()
  const [connection] = [...behind.app.lifeline.list()].map(({ fd }) => behind.app.lifeline.get(fd))
  assert.equal((await connection.deliver('the client does not read')).outcome, 'delivered')
  client.resume()
  assert.equal(await client.next(), 'the client does not read')
  client.terminate()
  await until('it is over', () => behind.closed.length === 1)
})

both('@fastify/http-proxy in the same app: what it proxies is its own, ours is ours, and a line says so', async (t, own) => {
  const upstream = await start(t, echo)
  process.env.UPSTREAM = upstream.url
  const { warnings, fastify } = logger()
  const app = Fastify({ forceCloseConnections: true, ...fastify })
  t.after(() => app.close())
  const { default: piece } = await import('./documented/http-proxy.js')
  // Behind the proxy, if it is the app's own.
  await app.register(Object.assign(async (instance) => {
    const register = instance.register.bind(instance)
    await piece(own ? Object.create(instance, { register: { value: async (plugin, options) => { if (plugin === lifeline) await register(fastifyWebsocket); await register(plugin, options) } } }) : instance)
  }, { [Symbol.for('skip-override')]: true }))
  const ws = (await app.listen({ port: 0, host: '127.0.0.1' })).replace('http', 'ws')
  for (let i = 0; i < 2; i++) {
    const ours = await connect(t, `${ws}/live`)
    assert.equal(await ours.next(), 'from here')
    const theirs = await connect(t, `${ws}/upstream/live`)
    theirs.send('hi')
    assert.equal(await theirs.next(), 'you said hi')
  }
  assert.deepEqual([app.lifeline.size, upstream.app.lifeline.size], [2, 2])
  assert.equal(warnings.filter((line) => line.startsWith('lifeline')).length, 1, warnings.join('\n'))
  assert.match(warnings[0], /listens for "upgrade"/)
})

both('Socket.IO beside it: polling and WebSockets go to it, and ours are ours', async (t, own) => {
  const { warnings, fastify } = logger()
  const { app, url, ws } = await start(t, socketIo, { own, fastify, options: { origins: (origin) => origin !== 'https://evil.example' } })
  const ours = await connect(t, `${ws}/live`)
  assert.equal(await ours.next(), 'from the plugin')
  for (const transports of [['websocket'], ['polling'], ['polling', 'websocket']]) {
    const theirs = io(url, { transports, reconnection: false, forceNew: true })
    t.after(() => { theirs.disconnect() })
    assert.equal(await new Promise((resolve) => { theirs.once('hello', resolve) }), 'from Socket.IO')
    if (transports.length > 1) await until('it has changed over', () => theirs.io.engine.transport.name === 'websocket')
  }
  assert.equal(await refused(`${ws}/socket.io/?EIO=4&transport=websocket`, { headers: { origin: 'https://evil.example' } }), 403)
  assert.equal(app.lifeline.size, 1)
  assert.deepEqual(warnings.filter((line) => line.includes('listens for')), [])
})
