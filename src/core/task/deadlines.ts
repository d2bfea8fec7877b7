/**
 * What happens to a task because of time alone. Every deadline is computed from the row, so it is the same one after a
 * restart or under the next leader: a stuck task cannot outlive its limit by having its leader replaced.
 *
 * Source: the task life cycle, sections 6 to 8, with the improvements 7 and 8 of its section 17.
 */
import type { Prng } from '../base/prng.ts'
import type { Instant } from '../base/time.ts'
import type { TaskConfig } from '../job/task-config.ts'
import type { TaskRow } from '../ledger/rows.ts'
import { sinceMs } from './history.ts'
import { type TaskStatus, TRANSIENT } from './status.ts'

export interface DeadlineSettings {
  /** How long a task may stay in a passing state before it is given up. */
  readonly transientTimeoutMs: number
  /** The first repetition of a kill comes after one to two times this … */
  readonly killRetryMs: number
  /** … and the later ones at most this far apart. */
  readonly killRetryMsMax: number
}
export const DEADLINE_SETTINGS: DeadlineSettings = {
  transientTimeoutMs: 300_000,
  killRetryMs: 15_000,
  killRetryMsMax: 300_000,
}

export interface Deadline {
  readonly atMs: Instant
  /** What is proposed then, provided that the task is still the same version. */
  readonly to: TaskStatus
  readonly message?: string
  readonly who: 'throttle timer' | 'transient timer' | 'partition timer'
}

/** Null: the task may stay as it is for ever. */
export function deadlineOf(row: TaskRow, config: TaskConfig, settings: DeadlineSettings): Deadline | null {
  if (row.status === 'THROTTLED') return { atMs: row.readyAtMs ?? sinceMs(row), to: 'PENDING', who: 'throttle timer' }
  if (row.status === 'PARTITIONED') {
    if (config.partitionPolicy?.reschedule === false) return null
    return {
      atMs: sinceMs(row) + (config.partitionPolicy?.delaySecs ?? 0) * 1000,
      to: 'LOST',
      message: 'Task partitioned for too long.',
      who: 'partition timer',
    }
  }
  if (!TRANSIENT.has(row.status)) return null
  const atMs = sinceMs(row) + settings.transientTimeoutMs
  return { atMs, to: 'LOST', message: 'Task timed out', who: 'transient timer' }
}

/**
 * How long from now, 0 when it has passed. Never longer than the whole wait: a clock that was set back, or that of a
 * leader before whose ran ahead, does not prolong it.
 */
export function dueInMs({ atMs }: Deadline, row: TaskRow, nowMs: Instant): number {
  return Math.max(0, Math.min(atMs - nowMs, atMs - sinceMs(row)))
}

/** Truncated binary back-off with up to 100 % jitter. `lastMs` 0: the first one. */
export function killRetryDelayMs(lastMs: number, settings: DeadlineSettings, random: Prng): number {
  const baseMs = lastMs === 0 ? settings.killRetryMs : lastMs
  return Math.min(settings.killRetryMsMax, baseMs + Math.round(random.next() * baseMs))
}
