/**
 * `fastify-lifeline/metrics`: what `stats()` says, for a registry of prom-client. Nothing is counted twice, and nothing on a hot path:
 * it is read when somebody scrapes.
 * Invariant: all metrics are registered, or none is. prom-client is the app's, and is never imported: a registry asks of a metric no
 * more than is here. (Its own Histogram cannot be given what was counted elsewhere.)
 */
import type { Lifeline } from '../api/lifeline.js'
import type { Stats } from '../api/stats.js'
import { readOptions } from '../core/arguments.js'
import { FST_ERR_LIFELINE_ARGUMENT } from '../core/errors.js'
import type { Distribution } from '../core/histogram.js'
import { metrics } from './metrics.js'
import type { Metric } from './metrics.js'

/** A `Registry` of prom-client, as far as it is used here. */
export interface MetricsRegister {
  /** Adds one. (Its own classes are all that its types allow.) */
  registerMetric (metric: never): void
  /** The one with this name; undefined: there is none. */
  getSingleMetric (name: string): unknown
  /** Takes one out. */
  removeSingleMetric (name: string): void
}

/** How metrics are named. */
export interface MetricsOptions {
  /** What all names begin with. Two servers that share a registry need one each. @default 'lifeline_' */
  prefix?: string
}

interface Value {
  readonly value: number
  readonly labels: Readonly<Record<string, string | number>>
  /** Where it is not that of the metric. */
  readonly metricName?: string
}

const known = new Set(['prefix'])
const PREFIX = 'lifeline_'
const NAME = /^[a-zA-Z_][a-zA-Z0-9_]*$/

function distributionOf (name: string, { buckets, counts, sum, count }: Distribution): Value[] {
  let below = 0
  return [
    // Each bucket of Prometheus holds those before it as well.
    ...buckets.map((bound, i) => ({ metricName: `${name}_bucket`, labels: { le: bound / 1000 }, value: below += counts[i]! })),
    { metricName: `${name}_bucket`, labels: { le: '+Inf' }, value: count },
    { metricName: `${name}_sum`, labels: {}, value: sum / 1000 },
    { metricName: `${name}_count`, labels: {}, value: count }
  ]
}

function valuesOf (metric: Metric, name: string, stats: Stats): Value[] {
  if (metric.type === 'histogram') return distributionOf(name, metric.read(stats))
  if (metric.label === null) return [{ labels: {}, value: metric.read(stats) }]
  const { label } = metric
  return Object.entries(metric.read(stats)).map(([key, value]) => ({ labels: { [label]: key }, value }))
}

/** One metric, as a registry asks for it. */
class Collected {
  /** For OpenMetrics a registry takes the `_total` from it, and adds it to the values. */
  name: string
  readonly help: string
  readonly type: Metric['type']
  /** Over the processes of a cluster. */
  readonly aggregator = 'sum'
  readonly #metric: Metric
  readonly #lifeline: Pick<Lifeline, 'stats'>

  constructor (metric: Metric, prefix: string, lifeline: Pick<Lifeline, 'stats'>) {
    this.name = `${prefix}${metric.name}`
    this.help = metric.help
    this.type = metric.type
    this.#metric = metric
    this.#lifeline = lifeline
  }

  async get (): Promise<object> {
    const { name, help, type, aggregator } = this
    return { name, help, type, aggregator, values: valuesOf(this.#metric, name, this.#lifeline.stats()) }
  }

  // It has no count of its own.
  reset (): void {}
}

const has = (value: unknown, ...methods: string[]): boolean =>
  typeof value === 'object' && value !== null && methods.every((method) => typeof (value as Record<string, unknown>)[method] === 'function')

/**
 * Adds the metrics of a lifeline to a registry of prom-client: the app's own.
 * @returns what takes them out again: for an app that is closed while its process, and the registry, go on
 * @throws FST_ERR_LIFELINE_ARGUMENT for what is no registry, no lifeline, no prefix, for an option that does not exist, or if the
 * registry has a metric of such a name already: then none was added
 */
export function collectMetrics (register: MetricsRegister, lifeline: Pick<Lifeline, 'stats'>, options: MetricsOptions = {}): () => void {
  if (!has(register, 'registerMetric', 'getSingleMetric', 'removeSingleMetric')) throw new FST_ERR_LIFELINE_ARGUMENT('collectMetrics: the register is a Registry of prom-client')
  if (!has(lifeline, 'stats')) throw new FST_ERR_LIFELINE_ARGUMENT('collectMetrics: the lifeline is fastify.lifeline')
  const { prefix = PREFIX } = readOptions('collectMetrics', options, known)
  if (typeof prefix !== 'string' || !NAME.test(prefix)) throw new FST_ERR_LIFELINE_ARGUMENT('collectMetrics: prefix is letters, digits and underscores, and does not begin with a digit')
  const all = metrics.map((metric) => new Collected(metric, prefix, lifeline))
  const names = all.map(({ name }) => name)
  const taken = names.find((name) => (register.getSingleMetric(name) ?? null) !== null)
  if (taken !== undefined) throw new FST_ERR_LIFELINE_ARGUMENT(`collectMetrics: the register has a metric ${taken} already; for another server set a prefix`)
  const remove = (): void => {
    // Who has registered another of that name since keeps it.
    for (const [i, name] of names.entries()) if (register.getSingleMetric(name) === all[i]) register.removeSingleMetric(name)
  }
  try {
    for (const metric of all) register.registerMetric(metric as never)
  } catch (error) {
    remove()
    throw error
  }
  return remove
}
