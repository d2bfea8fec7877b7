/** Backups: written, looked at, and brought back. */
import { z } from 'zod'
import { count, taskStatus, text } from './forms.ts'
import { jobKey } from './job-configuration.ts'
import { taskQuery } from './tasks.ts'

const backupName = text(255).describe('name of the file')

const backupFile = z.object({ name: z.string(), atMs: count, position: count, bytes: count })

/** GET /backups: those of the node that leads, the oldest first. */
export const backupList = z.object({
  folder: z.string(),
  backups: z.array(backupFile),
  staged: z.string().nullable().describe('the one that is loaded, if any'),
  next: z.string().nullable(),
})

/** POST /backups: written, read back and named. */
export const backupNow = z.object({})

export const backupWritten = backupFile

/** POST /backups:stage */
export const stageBackup = z.object({ name: backupName })

/** POST /backups:drop: filters, or `all`. */
export const dropBackupTasks = taskQuery
  .omit({ limit: true, cursor: true })
  .extend({ all: z.literal(true).optional().describe('every task; instead of a filter') })

/** POST /backups:unload */
export const unloadBackup = z.object({})

export const stagedBackup = z.object({
  staged: z.string().nullable().describe('null: none any more'),
  tasks: count.describe('staged now'),
  jobs: count,
  dropped: count.describe('tasks that this request took away'),
})

const backupTask = z.object({
  taskId: z.string(),
  job: jobKey,
  instance: count,
  status: taskStatus,
  host: z.string().nullable(),
})

/** GET /backups/tasks */
export const backupTaskList = z.object({ staged: z.string(), tasks: z.array(backupTask), next: z.string().nullable() })

const backupTasks = z.object({ count, first: z.array(backupTask).describe('the first 1,000 of them') })

/** GET /backups/diff: what a commit would do. */
export const backupDiff = z.object({
  staged: z.string(),
  digest: z.string().describe('a commit states it, so that it does what was looked at'),
  killed: backupTasks.describe('they run now and are not in the backup, or had ended there: their agents kill them'),
  lost: backupTasks.describe(
    'the backup has them on a machine and they are gone: LOST, and replaced as their job wants',
  ),
  again: backupTasks.describe('they waited then and have ended since: they wait again, under new ids'),
  forgotten: backupTasks.describe('they wait now and are not in the backup'),
  jobsAdded: z.array(z.string()),
  jobsRemoved: z.array(z.string()),
  jobsChanged: z.array(z.string()),
  rows: z.record(z.string(), z.object({ put: count, deleted: count })).describe('by table'),
})

/** POST /backups:commit — the digest of the diff that was looked at, or `force`. The reign ends with it. */
export const commitBackup = z.object({
  digest: z
    .string()
    .regex(/^[0-9a-f]{8}$/, 'must be the digest of a diff')
    .optional(),
  force: z.literal(true).optional().describe('whatever it does by now'),
  reason: text(1024).optional().describe('why; stands in the log'),
})

export const backupRestored = z.object({ restored: z.string(), killed: count, lost: count, rows: count })

export type BackupList = z.output<typeof backupList>
export type BackupWritten = z.output<typeof backupWritten>
export type StagedBackupView = z.output<typeof stagedBackup>
export type BackupTask = z.output<typeof backupTask>
export type BackupTaskList = z.output<typeof backupTaskList>
export type BackupDiff = z.output<typeof backupDiff>
export type CommitBackup = z.input<typeof commitBackup>
export type BackupRestored = z.output<typeof backupRestored>
