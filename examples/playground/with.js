/**
 * The app with fastify-lifeline. without.js is the same app on bare @fastify/websocket.
 */
import Fastify from 'fastify'
import lifeline from 'fastify-lifeline'
import { answerTo, logging, serve } from './work.js'

const fastify = Fastify(logging)
await fastify.register(lifeline, {
  // Short, so that you need not wait.
  heartbeat: { interval: 2000, timeout: 1000 },
  backpressure: { stallTimeout: 3000 },
  shutdown: { reconnect: { within: 3000 } },
  receipts: true
})

/** What the app remembers of each client, also when it is gone. */
const rows = new Map()

// <handler>
fastify.get('/live', { websocket: true }, (socket, request) => {
  const { fd } = request
  const row = keep(fd, request.query.name)

  socket.on('message', async (message) => {
    const answer = await answerTo(String(message)) // the client may leave meanwhile
    count(row, fastify.safePush(fd, answer)) //       true: handed over; false: nobody there
  })
})
// </handler>

function keep (fd, name) {
  const row = { fd, sent: 0, refused: 0, receipt: null, end: null }
  rows.set(name, row)
  fastify.lifeline.get(fd).onClose(({ cause, code, closedAt, unconfirmed }) => {
    row.end = { cause, code, at: closedAt, unconfirmed: unconfirmed.map(({ data }) => String(data).slice(0, 20)) }
  })
  return row
}

function count (row, handedOver) {
  if (handedOver) row.sent++
  else row.refused++
}

function show (row) {
  const connection = fastify.lifeline.get(row.fd)
  if (connection === undefined) return { ...row, state: 'closed' }
  const { state, roundTrip, lastSeenAt, bufferedBytes, unconfirmed } = connection
  return { ...row, state, roundTrip: Number.isNaN(roundTrip) ? null : roundTrip, lastSeenAt, bufferedBytes, unconfirmedBytes: unconfirmed.bytes }
}

await serve(fastify, {
  clients: () => rows.keys(),
  push: (name, message) => {
    const row = rows.get(name)
    if (row !== undefined) count(row, fastify.safePush(row.fd, message))
  },
  deliver: async (name, message) => {
    const row = rows.get(name)
    const since = performance.now()
    const { outcome } = await fastify.lifeline.deliver(row?.fd ?? 0, message, { timeout: 2000 })
    if (row !== undefined) row.receipt = { outcome, took: performance.now() - since }
  },
  broadcast: (message) => fastify.lifeline.broadcast(message),
  forget: (name) => {
    fastify.lifeline.disconnect(rows.get(name)?.fd ?? 0)
    rows.delete(name)
  },
  state: () => ({
    connections: fastify.lifeline.size,
    bound: fastify.lifeline.heartbeat.bound,
    rows: Object.fromEntries(Array.from(rows, ([name, row]) => [name, show(row)]))
  })
})
