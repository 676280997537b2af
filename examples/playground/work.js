/**
 * What the apps of the playground share: the work that they do for their clients, their log, and the line to
 * the playground. Knows nothing of WebSockets.
 */
import { setTimeout as sleep } from 'node:timers/promises'

/** How long the slow answer takes, in ms. */
const SLOW = 1500

/** A flood: so many messages of so many bytes for a client, or for each, one every few ms. */
const FLOOD = { count: 256, bytes: 64 * 1024, every: 20 }

/** How often every client gets a message that nobody asked for, in ms. */
const TICK = 1000

/** A stall: two jobs, one turn of the loop after the other; how long each blocks it, in ms. */
const JOB = 2500

/** For Fastify: each line of the log goes to the playground. */
export const logging = {
  logger: {
    level: 'debug',
    stream: {
      write (text) {
        const { level, msg, cause, err } = JSON.parse(text)
        const more = cause ?? err?.message
        if (process.connected) process.send({ line: { level, text: more === undefined ? msg : `${msg}: ${more}` } })
      }
    }
  },
  disableRequestLogging: true
}

/** A query such as any app makes: it takes its time, and may fail. */
export async function answerTo (question) {
  if (question === 'throw') throw new Error('the query failed')
  if (question === 'slow') await sleep(SLOW)
  return `the answer to ${question}`
}

/** What the app is asked to do, by name; every answer goes back. */
export async function serve (fastify, { push, broadcast, deliver, state, forget, clients }) {
  let ticks = 0
  const acts = {
    push: ({ name }) => push(name, 'a message'),
    broadcast: () => broadcast('to all'),
    flood: ({ name }) => {
      const message = 'x'.repeat(FLOOD.bytes)
      let left = FLOOD.count
      const timer = setInterval(() => {
        for (const each of name === undefined ? clients() : [name]) push(each, message)
        if (--left === 0) clearInterval(timer)
      }, FLOOD.every)
    },
    stall: () => {
      block()
      // Once around the loop: its timers fire, and what has come is read, but not what is on its way.
      setImmediate(() => { setImmediate(block) })
    },
    deliver: ({ name }) => deliver(name, 'a message of which we want to know whether it has arrived'),
    forget: ({ name }) => forget(name),
    state
  }
  process.on('message', ({ id, act, ...details }) => {
    const answer = acts[act](details)
    if (id !== undefined) process.send({ id, answer })
  })
  process.on('disconnect', () => process.exit())
  process.on('SIGTERM', async () => {
    await fastify.close()
    process.exit()
  })
  setInterval(() => {
    ticks++
    for (const name of clients()) push(name, `tick ${ticks}`)
  }, TICK)
  await fastify.listen({ host: '127.0.0.1', port: 0 })
  process.send({ port: fastify.server.address().port })
}

function block () {
  const end = performance.now() + JOB
  while (performance.now() < end);
}
