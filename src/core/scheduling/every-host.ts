/**
 * One instance on each host that a job's rules allow, however many there are. What is to be done follows from the hosts
 * and the tasks as they are now, so nothing is remembered: a new leader goes on from the rows.
 *
 * A host without a task of the job is owed one; tasks that have no host yet are what is on the way. Too few on the way:
 * new instances. Too many, as when a host has gone for good and its task was replaced: the surplus ends.
 */
import type { AgentId, InstanceId, TaskId } from '../base/ids.ts'
import type { TaskRow } from '../ledger/rows.ts'
import { HOST_ASSIGNED } from '../task/status.ts'

export interface EveryHostPlan {
  /** Numbers of instances to be made: the lowest that are free. */
  readonly insert: readonly InstanceId[]
  /** Tasks that will never be needed, the newest first. */
  readonly end: readonly TaskId[]
  /** Hosts that are allowed, and how many of those have a task. */
  readonly hosts: number
  readonly served: number
}

/** `allowed`: agents that may take a task of the job, whether they have one or not. `active`: all active tasks of the job. */
export function everyHostPlan(allowed: Iterable<AgentId>, active: readonly TaskRow[], tasksMax: number): EveryHostPlan {
  const withTask = new Set<AgentId>()
  const unplaced: TaskRow[] = []
  const taken = new Set<InstanceId>()
  for (const task of active) {
    taken.add(task.instance)
    if (task.agentId !== undefined && HOST_ASSIGNED.has(task.status)) withTask.add(task.agentId)
    // What is being killed before it had a host does not count.
    else if (task.status === 'PENDING' || task.status === 'THROTTLED') unplaced.push(task)
  }
  let hosts = 0
  let served = 0
  for (const agentId of allowed) {
    hosts++
    if (withTask.has(agentId)) served++
  }
  const owed = hosts - served
  const insert: InstanceId[] = []
  const room = tasksMax - active.length
  for (let instance = 0; insert.length < Math.min(owed - unplaced.length, room); instance++) {
    if (!taken.has(instance)) insert.push(instance)
  }
  const surplus = Math.max(0, unplaced.length - owed)
  const end = unplaced
    .sort((a, b) => b.instance - a.instance)
    .slice(0, surplus)
    .map(task => task.taskId)
  return { insert, end, hosts, served }
}
