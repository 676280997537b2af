import { once } from 'node:events'
import Fastify from 'fastify'
import WebSocket from 'ws'
import lifeline from './src/index.js'
import { bare, alone, behind, ways, register } from './test/integration/compat/setups.js'
const sleep = (ms: number) => new Promise(r => setTimeout(r, ms))
process.on('unhandledRejection', (e: any) => console.log('   !! UNHANDLED REJECTION', e.message))
process.on('uncaughtException', (e: any) => console.log('   !! UNCAUGHT', e.message))
async function mk (way: any, websocket: any, route: any, options: any = {}, fo: any = {}) {
  const lines: any[] = []
  const app = Fastify({ logger: { level: 'info', stream: { write: (l: string) => { lines.push(JSON.parse(l)) } } }, ...fo }) as any
  await register(app, way, websocket, options)
  app.get('/', { websocket: true }, route)
  await app.listen({ port: 0, host: '127.0.0.1' })
  const url = 'ws://127.0.0.1:' + app.server.address().port
  const dial = async () => { const c: any = new WebSocket(url); c.msgs = []; c.on('message', (d: any) => c.msgs.push(String(d))); c.on('close', (code: number) => { c.code = code }); c.on('error', () => {}); await once(c, 'open'); return c }
  return { app, dial, lines, url }
}
for (const way of ways) {
  console.log('##', way.name)
  { // lazy thenable
    let runs = 0
    const lazy = () => { const q: any = { then (a: any, b: any) { runs++; return Promise.resolve(runs).then(a, b) }, catch (f: any) { return this.then(undefined, f) } }; return q }
    const { app, dial } = await mk(way, undefined, () => lazy())
    const c = await dial(); await sleep(20); console.log('lazy thenable returned by handler ran', runs); c.terminate(); await app.close()
    runs = 0
    const m = await mk(way, undefined, (s: any) => { s.on('message', () => lazy()) })
    const c2 = await m.dial(); c2.send('x'); await sleep(20); console.log('lazy thenable returned by message listener ran', runs); c2.terminate(); await m.app.close()
  }
  { // removeAllListeners
    const { app, dial } = await mk(way, undefined, async (s: any) => { await sleep(50); s.removeAllListeners(); s.on('error', () => {}); s.on('message', (d: any) => s.send('got ' + d)) })
    const c = await dial(); c.send('1'); await sleep(100); c.send('2'); await sleep(50); console.log('removeAllListeners', c.msgs); c.terminate(); await app.close()
  }
  { // removeAllListeners('message')
    const { app, dial } = await mk(way, undefined, (s: any) => { s.on('message', () => {}); s.removeAllListeners('message'); s.on('message', (d: any) => s.send('got ' + d)) })
    const c = await dial(); c.send('1'); await sleep(50); console.log('removeAllListeners(message)', c.msgs); c.terminate(); await app.close()
  }
  { // error emitted by app
    const { app, dial, lines } = await mk(way, undefined, (s: any) => { setImmediate(() => s.emit('error', new Error('mine'))) })
    const c = await dial(); await sleep(50); console.log('app emits error: client code', c.code, 'error lines', lines.filter(l => l.level >= 50).length); c.terminate(); await app.close()
  }
  { // upgrade listeners after close
    const { app, dial } = await mk(way, undefined, () => {})
    await app.close(); console.log('upgrade listeners after close', app.server.listenerCount('upgrade'))
  }
  { // preClose done(err)
    const { app } = await mk(way, { preClose: (done: any) => done(new Error('preclose')) }, () => {})
    console.log('preClose done(err): close', await app.close().then(() => 'resolved', (e: any) => 'rejected ' + e.message))
  }
  { // async errorHandler rejecting; leaving open
    const { app, dial } = await mk(way, { errorHandler: async () => { throw new Error('in async errorHandler') } }, () => { throw new Error('boom') })
    const c = await dial(); await sleep(50); console.log('async errorHandler rejects: client code', c.code); c.terminate(); await app.close()
    const o = await mk(way, { errorHandler: () => {} }, () => { throw new Error('boom') })
    const d = await o.dial(); await sleep(50); console.log('errorHandler leaves it open: client code', d.code); d.terminate(); await o.app.close()
  }
  if (way.ours) {
    for (const [n, o] of Object.entries({ prefix: { prefix: '/x' }, logLevel: { logLevel: 'warn' }, 'interval undefined': { heartbeat: { interval: undefined } }, 'drain.window undefined': { drain: { window: undefined, timeout: undefined } }, 'payload undefined': { limits: { payload: undefined } } })) {
      try { const { app, dial } = await mk(way, undefined, (s: any) => s.on('message', (d: any) => s.send('got ' + d)), o); const c = await dial(); c.send('x'); await sleep(30); console.log(n, 'ok', c.msgs, app.lifeline.heartbeat.bound, app.websocketServer.options.maxPayload); const t0 = performance.now(); await Promise.race([app.close(), sleep(2000)]); console.log('   close took', Math.round(performance.now() - t0)) ; c.terminate() } catch (e: any) { console.log(n, 'THROWS', e.message) }
    }
    { // blob
      const { app, dial, lines } = await mk(way, undefined, async function (this: any, s: any, r: any) { s.binaryType = 'blob'; for await (const m of this.lifeline.of(r).messages()) s.send('got ' + m.data) })
      const c = await dial(); c.send(Buffer.from('x')); await sleep(50); console.log('blob + messages()', c.msgs, c.code, lines.filter(l => l.level >= 50).map(l => l.err?.message)); c.terminate(); await app.close()
      const h = await mk(way, undefined, async (s: any) => { s.binaryType = 'blob'; await sleep(50); s.on('message', (d: any) => s.send('got ' + d.constructor.name)) })
      const c2 = await h.dial(); c2.send(Buffer.from('x')); await sleep(100); console.log('blob held for a listener', c2.msgs, c2.code, h.lines.filter(l => l.level >= 50).map(l => l.err?.message)); c2.terminate(); await h.app.close()
    }
    { // exists etc with foreign websocket options
      if (way.theirs) { const app = Fastify() as any; await register(app, bare); try { await app.register(lifeline, { websocket: { options: { maxPayload: 5 }, preClose: () => {} } }); console.log('websocket options behind theirs: silently ignored, maxPayload', app.websocketServer.options.maxPayload) } catch (e: any) { console.log(e.message) } await app.close() }
    }
  }
}
process.exit()
