/**
 * Which ended tasks may be forgotten. Two rules: a task goes once it is old, and the oldest of a job go while the job has
 * more ended ones than it keeps, but none of these before the shortest time for which people can look at it.
 *
 * A task that a new leader finds is kept for that shortest time from the moment it leads, however old the task is: what
 * happened around a failover can still be read after it.
 *
 * Source: the task life cycle, section 9.
 */
import { compareIds } from '../base/ids.ts'
import type { Instant } from '../base/time.ts'
import type { TaskRow } from '../ledger/rows.ts'
import { sinceMs } from './history.ts'

export interface PruneSettings {
  /** Ended tasks that a job keeps; more stay only while they are younger than `ageMsMin`. */
  readonly perJobMax: number
  readonly ageMsMin: number
  /** Older ones go whatever their number. */
  readonly ageMsMax: number
}
export const PRUNE_SETTINGS: PruneSettings = {
  perJobMax: 100,
  ageMsMin: 3_600_000,
  ageMsMax: 2 * 86_400_000,
}

/** When an ended task goes for its age. `openedAtMs`: since when this leader leads. Never falls with the end. */
export function expiryMs(endedAtMs: Instant, openedAtMs: Instant, { ageMsMin, ageMsMax }: PruneSettings): Instant {
  return Math.max(openedAtMs + ageMsMin, endedAtMs + Math.max(ageMsMin, ageMsMax))
}

export interface Surplus {
  /** The oldest first. */
  readonly due: readonly TaskRow[]
  /** When more of the job is due, as it stands; null when it keeps no more than it should. */
  readonly nextMs: Instant | null
}

/** Of the ended tasks of one job, in any order: those it has too many of, and which are old enough to go. */
export function surplusOf(ended: readonly TaskRow[], nowMs: Instant, settings: PruneSettings): Surplus {
  const oldest = ended.toSorted(byEnd).slice(0, Math.max(0, ended.length - settings.perJobMax))
  const young = oldest.findIndex(task => sinceMs(task) > nowMs - settings.ageMsMin)
  if (young === -1) return { due: oldest, nextMs: null }
  return { due: oldest.slice(0, young), nextMs: sinceMs(oldest[young]!) + settings.ageMsMin }
}

/** The one that ended first in front. */
export function byEnd(a: TaskRow, b: TaskRow): number {
  return sinceMs(a) - sinceMs(b) || compareIds(a.taskId, b.taskId)
}
