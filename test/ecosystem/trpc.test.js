import assert from 'node:assert/strict'
import { createTRPCClient, createWSClient, wsLink } from '@trpc/client'
import WebSocket from 'ws'
import { both, start, until } from './support.js'
import trpc from './documented/trpc.js'

both('tRPC: calls and subscriptions over a connection, which createContext finds', async (t, own) => {
  const { app, ws, closed } = await start(t, trpc, { own, fastify: { routerOptions: { maxParamLength: 5000 } } })
  const wire = createWSClient({ url: `${ws}/trpc`, WebSocket })
  const client = createTRPCClient({ links: [wsLink({ client: wire })] })
  const fd = await client.fd.query()
  assert.equal(app.exists(fd), true)
  const ticks = await new Promise((resolve, reject) => {
    const came = []
    client.ticks.subscribe(undefined, { onData: (tick) => { came.push(tick) }, onComplete: () => { resolve(came) }, onError: reject })
  })
  assert.deepEqual(ticks, [1, 2, 3])
  await wire.close()
  await until('it is over', () => closed.length === 1)
  assert.equal(closed[0].cause, 'client')
})
