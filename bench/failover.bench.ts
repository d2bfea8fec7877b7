/**
 * What a failover costs clients: three real scheduler processes on this machine, many tasks in the ledger, the leader
 * killed with SIGKILL (and, for comparison, stopped as planned), and the time until another one accepts a write. One
 * client asks every node in turn, without a pause, as clients do that do not know who leads.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { REQUEST_ID_HEADER } from '../src/wire/rest.ts'
import { jobConfigurationOf } from '../test/fixtures/job-configurations.ts'
import { type RealCluster, startRealCluster } from '../test/fixtures/real-cluster.ts'
import { eventually } from '../test/fixtures/real-node.ts'
import { type Bench, type BenchOptions, type BenchResult, figure } from './bench.ts'

export const bench: Bench = {
  name: 'failover',
  title: 'three nodes: from the death of the leader to the next accepted write, and from a planned stop',
  run,
}

const INSTANCES_MAX = 4_000
const ATTEMPT_MS_MAX = 2_000
/** Two leases: a node that has just started grants nothing for one, because it may have granted that before it ended. */
const CALM_MS = 2_000
const KEY = { role: 'www-data', environment: 'devel' }

async function run({ quick, say }: BenchOptions): Promise<BenchResult> {
  const [tasks, kills, stops] = quick ? [1_000, 5, 3] : [100_000, 20, 10]
  const folder = mkdtempSync(join(process.env.DAYBREAK_BENCH_DIR ?? tmpdir(), 'daybreak-bench-failover-'))
  const cluster = await startRealCluster(folder, 3)
  try {
    const writer = new Writer(cluster, folder)
    const began = performance.now()
    for (let left = tasks; left > 0; left -= INSTANCES_MAX) await writer.write(Math.min(left, INSTANCES_MAX))
    const fillMs = Math.round(performance.now() - began)
    say(`${tasks} tasks in the ledger after ${fillMs} ms`)
    const killMs: number[] = []
    for (let at = 0; at < kills; at++) {
      killMs.push(await replaceLeader(cluster, writer, 'kill'))
      say(`kill ${at + 1}: ${killMs.at(-1)!.toFixed(0)} ms`)
    }
    const stopMs: number[] = []
    for (let at = 0; at < stops; at++) {
      stopMs.push(await replaceLeader(cluster, writer, 'stop'))
      say(`planned stop ${at + 1}: ${stopMs.at(-1)!.toFixed(0)} ms`)
    }
    return {
      figures: [
        figure({ name: 'kill-to-write', unit: 'ms', better: 'lower', target: 2_000 }, killMs),
        figure({ name: 'kill-to-write-worst', unit: 'ms', better: 'lower', target: 3_000 }, [Math.max(...killMs)]),
        figure({ name: 'planned-stop-to-write', unit: 'ms', better: 'lower', target: 500 }, stopMs),
      ],
      notes: [
        `${tasks} PENDING tasks in the ledger, made by jobs of at most ${INSTANCES_MAX} instances over REST in ${fillMs} ms; lease 1 s, heartbeat 150 ms`,
        'from the signal to the answer 201 of a job of one instance; every node is asked in turn, the next as soon as one has refused',
        'between two of them the ended node is started again and waited for until all three hold the same position, and then two leases more',
        'all three nodes, an agent and the client share this machine and its disk',
      ],
    }
  } finally {
    await cluster.end()
    rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
  }
}

async function replaceLeader(cluster: RealCluster, writer: Writer, how: 'kill' | 'stop'): Promise<number> {
  const { memberId, node } = await cluster.leader()
  await level(cluster)
  await new Promise(done => setTimeout(done, CALM_MS))
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
