/** The order in which lists of tasks come: by job, instance and id. None of these changes, so a task never moves in it. */
import { compareIds, type InstanceId, jobKeyText } from '../base/ids.ts'
import type { TaskRow } from '../ledger/rows.ts'

/** Behind which task the next page begins. `job`: `role/environment/name`. */
export interface PagePosition {
  readonly job: string
  readonly instance: InstanceId
  readonly taskId: string
}

/** Within one job. */
export function byInstance(a: TaskRow, b: TaskRow): number {
  return a.instance - b.instance || compareIds(a.taskId, b.taskId)
}

export function byPlace(a: TaskRow, b: TaskRow): number {
  return (a.job === b.job ? 0 : compareIds(jobKeyText(a.job), jobKeyText(b.job))) || byInstance(a, b)
}

export function isBehind(task: TaskRow, after: PagePosition): boolean {
  const order = compareIds(jobKeyText(task.job), after.job) || task.instance - after.instance
  return (order || compareIds(task.taskId, after.taskId)) > 0
}
