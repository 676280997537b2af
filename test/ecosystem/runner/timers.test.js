// A minute in which a client says nothing, in no time: for Vitest, and by another import for Jest.
import Fastify from 'fastify'
import lifeline from 'fastify-lifeline'
import { expect, test, vi } from 'vitest'
import WebSocket from 'ws'

test('who says nothing for a minute is gone', async () => {
  const fastify = Fastify()
  await fastify.register(lifeline)
  fastify.get('/live', { websocket: true }, (socket, request) => { fastify.lifeline.of(request).join('all') })
  await fastify.listen({ port: 0, host: '127.0.0.1' })
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval', 'Date', 'performance'] })
  const client = new WebSocket(`ws://127.0.0.1:${fastify.server.address().port}/live`, { autoPong: false })
  await new Promise((resolve) => { client.once('open', resolve) })
  const told = new Promise((resolve) => { client.once('message', resolve) })
  fastify.lifeline.group('all').push('hello')
  expect(String(await told)).toBe('hello')
  const [connection] = fastify.lifeline
  await vi.advanceTimersByTimeAsync(60_000)
  expect((await connection.closed).cause).toBe('heartbeat')
  client.terminate()
  vi.useRealTimers()
  await fastify.close()
})
