/**
 * From a job over HTTP to a launch at an agent, with everything in between: three real scheduler processes with flushes,
 * simulated agents over WebSockets in a process of their own, and a client in another. A task counts when its launch
 * arrives, which is after its assignment is committed by a quorum.
 */
import { loadavg } from 'node:os'
import { type Bench, type BenchOptions, type BenchResult, figure, percentile } from './bench.ts'
import { MS_PER_TICK, ticksOf } from './cluster/take-over.ts'
import { profiled } from './lifecycle/inspector.ts'
import { LargeCluster } from './lifecycle/large-cluster.ts'
import { Child } from './log/child.ts'
import type { JobQuestions } from './placement/job-client.ts'

export const bench: Bench = {
  name: 'placement-durable',
  title: 'three nodes and agents: jobs over HTTP to launches, committed placements per second and how long one waits',
  run,
}

/** One agent has room for about a hundred of the tasks. */
const AGENTS = 400
const INSTANCES = 1_000
const JOBS_IN_FLIGHT = 4
const SINGLES_EVERY_MS = 50
const ROUND_MS_MAX = 120_000
const POLL_MS = 50
const FLAGS = ['--scheduler.transientTimeout', '1h', '--logging.level', 'warn']

async function run(options: BenchOptions): Promise<BenchResult> {
  const jobs = options.quick ? 2 : 5
  const singles = options.quick ? 40 : 200
  const loadBefore = loadavg()[0]!
  return LargeCluster.with({ jobs: 0, instances: 0, agents: AGENTS }, FLAGS, async cluster => {
    const client = new Child<JobQuestions>(new URL('./placement/job-client.js', import.meta.url), 'job-client')
    try {
      await cluster.connectAgents({ agents: AGENTS })
      const { node } = await cluster.nodes.leader()
      const create = async (
        prefix: string,
        ask: { jobs: number; instances: number; inFlight: number; everyMs: number },
      ) => {
        const before = await cluster.agents.ask('launched', null)
        const asked = await client.ask('create', { url: node.url, prefix, ...ask })
        await launched(cluster, before, ask.jobs * ask.instances)
        return { asked, launches: await cluster.agents.ask('launches', { of: `${prefix}-` }) }
      }

      const perSecond: number[] = []
      const steady: number[] = []
      const cpuMicros: number[] = []
      const leaderMicros: number[] = []
      const burst = { jobs, instances: INSTANCES, inFlight: JOBS_IN_FLIGHT, everyMs: 0 }
      await create('warm', burst)
      for (let run = 0; run < options.runs; run++) {
        const cpuBefore = cluster.cpuMs()
        const leaderBefore = ticksOf(node.child.pid!)
        const { asked, launches } = await profiled(node, `placement-burst-${run}`, () => create(`burst${run}`, burst))
        const times = launches.map(({ atMs }) => atMs).sort((a, b) => a - b)
        const beganMs = Math.min(...asked.map(({ atMs }) => atMs))
        perSecond.push((times.length * 1_000) / (times.at(-1)! - beganMs))
        steady.push((0.8 * times.length * 1_000) / (percentile(times, 0.9) - percentile(times, 0.1)))
        cpuMicros.push(((cluster.cpuMs() - cpuBefore) * 1_000) / times.length)
        leaderMicros.push(((ticksOf(node.child.pid!) - leaderBefore) * MS_PER_TICK * 1_000) / times.length)
        options.say(`burst ${run + 1}: ${perSecond.at(-1)!.toFixed(0)} placements/s`)
      }

      const p50: number[] = []
      const p99: number[] = []
      for (let run = 0; run < options.runs; run++) {
        const one = { jobs: singles, instances: 1, inFlight: 8, everyMs: SINGLES_EVERY_MS }
        const { asked, launches } = await create(`single${run}`, one)
        const sentMs = new Map(asked.map(({ name, atMs }) => [name, atMs]))
        const tookMs = launches.map(({ job, atMs }) => atMs - sentMs.get(job)!)
        p50.push(percentile(tookMs, 0.5))
        p99.push(percentile(tookMs, 0.99))
      }
      return {
        figures: [
          figure({ name: 'durable-placements', unit: 'placements/s', better: 'higher', target: 5_000 }, perSecond),
          figure({ name: 'durable-placements-middle', unit: 'placements/s', better: 'higher' }, steady),
          figure({ name: 'durable-cpu-per-placement', unit: 'µs', better: 'lower' }, cpuMicros),
          figure({ name: 'durable-cpu-per-placement-leader', unit: 'µs', better: 'lower' }, leaderMicros),
          figure({ name: 'create-to-launch-p50', unit: 'ms', better: 'lower', target: 150 }, p50),
          figure({ name: 'create-to-launch-p99', unit: 'ms', better: 'lower', target: 1_000 }, p99),
        ],
        notes: [
          `durable-placements: ${jobs} jobs of ${INSTANCES} instances, ${JOBS_IN_FLIGHT} requests at a time, from the first request to the last launch at one of ${AGENTS} agents; -middle: between the first and the last tenth of the launches`,
          'durable-cpu-per-placement: of all three nodes and all their threads, the creation of the task, its launch and the acknowledgement included; -leader: of the leader alone',
          `create-to-launch: a job of one instance every ${SINGLES_EVERY_MS} ms, from the request to the launch at the agent: more than PENDING to ASSIGNED, whose targets it is held to`,
          'under --profile all threads of the leader leave a CPU profile of each burst, and figures are lower',
          `nodes, agents and client share this machine: load average ${loadBefore.toFixed(1)} before, ${loadavg()[0]!.toFixed(1)} after`,
        ],
      }
    } finally {
      await client.end('SIGKILL')
    }
  })
}

/** Until so many more have arrived than before. */
async function launched(cluster: LargeCluster, before: number, count: number): Promise<void> {
  const began = performance.now()
  for (;;) {
    const arrived = (await cluster.agents.ask('launched', null)) - before
    if (arrived >= count) return
    if (performance.now() - began > ROUND_MS_MAX) throw new Error(`${arrived} of ${count} tasks were launched`)
    await new Promise(done => setTimeout(done, POLL_MS))
  }
}
