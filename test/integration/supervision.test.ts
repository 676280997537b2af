import assert from 'node:assert/strict'
import { EventEmitter, on, once } from 'node:events'
import { openAsBlob, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import fastifyWebsocket from '@fastify/websocket'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import WebSocket from 'ws'
import { connect, ended, start, until } from '../support/app.js'

type Live = (socket: WebSocket, request: FastifyRequest, app: FastifyInstance) => unknown

const boom = (): never => { throw new Error('boom') }
const rejects = async (): Promise<never> => { await null; return boom() }

/** Each puts a handler to work that fails when the client says something, pings, or at once. */
const failing: Record<string, Live> = {
  'the handler throws': boom,
  'the handler rejects': rejects,
  'the handler rejects after an await': async (socket) => { await once(socket, 'message'); boom() },
  'on: throws': (socket) => { socket.on('message', boom) },
  'on: rejects': (socket) => { socket.on('message', rejects) },
  'addListener: rejects': (socket) => { socket.addListener('message', rejects) },
  'once: throws': (socket) => { socket.once('message', boom) },
  'once: rejects': (socket) => { socket.once('message', rejects) },
  'prependListener: throws': (socket) => { socket.prependListener('message', boom) },
  'prependListener: rejects': (socket) => { socket.prependListener('message', rejects) },
  'prependOnceListener: rejects': (socket) => { socket.prependOnceListener('message', rejects) },
  'addEventListener: throws': (socket) => { socket.addEventListener('message', boom) },
  'addEventListener: rejects': (socket) => { socket.addEventListener('message', rejects) },
  'addEventListener, once: rejects': (socket) => { socket.addEventListener('message', rejects, { once: true }) },
  'handleEvent: throws': (socket) => { socket.addEventListener('message', { handleEvent: boom }) },
  'handleEvent: rejects': (socket) => { socket.addEventListener('message', { handleEvent: rejects } as never) },
  'onmessage: throws': (socket) => { socket.onmessage = boom },
  'onmessage: rejects': (socket) => { socket.onmessage = rejects },
  'events.on loop in the handler': async (socket) => {
    for await (const [data] of on(socket, 'message')) if (data !== undefined) boom()
  },
  'onMessage: throws': (_socket, request, app) => { app.lifeline.of(request).onMessage(boom) },
  'onMessage: rejects': (_socket, request, app) => { app.lifeline.of(request).onMessage(rejects) },
  'messages() loop': async (_socket, request, app) => {
    for await (const { data } of app.lifeline.of(request).messages()) assert.equal(data, 'something else')
  },
  'a ping listener throws': (socket) => { socket.on('ping', boom) },
  'a ping listener rejects': (socket) => { socket.on('ping', rejects) },
  'a value that is no Error is thrown': (socket) => {
    // eslint-disable-next-line no-throw-literal
    socket.on('message', () => { throw 'a string' })
  },
  'undefined is thrown': (socket) => {
    // eslint-disable-next-line no-throw-literal
    socket.on('message', () => { throw undefined })
  }
}

for (const [name, live] of Object.entries(failing)) {
  test(`${name}: 1011, one error line, one error event, and nobody else is touched (field 8)`, async (t) => {
    const events: unknown[] = []
    const { app, url, errors, closed } = await start(t, {
      routes: (app) => {
        app.get('/failing', { websocket: true }, (socket, request) => live(socket, request, app) as void)
        app.get('/other', { websocket: true }, (socket) => { socket.on('message', (data: Buffer) => { socket.send(data) }) })
        app.lifeline.on('error', (connection, error) => { events.push([connection?.fd, error]) })
      }
    })
    const other = await connect(t, `${url}/other`)
    const end = ended(app)
    const client = await connect(t, `${url}/failing`)
    client.ping()
    client.send('hello')
    const [code] = await once(client, 'close')
    assert.equal(code, 1011)
    const { cause, fd } = await end
    assert.equal(cause, 'handler')
    assert.equal(events.length, 1)
    assert.equal((events[0] as [number])[0], fd)
    assert.equal(errors().length, 1)
    assert.equal(errors()[0]!.fd, fd)
    assert.match(String(errors()[0]!.reqId), /^req-/)
    other.send('still there')
    assert.equal(String((await once(other, 'message'))[0]), 'still there')
    assert.equal(closed.length, 1)
    assert.equal(app.lifeline.stats().errors, 1)
  })
}

for (const [name, listener] of [['throws', boom], ['rejects', rejects]] as const) {
  for (const [kind, read] of [['with a message reader', true], ['without one', false]] as const) {
    test(`a close listener that ${name}, on a handler ${kind}: one error line and one error event; no other listener misses the event, and nobody else is touched (field 8)`, async (t) => {
      const told: string[] = []
      const { app, url, errors, closed } = await start(t, {
        routes: (app) => {
          app.get('/', { websocket: true }, (socket) => {
            if (read) socket.on('message', () => {})
            socket.prependListener('close', listener)
            socket.on('close', () => { told.push('close') })
          })
          app.get('/other', { websocket: true }, (socket) => { socket.on('message', (data: Buffer) => { socket.send(data) }) })
          app.lifeline.on('error', () => { told.push('error') })
        }
      })
      const other = await connect(t, `${url}/other`)
      const end = ended(app)
      const client = await connect(t, url)
      client.close(1000)
      assert.equal((await end).cause, 'client')
      await new Promise(setImmediate)
      assert.deepEqual(told.toSorted(), ['close', 'error'])
      assert.equal(errors().length, 1)
      assert.equal(app.websocketServer.clients.size, 1)
      other.send('still there')
      assert.equal(String((await once(other, 'message'))[0]), 'still there')
      assert.equal(closed.length, 1)
      assert.equal(app.lifeline.size, 1)
    })
  }
}

test('only the first failure of a connection is told; what follows from it is not', async (t) => {
  let events = 0
  const { app, url, errors } = await start(t, {
    routes: (app) => {
      app.get('/', { websocket: true }, (socket) => {
        socket.on('message', rejects)
        socket.on('message', rejects)
        socket.on('close', boom)
      })
      app.lifeline.on('error', () => { events++ })
    }
  })
  const end = ended(app)
  const client = await connect(t, url)
  client.send('one')
  await end
  await new Promise(setImmediate)
  assert.equal(events, 1)
  assert.equal(errors().length, 1)
})

test('an error event without listeners does not throw', async (t) => {
  const { url, errors } = await start(t, { routes: (app) => app.get('/', { websocket: true }, boom) })
  const client = await connect(t, url)
  const [code] = await once(client, 'close')
  assert.equal(code, 1011)
  assert.equal(errors().length, 1)
})

test('what the app awaited with the signal of a connection that left is no error', async (t) => {
  const { app, url, errors } = await start(t, {
    routes: (app) => app.get('/', { websocket: true }, async (_socket, request) => {
      await once(new EventEmitter(), 'never', { signal: app.lifeline.of(request).signal })
    })
  })
  const end = ended(app)
  const client = await connect(t, url)
  client.terminate()
  assert.equal((await end).cause, 'reset')
  await new Promise(setImmediate)
  assert.equal(errors().length, 0)
})

test('a handler that fails after its connection has gone is logged, and ends nothing', async (t) => {
  let events = 0
  const { app, url, errors } = await start(t, {
    routes: (app) => {
      app.get('/', { websocket: true }, async (_socket, request) => {
        await app.lifeline.of(request).closed
        boom()
      })
      app.lifeline.on('error', () => { events++ })
    }
  })
  const end = ended(app)
  const client = await connect(t, url)
  client.close()
  assert.equal((await end).cause, 'client')
  await new Promise(setImmediate)
  assert.equal(errors().length, 1)
  assert.equal(events, 1)
})

test('the app\'s own errorHandler, under websocket, is called from ours, for listeners too', async (t) => {
  const calls: string[] = []
  const { app, url } = await start(t, {
    options: {
      websocket: {
        errorHandler (error, socket, request, reply) {
          calls.push(`${error.message} ${request.url} ${typeof reply.send} ${socket.readyState}`)
          socket.close(4400, 'mine')
        }
      }
    },
    routes: (app) => {
      app.get('/handler', { websocket: true }, boom)
      app.get('/listener', { websocket: true }, (socket) => { socket.on('message', rejects) })
    }
  })
  for (const path of ['/handler', '/listener']) {
    const end = ended(app)
    const client = await connect(t, url + path)
    client.send('x')
    const [code, reason] = await once(client, 'close')
    assert.equal(code, 4400)
    assert.equal(String(reason), 'mine')
    assert.equal((await end).code, 4400)
  }
  assert.deepEqual(calls, ['boom /handler function 1', 'boom /listener function 1'])
})

test('an errorHandler of the app\'s that throws itself is logged, and the connection is closed all the same', async (t) => {
  const { url, errors } = await start(t, {
    options: { websocket: { errorHandler () { throw new Error('in the errorHandler') } } },
    routes: (app) => app.get('/', { websocket: true }, boom)
  })
  const client = await connect(t, url)
  const [code] = await once(client, 'close')
  assert.equal(code, 1011)
  assert.deepEqual(errors().map(({ err }) => err?.message), ['boom', 'in the errorHandler'])
})

test('where the app registered @fastify/websocket, its errorHandler has the handler, and we have the listeners', async (t) => {
  const calls: string[] = []
  const { app, url, errors } = await start(t, {
    before: (app) => app.register(fastifyWebsocket, {
      errorHandler (error, socket) {
        calls.push(error.message)
        socket.close(4400)
      }
    }),
    routes: (app) => {
      app.get('/handler', { websocket: true }, boom)
      app.get('/listener', { websocket: true }, (socket) => { socket.on('message', rejects) })
    }
  })
  let end = ended(app)
  await once(await connect(t, `${url}/handler`), 'close')
  assert.deepEqual(calls, ['boom'])
  assert.equal((await end).code, 4400)
  assert.equal(errors().length, 0)
  end = ended(app)
  const client = await connect(t, `${url}/listener`)
  client.send('x')
  const [code] = await once(client, 'close')
  assert.equal(code, 1011)
  assert.equal((await end).cause, 'handler')
  assert.equal(errors().length, 1)
  assert.deepEqual(calls, ['boom'])
})

test('a listener of a lifeline event that throws or rejects is logged and harms nothing', async (t) => {
  const told: string[] = []
  const { app, url, errors } = await start(t, {
    routes: (app) => {
      app.lifeline.on('open', boom)
      app.lifeline.on('open', rejects)
      app.lifeline.on('open', () => { told.push('open') })
      app.lifeline.on('error', boom)
      app.get('/', { websocket: true }, () => { told.push('handler') })
    }
  })
  await connect(t, url)
  await new Promise(setImmediate)
  assert.deepEqual(told, ['open', 'handler'])
  // One line a minute for each event: a bad listener must not fill the disk.
  assert.equal(errors().length, 1)
  assert.equal(app.lifeline.size, 1)
})

test('a WebSocket of a class that is none of ours is left alone, and its failing handler is logged', async (t) => {
  const { app, url, errors } = await start(t, {
    routes: (app) => app.get('/', { websocket: true }, (_socket, request) => {
      assert.equal(request.fd, 0)
      boom()
    })
  })
  app.websocketServer.options.WebSocket = WebSocket as never
  const client = await connect(t, url)
  const [code] = await once(client, 'close')
  assert.equal(code, 1006)
  assert.deepEqual(errors().map(({ err }) => err?.message), ['boom'])
  assert.equal(app.lifeline.size, 0)
})

test('a WebSocket of a class that is none of ours still answers pings, and is closed with the app', async (t) => {
  const { app, url } = await start(t, { routes: (app) => app.get('/', { websocket: true }, () => {}) })
  app.websocketServer.options.WebSocket = WebSocket as never
  const client = await connect(t, url)
  const pong = once(client, 'pong')
  client.ping('there?')
  assert.equal(String((await pong)[0]), 'there?')
  const told = once(client, 'close')
  await app.close()
  assert.equal((await told)[0], 1012)
})

test('a handler that throws null is a failure like any other', async (t) => {
  const { url, errors } = await start(t, {
    // eslint-disable-next-line no-throw-literal
    routes: (app) => app.get('/', { websocket: true }, () => { throw null })
  })
  const client = await connect(t, url)
  const [code] = await once(client, 'close')
  assert.equal(code, 1011)
  assert.equal(errors().length, 1)
})

test('what cannot be read, thrown after the end, harms nothing', async (t) => {
  const { app, url, lines } = await start(t, {
    routes: (app) => app.get('/', { websocket: true }, async (_socket, request) => {
      await app.lifeline.of(request).closed
      throw { get code () { throw new Error('no') } } // eslint-disable-line no-throw-literal
    })
  })
  const client = await connect(t, url)
  client.terminate()
  await until('it is logged', () => lines.some(({ msg }) => /handler of a connection/.test(msg)))
  assert.equal(app.lifeline.stats().errors, 1)
})

test('a Blob of the app that cannot be read is an error of the app, and not of the peer', async (t) => {
  const file = join(tmpdir(), `lifeline-${process.pid}`)
  writeFileSync(file, 'before')
  t.after(() => { rmSync(file) })
  const { app, url, errors } = await start(t, {
    routes: (app) => app.get('/', { websocket: true }, async (socket: WebSocket) => {
      const blob = await openAsBlob(file)
      writeFileSync(file, 'changed, and longer')
      socket.send(blob)
    })
  })
  const end = ended(app)
  await connect(t, url)
  assert.equal((await end).cause, 'handler')
  assert.equal(errors().length, 1)
})
