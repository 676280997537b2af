/**
 * Real proxies in front of a server: started by a test, of that test alone, and stopped with it.
 */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { until } from '../../support/app.js'

export interface Proxy {
  /** Reads its configuration again, as after a change: new workers take over, and the old ones end soon. */
  reload: () => void
  /** Ends it, and starts it again. */
  restart: () => Promise<void>
}

export interface ProxyOptions {
  /** Where the server listens, on 127.0.0.1 as the proxy sees it. */
  upstream: number
  /** Where the proxy does. */
  listen: string
  /** Its idle timeout, in s. */
  idle: number
  /** Whether something listens there now. */
  reachable: () => Promise<boolean>
  /** A program to run it with, such as `ip netns exec name`. */
  prefix?: string[]
}

async function startProxy (t: TestContext, name: string, config: (folder: string) => string, args: (folder: string) => string[], reload: NodeJS.Signals, { reachable, prefix = [] }: ProxyOptions): Promise<Proxy> {
  const folder = await mkdtemp(join(tmpdir(), `lifeline-${name}-`))
  await writeFile(join(folder, 'config'), config(folder))
  let child: ChildProcess
  let exited: Promise<unknown>
  const start = async (): Promise<void> => {
    const [program, ...rest] = [...prefix, name, ...args(folder)]
    child = spawn(program!, rest, { stdio: ['ignore', 'ignore', 'inherit'] })
    exited = once(child, 'exit')
    await until(`${name} listens`, reachable)
  }
  // By TERM a master takes its workers with it; by KILL it would leave them.
  const stop = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) child.kill('SIGTERM')
    await exited
  }
  t.after(async () => {
    await stop()
    await rm(folder, { recursive: true, force: true })
  })
  await start()
  return {
    reload: () => { child.kill(reload) },
    restart: async () => { await stop(); await start() }
  }
}

export const startNginx = (t: TestContext, options: ProxyOptions): Promise<Proxy> => startProxy(t, 'nginx', (folder) => `
daemon off;
worker_processes 1;
worker_shutdown_timeout 1s;
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
    listen ${options.listen};
    location / {
      proxy_pass http://127.0.0.1:${options.upstream};
      proxy_http_version 1.1;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection upgrade;
      proxy_set_header X-Forwarded-For $remote_addr;
      proxy_read_timeout ${options.idle}s;
    }
  }
}
`, (folder) => ['-p', folder, '-e', join(folder, 'error.log'), '-c', join(folder, 'config')], 'SIGHUP', options)

export const startHaproxy = (t: TestContext, options: ProxyOptions): Promise<Proxy> => startProxy(t, 'haproxy', () => `
global
  hard-stop-after 1s
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
  timeout tunnel ${options.idle}s
  timeout client-fin 1s
  option forwardfor
frontend in
  bind ${options.listen}
  default_backend app
backend app
  server one 127.0.0.1:${options.upstream}
`, (folder) => ['-W', '-q', '-f', join(folder, 'config')], 'SIGUSR2', options)
