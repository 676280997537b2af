/**
 * nginx in front, with a short idle timeout: the heartbeat keeps the idle connection open.
 */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { level, until } from '../support/app.js'
import { startRemote } from '../support/remote.js'
import { startFleet } from './support/fleet.js'
import { needs } from '../support/needs.js'

/** nginx knows no port 0: asked of the kernel, and taken a moment later. */
async function freePort (): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

async function startNginx (t: TestContext, upstream: number): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'lifeline-nginx-'))
  t.after(() => rm(folder, { recursive: true, force: true }))
  const port = await freePort()
  await writeFile(join(folder, 'nginx.conf'), `
daemon off;
master_process off;
pid ${folder}/nginx.pid;
error_log ${folder}/error.log;
events {}
http {
  access_log off;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://127.0.0.1:${upstream};
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection upgrade;
      proxy_read_timeout 3s;
    }
  }
}
`)
  const nginx = spawn('nginx', ['-p', folder, '-e', join(folder, 'error.log'), '-c', join(folder, 'nginx.conf')], { stdio: ['ignore', 'inherit', 'inherit'] })
  const exited = once(nginx, 'exit')
  t.after(async () => {
    if (nginx.exitCode === null && nginx.signalCode === null) {
      nginx.kill('SIGKILL')
      await exited
    }
  })
  await until('nginx listens', async () => {
    const socket = connect(port, '127.0.0.1')
    socket.on('error', () => {})
    const listens = await Promise.race([once(socket, 'connect').then(() => true), once(socket, 'close').then(() => false)]).catch(() => false)
    socket.destroy()
    return listens
  })
  return port
}

describe('behind nginx with proxy_read_timeout 3s', { concurrency: true }, () => {
  test('an idle connection lives on, with a heartbeat of 1 s', async (t) => {
    if (!needs(t, 'nginx')) return
    const server = await startRemote(t, { lifeline: { heartbeat: { interval: 1000, timeout: 1000 } } })
    const fleet = await startFleet(t)
    const port = await startNginx(t, server.port)
    await fleet.connect(`ws://127.0.0.1:${port}/echo`, 'ws', 10)
    await fleet.connect(`ws://127.0.0.1:${port}/silent`, 'ws', 10)
    await sleep(11_000)
    assert.deepEqual(await server.closed(), [])
    assert.equal((await fleet.state()).every(({ open }) => open), true)
    assert.equal(await fleet.echo(10), 10)
  })

  test('with an interval that is too long, one warning says after which time connections are cut', async (t) => {
    if (!needs(t, 'nginx')) return
    const server = await startRemote(t, { lifeline: { heartbeat: { interval: 10_000, timeout: 1000 } } })
    const fleet = await startFleet(t)
    const port = await startNginx(t, server.port)
    await fleet.connect(`ws://127.0.0.1:${port}/echo`, 'ws', 10)
    await fleet.connect(`ws://127.0.0.1:${port}/silent`, 'ws', 10)
    await until('they are cut', async () => (await server.closed()).length === 20)
    assert.deepEqual(new Set((await server.closed()).map(({ cause }) => cause)), new Set(['reset']))
    const warnings = (await server.lines()).filter((line) => line.level === level.warn)
    assert.equal(warnings.length, 1)
    assert.match(warnings[0]!.msg, /^lifeline: connections are cut after 3\.\d s without traffic: .* keep heartbeat\.interval \(10000 ms\) below that$/)
  })

  test('the bare @fastify/websocket loses it after 3 s', async (t) => {
    if (!needs(t, 'nginx')) return
    const server = await startRemote(t, { bare: true })
    const fleet = await startFleet(t)
    const port = await startNginx(t, server.port)
    await fleet.connect(`ws://127.0.0.1:${port}/echo`, 'ws', 10)
    const start = performance.now()
    await until('they are cut', async () => (await fleet.state()).every(({ open }) => !open))
    const took = performance.now() - start
    t.diagnostic(`the bare server's connections were cut after ${Math.round(took)} ms`)
    assert.ok(took > 2000, `cut after ${took} ms: by something else`)
    assert.deepEqual(new Set((await fleet.state()).map(({ code }) => code)), new Set([1006]))
  })
})
