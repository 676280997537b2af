/**
 * A team chat as you would build it: a cookie says who it is, rooms are for one's own team, a notification that reaches
 * nobody becomes an e-mail, a job tells how far it is; and deploys, an admin, metrics. How to run it: README.md.
 */
import { randomBytes, randomUUID } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import cookie from '@fastify/cookie'
import jwt from '@fastify/jwt'
import Fastify from 'fastify'
import lifeline from 'fastify-lifeline'
import { collectMetrics } from 'fastify-lifeline/metrics'
import { Registry } from 'prom-client'

/** In earnest: your users, with hashed passwords. */
const accounts = new Map([
  ['ada', { password: 'ada', team: 'red', admin: true }],
  ['bob', { password: 'bob', team: 'red', admin: false }],
  ['eve', { password: 'eve', team: 'blue', admin: false }]
])

const SIGNED_OUT = 4403 // From 3500 on a code is final: clients stay away.
const JOB_STEPS = 10
// Groups are named by what the server knows of its users, never by what a client says it is.
const userGroup = (user) => `user:${user}`
const roomGroup = ({ team, room }) => `room:${team}/${room}`
const text = { type: 'string', minLength: 1, maxLength: 1000 }

/**
 * @param options.secret signs the cookies: the same for all instances, and after a restart
 * @param options.origin where the page is served: no other may open a connection with these cookies
 * @param options.sendMail takes `{ to, text }`, may be async
 * @param options.patience how long a notification waits to be received, in ms
 * @param options.stepTime how long a step of a job takes, in ms
 * @param options.live more options of fastify-lifeline; the rest is for Fastify
 */
export async function build ({ secret = randomBytes(32), origin, sendMail = console.log, patience = 5_000, stepTime = 1_000, live, ...options }) {
  const fastify = Fastify(options)
  await fastify.register(cookie)
  await fastify.register(jwt, { secret, cookie: { cookieName: 'session' }, sign: { expiresIn: '8h' } })
  await fastify.register(lifeline, {
    origins: origin,
    receipts: true,
    serializeData: ({ user, team }) => ({ user, team }),
    // A server that is alone is back in three seconds: nobody shall knock before.
    shutdown: { reconnect: { after: 3_000, within: 5_000 } },
    ...live
  })

  // Who it is
  const signedIn = (request) => request.jwtVerify({ onlyCookie: true })
  const only = (allowed, error) => async (request, reply) => {
    if (!allowed(request)) return reply.code(403).send({ error })
  }
  const ownTeam = only(({ user, params }) => params.team === user.team, 'not your team')
  const teamMate = only(({ user, params }) => accounts.get(params.user)?.team === user.team, 'not in your team')
  const admin = only(({ user }) => user.admin, 'not an admin')
  fastify.get('/', (request, reply) => reply.type('text/html; charset=utf-8').send(createReadStream(new URL('page.html', import.meta.url))))
  const credentials = { type: 'object', required: ['user', 'password'], properties: { user: text, password: text } }
  fastify.post('/login', { schema: { body: credentials } }, async (request, reply) => {
    const { user, password } = request.body
    const account = accounts.get(user)
    if (account?.password !== password) return reply.code(401).send({ error: 'who are you?' })
    const token = await reply.jwtSign({ sub: user, team: account.team, admin: account.admin })
    return reply.setCookie('session', token, { path: '/', httpOnly: true, sameSite: 'strict' }).send({ user, team: account.team })
  })

  // Rooms
  fastify.get('/teams/:team/rooms/:room', { websocket: true, onRequest: [signedIn, ownTeam] }, (_socket, request) => {
    const { sub: user, team, exp } = request.user
    const room = fastify.lifeline.group(roomGroup(request.params))
    const connection = fastify.lifeline.of(request)
    connection.data = { user, team }
    connection.join(userGroup(user))
    connection.join(room.name)
    connection.expire(exp * 1000)
    connection.onClose(({ unconfirmed }) => missed(user, unconfirmed)) // fastify.close() waits for it
    connection.onMessage(({ data }) => { room.push({ id: randomUUID(), from: user, text: String(data) }, { except: connection }) })
    if (jobs.has(user)) connection.push({ job: jobs.get(user) })
  })

  // Notify or e-mail
  const mailed = new Set() // In earnest: a unique index on the queue of your mails.
  async function notify (user, message) {
    const { delivered } = await fastify.lifeline.group(userGroup(user)).deliver(message, { timeout: patience })
    const key = `${message.id} ${user}`
    if (delivered > 0 || mailed.has(key)) return { delivered }
    mailed.add(key)
    await sendMail({ to: user, text: message.text })
    return { delivered, mailed: true }
  }

  /** What a connection is not known to have got goes to the user's others, or by e-mail. (The page shows an id once.) */
  function missed (user, unconfirmed) {
    // Progress and goodbyes have no id: they are of the moment.
    const messages = unconfirmed.map(({ data }) => JSON.parse(data)).filter(({ id }) => id !== undefined)
    return Promise.all(messages.map((message) => notify(user, message).catch((error) => { fastify.log.error(error) })))
  }

  const note = { type: 'object', required: ['text'], properties: { text } }
  fastify.post('/users/:user/notifications', { onRequest: [signedIn, teamMate], schema: { body: note } }, ({ params, user, body }) =>
    notify(params.user, { id: randomUUID(), from: user.sub, text: body.text }))

  // A job with progress: it is the user's and not a connection's, so a reload does not end it.
  const jobs = new Map()
  async function work (user) {
    for (let step = 0; step <= JOB_STEPS; step++) {
      jobs.set(user, { step, of: JOB_STEPS })
      fastify.lifeline.group(userGroup(user)).push({ job: jobs.get(user) })
      await sleep(stepTime, undefined, { ref: false })
    }
  }
  fastify.post('/job', { onRequest: signedIn }, async ({ user }, reply) => {
    if (jobs.has(user.sub) && jobs.get(user.sub).step < JOB_STEPS) return reply.code(409).send({ error: 'one job at a time' })
    work(user.sub)
    return reply.code(202).send({ started: true })
  })

  // Deploys
  fastify.addHook('preClose', async () => { fastify.lifeline.broadcast({ goodbye: 'A new version is on its way: back in a moment.' }) })

  // Admin
  await fastify.register(async (routes) => {
    for (const check of [signedIn, admin]) routes.addHook('onRequest', check)
    routes.get('/connections', async () => fastify.lifeline.list())
    routes.get('/users/:user', ({ params }) => fastify.lifeline.members(userGroup(params.user)))
    routes.delete('/users/:user', async ({ params }) => {
      return { closed: await fastify.lifeline.disconnect({ group: userGroup(params.user) }, SIGNED_OUT, 'signed out') }
    })
  }, { prefix: '/admin' })

  // Metrics. In earnest on a port that only Prometheus reaches.
  const register = new Registry()
  collectMetrics(register, fastify.lifeline)
  fastify.get('/metrics', async (request, reply) => reply.type(register.contentType).send(await register.metrics()))
  return fastify
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const port = Number(process.env.PORT ?? 3000)
  const fastify = await build({ logger: true, secret: process.env.SECRET, origin: `http://localhost:${port}` })
  process.once('SIGTERM', () => { fastify.close() })
  await fastify.listen({ port })
}
