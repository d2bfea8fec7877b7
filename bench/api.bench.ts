/**
 * What Aurora's calls and small reads cost, on the leader of three real nodes, over a socket: the tasks of one large job in
 * binary, the summary of a role with many jobs, pages of a list, and small reads from many connections; pages and long
 * answers also while statuses are made durable beside them.
 */
import { loadavg } from 'node:os'
import { Client, waitsDuring } from './api/client.ts'
import { type Bench, type BenchOptions, type BenchResult, type Figure, figure, percentile } from './bench.ts'
import { profiled } from './lifecycle/inspector.ts'
import { LargeCluster } from './lifecycle/large-cluster.ts'
import { readPages } from './lifecycle/pages.ts'
import { LARGE_JOB, type Sizes } from './lifecycle/rows.ts'

export const bench: Bench = {
  name: 'api',
  title: 'three nodes: Aurora’s calls in binary, lists by pages and small reads over HTTP, statuses beside them',
  run,
}

const LARGE: Sizes = { jobs: 4_000, instances: 20, agents: 200, roles: 4, largeJob: 10_000 }
const SMALL: Sizes = { jobs: 400, instances: 20, agents: 50, roles: 4, largeJob: 1_000 }
const FLAGS = ['--scheduler.transientTimeout', '1h', '--scheduler.agentUnreachable', '1h', '--logging.level', 'warn']
const BESIDE_PER_SECOND = 1_000
const CONNECTIONS = 16
/** Tasks of a page where nobody asks for more. */
const DEFAULT_PAGE = 100

async function run(options: BenchOptions): Promise<BenchResult> {
  const sizes = options.quick ? SMALL : LARGE
  const loadBefore = loadavg()[0]!
  const figures = await LargeCluster.with(sizes, FLAGS, async cluster => {
    const { node } = await cluster.nodes.leader()
    const { url } = node
    options.say('agents connect and take the launches')
    await cluster.connectAgents(sizes)
    const live = sizes.jobs * sizes.instances + (sizes.largeJob ?? 0)
    while ((await cluster.agents.ask('live', null)) < live) await new Promise(done => setTimeout(done, 100))
    return profiled(node, 'api', async () => [
      ...(await tasks(url, options)),
      ...(await summary(url, options)),
      ...(await smallReads(url, options)),
      ...(await beside(cluster, url, options)),
    ])
  })
  return {
    figures,
    notes: [
      `${sizes.jobs * sizes.instances + (sizes.largeJob ?? 0)} live tasks and ${sizes.jobs * sizes.instances} ended ones; one job has ${sizes.largeJob} tasks, a role ${sizes.jobs / sizes.roles!} jobs`,
      'wait: the slowest of small questions that another connection asks all the while, which is what one slice of the answer takes at most, and the way there and back',
      `page: of ${DEFAULT_PAGE} tasks, which is what who names no limit gets`,
      `-busy: while ${BESIDE_PER_SECOND} statuses a second are committed`,
      `nodes, agents and client share this machine: load average ${loadBefore.toFixed(1)} before, ${loadavg()[0]!.toFixed(1)} after`,
    ],
  }
}

async function tasks(url: string, options: BenchOptions): Promise<readonly Figure[]> {
  const client = new Client(url)
  const tookMs: number[] = []
  const waitMs: number[] = []
  let bytes = 0
  try {
    const ask = () => client.thrift('getTasksStatus', { query: { jobKeys: [LARGE_JOB] } })
    await ask()
    for (let run = 0; run < options.runs; run++) tookMs.push((await ask()).tookMs)
    for (let run = 0; run < options.runs; run++) {
      const waits = await waitsDuring(url, async () => {
        for (let n = 0; n < 5; n++) bytes = (await ask()).bytes
      })
      waitMs.push(Math.max(...waits))
    }
  } finally {
    client.close()
  }
  options.say(`tasks of one job: ${tookMs.at(-1)!.toFixed(0)} ms, ${(bytes / 1e6).toFixed(1)} MB`)
  return [
    figure({ name: 'tasks-of-job', unit: 'ms', better: 'lower', target: 300 }, tookMs),
    figure({ name: 'tasks-of-job-wait', unit: 'ms', better: 'lower', target: 50 }, waitMs),
  ]
}

async function summary(url: string, { runs, say }: BenchOptions): Promise<readonly Figure[]> {
  const client = new Client(url)
  const tookMs: number[] = []
  try {
    for (let run = -1; run < runs; run++) {
      const { tookMs: took } = await client.thrift('getJobSummary', { role: 'team-0' })
      if (run >= 0) tookMs.push(took)
    }
  } finally {
    client.close()
  }
  say(`summary of a role: ${tookMs.at(-1)!.toFixed(0)} ms`)
  return [figure({ name: 'job-summary-of-role', unit: 'ms', better: 'lower', target: 50 }, tookMs)]
}

async function smallReads(url: string, { quick, runs, say }: BenchOptions): Promise<readonly Figure[]> {
  const reads = quick ? 2_000 : 15_000
  const rates: Record<'thrift' | 'rest', number[]> = { thrift: [], rest: [] }
  const client = new Client(url, CONNECTIONS)
  const job = { role: 'team-0', environment: 'prod', name: 'job-00000' }
  const kinds = {
    thrift: () => client.thrift('getTasksStatus', { query: { jobKeys: [job], instanceIds: [7] } }),
    rest: () => client.get('/api/v1/quotas/team-0'),
  }
  try {
    for (let run = -1; run < runs; run++) {
      for (const kind of ['thrift', 'rest'] as const) {
        const beganMs = performance.now()
        let left = reads
        const one = async (): Promise<void> => {
          while (left-- > 0) await kinds[kind]()
        }
        await Promise.all(Array.from({ length: CONNECTIONS }, one))
        if (run >= 0) rates[kind].push((reads * 1_000) / (performance.now() - beganMs))
      }
    }
  } finally {
    client.close()
  }
  say(`small reads: ${rates.thrift.at(-1)!.toFixed(0)}/s by Thrift, ${rates.rest.at(-1)!.toFixed(0)}/s by REST`)
  return [
    figure({ name: 'small-reads-thrift', unit: 'per s', better: 'higher', target: 3_000 }, rates.thrift),
    figure({ name: 'small-reads-rest', unit: 'per s', better: 'higher', target: 3_000 }, rates.rest),
  ]
}

async function beside(cluster: LargeCluster, url: string, options: BenchOptions): Promise<readonly Figure[]> {
  const p99: number[] = []
  const largeP99: number[] = []
  const summaryMs: number[] = []
  for (let run = 0; run < options.runs; run++) {
    const load = { perSecond: BESIDE_PER_SECOND, ms: options.quick ? 2_000 : 10_000 }
    const client = new Client(url)
    const [{ tookMs, largeMs }] = await Promise.all([
      (async () => {
        const pages = await readPages(url, options.quick ? 100 : 500, DEFAULT_PAGE)
        const large = await readPages(url, options.quick ? 20 : 100)
        return { tookMs: pages.tookMs, largeMs: large.tookMs }
      })(),
      cluster.agents.ask('paced', load),
      client.thrift('getJobSummary', { role: 'team-0' }).then(({ tookMs: took }) => summaryMs.push(took)),
    ])
    client.close()
    p99.push(percentile(tookMs, 0.99))
    largeP99.push(percentile(largeMs, 0.99))
  }
  options.say(`pages beside statuses: p99 ${p99.at(-1)!.toFixed(0)} ms`)
  return [
    figure({ name: 'page-p99-busy', unit: 'ms', better: 'lower', target: 50 }, p99),
    figure({ name: 'page-of-1000-p99-busy', unit: 'ms', better: 'lower' }, largeP99),
    figure({ name: 'job-summary-of-role-busy', unit: 'ms', better: 'lower' }, summaryMs),
  ]
}
