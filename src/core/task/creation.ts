/**
 * The birth of tasks. All instances of one call become true together or not at all; an instance number is held by at
 * most one active task, and only this place can break that: a replacement inherits its ancestor's slot.
 *
 * Source: the task life cycle, section 3 (insert).
 */
import { assert } from '../base/assert.ts'
import type { ConfigId, InstanceId, JobKey, TaskId } from '../base/ids.ts'
import { type Rejection, rejected } from '../base/rejection.ts'
import type { Instant } from '../base/time.ts'
import type { TaskRow } from '../ledger/rows.ts'
import type { RowChange } from '../ledger/transaction.ts'
import { recorded } from './history.ts'

export interface Insertion {
  readonly job: JobKey
  readonly configId: ConfigId
  /** Ascending, each once, at least one. */
  readonly instances: readonly InstanceId[]
  /** The instance numbers that active tasks of the job hold now. */
  readonly taken: ReadonlySet<InstanceId>
  readonly nowMs: Instant
  readonly scheduler: string
  /** Who wants them. */
  readonly who?: string
  readonly newTaskId: (job: JobKey, instance: InstanceId) => TaskId
}

export type Inserted = { readonly type: 'inserted'; readonly changes: readonly RowChange[] }

/** PENDING rows for all the instances, or a refusal of them all. */
export function insertTasks(insertion: Insertion): Inserted | Rejection {
  const { job, configId, instances, taken, newTaskId } = insertion
  if (instances.length === 0) return rejected('INVALID_REQUEST', 'Instance count must be positive.')
  if (instances.some(instance => taken.has(instance)))
    return rejected('INSTANCE_COLLISION', 'Instance ID collision detected.')
  const ids = new Set<TaskId>()
  const changes = instances.map((instance): RowChange => {
    const taskId = newTaskId(job, instance)
    const unborn: TaskRow = {
      v: 1,
      taskId,
      job,
      instance,
      configId,
      status: 'INIT',
      version: 1,
      ports: {},
      failureCount: 0,
      timesPartitioned: 0,
      agentSeq: 0,
      events: [],
    }
    ids.add(taskId)
    return { type: 'put', table: 'task', key: taskId, row: recorded(unborn, 'PENDING', undefined, insertion) }
  })
  assert(ids.size === instances.length, 'Proposed new tasks would create task ID collision.', { job: job.name })
  return { type: 'inserted', changes }
}
