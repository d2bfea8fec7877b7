/** How the leader of a cluster of real processes is ended, and the client that notices when the next one takes writes. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { REQUEST_ID_HEADER } from '../../src/wire/rest.ts'
import { jobConfigurationOf } from '../../test/fixtures/job-configurations.ts'
import type { RealCluster } from '../../test/fixtures/real-cluster.ts'
import { eventually } from '../../test/fixtures/real-node.ts'

const ATTEMPT_MS_MAX = 2_000
const KEY = { role: 'www-data', environment: 'devel' }

/** Linux counts CPU for user space in hundredths of a second, whatever its own tick. */
export const MS_PER_TICK = 10

/** User and system time of all threads of a process. */
export function ticksOf(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /s, '')
    .split(' ')
  return Number(fields[11]) + Number(fields[12])
}

export async function replaceLeader(
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
export async function level(cluster: RealCluster): Promise<void> {
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
export class Writer {
  readonly #urls: readonly string[]
  readonly #file: string
  readonly #prefix: string
  #jobs = 0
  #turn = 0

  /** `prefix`: of the names of its jobs; those of two writers must differ. */
  constructor(cluster: RealCluster, folder: string, prefix = 'pending') {
    this.#urls = cluster.urls
    this.#prefix = prefix
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
    const name = `${this.#prefix}-${++this.#jobs}`
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
