/**
 * Who takes the socket of an upgrade for itself has it, and its place; what goes before an answer decides nothing.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createConnection } from 'node:net'
import type { Duplex } from 'node:stream'
import { describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { connect, opened, start } from '../support/app.js'
import { ask, handshake } from '../support/offer.js'
import { refused } from '../support/refused.js'

/** Longer than `upgradeTimeout` here, and than the ledger takes to look. */
const LONG = 900

// They wait more than they work.
describe('hijacked', { concurrency: 10, timeout: 20_000 }, () => {
  for (const hook of ['onRequest', 'preHandler'] as const) {
    for (const what of ['websocket', 'mine']) {
      test(`an upgrade to ${what} that an ${hook} hook hijacks, and says nothing yet, is whose it is, and has its place until its socket has closed`, async (t) => {
        let theirs: Duplex | undefined
        const { app, url, port } = await start(t, {
          options: { upgradeTimeout: 200, limits: { connections: 1 } },
          routes: (app) => {
            app.get('/', { websocket: true }, () => {})
            const take = async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
              reply.hijack()
              theirs = request.raw.socket
            }
            app.get('/taken', hook === 'onRequest' ? { onRequest: take } : { preHandler: take }, async () => 'never')
          }
        })
        const peer = ask(t, port, handshake('/taken', what))
        await sleep(LONG)
        assert.deepEqual([peer.heard, theirs!.destroyed], ['', false])
        // Where Node.js does not take it for an upgrade, it is an ordinary request, and has no place.
        const upgrade = what === 'websocket' || !('shouldUpgradeCallback' in app.server)
        if (upgrade) assert.equal((await refused(t, url)).status, 503)
        const over = once(theirs!, 'close')
        theirs!.end('HTTP/1.1 101 Switching Protocols\r\n\r\nat last')
        await peer.ended
        peer.socket.end()
        assert.match(peer.heard, /^HTTP\/1\.1 101 .*at last$/s)
        theirs!.destroy()
        await over
        await connect(t, url)
        assert.equal(app.lifeline.stats().upgrades.timedOut, 0)
      })
    }
  }

  test('who has hijacked an upgrade and ends it late has closeTimeout from then, though the peer keeps its side open; then its place is free', { timeout: 5_000 }, async (t) => {
    let theirs: Duplex | undefined
    const { url, port } = await start(t, {
      options: { upgradeTimeout: 200, closeTimeout: 500, limits: { connections: 1 } },
      routes: (app) => {
        app.get('/', { websocket: true }, () => {})
        app.get('/taken', {
          websocket: true,
          onRequest: async (request, reply) => {
            reply.hijack()
            theirs = request.raw.socket
          }
        }, () => {})
      }
    })
    const peer = createConnection({ port, host: '127.0.0.1', allowHalfOpen: true })
    t.after(() => { peer.destroy() })
    peer.on('error', () => {})
    peer.resume()
    const ended = once(peer, 'end')
    peer.write(handshake('/taken', 'websocket'))
    await sleep(LONG)
    const over = once(theirs!, 'close')
    theirs!.end('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok')
    await ended
    assert.equal(theirs!.destroyed, false)
    await over
    await connect(t, url)
  })

  test('who hijacks an upgrade and answers it by the raw response has all the time for that', async (t) => {
    const { app, port } = await start(t, {
      options: { upgradeTimeout: 200, closeTimeout: 200 },
      routes: (app) => {
        app.get('/slow', {
          preHandler: async (_request, reply) => {
            reply.hijack()
            reply.raw.writeHead(200, { 'content-length': 9 }).write('slow')
            setTimeout(() => { reply.raw.end(' done') }, LONG)
          }
        }, async () => 'never')
      }
    })
    const peer = ask(t, port, handshake('/slow'))
    await peer.ended
    assert.match(peer.heard, /\r\n\r\nslow done$/)
    assert.deepEqual(app.lifeline.stats().upgrades, { refused: 0, timedOut: 0 })
  })

  test('what @fastify/websocket hijacks is not its own: where ws is never told whether to take it, the client gets a 503 in time', { timeout: 10_000 }, async (t) => {
    const held: Duplex[] = []
    t.after(() => { for (const socket of held) socket.destroy() })
    const { app, url } = await start(t, {
      options: { upgradeTimeout: 200, limits: { connections: 1 }, websocket: { options: { verifyClient: (_info: unknown, _decide: unknown) => {} } } },
      routes: (app) => {
        app.server.on('connection', (socket) => { held.push(socket) })
        app.get('/', { websocket: true }, () => {})
      }
    })
    assert.equal((await refused(t, url)).status, 503)
    assert.deepEqual(app.lifeline.stats().upgrades, { refused: 1, timedOut: 1 })
  })

  test('who has hijacked a socket is left alone by fastify.close(), for which the app has to end it, as without us', async (t) => {
    let theirs: Duplex | undefined
    let taken!: () => void
    const took = new Promise<void>((resolve) => { taken = resolve })
    const { app, port } = await start(t, {
      routes: (app) => {
        app.get('/taken', { preHandler: async (request, reply) => { reply.hijack(); theirs = request.raw.socket; taken() } }, async () => 'never')
        // Behind ours.
        app.addHook('preClose', async () => {
          assert.equal(theirs!.destroyed, false)
          theirs!.end('mine')
        })
      }
    })
    const peer = ask(t, port, handshake('/taken'))
    await took
    const closed = app.close()
    await peer.ended
    peer.socket.end()
    await closed
    assert.equal(peer.heard, 'mine')
  })

  for (const [name, say] of [
    ['early hints', (reply: FastifyReply) => { reply.raw.writeEarlyHints({ link: '</a.css>; rel=preload; as=style' }) }],
    ['a 100', (reply: FastifyReply) => { reply.raw.writeContinue() }],
    ['a 102', (reply: FastifyReply) => { reply.raw.writeProcessing() }]
  ] as const) {
    test(`${name} decides nothing: the place is kept, and who is not decided behind it gets a 503`, async (t) => {
      const { app, url, port } = await start(t, {
        options: { upgradeTimeout: 1_000, closeTimeout: 200, limits: { connections: 1 } },
        routes: (app) => {
          app.addHook('onRequest', async (_request, reply) => { say(reply) })
          app.get('/', { websocket: true }, () => {})
          app.get('/never', { websocket: true, preValidation: async () => await new Promise(() => {}) }, () => {})
        }
      })
      const peer = ask(t, port, handshake('/never'))
      await sleep(600)
      assert.match(peer.heard, /^HTTP\/1\.1 10[023] [^]*\r\n\r\n$/)
      assert.equal((await refused(t, url)).status, 503)
      await peer.ended
      assert.match(peer.heard, /^HTTP\/1\.1 10[023] [^]*\r\n\r\nHTTP\/1\.1 503 /)
      assert.deepEqual(app.lifeline.stats().upgrades, { refused: 2, timedOut: 1 })
      await connect(t, url)
    })
  }

  test('early hints of a hook that was registered before us decide nothing either: it may take its time', async (t) => {
    const { app, url } = await start(t, {
      options: { upgradeTimeout: 5_000, closeTimeout: 100 },
      before: (app) => {
        app.addHook('onRequest', async (_request, reply) => {
          reply.raw.writeEarlyHints({ link: '</a.css>; rel=preload; as=style' })
          await sleep(LONG)
        })
      },
      routes: (app) => app.get('/', { websocket: true }, () => {})
    })
    const opening = opened(app)
    await connect(t, url)
    assert.equal((await opening).state, 'open')
  })
})
