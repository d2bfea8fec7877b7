/**
 * Clusters as people have them: racks, limits, dedicated hosts, ports. How many placements a second are decided, in
 * groups of equal tasks and when no two tasks are alike, and what a shape costs that nobody has asked for before.
 * Decisions are timed alone and with their staging in memory; every run meets the same empty cluster.
 */
import type { ConfigId, TaskId } from '../../src/core/base/ids.ts'
import type { Constraint, TaskConfig } from '../../src/core/job/task-config.ts'
import { OFFER_ORDER_DEFAULT, OFFER_ORDER_PACKING, type OfferOrder } from '../../src/core/offers/candidate-order.ts'
import { EXECUTOR_OVERHEAD_DEFAULT } from '../../src/core/offers/needs.ts'
import type { Match } from '../../src/core/scheduling/matcher.ts'
import { type BenchOptions, type Figure, type FigureSpec, figure, measure } from '../bench.ts'
import { Cluster, hostRow, taskConfig } from './cluster.ts'

/** What a round of the scheduler takes. */
const ROUND = 512
const HOSTS = 10_000
const HOST = { cpusMilli: 16_000, ramMb: 65_536, diskMb: 500_000, gpus: 0 }

interface Mix {
  readonly name: string
  readonly hosts: number
  readonly groups: number
  readonly tasks: number
  readonly order: readonly OfferOrder[]
  readonly target?: number
  readonly racks: number
  readonly dedicatedShare: number
  readonly owners: number
  readonly config: (group: number, mix: Mix) => TaskConfig
}

const usual = {
  hosts: HOSTS,
  order: OFFER_ORDER_DEFAULT,
  racks: 313,
  dedicatedShare: 0.05,
  owners: 5,
  config: mixedConfig,
}
const MIXES: readonly Mix[] = [
  { ...usual, name: 'groups-of-1000-hosts-1000', hosts: 1_000, racks: 32, owners: 1, groups: 10, tasks: 10_000 },
  { ...usual, name: 'groups-of-1000-hosts-10000', groups: 50, tasks: 50_000, target: 50_000 },
  { ...usual, name: 'groups-of-1000-hosts-50000', hosts: 50_000, racks: 1_563, groups: 50, tasks: 50_000 },
  { ...usual, name: 'groups-of-1000-hosts-10000-packed', groups: 50, tasks: 50_000, order: OFFER_ORDER_PACKING },
  { ...usual, name: 'all-different-hosts-1000', hosts: 1_000, racks: 32, groups: 1_000, tasks: 1_000 },
  { ...usual, name: 'all-different-hosts-10000', groups: 10_000, tasks: 10_000, target: 5_000 },
  { ...usual, name: 'all-different-hosts-50000', hosts: 50_000, racks: 1_563, groups: 10_000, tasks: 10_000 },
  { ...usual, name: 'all-different-hosts-10000-packed', groups: 10_000, tasks: 10_000, order: OFFER_ORDER_PACKING },
  // As many as the limit lets in, to the last rack.
  {
    ...usual,
    name: 'w8-rack-limit-500-racks',
    racks: 500,
    groups: 20,
    tasks: 20_000,
    dedicatedShare: 0,
    config: rackConfig,
  },
  { ...usual, name: 'w9-50-owners', groups: 250, tasks: 25_000, dedicatedShare: 0.1, owners: 50, config: ownerConfig },
]

export async function mixFigures(options: BenchOptions): Promise<readonly Figure[]> {
  const figures: Figure[] = []
  const shares = new Map<string, number>()
  for (const mix of MIXES) {
    if (options.quick && mix.hosts > HOSTS) continue
    options.say(`${mix.name}: ${mix.tasks} tasks`)
    const world = new Filled(mix)
    const { name, target } = mix
    const spec: FigureSpec = {
      name,
      unit: 'placements/s',
      better: 'higher',
      ...(target === undefined ? {} : { target }),
    }
    const decided: number[] = []
    const made = await measure(spec, options, () => {
      const { perSecond, decidedPerSecond } = world.fillOnce()
      decided.push(decidedPerSecond)
      return perSecond
    })
    // The first is the one that warms up.
    figures.push(made, figure({ ...spec, name: `${name}-decided` }, decided.slice(1)))
    const [family, hosts] = name.split('-hosts-')
    if (hosts !== undefined && /^\d+$/.test(hosts)) {
      const before = shares.get(family!)
      const growth = { name: `${family}-growth-to-${hosts}`, unit: 'ratio', better: 'lower' } as const
      if (before !== undefined) figures.push(figure(growth, [before / made.median]))
      shares.set(family!, made.median)
    }
  }
  return [...figures, ...growthFigures(options), ...(await coldShapes(options))]
}

/** Hosts of the clusters on which the same groups are placed. */
export const GROWTH_HOSTS = [1_000, 10_000, 50_000] as const

/**
 * The same ten groups of a thousand on clusters of different sizes, in turns: processor time a placement, and how much more
 * of it the largest cluster takes than the smallest.
 */
function growthFigures(options: BenchOptions): readonly Figure[] {
  const sizes = GROWTH_HOSTS.filter(hosts => !options.quick || hosts <= HOSTS)
  options.say(`the same groups on ${sizes.join(', ')} hosts`)
  const worlds = sizes.map(hosts => {
    const racks = Math.ceil(hosts / 32)
    return new Filled({ ...usual, name: `growth-${hosts}`, hosts, racks, owners: 1, groups: 10, tasks: 10_000 })
  })
  const whole = sizes.map((): number[] => [])
  const decided = sizes.map((): number[] => [])
  for (let run = -1; run < options.runs; run++) {
    for (const [at, world] of worlds.entries()) {
      const { microsEach, decidedMicrosEach } = world.fillOnce()
      if (run < 0) continue
      whole[at]!.push(microsEach)
      decided[at]!.push(decidedMicrosEach)
    }
  }
  const ratios = (costs: readonly (readonly number[])[]): number[] =>
    costs.at(-1)!.map((cost, run) => cost / costs[0]![run]!)
  const growth = { unit: 'ratio', better: 'lower', target: 1.5 } as const
  const micros = { unit: 'µs', better: 'lower' } as const
  return [
    ...sizes.flatMap((hosts, at) => [
      figure({ name: `cost-in-groups-${hosts}`, ...micros }, whole[at]!),
      figure({ name: `cost-in-groups-${hosts}-decided`, ...micros }, decided[at]!),
    ]),
    figure({ name: 'growth-groups-hosts', ...growth }, ratios(whole)),
    figure({ name: 'growth-groups-hosts-decided', ...growth }, ratios(decided)),
  ]
}

class Filled {
  readonly #cluster: Cluster
  readonly #mix: Mix
  readonly #configs: readonly (readonly [ConfigId, TaskConfig])[]

  constructor(mix: Mix) {
    this.#mix = mix
    this.#cluster = new Cluster({ overhead: EXECUTOR_OVERHEAD_DEFAULT, order: mix.order })
    this.#cluster.hosts(mixedHosts(mix))
    this.#configs = Array.from({ length: mix.groups }, (_, i) => {
      const config = mix.config(i, mix)
      return [this.#cluster.config(`c${i}`, config), config] as const
    })
  }

  /** Decisions with their staging, and the decisions alone. */
  fillOnce(): Filling {
    const cluster = this.#cluster
    const { tasks, groups, name } = this.#mix
    const waiting = this.#configs.map(([id, config], n) => {
      if (cluster.tables.config(id) === undefined) cluster.config(`c${n}`, config)
      return [id, cluster.create(id, tasks / groups)] as const
    })
    let placed = 0
    let round: Match[] = []
    const staging = { ms: 0, micros: 0 }
    const stage = (): void => {
      const [began, before] = [performance.now(), process.cpuUsage()]
      cluster.stage(round)
      round = []
      staging.ms += performance.now() - began
      staging.micros += microsSince(before)
    }
    const [began, before] = [performance.now(), process.cpuUsage()]
    for (const [id, ids] of waiting) {
      for (let at = 0; at < ids.length; at += ROUND) {
        const result = cluster.match(id, ids.slice(at, at + ROUND))
        placed += result.placed.length
        round.push(...result.placed)
        if (round.length >= ROUND) stage()
      }
    }
    stage()
    const [ms, micros] = [performance.now() - began, microsSince(before)]
    if (placed !== tasks) throw new Error(`${name}: ${placed} of ${tasks} tasks were placed: the cluster is too small`)
    for (const [, ids] of waiting) cluster.remove(ids as TaskId[])
    return {
      perSecond: (placed * 1_000) / ms,
      decidedPerSecond: (placed * 1_000) / (ms - staging.ms),
      microsEach: micros / placed,
      decidedMicrosEach: (micros - staging.micros) / placed,
    }
  }
}

interface Filling {
  readonly perSecond: number
  readonly decidedPerSecond: number
  /** Processor time of all threads of this process a placement. */
  readonly microsEach: number
  readonly decidedMicrosEach: number
}

function microsSince(before: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(before)
  return user + system
}

/** One attempt at a task whose constraints nobody has had before and no host satisfies: every host is judged, and says why. */
async function coldShapes(options: BenchOptions): Promise<readonly Figure[]> {
  const hosts = options.quick ? HOSTS : 50_000
  const mix: Mix = { ...usual, name: '', hosts, racks: Math.ceil(hosts / 32), groups: 0, tasks: 0 }
  const cluster = new Cluster({ overhead: EXECUTOR_OVERHEAD_DEFAULT, order: OFFER_ORDER_DEFAULT })
  cluster.hosts(mixedHosts(mix))
  let shapes = 0
  const attempt = (constraintsOf: (n: string) => readonly Constraint[]): number => {
    const n = `none-${shapes++}`
    const resources = { cpusMilli: 100, ramMb: 64, diskMb: 64, gpus: 0 }
    const id = cluster.config(
      n,
      taskConfig({ role: 'r', environment: 'prod', name: n }, { resources, constraints: constraintsOf(n) }),
    )
    const ids = cluster.create(id, 1)
    const began = performance.now()
    const { unplaced } = cluster.match(id, ids)
    const ms = performance.now() - began
    if (unplaced.length !== 1) throw new Error('the task was meant to fit nowhere')
    cluster.remove(ids)
    cluster.matcher.groupGone(id)
    return ms
  }
  const values = (name: string, negated: boolean, ...of: string[]): Constraint => ({
    name,
    rule: { type: 'value', negated, values: of },
  })
  const medianOf = (constraintsOf: (n: string) => readonly Constraint[]) => (): number => {
    const all = Array.from({ length: 9 }, () => attempt(constraintsOf))
    return all.sort((a, b) => a - b)[4]!
  }
  const spec = (name: string): FigureSpec => ({ name: `${name}-${hosts}`, unit: 'ms', better: 'lower', target: 5 })
  options.say(`cold shapes: ${hosts} hosts`)
  return [
    await measure(
      spec('cold-shape-racks'),
      options,
      medianOf(n => [values('zone', false, 'z1', 'z2'), values('rack', false, n)]),
    ),
    await measure(
      spec('cold-shape-host-names'),
      options,
      medianOf(n => [values('host', true, n), values('zone', false, n)]),
    ),
  ]
}

function mixedHosts({ hosts, racks, dedicatedShare, owners }: Mix) {
  const every = dedicatedShare === 0 ? 0 : Math.round(1 / dedicatedShare)
  return Array.from({ length: hosts }, (_, i) => {
    const isDedicated = every > 0 && i % every === 0
    return hostRow(i, HOST, {
      host: `host-${i}`,
      rack: `rack-${i % racks}`,
      zone: `z${i % 3}`,
      ...(isDedicated ? { dedicated: `owner${(i / every) % owners}/x` } : {}),
    })
  })
}

/** Of twenty groups one has hosts of its own, five a host limit, five a rack limit, five want certain zones; half want a port. */
function mixedConfig(i: number, { owners, tasks, groups, racks }: Mix): TaskConfig {
  const owner = i % 20 === 3 ? `owner${Math.floor(i / 20) % owners}` : null
  const constraints: Constraint[] = []
  if (owner !== null)
    constraints.push({ name: 'dedicated', rule: { type: 'value', negated: false, values: [`${owner}/x`] } })
  else if (i % 4 === 0) constraints.push({ name: 'host', rule: { type: 'limit', limit: 2 } })
  else if (i % 4 === 1)
    constraints.push({ name: 'rack', rule: { type: 'limit', limit: Math.ceil((2 * tasks) / groups / racks) } })
  else if (i % 4 === 2)
    constraints.push({ name: 'zone', rule: { type: 'value', negated: false, values: ['z1', 'z2'] } })
  return taskConfig(
    { role: owner ?? `role${i % 20}`, environment: 'prod', name: `job${i}` },
    {
      resources: { cpusMilli: owner === null ? 500 + (i % 7) * 100 : 500, ramMb: 512, diskMb: 1_024, gpus: 0 },
      ports: i % 2 === 0 ? ['http'] : [],
      constraints,
    },
  )
}

function rackConfig(i: number, { tasks, groups, racks }: Mix): TaskConfig {
  const limit = tasks / groups / racks
  return taskConfig(
    { role: `role${i % 20}`, environment: 'prod', name: `job${i}` },
    {
      resources: { cpusMilli: 500, ramMb: 512, diskMb: 1_024, gpus: 0 },
      constraints: [{ name: 'rack', rule: { type: 'limit', limit } }],
    },
  )
}

/** One group in five has hosts of its own: each owner has one group, and twenty hosts. */
function ownerConfig(i: number, { owners }: Mix): TaskConfig {
  const owner = i % 5 === 0 ? `owner${(i / 5) % owners}` : null
  const constraints: Constraint[] =
    owner === null ? [] : [{ name: 'dedicated', rule: { type: 'value', negated: false, values: [`${owner}/x`] } }]
  return taskConfig(
    { role: owner ?? `role${i % 20}`, environment: 'prod', name: `job${i}` },
    { resources: { cpusMilli: 500, ramMb: 512, diskMb: 1_024, gpus: 0 }, constraints },
  )
}
