/** Tasks and questions about them as Aurora's clients know them. Source: api.thrift (ScheduledTask, TaskQuery). */
import { type JobKey, taskId } from '../../core/base/ids.ts'
import type { TaskRow } from '../../core/ledger/rows.ts'
import type { LedgerView } from '../../core/ledger/view.ts'
import type { TaskQuery } from '../../core/task/query.ts'
import type { TaskStatus } from '../../core/task/status.ts'
import { auroraTaskConfig, readKey } from './task-config-mapping.ts'
import type { Struct } from './types.ts'

/** `bare`: without the data of the executor. */
export function scheduledTask(
  view: LedgerView,
  row: TaskRow,
  how: 'whole' | 'bare' = 'whole',
): Struct<'ScheduledTask'> {
  const config = view.config(row.configId)
  return {
    assignedTask: {
      taskId: row.taskId,
      ...(row.agentId === undefined ? {} : { slaveId: row.agentId, slaveHost: row.host ?? '' }),
      ...(config === undefined ? {} : { task: auroraTaskConfig(config, how) }),
      assignedPorts: row.ports,
      instanceId: row.instance,
    },
    status: row.status,
    failureCount: row.failureCount,
    timesPartitioned: row.timesPartitioned,
    taskEvents: row.events.map(({ atMs, status, message, scheduler }) => {
      return { timestamp: atMs, status, ...(message === undefined ? {} : { message }), scheduler }
    }),
    ...(row.ancestorId === undefined ? {} : { ancestorId: row.ancestorId }),
  }
}

export interface ReadQuery {
  readonly query: TaskQuery
  readonly offset: number
  /** 0: all. */
  readonly limit: number
}

/** Null, blank and empty parts restrict nothing. */
export function readTaskQuery(given: Struct<'TaskQuery'> | undefined): ReadQuery {
  const { role, environment, jobName, taskIds, statuses, instanceIds, slaveHosts, jobKeys, offset, limit } = given ?? {}
  return {
    query: {
      role: role ?? null,
      environment: environment ?? null,
      jobName: jobName ?? null,
      taskIds: taskIds === undefined ? null : [...taskIds].map(taskId),
      statuses: statuses === undefined ? null : ([...statuses] as TaskStatus[]),
      instances: instanceIds === undefined ? null : [...instanceIds],
      hosts: slaveHosts === undefined ? null : [...slaveHosts],
      jobKeys: jobKeys === undefined ? null : [...jobKeys].map((key): JobKey => readKey(key)),
    },
    offset: Math.max(0, offset ?? 0),
    limit: Math.max(0, limit ?? 0),
  }
}

/** `TaskQuery(role:www-data, statuses:[RUNNING])`: what was asked, in a refusal. */
export function queryText(given: Struct<'TaskQuery'>): string {
  const parts = Object.entries(given)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}:${partText(value)}`)
  return `TaskQuery(${parts.join(', ')})`
}

function partText(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(partText).join(', ')}]`
  return typeof value === 'object' && value !== null ? Object.values(value).join('/') : String(value)
}

/** Closed ranges that hold just these numbers, ascending. */
export function rangesOf(instances: readonly number[]): Struct<'Range'>[] {
  const ranges: { first: number; last: number }[] = []
  for (const id of instances.toSorted((a, b) => a - b)) {
    const open = ranges.at(-1)
    if (open !== undefined && id <= open.last + 1) open.last = id
    else ranges.push({ first: id, last: id })
  }
  return ranges
}
