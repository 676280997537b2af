import { once } from 'node:events'
import Fastify from 'fastify'
import { bare, alone, register } from './test/integration/compat/setups.js'
const sleep = (ms: number) => new Promise(r => setTimeout(r, ms))
for (const way of [bare, alone]) {
const app = Fastify() as any
await register(app, way, undefined, way.ours ? { heartbeat: { interval: 200, timeout: 100 } } : {})
let s: any
app.get('/', { websocket: true }, (socket: any) => { s = socket; socket.on('message', (d: any) => { console.log('server got', String(d)) }); socket.on('pong', () => console.log('server pong')); socket.on('ping', () => console.log('server ping')); socket.on('close', (c: number) => console.log('server close', c)) })
await app.ready()
const c = await app.injectWS('/')
c.on('ping', () => console.log('client ping')); c.on('pong', () => console.log('client pong')); c.on('error', (e: any) => console.log('client error', e)); c.on('close', (n: number) => console.log('client close', n))
c.on('message', (d: any) => console.log('client got', String(d)))
s.ping('a'); await sleep(50)
c.ping('b'); await sleep(50)
c.send('hi'); await sleep(50)
s.send('ho'); await sleep(50)
c.send('hi2'); c.ping('b'); await sleep(50)
await sleep(500)
console.log('---')
}
process.exit()
