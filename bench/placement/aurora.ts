/**
 * The workloads of Aurora's own scheduling benchmarks, each at its own number of hosts and at three more. One thread, no
 * log, no agents; hosts of 8 cores and tasks of 6, so one task to a host; part of the hosts is taken before anything is
 * timed, half by tasks of the same job. Cold is the first operation of a cluster that has just been filled, warm is what
 * follows. What Aurora leaves out of an operation and we do not: the pending reasons of every fruitless attempt.
 *
 * Source: the scheduling spec, section 14.
 */
import { agentId, type ConfigId, type TaskId } from '../../src/core/base/ids.ts'
import type { TaskConfig } from '../../src/core/job/task-config.ts'
import { OFFER_ORDER_DEFAULT } from '../../src/core/offers/candidate-order.ts'
import { type BenchOptions, type Figure, figure, measure } from '../bench.ts'
import { Cluster, hostRow, taskConfig } from './cluster.ts'

const SIZES = [1_000, 10_000, 50_000]
const OVERHEAD = { cpusMilli: 250, ramMb: 128, diskMb: 0, gpus: 0 }
const HOST = { cpusMilli: 8_000, ramMb: 16_384, diskMb: 262_144, gpus: 0 }
const TASK = { cpusMilli: 6_000, ramMb: 8_192, diskMb: 131_072, gpus: 0 }
const JOB = { role: 'jmh', environment: 'dev', name: 'benchmark' }
const BATCH = 5
const FILL_TASKS = 10

interface Workload {
  readonly name: string
  readonly hosts: number
  /** Shares of hosts that are taken beforehand by tasks of the job, and by those of another. */
  readonly siblings: number
  readonly victims: number
  readonly task: Partial<TaskConfig>
  /** Tasks that one operation places; 0: it tries one that fits nowhere. */
  readonly places: number
}

const limit0 = { constraints: [{ name: 'host', rule: { type: 'limit', limit: 0 } }] } as const
const WORKLOADS: readonly Workload[] = [
  { name: 'fill-cluster', hosts: 200_000, siblings: 0.01, victims: 0.01, task: {}, places: FILL_TASKS },
  {
    name: 'insufficient-resources',
    hosts: 1_000,
    siblings: 0.25,
    victims: 0.25,
    task: { tier: 'preferred', resources: { ...TASK, cpusMilli: 32_000 } },
    places: 0,
  },
  {
    name: 'value-mismatch',
    hosts: 1_000,
    siblings: 0.25,
    victims: 0.25,
    task: { constraints: [{ name: 'host', rule: { type: 'value', negated: false, values: ['denied'] } }] },
    places: 0,
  },
  { name: 'limit-mismatch', hosts: 1_000, siblings: 0.25, victims: 0.25, task: limit0, places: 0 },
  { name: 'cluster-full', hosts: 10_000, siblings: 0.1, victims: 0.9, task: limit0, places: 0 },
]

export async function auroraFigures(options: BenchOptions): Promise<readonly Figure[]> {
  const figures: Figure[] = []
  for (const workload of WORKLOADS) {
    let before: { readonly hosts: number; readonly msPerOp: number } | null = null
    const own = options.quick ? [] : [workload.hosts]
    const sizes = [...new Set([...(options.quick ? SIZES.slice(0, 2) : SIZES), ...own])].sort((a, b) => a - b)
    for (const hosts of sizes) {
      options.say(`${workload.name}: ${hosts} hosts`)
      const measured = await measureSize(workload, hosts, options)
      figures.push(...measured)
      const msPerOp = 1_000 / measured[0]!.median
      if (before !== null) {
        const name = `${workload.name}-growth-${before.hosts}-to-${hosts}`
        figures.push(figure({ name, unit: 'ratio', better: 'lower' }, [msPerOp / before.msPerOp]))
      }
      before = { hosts, msPerOp }
    }
  }
  return figures
}

async function measureSize(workload: Workload, hosts: number, options: BenchOptions): Promise<readonly Figure[]> {
  const coldMs: number[] = []
  let scene = new Scene(workload, hosts)
  for (let run = 0; run < 3; run++) {
    if (run > 0) scene = new Scene(workload, hosts)
    coldMs.push(timed(() => scene.operate()))
  }
  const runMs = options.quick ? 100 : 500
  const name = `${workload.name}-${hosts}`
  const warm = await measure({ name, unit: 'ops/s', better: 'higher' }, options, () => scene.operationsPerSecond(runMs))
  const tasks = warm.values.map(ops => ops * workload.places)
  return [
    warm,
    ...(workload.places === 0 ? [] : [figure({ name: `${name}-tasks`, unit: 'tasks/s', better: 'higher' }, tasks)]),
    figure({ name: `${name}-cold`, unit: 'ms', better: 'lower' }, coldMs),
  ]
}

/** A cluster, filled as the workload says. */
class Scene {
  readonly #cluster = new Cluster({ overhead: OVERHEAD, order: OFFER_ORDER_DEFAULT })
  readonly #config: ConfigId
  readonly #places: number
  /** Hosts that are free when it begins. */
  readonly #room: number
  /** The one that fits nowhere. */
  readonly #task: readonly TaskId[]
  #placed: TaskId[] = []

  constructor({ siblings, victims, task, places }: Workload, hosts: number) {
    const cluster = this.#cluster
    const rackOf = (i: number): string => `rack-${(i + 1) >> 1}`
    cluster.hosts(
      Array.from({ length: hosts }, (_, i) => hostRow(i, HOST, { host: `host-${i}`, rack: rackOf(i) }, [[1, 1_023]])),
    )
    const more = { priority: 1, resources: TASK }
    const sibling = cluster.config('sibling', taskConfig(JOB, { ...more, tier: 'preferred' }))
    const victim = cluster.config('victim', taskConfig({ ...JOB, role: 'victim' }, more))
    const onHost = (i: number) => ({ status: 'RUNNING', agentId: agentId(`a${i}`), host: `host-${i}` }) as const
    const siblingCount = Math.floor(hosts * siblings)
    cluster.create(sibling, siblingCount, onHost)
    cluster.create(victim, Math.floor(hosts * victims), n => onHost(siblingCount + n))
    this.#config = cluster.config('wanted', taskConfig(JOB, { ...more, ...task }))
    this.#places = places
    this.#room = hosts - siblingCount - Math.floor(hosts * victims)
    this.#task = places === 0 ? cluster.create(this.#config, 1) : []
  }

  operate(): void {
    if (this.#places === 0) this.#fail()
    else this.#fill()
  }

  /** Time for refilling does not count. */
  operationsPerSecond(forMs: number): number {
    let ms = 0
    let operations = 0
    while (ms < forMs) {
      if (this.#placed.length + 2 * this.#places > this.#room) this.#refill()
      ms += timed(() => this.operate())
      operations++
    }
    return (operations * 1_000) / ms
  }

  #fill(): void {
    const cluster = this.#cluster
    const ids = cluster.create(this.#config, this.#places)
    for (let at = 0; at < ids.length; at += BATCH) {
      const { placed } = cluster.match(this.#config, ids.slice(at, at + BATCH))
      if (placed.length !== BATCH) throw new Error(`${placed.length} of ${BATCH} tasks found a host with room for all`)
      cluster.stage(placed)
    }
    this.#placed.push(...ids)
  }

  #refill(): void {
    this.#cluster.remove(this.#placed)
    this.#placed = []
    // The room that came back is looked at for parked groups, of which there are none.
    this.#cluster.matcher.takeWakes(0)
  }

  #fail(): void {
    const { unplaced } = this.#cluster.match(this.#config, this.#task)
    if (unplaced.length !== 1) throw new Error('the task was meant to fit nowhere')
  }
}

function timed(work: () => void): number {
  const began = performance.now()
  work()
  return performance.now() - began
}
