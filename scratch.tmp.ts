import { once } from 'node:events'
import Fastify from 'fastify'
import { ways, register } from './test/integration/compat/setups.js'
const timeout = (p: Promise<any>, ms = 1500) => Promise.race([p, new Promise(r => setTimeout(r, ms, 'TIMEOUT'))])
for (const way of ways) {
  for (const scenario of ['server closes', 'client closes', 'ping', 'client terminates', 'app closes', 'server terminates']) {
    const app = Fastify() as any
    await register(app, way)
    let s: any
    app.get('/', { websocket: true }, (socket: any) => { s = socket })
    await app.ready()
    const c = await app.injectWS('/')
    const t0 = performance.now()
    const sc = once(s, 'close').then(([code, r]: any) => `server saw ${code} at ${Math.round(performance.now() - t0)}`)
    const cc = once(c, 'close').then(([code, r]: any) => `client saw ${code} at ${Math.round(performance.now() - t0)}`)
    if (scenario === 'server closes') s.close(4000, 'x')
    if (scenario === 'client closes') c.close(4001, 'x')
    if (scenario === 'client terminates') c.terminate()
    if (scenario === 'server terminates') s.terminate()
    if (scenario === 'ping') { const p = once(s, 'pong').then(() => 'pong'); s.ping('a'); console.log(way.name, scenario, await timeout(p)); continue }
    if (scenario === 'app closes') { const p = app.close(); console.log(way.name, scenario, await timeout(p.then(() => `closed after ${Math.round(performance.now() - t0)}`), 7000)) }
    console.log(way.name, '|', scenario, '|', await timeout(sc), '|', await timeout(cc))
  }
}
process.exit()
