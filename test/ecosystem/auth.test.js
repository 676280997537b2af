import assert from 'node:assert/strict'
import { once } from 'node:events'
import { both, connect, refused, start, until } from './support.js'

process.env.JWT_SECRET = 'a secret that is long enough for everybody'
process.env.SESSION_SECRET = process.env.JWT_SECRET

const jwt = (await import('./documented/jwt.js')).default
const session = (await import('./documented/session.js')).default

both('@fastify/jwt, @fastify/cookie: a stranger gets a 401, and a connection ends when its token does', async (t, own) => {
  const { app, ws, closed } = await start(t, jwt, { own, options: { origins: 'https://app.example' } })
  const cookie = `token=${app.jwt.sign({ sub: 'ada', exp: Math.floor(Date.now() / 1000) + 2 })}`
  const origin = 'https://app.example'
  assert.equal(await refused(`${ws}/live`, { headers: { origin } }), 401)
  assert.equal(await refused(`${ws}/live`, { headers: { origin, cookie: 'token=forged' } }), 401)
  assert.equal(await refused(`${ws}/live`, { headers: { origin: 'https://evil.example', cookie } }), 403)
  const client = await connect(t, `${ws}/live`, { headers: { origin, cookie } })
  assert.equal(await client.next(), 'hello ada')
  assert.equal(app.lifeline.size, 1)
  await until('it has expired', () => closed.length === 1)
  assert.deepEqual([closed[0].cause, closed[0].code], ['expired', 4401])
})

both('@fastify/session: the session of the upgrade is there, and is saved when it is asked for alone', async (t, own) => {
  const { url, ws } = await start(t, async (fastify) => {
    await session(fastify)
    fastify.get('/unsaved', { websocket: true }, (socket, request) => {
      request.session.user = 'eve'
      socket.close()
    })
  }, { own })
  assert.equal(await refused(`${ws}/live`), 401)
  const login = await fetch(`${url}/login`, { method: 'POST' })
  const headers = { cookie: login.headers.get('set-cookie').split(';')[0] }
  assert.equal(await (await connect(t, `${ws}/live`, { headers })).next(), 'ada, visit 1')
  await once(await connect(t, `${ws}/unsaved`, { headers }), 'close')
  assert.equal(await (await connect(t, `${ws}/live`, { headers })).next(), 'ada, visit 2')
})
