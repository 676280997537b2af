import assert from 'node:assert/strict'
import { both, connect, refused, start, until } from './support.js'
import plugins from './documented/plugins.js'

const origin = 'https://app.example'

both('rate-limit, cors, helmet and swagger, by what they do to an upgrade', async (t, own) => {
  const { app, url, ws } = await start(t, plugins, { own })
  const page = await fetch(url)
  assert.match(page.headers.get('content-security-policy'), /connect-src 'self'/)
  assert.equal(page.headers.get('access-control-allow-origin'), origin)
  assert.equal(await (await connect(t, `${ws}/live`, { headers: { origin } })).next(), 'hello')
  // cors lets it through, and `origins` does not.
  assert.equal(await refused(`${ws}/live`, { headers: { origin: 'https://evil.example' } }), 403)
  for (let i = 2; i <= 3; i++) await connect(t, `${ws}/live`, { headers: { origin } })
  assert.equal(await refused(`${ws}/live`, { headers: { origin } }), 429)
  assert.equal(app.lifeline.size, 3)
  assert.deepEqual(Object.keys(app.swagger().paths), ['/'])
})

both('under-pressure answers upgrades with 503, and leaves connections alone', async (t, own) => {
  const { app, ws } = await start(t, plugins, { own })
  const client = await connect(t, `${ws}/live`, { headers: { origin } })
  assert.equal(await client.next(), 'hello')
  // It looks once a second, and goes by what it saw last.
  const busy = setInterval(() => {
    const end = performance.now() + 500
    while (performance.now() < end);
  }, 50)
  await until('it is under pressure', () => app.isUnderPressure())
  const status = refused(`${ws}/live`, { headers: { origin } })
  clearInterval(busy)
  assert.equal(await status, 503)
  assert.equal(app.lifeline.size, 1)
})
