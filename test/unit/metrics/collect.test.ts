/**
 * The metrics in registries of prom-client itself.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { AggregatorRegistry, Counter, Registry } from 'prom-client'
import type { Distribution, Stats } from '../../../src/index.js'
import { collectMetrics } from '../../../src/metrics/collect.js'
import { metrics } from '../../../src/metrics/metrics.js'
import { assembled } from '../assembled.js'

/** Stats in which each number is another, and the place of each. */
function distinct (): Stats {
  let last = 0
  const fill = (value: unknown): unknown => {
    if (typeof value === 'number') return ++last
    const { buckets } = value as Partial<Distribution>
    if (buckets !== undefined) {
      const counts = buckets.map(() => ++last).concat(++last)
      return { buckets, counts, sum: ++last * 1000, count: counts.reduce((sum, count) => sum + count, 0) }
    }
    return Object.fromEntries(Object.entries(value as object).map(([key, inner]) => [key, fill(inner)]))
  }
  return fill(assembled().lifeline.stats()) as Stats
}

/** The lines of a scrape that are no comments, by what stands before the value. */
const parse = (text: string): Record<string, number> =>
  Object.fromEntries(text.split('\n').filter((line) => line !== '' && !line.startsWith('#')).map((line) => [line.slice(0, line.lastIndexOf(' ')), Number(line.slice(line.lastIndexOf(' ') + 1))]))

/** Every number of stats, as often as it is there; of histograms the sum of what is in them. */
const numbers = (value: unknown): number[] => typeof value === 'number'
  ? [value]
  : Object.values('buckets' in (value as object) ? { sum: (value as Distribution).sum / 1000, counts: (value as Distribution).counts } : value as object).flatMap(numbers)

test('everything that stats() says is in a metric, and nothing else', async () => {
  const stats = distinct()
  const register = new Registry()
  collectMetrics(register, { stats: () => stats })
  const scraped = parse(await register.metrics())
  const told: number[] = []
  let below = 0
  for (const [name, value] of Object.entries(scraped)) {
    if (name.endsWith('_count')) continue
    if (!name.includes('_bucket')) told.push(value)
    else told.push(value - (name.includes('le="0.001"') ? below = 0 : below))
    if (name.includes('_bucket')) below = value
  }
  assert.deepEqual(told.toSorted((a, b) => a - b), numbers(stats).toSorted((a, b) => a - b))
})

test('what is told is what stats() says at that moment', async () => {
  const { lifeline } = assembled()
  const register = new Registry()
  collectMetrics(register, lifeline)
  const before = parse(await register.metrics())
  assert.deepEqual([before['lifeline_pushes_total{result="gone"}'], before.lifeline_broadcasts_total], [0, 0])
  lifeline.push(1, 'nobody is there')
  lifeline.broadcast('nobody is there')
  const after = parse(await register.metrics())
  assert.deepEqual([after['lifeline_pushes_total{result="gone"}'], after.lifeline_broadcasts_total], [1, 1])
})

test('histograms are in seconds, their buckets hold those before them as well, and the last holds all', async () => {
  const register = new Registry()
  const { lifeline, house } = assembled()
  for (const ms of [0.5, 1, 3, 30_000]) house.journal.answered(ms)
  collectMetrics(register, lifeline)
  const scraped = parse(await register.metrics())
  const bucket = (le: string): number | undefined => scraped[`lifeline_round_trip_seconds_bucket{le="${le}"}`]
  assert.deepEqual(['0.001', '0.0025', '0.005', '10', '+Inf'].map(bucket), [2, 2, 3, 3, 4])
  assert.equal(scraped.lifeline_round_trip_seconds_count, 4)
  assert.ok(Math.abs(scraped.lifeline_round_trip_seconds_sum! - 30.0045) < 1e-9)
})

test('names keep the conventions: base units, and _total for counters alone', () => {
  for (const { name, type, help } of metrics) {
    assert.match(name, /^[a-z_]+$/)
    assert.equal(name.endsWith('_total'), type === 'counter', name)
    assert.doesNotMatch(name, /_(ms|milliseconds|kib|count|sum|bucket)$/, name)
    if (type === 'histogram') assert.match(name, /_seconds$/)
    assert.match(help, /\.$/)
  }
  assert.equal(new Set(metrics.map(({ name }) => name)).size, metrics.length)
})

test('as OpenMetrics, again and again, counters have their _total once', async () => {
  const register = new Registry<typeof Registry.OPENMETRICS_CONTENT_TYPE>()
  register.setContentType(Registry.OPENMETRICS_CONTENT_TYPE)
  const stop = collectMetrics(register, assembled().lifeline)
  for (let i = 0; i < 2; i++) {
    const text = await register.metrics()
    assert.match(text, /# TYPE lifeline_broadcasts counter\nlifeline_broadcasts_total 0\n/)
    assert.match(text, /lifeline_connections_closed_total\{cause="reset"\} 0\n/)
    assert.match(text, /# TYPE lifeline_round_trip_seconds histogram\nlifeline_round_trip_seconds_bucket\{le="0.001"\} 0\n/)
    assert.match(text, /# EOF\n$/)
  }
  stop()
  assert.deepEqual(register.getMetricsAsArray(), [])
})

test('the workers of a cluster are added up, with their default labels', async () => {
  const workers = [1, 2].map((times) => {
    const { lifeline, house } = assembled()
    for (let i = 0; i < times; i++) lifeline.broadcast('nobody is there')
    house.journal.answered(3)
    const register = new Registry()
    register.setDefaultLabels({ app: 'chat' })
    collectMetrics(register, lifeline)
    return register
  })
  const all = parse(await AggregatorRegistry.aggregate(await Promise.all(workers.map((register) => register.getMetricsAsJSON()))).metrics())
  assert.equal(all['lifeline_broadcasts_total{app="chat"}'], 3)
  assert.equal(all['lifeline_round_trip_seconds_bucket{le="0.0025",app="chat"}'], 0)
  assert.equal(all['lifeline_round_trip_seconds_bucket{le="0.005",app="chat"}'], 2)
  assert.equal(all['lifeline_round_trip_seconds_count{app="chat"}'], 2)
})

test('a registry that is reset leaves the counters as they are: they are the lifeline\'s', async () => {
  const { lifeline } = assembled()
  const register = new Registry()
  collectMetrics(register, lifeline)
  lifeline.broadcast('nobody is there')
  register.resetMetrics()
  assert.equal(parse(await register.metrics()).lifeline_broadcasts_total, 1)
})

test('all metrics are added or none: a second time, or beside one of the app\'s of the same name, throws', async () => {
  const register = new Registry()
  const last = `lifeline_${metrics.at(-1)!.name}`
  const theirs = new Counter({ name: last, help: 'of the app', registers: [register] })
  const taken = { code: 'FST_ERR_LIFELINE_ARGUMENT', message: new RegExp(`${last} already`) }
  assert.throws(() => collectMetrics(register, assembled().lifeline), taken)
  assert.deepEqual(register.getMetricsAsArray(), [theirs])
  register.clear()
  const stop = collectMetrics(register, assembled().lifeline)
  assert.throws(() => collectMetrics(register, assembled().lifeline), { code: 'FST_ERR_LIFELINE_ARGUMENT' })
  const other = collectMetrics(register, assembled().lifeline, { prefix: 'admin_' })
  assert.equal(register.getMetricsAsArray().length, 2 * metrics.length)
  stop()
  stop()
  assert.equal(register.getMetricsAsArray().length, metrics.length)
  other()
  assert.deepEqual(register.getMetricsAsArray(), [])
})

test('taking them out leaves what the app has put in their place', () => {
  const register = new Registry()
  const stop = collectMetrics(register, assembled().lifeline)
  register.removeSingleMetric('lifeline_groups')
  const theirs = new Counter({ name: 'lifeline_groups', help: 'of the app', registers: [register] })
  stop()
  assert.deepEqual(register.getMetricsAsArray(), [theirs])
})

const wrong: Record<string, [unknown, unknown, unknown?]> = {
  'no register': [undefined, assembled().lifeline],
  'the module prom-client': [{ Registry, Counter }, assembled().lifeline],
  'no lifeline': [new Registry(), {}],
  'null for a lifeline': [new Registry(), null],
  'an option that does not exist': [new Registry(), assembled().lifeline, { prefixes: 'a_' }],
  'null for options': [new Registry(), assembled().lifeline, null],
  'an empty prefix': [new Registry(), assembled().lifeline, { prefix: '' }],
  'a prefix that is no name': [new Registry(), assembled().lifeline, { prefix: 'my-app_' }]
}

for (const [what, args] of Object.entries(wrong)) {
  test(`${what} throws, and nothing is added`, () => {
    assert.throws(() => Reflect.apply(collectMetrics, undefined, args), { code: 'FST_ERR_LIFELINE_ARGUMENT', message: /collectMetrics/ })
    const [register] = args
    if (register instanceof Registry) assert.deepEqual(register.getMetricsAsArray(), [])
  })
}

test('where a registry refuses one of them, none is left there; null says as well that there is none of a name', () => {
  const kept = new Map<string, unknown>()
  const registry = {
    registerMetric (metric: { name: string }) {
      if (kept.size === 4) throw new Error('full')
      kept.set(metric.name, metric)
    },
    getSingleMetric: (name: string) => kept.get(name) ?? null,
    removeSingleMetric (name: string) { kept.delete(name) }
  }
  assert.throws(() => collectMetrics(registry as never, { stats: () => { throw new Error('not asked') } }), { message: 'full' })
  assert.equal(kept.size, 0)
})
