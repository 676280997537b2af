/**
 * The playground: one page whose connections you can break, and what three apps make of it: one with fastify-lifeline, one without,
 * and one with the heartbeat that most write by hand. PORT=3000 by default, or any that is free.
 */
import { readdir, readFile } from 'node:fs/promises'
import { spawn } from 'node:child_process'
import Fastify from 'fastify'
import lifeline from 'fastify-lifeline'
import { AppProcess } from './app-process.js'
import { Gate } from './gate.js'
import { Score } from './score.js'

/** How often the page is told what the apps say, in ms. */
const STEP = 250

/** How long an app may take to answer, in ms: longer than it stalls. */
const PATIENCE = 60_000

const apps = { with: new AppProcess('with.js'), without: new AppProcess('without.js'), naive: new AppProcess('naive.js') }
const gate = new Gate((app) => apps[app]?.port)
/** When what was done to a client, ms since the epoch. */
const faults = new Map()
const score = new Score(Object.keys(apps))

const fastify = Fastify()
// The page's own line to the playground is a connection like any other.
await fastify.register(lifeline)

const types = { html: 'text/html', js: 'text/javascript', css: 'text/css' }
for (const file of await readdir(new URL('page/', import.meta.url))) {
  fastify.get(file === 'index.html' ? '/' : `/${file}`, async (_request, reply) =>
    reply.type(`${types[file.split('.').at(-1)]}; charset=utf-8`).header('cache-control', 'no-store').send(await readFile(new URL(`page/${file}`, import.meta.url))))
}

/** The lines of each app that the tour shows: they are what runs. */
fastify.get('/code', async () => Object.fromEntries(await Promise.all(Object.keys(apps).map(async (name) =>
  [name, /\/\/ <handler>\n([\s\S]*?)\/\/ <\/handler>/.exec(await readFile(new URL(`${name}.js`, import.meta.url), 'utf8'))[1].trim()]))))

fastify.get('/control', {
  websocket: true,
  // Any page on the web can open a socket to this machine: only ours may.
  onRequest: async (request, reply) => {
    if (request.headers.origin !== `http://${request.headers.host}`) return reply.code(403).send()
  }
}, (_socket, request) => {
  const connection = fastify.lifeline.of(request)
  const names = new Set()
  connection.onMessage(({ data }) => {
    const { act, name } = JSON.parse(data)
    if (act === 'open') names.add(name)
    if (act === 'forget') names.delete(name)
    perform(act, typeof name === 'string' ? name : undefined)
  })
  // A page that is closed or loaded again takes its clients with it.
  connection.signal.addEventListener('abort', () => { for (const name of names) perform('forget', name) })
})

/** What is done to the network, to all connections of a client. */
const network = new Set(['reset', 'swallow', 'freeze', 'throttle', 'heal'])
/** What all apps do. */
const orders = new Set(['push', 'broadcast', 'deliver', 'flood', 'stall', 'forget'])

function perform (act, name) {
  // What is swallowed stays so: the first is what counts.
  if (network.has(act) && faults.get(name)?.act !== 'swallow') faults.set(name, { act, at: Date.now() })
  if (act === 'heal' && faults.get(name)?.act === 'heal') faults.delete(name)
  if (act === 'score') score.clear()
  for (const [app, child] of Object.entries(apps)) {
    if (network.has(act)) gate.act(app, name, act)
    if (orders.has(act)) child.tell(act, { name })
    if (act === 'deploy') child.deploy()
    if (act === 'forget') gate.act(app, name, 'end')
  }
  if (act === 'forget') faults.delete(name)
}

const gatePort = await gate.listen()
await Promise.all(Object.values(apps).map((app) => app.start()))

/** The last that each app has said; one that stalls says nothing for a while. */
const said = { with: {}, without: {}, naive: {} }
const asking = new Set()

async function listen (name) {
  const app = apps[name]
  if (asking.has(name)) return
  asking.add(name)
  const answer = await app.ask('state', PATIENCE)
  asking.delete(name)
  if (answer !== undefined) said[name] = { ...answer, at: Date.now() }
}

const telling = setInterval(() => {
  for (const name of Object.keys(apps)) {
    listen(name)
    Object.assign(said[name], { running: apps[name].running, deploying: apps[name].deploying, starts: apps[name].starts, deaths: apps[name].deaths, lines: apps[name].lines })
    if (!apps[name].running) said[name].rows = {}
    score.note(name, said[name], faults)
  }
  fastify.lifeline.broadcast({ gatePort, now: Date.now(), faults: Object.fromEntries(faults), score: score.shown, ...said })
}, STEP)

fastify.addHook('onClose', async () => {
  clearInterval(telling)
  gate.close()
  for (const app of Object.values(apps)) app.stop()
})

for (const [signal, number] of [['SIGINT', 2], ['SIGTERM', 15], ['SIGHUP', 1]]) {
  process.once(signal, async () => {
    await fastify.close()
    process.exit(128 + number)
  })
}
process.on('exit', () => { for (const app of Object.values(apps)) app.stop() })

const url = await listenOn(Number(process.env.PORT ?? 3000)).catch((error) => {
  if (error.code !== 'EADDRINUSE' || process.env.PORT !== undefined) throw error
  return listenOn(0)
})
console.log(`The playground is open at ${url} (Ctrl+C ends it)`)
if (process.stdout.isTTY) open(url)

function listenOn (port) {
  return fastify.listen({ host: '127.0.0.1', port })
}

/** In the browser of who started it; on a machine without one the line above has to do. */
function open (url) {
  const [program, ...args] = { darwin: ['open'], win32: ['cmd', '/c', 'start'] }[process.platform] ?? ['xdg-open']
  spawn(program, [...args, url], { stdio: 'ignore', detached: true }).on('error', () => {}).unref()
}
