/**
 * Corners in which we could easily differ from @fastify/websocket, and do not.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test } from 'node:test'
import WebSocket from 'ws'
import { alone, begin, behind, echo, head, onEveryWay, upgradeRequest } from './setups.js'

const errorsOf = (lines: Array<{ level: number }>): number => lines.filter(({ level }) => level >= 50).length

onEveryWay('a lazy thenable that a handler returns, such as a query, is run once', async (t, way) => {
  let runs = 0
  const query = {
    then (...args: Parameters<Promise<number>['then']>) { runs++; return Promise.resolve(runs).then(...args) },
    catch (onRejected: () => never) { return this.then(null, onRejected) }
  }
  const { dial } = await begin(t, way, {
    routes: (app) => app.get('/', { websocket: true }, ((socket: WebSocket) => {
      echo(socket)
      return query
    }) as never)
  })
  await (await dial()).ask('x')
  assert.equal(runs, 1)
})

onEveryWay('an error event that the app itself emits on a socket is logged, and ends it', async (t, way) => {
  const { dial, lines } = await begin(t, way, { routes: (app) => app.get('/', { websocket: true }, (socket) => { socket.on('message', () => { socket.emit('error', new Error('mine')) }) }) })
  const client = await dial()
  client.socket.send('x')
  const timer = setTimeout(() => { client.socket.terminate() }, 1_000)
  await client.closed
  clearTimeout(timer)
  assert.equal(errorsOf(lines), 1)
})

onEveryWay('an error that preClose gives to done fails fastify.close()', async (t, way) => {
  const { app } = await begin(t, way, { websocket: { preClose: ((done: (error?: Error) => void) => { done(new Error('preClose failed')) }) as never } })
  await assert.rejects(app.close(), { message: 'preClose failed' })
})

onEveryWay('after close() nothing of the plugin is left on a server of the app\'s own', async (t, way) => {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => { server.close() })
  const { app } = await begin(t, way, { websocket: { options: { server } }, routes: (app) => app.get('/', { websocket: true }, echo) })
  await app.close()
  assert.equal(server.listenerCount('upgrade'), 0)
  assert.equal(typeof (server.address() as AddressInfo).port, 'number')
})

for (const member of ['prefix', 'logLevel', 'logSerializers'] as const) {
  onEveryWay(`${member}, an option of Fastify's register, may be given`, async (t, way) => {
    const { app } = await begin(t, way, { options: { [member]: member === 'logSerializers' ? {} : '' } as never })
    assert.equal(app.hasDecorator('websocketServer'), true)
  })
}

for (const way of [alone, behind]) {
  test(`${way.name}: an option that is undefined is its default`, async (t) => {
    const { app } = await begin(t, way, {
      options: { limits: { payload: undefined }, heartbeat: { interval: undefined }, shutdown: { window: undefined }, backpressure: { stallTimeout: undefined } } as never
    })
    assert.equal(app.websocketServer.options.maxPayload, 1_048_576)
    assert.equal(app.lifeline.heartbeat.bound, 30_250)
  })

  test(`${way.name}: binaryType blob and a reader`, async (t) => {
    const { dial } = await begin(t, way, {
      routes: (app) => app.get('/', { websocket: true }, async (socket, request) => {
        socket.binaryType = 'blob' as never
        for await (const { data } of app.lifeline.of(request).messages()) socket.send(`got ${String(data)}`)
      })
    })
    assert.equal(await (await dial()).ask(Buffer.from('x')), 'got x')
  })
}

onEveryWay('upgrades that come while the app closes get a 503', async (t, way) => {
  let go!: () => void
  const held = new Promise<void>((resolve) => { go = resolve })
  const { app, say } = await begin(t, way, {
    routes: (app) => {
      app.addHook('preClose', () => held)
      app.get('/', { websocket: true }, echo)
    }
  })
  const client = say('')
  await once(client, 'connect')
  const closing = app.close()
  client.write(upgradeRequest('/'))
  assert.match(await head(client), /^HTTP\/1\.1 503 Service Unavailable\r\nConnection: close\r\n/)
  client.destroy()
  go()
  await closing
})
