/**
 * When a backup is due, and which ones have had their time. Source: the task life cycle, section 12.
 */
import type { NamedBackup } from './backup-name.ts'

/**
 * ms until the next one, 0 when it is due. `lastMonoMs`: when the last one began, or the process. The interval runs from
 * the last one and not from a grid, so after a long gap there is one, and the next a whole interval later.
 */
export function backupDueInMs(lastMonoMs: number, nowMonoMs: number, intervalMs: number): number {
  return Math.max(0, lastMonoMs + intervalMs - nowMonoMs)
}

/** Beyond the newest `keep`, the oldest first. Names are in the order of time. */
export function surplusBackups(backups: readonly NamedBackup[], keep: number): readonly NamedBackup[] {
  const sorted = backups.toSorted((a, b) => (a.name < b.name ? -1 : 1))
  return sorted.slice(0, Math.max(0, sorted.length - keep))
}
