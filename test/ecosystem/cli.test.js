import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import autoload from '@fastify/autoload'
import Fastify from 'fastify'
import { connect, freePort, until } from './support.js'

async function cli (t, ...args) {
  const port = await freePort()
  const child = spawn(process.execPath, ['node_modules/fastify-cli/cli.js', 'start', '--port', String(port), '--address', '127.0.0.1', ...args, 'documented/cli/app.js'], { stdio: ['ignore', 'pipe', 'ignore'] })
  t.after(() => { child.kill('SIGKILL') })
  child.stdout.resume()
  await until('it listens', () => fetch(`http://127.0.0.1:${port}/`).then(() => true, () => false))
  return { child, client: await connect(t, `ws://127.0.0.1:${port}/live`) }
}

test('fastify-cli with @fastify/autoload: the routes have the plugin, and SIGTERM tells every client 1012', { timeout: 30_000 }, async (t) => {
  const { child, client } = await cli(t)
  client.send('hi')
  assert.equal(await client.next(), 'you said hi')
  child.kill('SIGTERM')
  const [[code, reason], [status]] = await Promise.all([once(client, 'close'), once(child, 'exit')])
  assert.deepEqual([code, status], [1012, 0])
  assert.match(String(reason), /^retry: \d+$/)
})

test('fastify-cli: a client that takes longer than half a second is waited for with --close-grace-delay alone', { timeout: 30_000 }, async (t) => {
  const hasty = await cli(t)
  hasty.client.pause()
  hasty.child.kill('SIGTERM')
  assert.deepEqual(await once(hasty.child, 'exit'), [1, null])

  const { child, client } = await cli(t, '--close-grace-delay', '20000')
  client.pause()
  child.kill('SIGTERM')
  // Longer than the default.
  await sleep(1_000)
  client.resume()
  assert.equal((await once(client, 'close'))[0], 1012)
  assert.deepEqual(await once(child, 'exit'), [0, null])
})

test('@fastify/autoload: a file of plugins/ that exports the plugin serves the routes', { timeout: 30_000 }, async (t) => {
  const folder = new URL('loaded/plugins/', import.meta.url)
  mkdirSync(folder, { recursive: true })
  writeFileSync(new URL('lifeline.js', folder), 'export { default } from \'fastify-lifeline\'\n')
  const fastify = Fastify({ forceCloseConnections: true })
  t.after(() => fastify.close())
  fastify.register(autoload, { dir: fileURLToPath(folder), options: { limits: { connections: 1 } } })
  fastify.register(autoload, { dir: fileURLToPath(new URL('documented/cli/routes', import.meta.url)) })
  const url = await fastify.listen({ port: 0, host: '127.0.0.1' })
  const client = await connect(t, `${url.replace('http', 'ws')}/live`)
  client.send('hi')
  assert.equal(await client.next(), 'you said hi')
  await assert.rejects(connect(t, `${url.replace('http', 'ws')}/live`), /503/)
})
