/**
 * The life of many tasks, on three real scheduler processes: how a node comes up with them, how leadership is taken over,
 * what a page of them costs, how many changes of state a second are made durable, and whether a crash loop of one job
 * slows another. Agents are simulated, in a process of their own, and speak over real WebSockets.
 */
import { loadavg } from 'node:os'
import { type Bench, type BenchOptions, type BenchResult, type Figure, figure, percentile } from './bench.ts'
import { level, replaceLeader, Writer } from './cluster/take-over.ts'
import type { StatusRound } from './lifecycle/agents.ts'
import { crashLoop } from './lifecycle/crash-loop.ts'
import { heapBytesOf, profiled } from './lifecycle/inspector.ts'
import { LargeCluster } from './lifecycle/large-cluster.ts'
import { readPages } from './lifecycle/pages.ts'
import type { Sizes } from './lifecycle/rows.ts'

export const bench: Bench = {
  name: 'lifecycle',
  title: 'three nodes, many tasks: recovery, take-over, pages, statuses made durable, a crash loop beside others',
  run,
}

const LARGE: Sizes = { jobs: 5_000, instances: 20, agents: 200 }
const SMALL: Sizes = { jobs: 500, instances: 20, agents: 50 }
const LEASE_MS = 1_000
/** Long enough that no task runs into a limit while it is measured. */
const FLAGS = ['--scheduler.transientTimeout', '1h', '--scheduler.agentUnreachable', '1h', '--logging.level', 'warn']
const STATUSES_PER_SECOND = 5_000
const BESIDE_PAGES_PER_SECOND = 1_000
const IN_FLIGHT = 1_000
const KIB = 1_024

async function run(options: BenchOptions): Promise<BenchResult> {
  const sizes = options.quick ? SMALL : LARGE
  const live = sizes.jobs * sizes.instances
  const loadBefore = loadavg()[0]!
  const figures = await LargeCluster.with(sizes, FLAGS, async cluster => [
    ...(await recovery(cluster, options)),
    ...(await takeOver(cluster, options)),
    ...(await memory(cluster, live, options)),
    ...(await pages(cluster, sizes, options)),
    ...(await statuses(cluster, options)),
  ])
  const loop = await crashLoop(options)
  return {
    figures: [...figures, ...loop.figures],
    notes: [
      `${live} live and ${live} ended tasks of ${sizes.jobs} jobs, written into the logs before the nodes start; the live ones are ASSIGNED, which have a timer and a launch to repeat: the dearest that a leader can find`,
      'recovery: of a follower from the start of its process to up with all rows decoded; recovery-all: all three nodes at once, to the first accepted write',
      'take-over: from SIGKILL of the leader to the answer 201 of a job of one instance, all task actors to be made',
      'memory-per-live-task: heap of the leader with the actors of all live tasks, less that of a follower, after collections; rows are in both',
      `pages: ${1_000} tasks each, from request to last byte; -busy: while ${BESIDE_PAGES_PER_SECOND} statuses a second are committed`,
      'transitions: each is a status of an agent, acknowledged after its commit by a quorum with flushes; at the rate, time runs from when the status was due',
      ...loop.notes,
      `nodes, agents and client share this machine: load average ${loadBefore.toFixed(1)} before, ${loadavg()[0]!.toFixed(1)} after`,
    ],
  }
}

async function recovery(cluster: LargeCluster, { runs, say }: BenchOptions): Promise<readonly Figure[]> {
  const aloneMs: number[] = []
  const aloneCpuMs: number[] = []
  const allMs: number[] = []
  const writer = new Writer(cluster.nodes, cluster.folder)
  for (let run = 0; run <= runs; run++) {
    const { memberId } = await cluster.nodes.leader()
    const other = (memberId % 3) + 1
    await cluster.nodes.nodes[other - 1]!.crash()
    const began = performance.now()
    const node = await cluster.nodes.start(other)
    await prepared(node.url)
    if (run > 0) aloneMs.push(performance.now() - began)
    if (run > 0) aloneCpuMs.push(await cpuMsOf(node.url))
    await level(cluster.nodes)
  }
  for (let run = 0; run < Math.min(runs, 3); run++) {
    await cluster.stopNodes()
    const began = performance.now()
    const up = cluster.startNodes().then(() => performance.now() - began)
    await Promise.all([up, writer.write(1).then(() => allMs.push(performance.now() - began))])
    say(`all nodes up ${(await up).toFixed(0)} ms, a write after ${allMs.at(-1)!.toFixed(0)} ms`)
  }
  say(`recovery of a follower ${aloneMs.at(-1)!.toFixed(0)} ms`)
  return [
    figure({ name: 'recovery', unit: 'ms', better: 'lower', target: 5_000 }, aloneMs),
    figure({ name: 'recovery-cpu', unit: 'ms', better: 'lower' }, aloneCpuMs),
    figure({ name: 'recovery-all', unit: 'ms', better: 'lower', target: 5_000 }, allMs),
  ]
}

async function takeOver(cluster: LargeCluster, { runs, say }: BenchOptions): Promise<readonly Figure[]> {
  const writer = new Writer(cluster.nodes, cluster.folder, 'taken-over')
  const tookMs: number[] = []
  for (let run = 0; run < runs; run++) {
    tookMs.push(await replaceLeader(cluster.nodes, writer, 'kill', LEASE_MS))
    say(`take-over ${run + 1}: ${tookMs.at(-1)!.toFixed(0)} ms`)
  }
  return [
    figure({ name: 'take-over', unit: 'ms', better: 'lower', target: 3_000 }, tookMs),
    figure({ name: 'take-over-worst', unit: 'ms', better: 'lower' }, [Math.max(...tookMs)]),
  ]
}

async function memory(cluster: LargeCluster, live: number, { say }: BenchOptions): Promise<readonly Figure[]> {
  await level(cluster.nodes)
  const { memberId, node } = await cluster.nodes.leader()
  await active(node.url)
  const actors = await actorsMade(node.url, live)
  const leader = await heapBytesOf(node)
  const followers = await Promise.all(
    cluster.nodes.nodes.filter((_, at) => at !== memberId - 1).map(follower => heapBytesOf(follower!)),
  )
  const rows = Math.min(...followers)
  say(
    `heap: ${(rows / KIB ** 2).toFixed(0)} MiB with rows, ${(leader / KIB ** 2).toFixed(0)} MiB with ${actors} actors`,
  )
  return [
    figure({ name: 'memory-per-live-task', unit: 'bytes', better: 'lower', target: 4 * KIB }, [(leader - rows) / live]),
    figure({ name: 'memory-rows-per-task', unit: 'bytes', better: 'lower' }, [rows / (2 * live)]),
  ]
}

async function pages(cluster: LargeCluster, sizes: Sizes, options: BenchOptions): Promise<readonly Figure[]> {
  const { node } = await cluster.nodes.leader()
  const count = options.quick ? 100 : 400
  const rest = await profiled(node, 'pages', () => pageRounds(cluster, node.url, count, options.runs))
  options.say(`${sizes.agents} agents connect and take the launches of all live tasks`)
  await cluster.connectAgents(sizes)
  const live = sizes.jobs * sizes.instances
  while ((await cluster.agents.ask('live', null)) < live) await new Promise(done => setTimeout(done, 100))
  const busy: PageRound[] = []
  for (let run = 0; run < options.runs; run++) {
    const load = { perSecond: BESIDE_PAGES_PER_SECOND, ms: options.quick ? 2_000 : 4_000 }
    const [rounds] = await Promise.all([
      pageRounds(cluster, node.url, Math.floor(count / 4), 1),
      cluster.agents.ask('paced', load),
    ])
    busy.push(...rounds)
  }
  const of = (suffix: string, rounds: readonly PageRound[]): readonly Figure[] => [
    figure(
      { name: `page-p50${suffix}`, unit: 'ms', better: 'lower' },
      rounds.map(({ p50Ms }) => p50Ms),
    ),
    figure(
      { name: `page-p99${suffix}`, unit: 'ms', better: 'lower', target: 50 },
      rounds.map(({ p99Ms }) => p99Ms),
    ),
  ]
  return [
    ...of('', rest),
    figure(
      { name: 'page-cpu', unit: 'ms', better: 'lower' },
      rest.map(({ cpuMs }) => cpuMs),
    ),
    ...of('-busy', busy),
  ]
}

interface PageRound {
  readonly p50Ms: number
  readonly p99Ms: number
  readonly cpuMs: number
}

async function pageRounds(cluster: LargeCluster, url: string, count: number, rounds: number): Promise<PageRound[]> {
  await readPages(url, Math.floor(count / 4))
  const measured: PageRound[] = []
  for (let run = 0; run < rounds; run++) {
    const before = cluster.cpuMs()
    const { tookMs } = await readPages(url, count)
    const cpuMs = (cluster.cpuMs() - before) / count
    measured.push({ p50Ms: percentile(tookMs, 0.5), p99Ms: percentile(tookMs, 0.99), cpuMs })
  }
  return measured
}

async function statuses(cluster: LargeCluster, { runs, quick, say }: BenchOptions): Promise<readonly Figure[]> {
  const rushes: (StatusRound & { readonly nodeMicros: number })[] = []
  const paces: (StatusRound & { readonly nodeMicros: number })[] = []
  const measured = async (ask: () => Promise<StatusRound>) => {
    const before = cluster.cpuMs()
    const round = await ask()
    return { ...round, nodeMicros: ((cluster.cpuMs() - before) * 1_000) / round.acknowledged }
  }
  const { node } = await cluster.nodes.leader()
  await profiled(node, 'statuses', async () => {
    for (let run = 0; run <= runs; run++) {
      const rush = await measured(() =>
        cluster.agents.ask('rushed', { statuses: quick ? 2_000 : 20_000, inFlight: IN_FLIGHT }),
      )
      const pace = await measured(() =>
        cluster.agents.ask('paced', { perSecond: STATUSES_PER_SECOND, ms: quick ? 500 : 4_000 }),
      )
      say(
        `statuses: ${(rush.acknowledged / rush.seconds).toFixed(0)}/s with ${IN_FLIGHT} in flight; at ${STATUSES_PER_SECOND}/s p99 ${percentile(pace.tookMs, 0.99).toFixed(0)} ms`,
      )
      if (run === 0) continue
      rushes.push(rush)
      paces.push(pace)
    }
  })
  const rates = rushes.map(({ acknowledged, seconds }) => acknowledged / seconds)
  const at = (share: number) => paces.map(({ tookMs }) => percentile(tookMs, share))
  return [
    figure({ name: 'transitions', unit: 'per s', better: 'higher', target: STATUSES_PER_SECOND }, rates),
    figure({ name: 'transition-p50-at-rate', unit: 'ms', better: 'lower' }, at(0.5)),
    figure({ name: 'transition-p99-at-rate', unit: 'ms', better: 'lower', target: 50 }, at(0.99)),
    figure(
      { name: 'transition-cpu', unit: 'µs', better: 'lower' },
      rushes.map(({ nodeMicros }) => nodeMicros),
    ),
    figure(
      { name: 'transition-cpu-at-rate', unit: 'µs', better: 'lower' },
      paces.map(({ nodeMicros }) => nodeMicros),
    ),
    figure(
      { name: 'transition-cpu-agents', unit: 'µs', better: 'lower' },
      rushes.map(({ cpuMicros, acknowledged }) => cpuMicros / acknowledged),
    ),
  ]
}

interface Life {
  readonly scheduler: { readonly state: string }
}

/** Rows are loaded. */
const prepared = (url: string) => inState(url, ['STORAGE_PREPARED', 'LEADER_AWAITING_REGISTRATION', 'ACTIVE'])
const active = (url: string) => inState(url, ['ACTIVE'])

async function inState(url: string, states: readonly string[]): Promise<void> {
  for (;;) {
    const life = (await (await fetch(`${url}/api/v1/cluster`)).json()) as Life
    if (states.includes(life.scheduler.state)) return
    await new Promise(done => setTimeout(done, 5))
  }
}

/** Living task actors, once there is one for each live task. */
async function actorsMade(url: string, live: number): Promise<number> {
  for (;;) {
    const answer = await fetch(`${url}/inspect?format=json`)
    const text = await answer.text()
    // A node that has just taken over may be too busy to tell.
    const count = answer.ok ? text.split('"kind":"TaskStateMachine"').length - 1 : 0
    if (count >= live) return count
    await new Promise(done => setTimeout(done, 500))
  }
}

/** User and system time of a node, all threads. */
async function cpuMsOf(url: string): Promise<number> {
  return (await metricOf(url, 'process_cpu_seconds_total')) * 1_000
}

async function metricOf(url: string, name: string): Promise<number> {
  const text = await (await fetch(`${url}/vars`)).text()
  const found = new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1]
  if (found === undefined) throw new Error(`${url}/vars does not show ${name}`)
  return Number(found)
}
