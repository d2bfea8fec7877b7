/**
 * How many placements are decided per second, by the matcher alone: no actors, no log. Hosts have racks and attributes,
 * one in ten is dedicated; groups ask for racks, limits and dedicated hosts. What was decided is staged in memory and
 * taken away again between the runs, so every run meets the same empty cluster.
 */
import { agentId, type ConfigId, configId, type TaskId, taskId } from '../src/core/base/ids.ts'
import { prng } from '../src/core/base/prng.ts'
import type { Constraint, TaskConfig } from '../src/core/job/task-config.ts'
import type { AgentRow, TaskRow } from '../src/core/ledger/rows.ts'
import { Tables } from '../src/core/ledger/tables.ts'
import type { RowChange } from '../src/core/ledger/transaction.ts'
import { OFFER_ORDER_DEFAULT, OFFER_ORDER_PACKING, type OfferOrder } from '../src/core/offers/candidate-order.ts'
import { EXECUTOR_OVERHEAD_DEFAULT } from '../src/core/offers/needs.ts'
import { type Match, Matcher } from '../src/core/scheduling/matcher.ts'
import { type Bench, type FigureSpec, measure } from './bench.ts'

const ROUND = 512

export const bench: Bench = {
  name: 'placement',
  title: 'placements decided per second',
  async run(options) {
    const scale = options.quick ? 0.1 : 1
    const sizes: {
      name: string
      hosts: number
      groups: number
      tasks: number
      order: readonly OfferOrder[]
      target?: number
    }[] = [
      { name: 'groups-1000-hosts', hosts: 1000, groups: 100, tasks: 10_000, order: OFFER_ORDER_DEFAULT },
      {
        name: 'groups-10000-hosts',
        hosts: 10_000,
        groups: 200,
        tasks: 50_000,
        order: OFFER_ORDER_DEFAULT,
        target: 50_000,
      },
      { name: 'groups-10000-hosts-packed', hosts: 10_000, groups: 200, tasks: 50_000, order: OFFER_ORDER_PACKING },
      {
        name: 'all-different-10000-hosts',
        hosts: 10_000,
        groups: 10_000,
        tasks: 10_000,
        order: OFFER_ORDER_DEFAULT,
        target: 5000,
      },
    ]
    const figures = []
    for (const { name, hosts, groups, tasks, order, target } of sizes) {
      options.say(`${name}: ${hosts} hosts, ${tasks * scale} tasks`)
      const world = cluster(hosts, groups * scale, tasks * scale, order)
      const spec: FigureSpec = {
        name,
        unit: 'placements/s',
        better: 'higher',
        ...(target === undefined ? {} : { target }),
      }
      figures.push(await measure(spec, options, () => world.fillOnce()))
    }
    const idle = cluster(10_000, 0, 0, OFFER_ORDER_DEFAULT)
    const unplaceable = await measure(
      { name: 'fruitless-attempt-10000-hosts', unit: 'ms', better: 'lower', target: 5 },
      options,
      () => idle.failOnce(),
    )
    return {
      figures: [...figures, unplaceable],
      notes: ['decisions and in-memory staging are timed together; the log and the agents are not part of it'],
    }
  },
}

function cluster(hosts: number, groups: number, tasks: number, offerOrder: readonly OfferOrder[]) {
  const tables = new Tables()
  const random = prng(1)
  const matcher = new Matcher({ view: tables, overhead: EXECUTOR_OVERHEAD_DEFAULT, offerOrder, random })
  const put = (changes: readonly RowChange[]): void => {
    for (const { change, before } of tables.apply(changes)) matcher.apply(change, before)
  }
  const agents = Array.from({ length: hosts }, (_, i) => agent(i))
  put(agents.map(row => ({ type: 'put', table: 'agent', key: row.agentId, row })))
  for (const row of agents) matcher.agentUp(row.agentId)

  const configs = Array.from({ length: groups + 1 }, (_, i) => config(i, i === groups))
  put(
    configs.map((made, i) => ({
      type: 'put',
      table: 'config',
      key: `c${i}`,
      row: { v: 1, configId: configId(`c${i}`), config: made },
    })),
  )
  const rows = Array.from({ length: tasks }, (_, i) => task(i, i % groups, configs[i % groups]!))
  const byConfig = new Map<ConfigId, TaskRow[]>()
  for (const row of rows) byConfig.set(row.configId, [...(byConfig.get(row.configId) ?? []), row])

  const pending = (): void => put(rows.map(row => ({ type: 'put', table: 'task', key: row.taskId, row })))
  const stage = (matches: readonly Match[]): void =>
    put(
      matches.map(({ taskId: id, agentId: on, host, ports }) => ({
        type: 'put',
        table: 'task',
        key: id,
        row: { ...tables.task(id)!, status: 'ASSIGNED', agentId: on, host, ports },
      })),
    )

  return {
    fillOnce(): number {
      pending()
      let placed = 0
      const startedMs = performance.now()
      let round: Match[] = []
      for (const [id, of] of byConfig) {
        for (let at = 0; at < of.length; at += ROUND) {
          const taskIds: TaskId[] = of.slice(at, at + ROUND).map(row => row.taskId)
          const result = matcher.match({ configId: id, taskIds }, 0)
          placed += result.placed.length
          round.push(...result.placed)
          if (round.length >= ROUND) {
            stage(round)
            round = []
          }
        }
      }
      stage(round)
      const seconds = (performance.now() - startedMs) / 1000
      if (placed !== tasks) throw new Error(`${placed} of ${tasks} tasks were placed: the cluster is too small`)
      return placed / seconds
    },
    /** ms for one attempt that looks at every host and finds none. */
    failOnce(): number {
      const id = configId(`c${groups}`)
      const row = { ...task(tasks, groups, configs[groups]!), status: 'PENDING' as const }
      put([{ type: 'put', table: 'task', key: row.taskId, row }])
      const attempts = 20
      const startedMs = performance.now()
      for (let i = 0; i < attempts; i++) {
        const { unplaced } = matcher.match({ configId: id, taskIds: [row.taskId] }, 0)
        if (unplaced.length !== 1) throw new Error('the task was meant to fit nowhere')
      }
      return (performance.now() - startedMs) / attempts
    },
  }
}

function agent(i: number): AgentRow {
  const attributes = [
    { name: 'host', values: [`h${i}`] },
    { name: 'rack', values: [`r${i >> 5}`] },
    { name: 'zone', values: [`z${i % 3}`] },
  ]
  if (i % 10 === 0) attributes.unshift({ name: 'dedicated', values: [`owner${(i / 10) % 5}/x`] })
  return {
    v: 1,
    agentId: agentId(`a${i}`),
    host: `h${i}`,
    attributes,
    total: { cpusMilli: 16_000, ramMb: 65_536, diskMb: 500_000, gpus: 0 },
    portRanges: [[31_000, 32_000]],
    mode: 'NONE',
    agentVersion: '1',
    firstSeenMs: 1,
  }
}

function config(i: number, isTooLarge: boolean): TaskConfig {
  const owner = i % 10 === 3 ? `owner${Math.floor(i / 10) % 5}` : null
  const constraints: Constraint[] = []
  if (owner !== null)
    constraints.push({ name: 'dedicated', rule: { type: 'value', negated: false, values: [`${owner}/x`] } })
  if (owner === null && i % 4 === 1) constraints.push({ name: 'host', rule: { type: 'limit', limit: 2 } })
  if (i % 4 === 2) constraints.push({ name: 'zone', rule: { type: 'value', negated: false, values: ['z1', 'z2'] } })
  return {
    job: { role: owner ?? `role${i % 20}`, environment: 'prod', name: `job${i}` },
    owner: 'bench',
    isService: true,
    maxTaskFailures: 1,
    priority: 0,
    production: false,
    tier: 'preemptible',
    resources: { cpusMilli: isTooLarge ? 64_000 : 500 + (i % 7) * 100, ramMb: 512, diskMb: 1024, gpus: 0 },
    ports: i % 2 === 0 ? ['http'] : [],
    constraints,
    metadata: [],
    executor: { name: 'bench', data: '' },
  }
}

function task(i: number, group: number, { job }: TaskConfig): TaskRow {
  return {
    v: 1,
    taskId: taskId(`t${i}`),
    job,
    instance: i,
    configId: configId(`c${group}`),
    status: 'PENDING',
    version: 1,
    ports: {},
    failureCount: 0,
    timesPartitioned: 0,
    agentSeq: 0,
    events: [{ atMs: 1, status: 'PENDING', scheduler: 'bench' }],
  }
}
