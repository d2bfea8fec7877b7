/** A cluster in memory with a matcher over it: no actors, no log. What a benchmark does to it, the ledger would. */
import { agentId, type ConfigId, configId, type TaskId, taskId } from '../../src/core/base/ids.ts'
import { prng } from '../../src/core/base/prng.ts'
import type { Resources, TaskConfig } from '../../src/core/job/task-config.ts'
import type { AgentRow, TaskRow } from '../../src/core/ledger/rows.ts'
import { Tables } from '../../src/core/ledger/tables.ts'
import type { RowChange } from '../../src/core/ledger/transaction.ts'
import type { OfferOrder } from '../../src/core/offers/candidate-order.ts'
import { type Match, Matcher } from '../../src/core/scheduling/matcher.ts'
import { opened } from '../../src/core/task/history.ts'

const ROWS_PER_PUT = 10_000

export interface ClusterOptions {
  readonly overhead: Resources
  readonly order: readonly OfferOrder[]
  readonly seed?: number
}

export class Cluster {
  readonly tables = new Tables()
  readonly matcher: Matcher
  #tasks = 0

  constructor({ overhead, order, seed = 1 }: ClusterOptions) {
    this.matcher = new Matcher({ view: this.tables, overhead, offerOrder: order, random: prng(seed) })
  }

  put(changes: readonly RowChange[]): void {
    for (let at = 0; at < changes.length; at += ROWS_PER_PUT) {
      for (const { change, before } of this.tables.apply(changes.slice(at, at + ROWS_PER_PUT))) {
        this.matcher.apply(change, before)
      }
    }
  }

  /** Stored and connected. */
  hosts(rows: readonly AgentRow[]): void {
    this.put(rows.map(row => ({ type: 'put', table: 'agent', key: row.agentId, row })))
    for (const row of rows) this.matcher.agentUp(row.agentId)
  }

  config(id: string, config: TaskConfig): ConfigId {
    const row = { v: 1, configId: configId(id), config } as const
    this.put([{ type: 'put', table: 'config', key: id, row }])
    return row.configId
  }

  /** New PENDING tasks of the configuration, stored. */
  create(id: ConfigId, count: number, on: (n: number) => Partial<TaskRow> = () => ({})): TaskId[] {
    const { job } = this.tables.config(id)!
    const rows = Array.from({ length: count }, (_, n): TaskRow => {
      const instance = this.#tasks++
      return { ...pendingRow(taskId(`t${instance}`), job, instance, id), ...on(n) }
    })
    this.put(rows.map(row => ({ type: 'put', table: 'task', key: row.taskId, row })))
    return rows.map(row => row.taskId)
  }

  match(id: ConfigId, taskIds: readonly TaskId[]) {
    return this.matcher.match({ configId: id, taskIds }, 0)
  }

  /** What the ledger says once the assignments are staged. */
  stage(matches: readonly Match[]): void {
    this.put(
      matches.map(({ taskId: id, agentId: on, host, ports }) => {
        // As a decision copies it.
        const row = opened(this.tables.task(id)!)
        row.status = 'ASSIGNED'
        row.agentId = on
        row.host = host
        row.ports = ports
        return { type: 'put', table: 'task', key: id, row }
      }),
    )
  }

  remove(taskIds: readonly TaskId[]): void {
    this.put(taskIds.map(key => ({ type: 'delete', table: 'task', key })))
  }
}

export function pendingRow(id: TaskId, job: TaskRow['job'], instance: number, config: ConfigId): TaskRow {
  return {
    v: 1,
    taskId: id,
    job,
    instance,
    configId: config,
    status: 'PENDING',
    version: 1,
    ports: {},
    failureCount: 0,
    timesPartitioned: 0,
    agentSeq: 0,
    events: [{ atMs: 1, status: 'PENDING', scheduler: 'bench' }],
  }
}

export function hostRow(
  i: number,
  total: Resources,
  attributes: Readonly<Record<string, string>>,
  portRanges: AgentRow['portRanges'] = [[31_000, 32_000]],
): AgentRow {
  return {
    v: 1,
    agentId: agentId(`a${i}`),
    host: `host-${i}`,
    attributes: Object.entries(attributes)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, value]) => ({ name, values: [value] })),
    total,
    portRanges,
    mode: 'NONE',
    agentVersion: '1',
    firstSeenMs: 1,
  }
}

export function taskConfig(
  job: TaskConfig['job'],
  more: Partial<TaskConfig> & Pick<TaskConfig, 'resources'>,
): TaskConfig {
  return {
    job,
    owner: 'bench',
    isService: true,
    maxTaskFailures: 1,
    priority: 0,
    production: false,
    tier: 'preemptible',
    ports: [],
    constraints: [],
    metadata: [],
    executor: { name: 'bench', data: '' },
    ...more,
  }
}
