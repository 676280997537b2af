/**
 * The app with fastify-lifeline. without.js is the same app on bare @fastify/websocket.
 */
import Fastify from 'fastify'
import lifeline from 'fastify-lifeline'
import { answerTo, serve } from './work.js'

const fastify = Fastify()
// Short, so that you need not wait.
await fastify.register(lifeline, { heartbeat: { interval: 2000, timeout: 1000 }, backpressure: { stallTimeout: 3000 } })

/** What the app remembers of each client, also when it is gone. */
const rows = new Map()
const byFd = new Map()

fastify.get('/live', { websocket: true }, (socket, request) => {
  const { fd } = request
  const row = { fd, pushed: 0, refused: 0, end: null }
  rows.set(request.query.name, row)
  byFd.set(fd, row)

  socket.on('message', async (message) => {
    const answer = await answerTo(String(message)) // the client may leave meanwhile
    count(row, fastify.safePush(fd, answer)) //       true: handed over; false: nobody there
  })
})

fastify.lifeline.on('close', (_connection, { fd, cause, code, closedAt }) => {
  const row = byFd.get(fd)
  byFd.delete(fd)
  if (row !== undefined) row.end = { cause, code, at: closedAt }
})

function count (row, handedOver) {
  if (handedOver) row.pushed++
  else row.refused++
}

function show (row) {
  const connection = fastify.lifeline.get(row.fd)
  if (connection === undefined) return { ...row, state: 'closed' }
  const { state, roundTrip, lastSeenAt, bufferedBytes } = connection
  return { ...row, state, roundTrip: Number.isNaN(roundTrip) ? null : roundTrip, lastSeenAt, bufferedBytes }
}

await serve(fastify, {
  clients: () => rows.keys(),
  push: (name, message) => {
    const row = rows.get(name)
    if (row !== undefined) count(row, fastify.safePush(row.fd, message))
  },
  broadcast: (message) => fastify.lifeline.broadcast(message),
  forget: (name) => {
    fastify.lifeline.disconnect(rows.get(name)?.fd ?? 0)
    rows.delete(name)
  },
  state: () => ({
    connections: fastify.lifeline.size,
    errors: fastify.lifeline.stats().errors,
    bound: fastify.lifeline.heartbeat.bound,
    rows: Object.fromEntries(Array.from(rows, ([name, row]) => [name, show(row)]))
  })
})
