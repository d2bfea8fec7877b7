/**
 * What it costs to explain: one pending group over all hosts, and a trial on a copy of the state. The time of the whole
 * and the longest step, which is what others on the thread wait for.
 */
import { ADMISSION_SETTINGS } from '../src/core/job/admission.ts'
import { explain } from '../src/core/scheduling/explanation.ts'
import { plan } from '../src/core/whatif/plan.ts'
import { type Bench, type BenchOptions, type Figure, type FigureSpec, figure } from './bench.ts'
import { Cluster, hostRow, taskConfig } from './placement/cluster.ts'

const OVERHEAD = { cpusMilli: 10, ramMb: 8, diskMb: 0, gpus: 0 }
const HOST = { cpusMilli: 16_000, ramMb: 65_536, diskMb: 500_000, gpus: 0 }

export const bench: Bench = {
  name: 'explain',
  title: 'explanations of one pending group, and trials on a copy of the state',
  async run(options) {
    const figures: Figure[] = []
    for (const hosts of options.quick ? [1_000, 10_000] : [1_000, 10_000, 50_000]) {
      options.say(`explanation: ${hosts} hosts`)
      figures.push(...explanation(hosts, options))
    }
    const [hosts, tasks] = options.quick ? [1_000, 10_000] : [10_000, 100_000]
    options.say(`trial: ${hosts / 100} of ${hosts} hosts drained, ${tasks} tasks`)
    figures.push(...trial(hosts, tasks, options))
    return {
      figures,
      notes: [
        'a third of the hosts is full, a third in the wrong rack or dedicated, a third holds as many of the job as its limit allows',
        'a step is what runs at a time; between steps the thread does other things',
      ],
    }
  },
}

function explanation(hosts: number, options: BenchOptions): Figure[] {
  const cluster = new Cluster({ overhead: OVERHEAD, order: ['RANDOM'] })
  cluster.hosts(
    Array.from({ length: hosts }, (_, i) =>
      hostRow(i, HOST, {
        host: `host-${i}`,
        rack: `r${i % 3 === 1 ? 'x' : i >> 5}`,
        ...(i % 20 === 0 ? { dedicated: 'other/x' } : {}),
      }),
    ),
  )
  const job = { role: 'web', environment: 'prod', name: 'job' }
  const filler = cluster.config(
    'filler',
    taskConfig({ ...job, name: 'filler' }, { resources: { ...HOST, cpusMilli: 15_500 } }),
  )
  const constraints = [
    { name: 'host', rule: { type: 'limit' as const, limit: 1 } },
    { name: 'rack', rule: { type: 'value' as const, negated: true, values: ['rx'] } },
  ]
  const waiting = cluster.config(
    'waiting',
    taskConfig(job, { resources: { cpusMilli: 1_000, ramMb: 512, diskMb: 512, gpus: 0 }, constraints }),
  )
  const running = (n: number) => ({
    status: 'RUNNING' as const,
    agentId: hostRow(n, HOST, {}).agentId,
    host: `host-${n}`,
  })
  const third = Math.floor(hosts / 3)
  cluster.create(filler, third, n => running(3 * n))
  cluster.create(waiting, third, n => running(3 * n + 2))
  const timed = steps(options, () => explain(cluster.matcher, cluster.matcher.askOf(waiting), 0))
  return [
    figure(
      { name: `explain-hosts-${hosts}`, unit: 'ms', better: 'lower', ...(hosts === 10_000 ? { target: 50 } : {}) },
      timed.map(({ wholeMs }) => wholeMs),
    ),
    figure(
      { name: `explain-longest-step-hosts-${hosts}`, unit: 'ms', better: 'lower', target: 10 },
      timed.map(({ longestMs }) => longestMs),
    ),
  ]
}

function trial(hosts: number, tasks: number, options: BenchOptions): Figure[] {
  const cluster = new Cluster({ overhead: OVERHEAD, order: ['RANDOM'] })
  const rows = Array.from({ length: hosts }, (_, i) => hostRow(i, HOST, { host: `host-${i}`, rack: `r${i >> 5}` }))
  cluster.hosts(rows)
  const jobs = 200
  for (let j = 0; j < jobs; j++) {
    const config = cluster.config(
      `c${j}`,
      taskConfig(
        { role: `role${j % 20}`, environment: 'prod', name: `job${j}` },
        { resources: { cpusMilli: 500, ramMb: 512, diskMb: 512, gpus: 0 } },
      ),
    )
    cluster.create(config, tasks / jobs, n => {
      const at = (n * jobs + j) % hosts
      return { status: 'RUNNING', agentId: rows[at]!.agentId, host: rows[at]!.host }
    })
  }
  const drain = new Set(rows.slice(0, hosts / 100).map(row => row.agentId))
  const timed = steps(options, () =>
    plan(
      { drain, lose: new Set(), apply: [] },
      {
        view: cluster.tables,
        isConnected: () => true,
        overhead: OVERHEAD,
        tiers: ADMISSION_SETTINGS.tiers,
        offerOrder: ['RANDOM'],
        unavailabilityThresholdMs: 0,
        isPreemptionEnabled: true,
        tasksPerJobMax: ADMISSION_SETTINGS.tasksPerJobMax,
        nowMs: 1,
        seed: 1,
      },
    ),
  )
  const spec = (name: string, target?: number): FigureSpec => {
    return { name, unit: 'ms', better: 'lower', ...(target === undefined ? {} : { target }) }
  }
  return [
    figure(
      spec(`trial-drain-hosts-${hosts}`),
      timed.map(({ wholeMs }) => wholeMs),
    ),
    figure(
      spec(`trial-longest-step-hosts-${hosts}`, 10),
      timed.map(({ longestMs }) => longestMs),
    ),
  ]
}

function steps(
  { runs }: BenchOptions,
  begin: () => Generator<undefined, unknown>,
): { readonly wholeMs: number; readonly longestMs: number }[] {
  const once = () => {
    const startedMs = performance.now()
    let longestMs = 0
    const generator = begin()
    for (;;) {
      const stepMs = performance.now()
      const { done } = generator.next()
      longestMs = Math.max(longestMs, performance.now() - stepMs)
      if (done === true) return { wholeMs: performance.now() - startedMs, longestMs }
    }
  }
  once()
  return Array.from({ length: runs }, once)
}
