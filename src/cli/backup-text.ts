/** Backups as people read them. */
import type { BackupDiff, BackupList, BackupTask } from '../wire/rest.ts'
import { printable, type Style } from './screen.ts'
import { type Column, tableText } from './table.ts'

const FILES: readonly Column[] = [
  { head: 'NAME' },
  { head: 'AGE', right: true },
  { head: 'POSITION', right: true, worth: 1 },
  { head: 'BYTES', right: true, worth: 2 },
]
const TASKS: readonly Column[] = [
  { head: 'JOB' },
  { head: 'INSTANCE', right: true },
  { head: 'STATUS' },
  { head: 'HOST', worth: 2 },
  { head: 'TASK', worth: 1 },
]
const LINES_MAX = 20

export function filesText({ folder, backups, staged }: Omit<BackupList, 'next'>, nowMs: number, style: Style): string {
  const loaded = staged === null ? '' : `Loaded: ${printable(staged)}\n`
  if (backups.length === 0) return `There are no backups in ${printable(folder)}\n${loaded}`
  const rows = backups.map(({ name, atMs, position, bytes }) => {
    return [name, ageText(nowMs - atMs), String(position), String(bytes)]
  })
  return `In ${printable(folder)}\n${tableText(FILES, rows, style)}${loaded}`
}

export function tasksText(tasks: readonly BackupTask[], style: Style): string {
  if (tasks.length === 0) return 'No tasks match\n'
  const rows = tasks.map(({ job, instance, status, host, taskId }) => {
    return [keyText(job), String(instance), status, host ?? '', taskId]
  })
  return tableText(TASKS, rows, style)
}

/** What a commit would do, the gravest first. */
export function diffText(diff: BackupDiff): string {
  const lines = [
    `A commit of ${printable(diff.staged)} would do this (digest ${diff.digest}):`,
    ...tasksLines('tasks run now and are not in the backup, or had ended there: they will be killed', diff.killed),
    ...tasksLines('tasks are gone that the backup has on a machine: they will be LOST and replaced', diff.lost),
    ...tasksLines('tasks waited then and have ended since: they will be started', diff.again),
    ...tasksLines('tasks wait now and are not in the backup: they will be forgotten', diff.forgotten),
    ...keyLines('jobs come back', diff.jobsAdded),
    ...keyLines('jobs go', diff.jobsRemoved),
    ...keyLines('jobs become what they were', diff.jobsChanged),
    ...Object.entries(diff.rows).map(
      ([table, { put, deleted }]) => `  ${table} rows: ${put} written, ${deleted} deleted`,
    ),
  ]
  if (lines.length === 1) lines.push('  nothing: the cluster is as it was then')
  return `${lines.join('\n')}\n`
}

function tasksLines(what: string, { count, first }: BackupDiff['killed']): string[] {
  const named = first.map(({ job, instance, host, taskId }) => {
    return `${keyText(job)}/${instance}${host === null ? '' : ` on ${host}`} (${taskId})`
  })
  return countLines(what, count, named)
}

function keyLines(what: string, keys: readonly string[]): string[] {
  return countLines(what, keys.length, keys)
}

function countLines(what: string, count: number, named: readonly string[]): string[] {
  if (count === 0) return []
  const shown = named.slice(0, LINES_MAX).map(text => `    ${printable(text)}`)
  const more = count > shown.length ? [`    and ${count - shown.length} more`] : []
  return [`  ${count} ${what}`, ...shown, ...more]
}

const keyText = ({ role, environment, name }: BackupTask['job']): string => `${role}/${environment}/${name}`

function ageText(ms: number): string {
  const minutes = Math.max(0, Math.floor(ms / 60_000))
  if (minutes < 60) return `${minutes}min`
  const hours = Math.floor(minutes / 60)
  return hours < 48 ? `${hours}h` : `${Math.floor(hours / 24)}d`
}
