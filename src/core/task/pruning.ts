/**
 * Which ended tasks of a job may be forgotten. The deletes ride in the transaction that ends another task of the job, so
 * a job's history stays bounded without a sweep that has to find it. (Configurations that lose their last user go by
 * the ledger's own rule.)
 *
 * Source: the task life cycle, section 9.
 */
import { compareIds } from '../base/ids.ts'
import type { Instant } from '../base/time.ts'
import type { TaskRow } from '../ledger/rows.ts'
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
    .toSorted((a, b) => sinceMs(a) - sinceMs(b) || compareIds(a.taskId, b.taskId))
  return ended
    .filter((task, at) => {
      const ageMs = nowMs - sinceMs(task)
      const left = ended.length - at
      if (left > settings.perJobHardMax || ageMs >= settings.ageMsMax) return true
      return left > settings.perJobMax && ageMs >= settings.ageMsMin
    })
    .map(task => ({ type: 'delete', table: 'task', key: task.taskId }))
}
