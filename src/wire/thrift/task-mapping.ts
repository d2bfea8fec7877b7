/** Tasks and questions about them as Aurora's clients know them. Source: api.thrift (ScheduledTask, TaskQuery). */
import { type JobKey, taskId } from '../../core/base/ids.ts'
import type { TaskConfig } from '../../core/job/task-config.ts'
import type { TaskRow } from '../../core/ledger/rows.ts'
import type { TaskQuery } from '../../core/task/query.ts'
import type { TaskStatus } from '../../core/task/status.ts'
import { auroraTaskConfig, readKey } from './task-config-mapping.ts'
import type { Struct } from './types.ts'

/** `bare`: without the data of the executor. */
export function scheduledTask(
  row: TaskRow,
  config: TaskConfig | undefined,
  how: 'whole' | 'bare' = 'whole',
): Struct<'ScheduledTask'> {
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

/** Whether an instance lies in any of these ranges. They are never written out: a single one may hold a billion. */
export function inRanges(ranges: Iterable<Struct<'Range'>>): Pick<ReadonlySet<number>, 'has'> {
  const given = Array.from(ranges, ({ first = 0, last = 0 }) => ({ first, last }))
  const merged: { first: number; last: number }[] = []
  for (const { first, last } of given.filter(one => one.first <= one.last).sort((a, b) => a.first - b.first)) {
    const open = merged.at(-1)
    if (open !== undefined && first <= open.last + 1) open.last = Math.max(open.last, last)
    else merged.push({ first, last })
  }
  return {
    has(id) {
      let [low, high] = [0, merged.length]
      while (low < high) {
        const middle = (low + high) >>> 1
        if ((merged[middle]?.last ?? 0) < id) low = middle + 1
        else high = middle
      }
      const range = merged[low]
      return range !== undefined && range.first <= id
    },
  }
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
