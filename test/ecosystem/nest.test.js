import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { Logger } from '@nestjs/common'
import { transformSync } from 'esbuild'
import WebSocket from 'ws'
import { connect, freePort, until } from './support.js'

Logger.overrideLogger(false)

/** Node.js knows no decorators, nor do those of JavaScript take parameters: compiled as Nest's own starter does. */
async function compiled (file, change = (code) => code) {
  const code = change(readFileSync(new URL('documented/nest.js', import.meta.url), 'utf8'))
  const path = new URL(`documented/${file}`, import.meta.url)
  writeFileSync(path, transformSync(code, { loader: 'ts', tsconfigRaw: { compilerOptions: { experimentalDecorators: true } } }).code)
  return await import(path)
}

async function listen (t, { create }) {
  const app = await create()
  t.after(() => app.close())
  await app.listen(0, '127.0.0.1')
  return { app, ws: `ws://127.0.0.1:${app.getHttpServer().address().port}`, lifeline: app.getHttpAdapter().getInstance().lifeline }
}

const say = (text) => JSON.stringify({ event: 'say', data: text })

test('NestJS: a gateway has the connections of a route, is pushed to, and close() tells them 1012', { timeout: 30_000 }, async (t) => {
  const { app, ws, lifeline } = await listen(t, await compiled('nest.compiled.js'))
  const client = await connect(t, `${ws}/chat`)
  client.send(say('hello'))
  assert.deepEqual(JSON.parse(await client.next()), { event: 'said', data: 'hello' })
  assert.deepEqual(lifeline.list().map(({ route, groups }) => [route, [...groups]]), [['/chat', ['news']]])
  assert.equal(lifeline.group('news').push('news'), 1)
  assert.equal(await client.next(), 'news')
  const closed = once(client, 'close')
  await app.close()
  assert.equal((await closed)[0], 1012)
})

test('NestJS: two gateways are two routes, and a guard of one refuses', { timeout: 30_000 }, async (t) => {
  const { ws, lifeline } = await listen(t, await compiled('nest.guarded.js', (code) => code
    .replace('{ Inject, Module }', '{ Inject, Module, UseGuards }')
    .replace('  @SubscribeMessage', '  @UseGuards({ canActivate: (context) => context.switchToWs().getData() !== \'secret\' })\n  @SubscribeMessage')
    .replace('@Module({ providers: [Chat] })', `@WebSocketGateway({ path: '/other' })
class Other {
  @SubscribeMessage('say')
  say (client, text) { return { event: 'heard', data: text } }
}

@Module({ providers: [Chat, Other] })`)))
  const [chat, other] = [await connect(t, `${ws}/chat`), await connect(t, `${ws}/other`)]
  for (const client of [chat, other]) for (const text of ['secret', 'hello']) client.send(say(text))
  const messages = []
  do messages.push(JSON.parse(await chat.next())); while (messages.at(-1).event !== 'said')
  assert.equal(messages.at(-1).data, 'hello')
  assert.equal(JSON.parse(await other.next()).data, 'secret')
  assert.deepEqual(lifeline.list().map(({ route }) => route), ['/chat', '/other'])
})

test('NestJS: with enableShutdownHooks SIGTERM tells every client 1012', { timeout: 30_000 }, async (t) => {
  await compiled('nest.compiled.js')
  const program = `
    import { create } from './documented/nest.compiled.js'
    const app = await create()
    app.enableShutdownHooks()
    await app.listen(0, '127.0.0.1')
    process.send(app.getHttpServer().address().port)`
  const child = spawn(process.execPath, ['--input-type=module', '--eval', program], { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
  t.after(() => { child.kill('SIGKILL') })
  const [port] = await once(child, 'message')
  const client = await connect(t, `ws://127.0.0.1:${port}/chat`)
  client.send(say('hello'))
  await client.next()
  const over = once(child, 'exit')
  child.kill('SIGTERM')
  assert.equal((await once(client, 'close'))[0], 1012)
  assert.deepEqual(await over, [null, 'SIGTERM'])
})

/** The gateway is Nest's own, and there is a route of ours, `/live`. */
const plain = (gateway) => (code) => code
  .replace('{ path: \'/chat\' }', gateway)
  .replace('new LifelineAdapter', 'new WsAdapter')
  .replace('this.fastify.lifeline.of(request).join(\'news\')', '')
  .replace('  return app\n', '  app.getHttpAdapter().getInstance().get(\'/live\', { websocket: true }, (socket) => { socket.send(\'live\') })\n  return app\n')

test('NestJS: a gateway of Nest\'s own goes beside it on a port of its own', { timeout: 30_000 }, async (t) => {
  const port = await freePort()
  const { ws, lifeline } = await listen(t, await compiled('nest.port.js', plain(port)))
  const client = await connect(t, `ws://127.0.0.1:${port}`)
  client.send(say('hello'))
  assert.deepEqual(JSON.parse(await client.next()), { event: 'said', data: 'hello' })
  assert.equal(await (await connect(t, `${ws}/live`)).next(), 'live')
  assert.equal(lifeline.size, 1)
})

test('NestJS: a gateway of Nest\'s own on the same server ends what goes to our routes', { timeout: 30_000 }, async (t) => {
  const { ws, lifeline } = await listen(t, await compiled('nest.same.js', plain('{ path: \'/chat\' }')))
  const client = new WebSocket(`${ws}/live`)
  client.on('error', () => {})
  assert.equal((await once(client, 'close'))[0], 1006)
  await until('it has gone', () => lifeline.size === 0)
})
