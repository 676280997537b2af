/**
 * What the processes of the story share: the clock, the line to story.js, and the work that
 * both apps do for their clients. Knows nothing of WebSockets.
 */
import { setTimeout as sleep } from 'node:timers/promises'

/** In ms; comparable between the processes of one machine. */
export const now = () => performance.timeOrigin + performance.now()

/** Tells the story what happened here. Without a story (`node app.js`) nobody hears it. */
export function report (event, facts) {
  if (process.connected) process.send({ event, at: now(), ...facts })
}

/** A query such as any app makes: it takes its time, and may fail. */
export async function answerTo (question) {
  if (question === 'throw') throw new Error('the query failed')
  if (question === 'slow') await sleep(600)
  return `the answer to ${question}`
}

/** Puts an app on the stage: it listens, and looks up connections for the story until that ends. */
export async function perform (fastify, look) {
  process.on('message', ({ id, moment }) => {
    report('look', { id, moment, ...look(id, moment) })
  })
  process.on('disconnect', () => fastify.close())
  await fastify.listen({ host: '127.0.0.1', port: Number(process.env.PORT ?? 0) })
  report('listening', { port: fastify.server.address().port })
}
