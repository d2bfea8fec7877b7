/**
 * What a failover costs clients: three real scheduler processes on this machine, many tasks in the ledger, the leader
 * killed with SIGKILL (and, for comparison, stopped as planned), and the time until another one accepts a write. One
 * client asks every node in turn, without a pause, as clients do that do not know who leads.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { REQUEST_ID_HEADER } from '../src/wire/rest.ts'
import { jobConfigurationOf } from '../test/fixtures/job-configurations.ts'
import { type RealCluster, startRealCluster } from '../test/fixtures/real-cluster.ts'
import { eventually } from '../test/fixtures/real-node.ts'
import { type Bench, type BenchOptions, type BenchResult, type Figure, figure } from './bench.ts'

export const bench: Bench = {
  name: 'failover',
  title: 'three nodes: from the death of the leader to the next accepted write, and from a planned stop, by lease',
  run,
}

const INSTANCES_MAX = 4_000
const ATTEMPT_MS_MAX = 2_000
const KEY = { role: 'www-data', environment: 'devel' }

/** Times of failure detection, and how much is done with them. */
interface Setting {
  readonly leaseMs: number
  readonly heartbeatMs: number
  readonly kills: number
  readonly stops: number
  readonly killMsTarget: number
  /** At the end of the name of each figure. */
  readonly suffix: string
}

const settings = (quick: boolean): readonly Setting[] => [
  { leaseMs: 1_000, heartbeatMs: 150, kills: quick ? 3 : 20, stops: quick ? 2 : 10, killMsTarget: 2_000, suffix: '' },
  { leaseMs: 500, heartbeatMs: 80, kills: quick ? 2 : 10, stops: 0, killMsTarget: 1_000, suffix: '-lease-500' },
]

async function run({ quick, say }: BenchOptions): Promise<BenchResult> {
  const [tasks, idleMs] = quick ? [1_000, 2_000] : [100_000, 10_000]
  const figures: Figure[] = []
  const notes: string[] = []
  for (const setting of settings(quick)) {
    const measured = await failovers(setting, { tasks, idleMs, say })
    figures.push(...measured.figures)
    notes.push(...measured.notes)
  }
  return {
    figures,
    notes: [
      ...notes,
      'kill-to-write: from the signal to the answer 201 of a job of one instance; every node is asked in turn, the next as soon as one has refused',
      'between two of them the ended node is started again and waited for until all three hold the same position, and then two leases more',
      'idle-cpu: CPU of all three nodes together per second while nobody asks anything of them; a leader of three sends two heartbeats each time, and two are answered',
      'all three nodes, an agent and the client share this machine and its disk',
    ],
  }
}

async function failovers(
  setting: Setting,
  { tasks, idleMs, say }: { readonly tasks: number; readonly idleMs: number; readonly say: BenchOptions['say'] },
): Promise<BenchResult> {
  const { leaseMs, heartbeatMs, kills, stops, killMsTarget, suffix } = setting
  const folder = mkdtempSync(join(process.env.DAYBREAK_BENCH_DIR ?? tmpdir(), 'daybreak-bench-failover-'))
  const flags = ['--log.lease', `${leaseMs}ms`, '--log.heartbeat', `${heartbeatMs}ms`]
  const cluster = await startRealCluster(folder, 3, undefined, flags)
  try {
    const writer = new Writer(cluster, folder)
    const began = performance.now()
    for (let left = tasks; left > 0; left -= INSTANCES_MAX) await writer.write(Math.min(left, INSTANCES_MAX))
    const fillMs = Math.round(performance.now() - began)
    say(`lease ${leaseMs} ms: ${tasks} tasks in the ledger after ${fillMs} ms`)
    const idle = await idleCpu(cluster, idleMs)
    const killMs: number[] = []
    for (let at = 0; at < kills; at++) {
      killMs.push(await replaceLeader(cluster, writer, 'kill', leaseMs))
      say(`lease ${leaseMs} ms, kill ${at + 1}: ${killMs.at(-1)!.toFixed(0)} ms`)
    }
    const stopMs: number[] = []
    for (let at = 0; at < stops; at++) {
      stopMs.push(await replaceLeader(cluster, writer, 'stop', leaseMs))
      say(`lease ${leaseMs} ms, planned stop ${at + 1}: ${stopMs.at(-1)!.toFixed(0)} ms`)
    }
    const of = (name: string, values: readonly number[], target: number): Figure =>
      figure({ name: `${name}${suffix}`, unit: 'ms', better: 'lower', target }, values)
    const planned = stops === 0 ? [] : [of('planned-stop-to-write', stopMs, 500)]
    return {
      figures: [
        of('kill-to-write', killMs, killMsTarget),
        of('kill-to-write-worst', [Math.max(...killMs)], 1.5 * killMsTarget),
        ...planned,
        figure({ name: `idle-cpu${suffix}`, unit: 'ms/s', better: 'lower' }, [idle]),
      ],
      notes: [
        `${suffix === '' ? 'no suffix' : suffix}: lease ${leaseMs} ms, heartbeat ${heartbeatMs} ms; ${tasks} PENDING tasks in the ledger, made by jobs of at most ${INSTANCES_MAX} instances over REST in ${fillMs} ms`,
      ],
    }
  } finally {
    await cluster.end()
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  }
}

/** Milliseconds of CPU a second of all nodes. */
async function idleCpu(cluster: RealCluster, ms: number): Promise<number> {
  await level(cluster)
  const usedTicks = (): number => cluster.nodes.reduce((sum, node) => sum + ticksOf(node!.child.pid!), 0)
  const before = usedTicks()
  await new Promise(done => setTimeout(done, ms))
  return ((usedTicks() - before) * MS_PER_TICK) / (ms / 1_000)
}

/** Linux counts CPU for user space in hundredths of a second, whatever its own tick. */
const MS_PER_TICK = 10

/** User and system time of all threads of a process. */
function ticksOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ')
  return Number(fields[11]) + Number(fields[12])
}

async function replaceLeader(
  cluster: RealCluster,
  writer: Writer,
  how: 'kill' | 'stop',
  leaseMs: number,
): Promise<number> {
  const { memberId, node } = await cluster.leader()
  await level(cluster)
  // A node that has just started grants nothing for one lease, because it may have granted that before it ended.
  await new Promise(done => setTimeout(done, 2 * leaseMs))
  const began = performance.now()
  const ended = how === 'kill' ? node.crash() : node.stop()
  cluster.nodes[memberId - 1] = null
  await writer.write(1)
  const tookMs = performance.now() - began
  await ended
  await cluster.start(memberId)
  return tookMs
}

/** Until all hold and have applied the same. */
async function level(cluster: RealCluster): Promise<void> {
  await eventually(
    () =>
      Promise.all(
        cluster.urls.map(async url => (await (await fetch(`${url}/api/v1/log/status`)).json()) as LogPosition),
      ),
    all => all.every(one => one.end === all[0]!.end && one.applied === one.end),
  )
}

interface LogPosition {
  readonly end: number
  readonly applied: number
}

/** Creates jobs that no machine can run, so that they cost the ledger and nothing else. */
class Writer {
  readonly #urls: readonly string[]
  readonly #file: string
  #jobs = 0
  #turn = 0

  constructor(cluster: RealCluster, folder: string) {
    this.#urls = cluster.urls
    this.#file = join(folder, 'pending.yaml')
    writeFileSync(
      this.#file,
      `service: true
constraints: { host: nowhere }
task:
  processes:
    - { name: idles, cmdline: 'exec sleep 1000' }
  resources: { cpu: 0.01, ram: 1MiB, disk: 1MiB }
`,
    )
  }

  /** One job, asked for at every node in turn until one has accepted it. */
  async write(instances: number): Promise<void> {
    const name = `job-${++this.#jobs}`
    const job = { ...jobConfigurationOf(this.#file, { ...KEY, name }), instanceCount: instances }
    const body = JSON.stringify({ job })
    const headers = { 'content-type': 'application/json', [REQUEST_ID_HEADER]: name }
    for (;;) {
      const url = this.#urls[this.#turn++ % this.#urls.length]!
      // A refused connection fails at once; many tasks take longer to be written than one attempt in a failover.
      const signal = AbortSignal.timeout(instances === 1 ? ATTEMPT_MS_MAX : 60_000)
      const answer = await fetch(`${url}/api/v1/jobs`, { method: 'POST', headers, body, signal }).catch(() => null)
      if (answer?.ok === true) return void (await answer.arrayBuffer())
      if (answer !== null && answer.status < 500) throw new Error(`${answer.status} ${await answer.text()}`)
      await new Promise(done => setTimeout(done, 5))
    }
  }
}
