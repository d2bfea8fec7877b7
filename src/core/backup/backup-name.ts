/**
 * Names of backups: UTC with seconds and the position of the log, so that their order is that of time, on every machine
 * and through every change of its clock's zone. A file of any other name is not ours: it is neither listed nor deleted.
 */
import type { Instant } from '../base/time.ts'

export interface NamedBackup {
  readonly name: string
  readonly atMs: Instant
  readonly position: number
}

const POSITION_DIGITS = 12
const FORM = /^scheduler-backup-(\d{4})(\d{2})(\d{2})T(\d{2})(\d{2})(\d{2})Z-p(\d{12,16})\.daybreak$/
const TEMPORARY = 'temp_'

export function backupName(atMs: Instant, position: number): string {
  const time = new Date(atMs).toISOString().replaceAll(/[-:]|\.\d+/g, '')
  return `scheduler-backup-${time}-p${String(position).padStart(POSITION_DIGITS, '0')}.daybreak`
}

/** Null for a name that is not exactly of that form. */
export function readBackupName(name: string): NamedBackup | null {
  const found = FORM.exec(name)
  if (found === null) return null
  const [year, month, day, hours, minutes, seconds, position] = found.slice(1).map(Number) as Seven
  const atMs = Date.UTC(year, month - 1, day, hours, minutes, seconds)
  // The 31st of February reads as a day of March.
  return backupName(atMs, position) === name ? { name, atMs, position } : null
}
type Seven = [number, number, number, number, number, number, number]

/** What a backup is called while it is written. */
export function temporaryName(name: string): string {
  return TEMPORARY + name
}

/** Left by a process that ended while it wrote one. */
export function isLeftOver(name: string): boolean {
  return name.startsWith(TEMPORARY) && readBackupName(name.slice(TEMPORARY.length)) !== null
}
