/**
 * A long job that tells how far it is, and is given up when nobody waits for it any more: all that
 * it awaits hangs on `connection.signal`. Send {"start": 5}; GET /jobs counts what became of the jobs.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import Fastify from 'fastify'
import lifeline from 'fastify-lifeline'

const MOST_STEPS = 100

/** @param options.stepTime how long a step of a job takes, in ms; the rest is for Fastify */
export async function build ({ stepTime = 500, ...options } = {}) {
  const fastify = Fastify(options)
  await fastify.register(lifeline)
  const jobs = { running: 0, done: 0, abandoned: 0 }

  async function work (connection, steps) {
    const { signal } = connection
    jobs.running++
    try {
      for (let step = 1; step <= steps; step++) {
        await sleep(stepTime, undefined, { signal }) // or a query, or fetch(url, { signal })
        connection.push({ step, of: steps })
      }
      jobs.done++
      connection.push({ done: true })
    } catch (error) {
      if (signal.aborted) jobs.abandoned++
      throw error
    } finally {
      jobs.running--
    }
  }

  fastify.get('/work', { websocket: true }, async (_socket, request) => {
    const connection = fastify.lifeline.of(request)
    // One job at a time: a client that sends faster than we work is slowed down.
    for await (const { data } of connection.messages()) {
      const steps = stepsOf(data)
      // The AbortError of a client that has left comes out here, ends the loop, and is no error in the log.
      if (steps > 0) await work(connection, steps)
      else connection.push({ error: `send {"start": n}, n from 1 to ${MOST_STEPS}` })
    }
  })

  fastify.get('/jobs', async () => jobs)

  return fastify
}

/** 0 if it asks for no job. What a client sends may be anything: it must not throw. */
function stepsOf (data) {
  try {
    const { start } = JSON.parse(data)
    return Number.isInteger(start) && start >= 1 && start <= MOST_STEPS ? start : 0
  } catch {
    return 0
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const fastify = await build({ logger: true })
  await fastify.listen({ port: Number(process.env.PORT ?? 3000) })
}
