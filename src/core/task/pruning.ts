/**
 * What may be forgotten: ended tasks beyond the history a job keeps, and configurations that nothing names any more.
 * Both ride in the transaction that makes them superfluous, so no sweep has to find them later.
 *
 * Source: the task life cycle, section 9; configurations: section 16.
 */
import type { ConfigId, TaskId } from '../base/ids.ts'
import type { Instant } from '../base/time.ts'
import type { JobRow, TaskRow } from '../ledger/rows.ts'
import type { RowChange } from '../ledger/transaction.ts'
import { sinceMs } from './history.ts'
import { isTerminal } from './status.ts'

export interface PruneSettings {
  /** Ended tasks that a job keeps; more stay only while they are younger than `ageMsMin`. */
  readonly perJobMax: number
  readonly ageMsMin: number
  /** Older ones go whatever their number. */
  readonly ageMsMax: number
  /** Whatever their age: a task that ends every second must not fill the ledger within the hour. */
  readonly perJobHardMax: number
}
export const PRUNE_SETTINGS: PruneSettings = {
  perJobMax: 100,
  ageMsMin: 3_600_000,
  ageMsMax: 2 * 86_400_000,
  perJobHardMax: 1000,
}

/** Deletes of the ended tasks of one job that are due, the oldest first. `tasks`: all of the job, in any order. */
export function pruneChanges(tasks: readonly TaskRow[], nowMs: Instant, settings: PruneSettings): RowChange[] {
  const ended = tasks
    .filter(task => isTerminal(task.status))
    .toSorted((a, b) => sinceMs(a) - sinceMs(b) || (a.taskId < b.taskId ? -1 : 1))
  return ended
    .filter((task, at) => {
      const ageMs = nowMs - sinceMs(task)
      const left = ended.length - at
      if (left > settings.perJobHardMax || ageMs >= settings.ageMsMax) return true
      return left > settings.perJobMax && ageMs >= settings.ageMsMin
    })
    .map(task => ({ type: 'delete', table: 'task', key: task.taskId }))
}

/**
 * Deletes of the configurations that lose their last user. A configuration names its job, so only that job's own row
 * and tasks can use it.
 */
export function orphanedConfigs(
  gone: readonly ConfigId[],
  left: { readonly tasks: Iterable<TaskRow>; readonly job: JobRow | undefined },
): RowChange[] {
  const orphans = new Set(gone)
  if (left.job !== undefined) orphans.delete(left.job.configId)
  for (const task of left.tasks) {
    if (orphans.size === 0) break
    orphans.delete(task.configId)
  }
  return [...orphans].map(key => ({ type: 'delete', table: 'config', key }))
}

/** What `changes` leave of a job's tasks: the rows without the deleted ones. */
export function tasksLeft(tasks: readonly TaskRow[], changes: readonly RowChange[]): TaskRow[] {
  const deleted = new Set<TaskId | string>()
  for (const change of changes) if (change.type === 'delete' && change.table === 'task') deleted.add(change.key)
  return tasks.filter(task => !deleted.has(task.taskId))
}
