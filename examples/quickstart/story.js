/**
 * Seven clients live and die, each in its own way, against two servers at once: app.js with
 * fastify-lifeline, and bare.js without. Everything printed was measured in this run.
 */
import net from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { Player } from './player.js'
import { now } from './stage.js'
import { findings, printStory } from './telling.js'

/** What happens to each client, and what the plugin promises to make of it. */
const fates = [
  { name: 'closes cleanly', act: 'close', cause: 'client' },
  { name: 'resets', act: 'reset', cause: 'reset' },
  { name: 'is SIGKILLed', act: 'kill', cause: 'reset' },
  { name: 'black hole', act: 'cut', cause: 'heartbeat' },
  { name: 'gone mid-answer', act: 'leave', cause: 'reset' },
  { name: 'throws', act: 'throw', cause: 'handler' },
  { name: 'stays', cause: null }
]

/** Acts that no client can perform by itself. */
const acts = {
  kill: ({ client }) => { client.kill() },
  cut: ({ relay }) => { relay.cut() }
}

const servers = { lifeline: new Player('app.js'), bare: new Player('bare.js') }
const crowd = new Player('clients.js')
const victim = new Player('clients.js') // alone: a SIGKILL takes the whole process
const relays = []

/** For processes to start on a busy machine, in ms. */
const PATIENCE = 15_000

try {
  const broken = await tellStory()
  for (const promise of broken) console.log(`DID NOT HOLD: ${promise}`)
  process.exitCode = broken.length === 0 ? 0 : 1
} catch (error) {
  console.log(`DID NOT HOLD: ${error.message}`)
  process.exitCode = 1
} finally {
  for (const relay of relays) relay.close()
  // Servers first: who is still connected is told.
  await Promise.all(Object.values(servers).map((server) => server.stop()))
  await Promise.all([crowd.stop(), victim.stop()])
}

/** Gives back the promises that did not hold, in words. */
async function tellStory () {
  console.log(`${fates.length} clients of the same app, once with fastify-lifeline and once without, meet the same fates …\n`)
  const parts = (await Promise.all(Object.keys(servers).map(enter))).flat()
  await Promise.all(parts.map((part) => look(part, 'before')))

  const last = parts.filter(({ fate }) => fate.act === 'throw')
  const still = parts.filter(({ fate }) => fate.cause === null)
  const others = parts.filter((part) => !last.includes(part) && !still.includes(part))
  for (const fate of fates) {
    for (const part of others.filter((other) => other.fate === fate)) perform(part)
    await sleep(25)
  }

  // Twice what lifeline may take, to see whether the bare app finds out later.
  await sleep(2 * (parts[0].before.bound ?? 1500))
  await Promise.all(others.map(async (part) => {
    await end(part, part.server === 'lifeline' ? 3000 : 0)
    await look(part, 'after')
  }))

  // The bare process dies of it: nothing can come after.
  for (const part of last) perform(part)
  await Promise.all(last.map((part) => end(part, 1000)))
  await Promise.all([...last, ...still].map((part) => look(part, 'after')))
  await Promise.all(still.map((part) => end(part, 0)))

  const story = { fates, parts, servers }
  printStory(story)
  return findings(story)
}

/** All clients of one server connect. A part is one client in front of one server, and what is known of it. */
async function enter (server) {
  const listening = await servers[server].seen({ event: 'listening' }, PATIENCE)
  if (listening === undefined) throw new Error(`${server} does not listen: ${servers[server].errors}`)
  return Promise.all(fates.map(async (fate) => {
    const part = { fate, server, client: fate.act === 'kill' ? victim : crowd }
    if (fate.act === 'cut') part.relay = await openRelay(listening.port)
    const port = part.relay?.port ?? listening.port
    instruct(part, 'connect', { url: `ws://127.0.0.1:${port}/live?name=${encodeURIComponent(fate.name)}` })
    const joined = await servers[server].seen({ event: 'joined', name: fate.name }, PATIENCE)
    if (joined === undefined) throw new Error(`"${fate.name}" could not join ${server}`)
    part.id = joined.id
    return part
  }))
}

function instruct ({ client, server, fate }, act, more) {
  client.tell({ act, server, name: fate.name, ...more })
}

function perform (part) {
  const { act } = part.fate
  part.actedAt = now()
  if (act in acts) acts[act](part)
  else instruct(part, act)
}

/** Waits until the server knows, or its process has ended; notes what the client was told. */
async function end (part, limit) {
  const server = servers[part.server]
  const who = { server: part.server, name: part.fate.name }
  part.end = await server.seen({ event: 'close', id: part.id }, limit)
  // The client's own clock is closer to the act than ours.
  part.actedAt = (await part.client.seen({ event: 'act', ...who }, 0))?.at ?? part.actedAt
  const told = part.end !== undefined || !server.running
  part.left = await part.client.seen({ event: 'left', ...who }, told && part.fate.act !== 'cut' ? 500 : 0)
}

/** What the server believes of a client, what a push to it says, and whether the client gets it. */
async function look (part, moment) {
  const server = servers[part.server]
  server.tell({ id: part.id, moment })
  part[moment] = await server.seen({ event: 'look', id: part.id, moment }) ?? {
    at: now(),
    exit: server.events.find(({ event }) => event === 'exit')
  }
  const answered = await server.seen({ event: 'answered', id: part.id }, 0)
  // Mid-answer, the app's own push is the one that counts.
  if (answered !== undefined) part[moment].pushed = answered.pushed
  const mayArrive = part[moment].pushed && (moment === 'before' || part.fate.cause === null)
  const message = { event: 'message', server: part.server, name: part.fate.name, data: moment }
  part[moment].got = await part.client.seen(message, mayArrive ? 1000 : 50) !== undefined
}

/** A TCP relay that can fall silent in both directions without a FIN or RST, as a tunnel or a dead access point does. */
async function openRelay (port) {
  const sockets = []
  let silent = false
  const server = net.createServer((near) => {
    const far = net.connect(port, '127.0.0.1')
    for (const [from, to] of [[near, far], [far, near]]) {
      sockets.push(from)
      from.pipe(to)
      from.on('error', () => {}).on('close', () => { if (!silent) to.destroy() })
    }
  })
  await new Promise((resolve) => { server.listen(0, '127.0.0.1', resolve) })
  const relay = {
    port: server.address().port,
    cut () {
      silent = true
      for (const socket of sockets) socket.unpipe().pause()
    },
    close () {
      server.close()
      for (const socket of sockets) socket.destroy()
    }
  }
  relays.push(relay)
  return relay
}
