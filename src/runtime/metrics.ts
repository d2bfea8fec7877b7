/**
 * The numbers of this process, kept once (prom-client) and shown three ways: `/metrics` for Prometheus with the
 * `daybreak_` prefix, `/vars` and `/vars.json` with the names that Aurora's dashboards know. Sampled values are set by
 * collectors that run only when somebody reads, so an idle node does nothing.
 */
import { readdir } from 'node:fs/promises'
import { loadavg } from 'node:os'
import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { Metrics } from '../actors/ports.ts'

type Labels = Readonly<Record<string, string>>
type VarValue = string | number

export interface NodeMetrics extends Metrics {
  /** Runs before every read; sets gauges. */
  onRead(collect: () => void | Promise<void>): void
  /** Plain facts that only `/vars` shows, such as the effective config. */
  addFacts(facts: () => Readonly<Record<string, VarValue>>): void
  /** Prometheus text. */
  text(): Promise<string>
  readonly contentType: string
  /** Sorted by name. */
  vars(): Promise<ReadonlyMap<string, VarValue>>
}

/** Seconds; from a flush that hits the cache to a request that waits for an election. */
const LATENCY_BUCKETS = [0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30]
/** Of one counter. */
const LABEL_SETS_MAX = 1_000
const OTHERS = 'other'
const PREFIX = 'daybreak_'

/** Names of Aurora for what is called otherwise here. */
const AURORA_NAMES: Readonly<Record<string, string>> = {
  process_uptime_seconds: 'jvm_uptime_secs',
  process_open_fds: 'process_open_fd_count',
}

export function createMetrics(): NodeMetrics {
  const registry = new Registry()
  const collectors: (() => void | Promise<void>)[] = []
  const facts: (() => Readonly<Record<string, VarValue>>)[] = []
  const counters = new Map<string, Counter>()
  const gauges = new Map<string, Gauge>()
  const histograms = new Map<string, Histogram>()
  const labelled = new Map<string, Set<string>>()
  const made = <T>(kept: Map<string, T>, name: string, make: (about: About) => T, labels: Labels): T => {
    const known = kept.get(name)
    if (known !== undefined) return known
    const help = name.replaceAll('_', ' ')
    const fresh = make({ name: PREFIX + name, help, labelNames: Object.keys(labels), registers: [registry] })
    kept.set(name, fresh)
    return fresh
  }
  /** Jobs and racks come and go, and a counter is kept for ever: past the limit all that are new count together. */
  const bounded = (name: string, labels: Labels): Labels => {
    const known = labelled.get(name) ?? new Set<string>()
    labelled.set(name, known)
    const key = Object.values(labels).join('\n')
    if (known.has(key)) return labels
    if (known.size >= LABEL_SETS_MAX) return Object.fromEntries(Object.keys(labels).map(label => [label, OTHERS]))
    known.add(key)
    return labels
  }
  const metrics: NodeMetrics = {
    count: (name, by = 1, labels = {}) =>
      made(counters, name, about => new Counter(about), labels).inc(bounded(name, labels), by),
    gauge: (name, value, labels = {}) => made(gauges, name, about => new Gauge(about), labels).set(labels, value),
    observe: (name, seconds, labels = {}) =>
      made(histograms, name, about => new Histogram({ ...about, buckets: LATENCY_BUCKETS }), labels).observe(
        labels,
        seconds,
      ),
    onRead: collect => void collectors.push(collect),
    addFacts: give => void facts.push(give),
    contentType: registry.contentType,
    text: async () => {
      await collect()
      return registry.metrics()
    },
    vars: async () => {
      await collect()
      const named = new Map<string, VarValue>()
      for (const metric of await registry.getMetricsAsJSON()) {
        for (const value of metric.values) {
          const sample = 'metricName' in value && typeof value.metricName === 'string' ? value.metricName : metric.name
          addVar(named, sample.slice(PREFIX.length), value.labels as Readonly<Record<string, VarValue>>, value.value)
        }
      }
      for (const give of facts) for (const [name, value] of Object.entries(give())) named.set(name, value)
      return new Map([...named].sort(([a], [b]) => (a < b ? -1 : 1)))
    },
  }
  const collect = async (): Promise<void> => {
    for (const one of collectors) await one()
  }
  metrics.onRead(() => collectProcess(metrics))
  return metrics
}

interface About {
  readonly name: string
  readonly help: string
  readonly labelNames: string[]
  readonly registers: Registry[]
}

/** `task_store{status="LOST"}` is `task_store_LOST`; a timed thing X is `X_events` and `X_nanos_total`. */
function addVar(
  named: Map<string, VarValue>,
  sample: string,
  labels: Readonly<Record<string, VarValue>>,
  value: number,
): void {
  if (sample.endsWith('_bucket')) return
  const end = Object.values(labels)
    .map(label => `_${label}`)
    .join('')
  const put = (name: string, number: number): void => {
    named.set(`${AURORA_NAMES[name] ?? name}${end}`.replace(/[^A-Za-z0-9_/.-]/g, '_'), number)
  }
  if (sample.endsWith('_seconds_count')) put(`${sample.slice(0, -'_seconds_count'.length)}_events`, value)
  else if (sample.endsWith('_seconds_sum'))
    put(`${sample.slice(0, -'_seconds_sum'.length)}_nanos_total`, Math.round(value * 1e9))
  else put(sample, value)
}

async function collectProcess(metrics: Metrics): Promise<void> {
  const { rss, heapUsed, heapTotal, external } = process.memoryUsage()
  const cpu = process.cpuUsage()
  metrics.gauge('process_uptime_seconds', Math.round(process.uptime()))
  metrics.gauge('process_resident_memory_bytes', rss)
  metrics.gauge('process_heap_used_bytes', heapUsed)
  metrics.gauge('process_heap_total_bytes', heapTotal)
  metrics.gauge('process_external_memory_bytes', external)
  metrics.gauge('process_cpu_seconds_total', (cpu.user + cpu.system) / 1e6)
  metrics.gauge('process_open_fds', (await readdir('/proc/self/fd')).length)
  metrics.gauge('system_load_avg', loadavg()[0] ?? 0)
}
