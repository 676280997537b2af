/**
 * A Prometheus scrapes an app, and has the numbers of `stats()`; its own tools find nothing wrong with the metrics, or with the
 * alerts of docs/metrics.md.
 */
import assert from 'node:assert/strict'
import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Registry } from 'prom-client'
import type { Distribution, Stats } from '../../src/index.js'
import { collectMetrics } from '../../src/metrics/collect.js'
import { connect, start, until } from '../support/app.js'
import type { App } from '../support/app.js'
import { needs } from '../support/needs.js'
import { freePort } from '../support/port.js'
import { dial } from '../support/raw-client.js'

const docs = readFileSync(fileURLToPath(new URL('../../docs/metrics.md', import.meta.url)), 'utf8')
const [, alerts] = /```yaml\n([\s\S]*?)```/.exec(docs)!

function folder (t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'lifeline-prometheus-'))
  t.after(() => { rmSync(path, { recursive: true, force: true }) })
  return path
}

interface Sample { metric: Record<string, string>, value: [at: number, value: string] }

/** One that scrapes this port five times a second, with the alerts of the documentation. @returns what asks it */
async function startPrometheus (t: TestContext, scraped: number): Promise<(query: string) => Promise<Sample[]>> {
  const path = folder(t)
  writeFileSync(join(path, 'alerts.yml'), alerts!)
  writeFileSync(join(path, 'config.yml'), `
global: { scrape_interval: 200ms, evaluation_interval: 200ms }
rule_files: [alerts.yml]
scrape_configs: [{ job_name: app, static_configs: [{ targets: ['127.0.0.1:${scraped}'] }] }]
`)
  const port = await freePort()
  const child = spawn('prometheus', [`--config.file=${path}/config.yml`, `--storage.tsdb.path=${path}/data`, `--web.listen-address=127.0.0.1:${port}`, '--log.level=error'], { stdio: ['ignore', 'inherit', 'inherit'] })
  const exited = once(child, 'exit')
  t.after(async () => {
    child.kill('SIGKILL')
    await exited
  })
  const api = `http://127.0.0.1:${port}`
  await until('prometheus is ready', () => fetch(`${api}/-/ready`).then(({ ok }) => ok, () => false), 30_000)
  return async (query) => {
    const response = await fetch(`${api}/api/v1/query?query=${encodeURIComponent(query)}`)
    const { data } = await response.json() as { data: { result: Sample[] } }
    return data.result
  }
}

async function scrapable (t: TestContext): Promise<App & { register: Registry }> {
  const register = new Registry()
  const app = await start(t, {
    options: { heartbeat: false, receipts: { limit: 10_000_000 }, backpressure: { limit: 100_000 }, shutdown: { timeout: 20 }, closeTimeout: 20 },
    routes: (app) => {
      app.get('/', { websocket: true }, (socket) => {
        socket.on('message', (message) => { if (String(message) === 'throw') throw new Error('as asked') })
      })
      app.get('/metrics', async (_request, reply) => reply.type(register.contentType).send(await register.metrics()))
    }
  })
  collectMetrics(register, app.app.lifeline)
  return { ...app, register }
}

/** Some connections, messages both ways, a broadcast, somebody who is full, a death, a handler that throws. */
async function live (t: TestContext, { app, url, closed }: App): Promise<void> {
  const clients = await Promise.all([1, 2, 3].map(() => connect(t, url)))
  const slow = await dial(t, url, { answers: false })
  const [one] = app.lifeline
  const last = [...app.lifeline].at(-1)!
  await one!.join('room')
  await one!.ping()
  assert.equal((await one!.deliver('hello')).outcome, 'delivered')
  assert.equal(app.safePush(1, 'nobody is there'), false)
  slow.socket.pause()
  while (last.push(Buffer.alloc(30_000)) !== 'full');
  assert.equal(app.lifeline.broadcast(Buffer.alloc(90_000)), 3)
  for (const client of clients) client.send('12345')
  await until('their messages have come', () => app.lifeline.stats().messages.in === 3)
  // All others confirm what they have, so that nothing moves any more.
  for (const connection of app.lifeline) if (connection !== last) await connection.deliver('and the last')
  clients[1]!.terminate()
  clients[2]!.send('throw')
  await until('two are over', () => closed.length === 2)
}

/** By name and label, as in a query: what Prometheus is to have of stats. */
function expected (stats: Stats): Record<string, number> {
  const flat = (name: string, label: string, values: Record<string, number>): Array<[string, number]> => Object.entries(values).map(([key, value]) => [`${name}{${label}=${key}}`, value])
  const distribution = (name: string, { buckets, counts, sum, count }: Distribution): Array<[string, number]> => [
    ...buckets.map((bound, i): [string, number] => [`${name}_bucket{le=${bound / 1000}}`, counts.slice(0, i + 1).reduce((all, one) => all + one)]),
    [`${name}_bucket{le=+Inf}`, count],
    [`${name}_sum`, sum / 1000],
    [`${name}_count`, count]
  ]
  return Object.fromEntries([
    ...flat('lifeline_connections_closed_total', 'cause', stats.closed),
    ...flat('lifeline_limits_applied_total', 'limit', stats.limited),
    ...flat('lifeline_messages_total', 'direction', stats.messages),
    ...flat('lifeline_message_bytes_total', 'direction', stats.bytes),
    ...flat('lifeline_dropped_messages_total', 'reason', stats.dropped),
    ...flat('lifeline_pushes_total', 'result', stats.pushes),
    ...flat('lifeline_deliveries_total', 'outcome', stats.deliveries),
    ...flat('lifeline_broadcast_recipients_total', 'result', stats.recipients),
    ...distribution('lifeline_round_trip_seconds', stats.roundTrips),
    ['lifeline_connections', stats.connections],
    ['lifeline_connections_opened_total', stats.opened],
    ['lifeline_upgrades_refused_total', stats.upgrades.refused],
    ['lifeline_upgrades_timed_out_total', stats.upgrades.timedOut],
    ['lifeline_broadcasts_total', stats.broadcasts],
    ['lifeline_buffered_bytes', stats.bufferedBytes],
    ['lifeline_unconfirmed_messages', stats.unconfirmed.messages],
    ['lifeline_unconfirmed_bytes', stats.unconfirmed.bytes],
    ['lifeline_invalid_messages_total', stats.invalid],
    ['lifeline_groups', stats.groups],
    ['lifeline_heartbeat_pings_total', stats.heartbeat.pings],
    ['lifeline_heartbeat_lost_total', stats.heartbeat.lost],
    ['lifeline_errors_total', stats.errors]
  ] as Array<[string, number]>)
}

/** What the wheel counts goes on. */
const moves = /^lifeline_(loop_lateness|heartbeat_stalls)/

const shown = (samples: Sample[]): Record<string, number> => Object.fromEntries(samples.map(({ metric: { __name__: name, instance, job, ...labels }, value }) => {
  const [label] = Object.entries(labels)
  return [label === undefined ? name! : `${name!}{${label.join('=')}}`, Number(value[1])] as [string, number]
}).filter(([name]) => !moves.test(name)))

test('Prometheus has what stats() says, and its alerts go off', { timeout: 60_000 }, async (t) => {
  if (!needs(t, 'prometheus')) return
  const app = await scrapable(t)
  const query = await startPrometheus(t, app.port)
  const all = (): Promise<Sample[]> => query('{__name__=~"lifeline_.+"}')
  await until('it was scraped before anything has happened', async () => shown(await all()).lifeline_connections === 0)
  await live(t, app)
  const { lifeline } = app.app
  await until('it was scraped since', async () => shown(await all())['lifeline_connections_closed_total{cause=handler}'] === 1)
  await until('what was asked for in the end is known', async () => shown(await all()).lifeline_buffered_bytes === lifeline.stats().bufferedBytes)
  const stats = lifeline.stats()
  assert.deepEqual(shown(await all()), expected(stats))
  // So that none of it is nothing.
  const { connections, closed, messages, recipients, unconfirmed, bufferedBytes, groups, roundTrips, deliveries, errors } = stats
  assert.deepEqual([connections, closed.reset, closed.handler, messages.in, recipients, groups, errors], [2, 1, 1, 4, { reached: 3, full: 1 }, 1, 1])
  for (const positive of [unconfirmed.messages, unconfirmed.bytes, bufferedBytes, roundTrips.count, deliveries.delivered]) assert.ok(positive > 0)

  await until('it knows how late the loop is', async () => {
    const [lateness] = await query('histogram_quantile(0.99, sum by (le) (rate(lifeline_loop_lateness_seconds_bucket[1m])))')
    return lateness !== undefined && Number(lateness.value[1]) >= 0 && Number(lateness.value[1]) <= 10
  })
  await until('the alert goes off', async () => (await query('ALERTS{alertname="LifelineHandlersFail",alertstate="firing"}')).length === 1)
  await until('the one that waits for a while is on its way', async () => (await query('ALERTS{alertname="LifelineClientsAreSlow",alertstate="pending"}')).length === 1)
})

test('promtool finds nothing wrong with the metrics, nor with the alerts of the documentation', async (t) => {
  if (!needs(t, 'prometheus')) return
  const app = await scrapable(t)
  await live(t, app)
  assert.equal(execFileSync('promtool', ['check', 'metrics'], { input: await app.register.metrics(), encoding: 'utf8', stdio: ['pipe', 'pipe', 'pipe'] }), '')
  const file = join(folder(t), 'alerts.yml')
  writeFileSync(file, alerts!)
  assert.match(execFileSync('promtool', ['check', 'rules', '--lint=all', '--lint-fatal', file], { encoding: 'utf8' }), /SUCCESS: 4 rules found/)
})
