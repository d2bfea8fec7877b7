/**
 * Backup: writes the row tables of the leader to a file once in a while or when asked, keeps the newest, and brings one of
 * them back: staged in memory first, looked at, and committed as one transaction that ends the reign. One on the leader.
 * See docs/design/0016-backup.md.
 */
import { backupDueInMs, surplusBackups } from '../core/backup/backup-schedule.ts'
import { type RestorePlan, restorePlan } from '../core/backup/restore-plan.ts'
import { assertNever } from '../core/base/assert.ts'
import type { ConfigId } from '../core/base/ids.ts'
import { type Rejection, type RejectionCode, rejected } from '../core/base/rejection.ts'
import type { TaskConfig } from '../core/job/task-config.ts'
import { TRANSACTION_BYTES_MAX } from '../core/ledger/payload-parts.ts'
import { requestChange, requestOutcome } from '../core/ledger/request-outcomes.ts'
import type { TaskRow } from '../core/ledger/rows.ts'
import { type TaskQuery, tasksMatching } from '../core/task/query.ts'
import { newTaskId } from '../core/task/task-id.ts'
import { encodeRow } from '../wire/ledger-rows.ts'
import type { ActorSpec, Behaviour, Context, Ref } from './actor.ts'
import { RequestAnswers } from './backup/request-answers.ts'
import { StagedBackup } from './backup/staged-backup.ts'
import { type BackupFile, type BackupFolder, BackupTrouble } from './backup-ports.ts'
import type { Ledger } from './ledger.ts'
import { type Metrics, silentMetrics } from './ports.ts'

export interface BackupOptions {
  readonly ledger: Ledger
  readonly folder: BackupFolder
  /** Of the process, not of the reign. */
  readonly schedule: BackupSchedule
  readonly intervalMs: number
  /** Backups that stay. */
  readonly keep: number
  readonly schedulerName: string
  readonly uuid: () => string
  /** Ends the actors of this reign within the call, runs `last`, and gives leadership up when that has settled. */
  readonly resign: (reason: string, last: () => Promise<void>) => void
  readonly metrics?: Metrics
}

export interface BackupSchedule {
  /** When the last one began, or the process did. */
  lastMonoMs: number
}

interface Change<A> {
  readonly requestId: string
  readonly fingerprint: string
  readonly user: string
  readonly replyTo: Ref<A | Rejection>
}
interface Question<A> {
  readonly replyTo: Ref<A | Rejection>
}

export interface BackupNow extends Change<Written> {
  readonly type: 'backupNow'
}
export interface Written {
  readonly type: 'written'
  readonly file: BackupFile
}
export interface ListBackups extends Question<Listed> {
  readonly type: 'list'
}
export interface Listed {
  readonly type: 'listed'
  readonly folder: string
  readonly files: readonly BackupFile[]
  readonly staged: string | null
}
export interface StageBackup extends Change<Staged> {
  readonly type: 'stage'
  readonly name: string
}
export interface DropTasks extends Change<Staged> {
  readonly type: 'drop'
  readonly query: TaskQuery
}
export interface UnloadBackup extends Change<Staged> {
  readonly type: 'unload'
}
/** What is staged after it. `name` null: nothing; `dropped`: tasks taken away by this request. */
export interface Staged {
  readonly type: 'staged'
  readonly name: string | null
  readonly tasks: number
  readonly jobs: number
  readonly dropped: number
}
export interface ShowTasks extends Question<Shown> {
  readonly type: 'show'
  readonly query: TaskQuery
}
export interface Shown {
  readonly type: 'shown'
  readonly name: string
  readonly tasks: readonly TaskRow[]
  /** Theirs, which the cluster need not have any more. */
  readonly configs: ReadonlyMap<ConfigId, TaskConfig>
}
export interface DiffBackup extends Question<Differs> {
  readonly type: 'diff'
}
export interface Differs {
  readonly type: 'differs'
  readonly name: string
  readonly plan: RestorePlan
}
export interface CommitBackup extends Change<Restored> {
  readonly type: 'commit'
  /** Of the diff that was looked at; null: whatever it does. */
  readonly digest: string | null
  /** Empty: none was given. */
  readonly reason: string
}
export interface Restored {
  readonly type: 'restored'
  readonly name: string
  readonly killed: number
  readonly lost: number
  readonly rows: number
}

export type Command =
  | BackupNow
  | ListBackups
  | StageBackup
  | DropTasks
  | UnloadBackup
  | ShowTasks
  | DiffBackup
  | CommitBackup

type Message =
  | Command
  | { readonly type: 'due' }
  | { readonly type: 'saved'; readonly file: BackupFile; readonly removed: number }
  | { readonly type: 'notSaved'; readonly cause: unknown }
  | {
      readonly type: 'loaded'
      readonly command: StageBackup
      readonly staged: StagedBackup | null
      readonly cause: unknown
    }

const NOTHING_LOADED = 'No backup loaded.'
const ALREADY_LOADED = 'Another backup is already loaded.'
/** A timer is never longer; what is due is asked of the clock. */
const LOOK_MS_MAX = 3_600_000

export function backupSpec(options: BackupOptions): ActorSpec<Command> {
  const spec: ActorSpec<Message> = {
    name: 'backup',
    kind: 'Backup',
    mailbox: {
      capacity: 1_000,
      onRefused: message => {
        if ('replyTo' in message) message.replyTo.tell(rejected('BUSY'))
      },
    },
    // A fault in here must not end the reign.
    supervision: { type: 'restart', backoffMs: 1_000, backoffMsMax: 60_000, limit: 1_000_000, withinMs: 60_000 },
    start: context => backup(context, options),
  }
  return spec as ActorSpec<Command>
}

function backup(context: Context<Message>, options: BackupOptions): Behaviour<Message> {
  const { ledger, folder, schedule, intervalMs, keep, metrics = silentMetrics } = options
  const answers = new RequestAnswers<Written | Staged>()
  let staged: StagedBackup | null = null
  let isLoading = false
  let isSaving = false
  /** Asked for: those of the one under way, and those of the next. */
  let waiting: string[] = []
  let next: string[] = []
  let last: string | null = null
  let trouble: string | null = null

  // What is written by this reign begins after it.
  const cleaned = folder.clean().catch(cause => context.log.warn('backup-folder-trouble', { because: textOf(cause) }))
  wait()

  // ---- writing ----

  /** One that is being written looks again at its end. */
  function wait(): void {
    if (isSaving) return context.cancelTimer('due')
    const dueInMs = backupDueInMs(schedule.lastMonoMs, context.now().monoMs, intervalMs)
    context.startTimer('due', Math.min(dueInMs, LOOK_MS_MAX), { type: 'due' })
  }

  function due(): void {
    if (backupDueInMs(schedule.lastMonoMs, context.now().monoMs, intervalMs) === 0) save()
    else wait()
  }

  function save(): void {
    isSaving = true
    wait()
    schedule.lastMonoMs = context.now().monoMs
    waiting = next
    next = []
    context.pipe(saved(), settled =>
      settled.ok ? { type: 'saved', ...settled.value } : { type: 'notSaved', cause: settled.cause },
    )
  }

  async function saved(): Promise<{ file: BackupFile; removed: number }> {
    const position = ledger.applied
    await cleaned
    const file = await folder.write(position)
    const surplus = surplusBackups(await folder.list(), keep)
    for (const { name } of surplus) await folder.remove(name)
    return { file, removed: surplus.length }
  }

  function onSaved(file: BackupFile, removed: number): void {
    metrics.count('scheduler_backup_success')
    context.log.info('backup-written', { ...file, removed })
    last = file.name
    trouble = null
    over({ type: 'written', file })
  }

  function onNotSaved(cause: unknown): void {
    metrics.count('scheduler_backup_failed')
    trouble = textOf(cause)
    context.log.error('backup-failed', { because: trouble, retryInMs: intervalMs })
    over(rejected('BACKUP_FAILED', trouble))
  }

  function over(answer: Written | Rejection): void {
    isSaving = false
    for (const requestId of waiting.splice(0)) answers.answered(requestId, answer)
    if (next.length > 0) save()
    else wait()
  }

  function backupNow(command: BackupNow): void {
    if (!answers.isNew(command)) return
    // One under way may lack what the client has just seen become true.
    next.push(command.requestId)
    if (!isSaving) save()
  }

  function list({ replyTo }: ListBackups): void {
    const name = staged?.name ?? null
    folder.list().then(
      files => replyTo.tell({ type: 'listed', folder: folder.path, files, staged: name }),
      cause => replyTo.tell(rejected('BACKUP_FAILED', textOf(cause))),
    )
  }

  // ---- staging ----

  function stage(command: StageBackup): void {
    if (!answers.isNew(command)) return
    const { requestId, name } = command
    if (staged !== null || isLoading)
      return answers.answered(requestId, rejected('BACKUP_LOADED', ALREADY_LOADED, UNLOAD))
    isLoading = true
    context.pipe(StagedBackup.read(folder, name), settled =>
      settled.ok
        ? { type: 'loaded', command, staged: settled.value, cause: null }
        : { type: 'loaded', command, staged: null, cause: settled.cause },
    )
  }

  function loaded({ requestId, name, user }: StageBackup, found: StagedBackup | null, cause: unknown): void {
    isLoading = false
    staged = found
    if (found !== null) context.log.info('backup-staged', { name, user, ...found.view.counts })
    answers.answered(requestId, found === null ? refusalOf(cause) : outcome(0))
  }

  function drop(command: DropTasks): void {
    if (!answers.isNew(command)) return
    const { requestId, query, user } = command
    if (staged === null) return answers.answered(requestId, nothingLoaded())
    const found = tasksMatching(staged.view, query)
    if ('type' in found) return answers.answered(requestId, found)
    staged.drop(found)
    context.log.info('backup-tasks-dropped', { name: staged.name, tasks: found.length, user })
    answers.answered(requestId, outcome(found.length))
  }

  function unload(command: UnloadBackup): void {
    if (!answers.isNew(command)) return
    staged = null
    answers.answered(command.requestId, outcome(0))
  }

  function outcome(dropped: number): Staged {
    const { tasks = 0, jobs = 0 } = staged?.view.counts ?? {}
    return { type: 'staged', name: staged?.name ?? null, tasks, jobs, dropped }
  }

  function show({ replyTo, query }: ShowTasks): void {
    if (staged === null) return void replyTo.tell(nothingLoaded())
    const found = tasksMatching(staged.view, query)
    if ('type' in found) return void replyTo.tell(found)
    const configs = new Map<ConfigId, TaskConfig>()
    for (const { configId } of found) {
      const config = configs.has(configId) ? undefined : staged.view.config(configId)
      if (config !== undefined) configs.set(configId, config)
    }
    replyTo.tell({ type: 'shown', name: staged.name, tasks: found, configs })
  }

  // ---- restoring ----

  function planOf({ name, view }: StagedBackup): RestorePlan {
    return restorePlan(ledger.view, view, {
      name,
      nowMs: context.now().wallMs,
      scheduler: options.schedulerName,
      newTaskId: (job, instance) => newTaskId(job, instance, options.uuid()),
    })
  }

  function diff({ replyTo }: DiffBackup): void {
    if (staged === null) return void replyTo.tell(nothingLoaded())
    answer(replyTo, { type: 'differs', name: staged.name, plan: planOf(staged) })
  }

  function commit(command: CommitBackup): void {
    const { requestId, fingerprint, user, reason, digest, replyTo } = command
    const refusal = ledger.refusal()
    if (refusal !== null) return void replyTo.tell(refusal)
    const known = requestOutcome(ledger.view, requestId, fingerprint)
    if (known.type !== 'new')
      return answer(replyTo, known.type === 'done' ? (known.outcome as Restored) : known.rejection)
    if (staged === null) return answer(replyTo, nothingLoaded())
    const plan = planOf(staged)
    const wrong = refusedPlan(plan, digest)
    if (wrong !== null) return answer(replyTo, wrong)
    const { name } = staged
    const { killed, lost } = plan.consequences
    const restored: Restored = {
      type: 'restored',
      name,
      killed: killed.length,
      lost: lost.length,
      rows: plan.changes.length,
    }
    const { wallMs } = context.now()
    const why = `restore of ${name}${reason === '' ? '' : `: ${reason}`}`
    const changes = [...plan.changes, requestChange(requestId, fingerprint, restored, wallMs)]
    context.log.warn('backup-restored', { ...restored, user, reason })
    options.resign(why, () => {
      return new Promise(settled => {
        const told = (said: Restored | Rejection): void => {
          replyTo.tell(said)
          settled()
        }
        ledger.stage({ cause: { who: user, why, requestId, wallMs }, changes }, () => told(restored), told)
      })
    })
  }

  /** Rests on the state of the cluster, and changes nothing. */
  function answer<A>(replyTo: Ref<A | Rejection>, said: A | Rejection): void {
    ledger.whenLeased(
      () => void replyTo.tell(said),
      reason => void replyTo.tell(reason),
    )
  }

  return {
    receive(message) {
      switch (message.type) {
        case 'due':
          return due()
        case 'saved':
          return onSaved(message.file, message.removed)
        case 'notSaved':
          return onNotSaved(message.cause)
        case 'backupNow':
          return backupNow(message)
        case 'list':
          return list(message)
        case 'stage':
          return stage(message)
        case 'loaded':
          return loaded(message.command, message.staged, message.cause)
        case 'drop':
          return drop(message)
        case 'unload':
          return unload(message)
        case 'show':
          return show(message)
        case 'diff':
          return diff(message)
        case 'commit':
          return commit(message)
        default:
          return assertNever(message)
      }
    },
    summary: () => ({
      folder: folder.path,
      last,
      trouble,
      isSaving,
      nextInMs: backupDueInMs(schedule.lastMonoMs, context.now().monoMs, intervalMs),
      staged: staged?.name ?? null,
      dropped: staged?.dropped ?? 0,
    }),
  }
}

const UNLOAD = { remedy: '`daybreak backup unload` puts it aside' }
const nothingLoaded = (): Rejection =>
  rejected('BACKUP_NOT_LOADED', NOTHING_LOADED, { remedy: '`daybreak backup stage NAME` loads one' })

function refusedPlan({ consequences, changes }: RestorePlan, digest: string | null): Rejection | null {
  if (digest !== null && digest !== consequences.digest) {
    return rejected('STATE_MOVED', `The restore would do something else by now than the diff ${digest} says`, {
      remedy: 'look at `daybreak backup diff` again; on a busy cluster, --force does whatever it comes to',
    })
  }
  let bytes = 0
  for (const change of changes) {
    bytes += 8 + change.key.length + (change.type === 'put' ? encodeRow(change.table, change.row).length : 0)
  }
  // Keys may have more bytes than letters.
  if (bytes < TRANSACTION_BYTES_MAX * 0.95) return null
  return rejected(
    'INVALID_REQUEST',
    `The restore changes ${changes.length} rows with ${bytes} bytes: that is too much at once`,
    {
      remedy: 'drop tasks that are not needed; a transaction is at most 64 MiB',
    },
  )
}

function refusalOf(cause: unknown): Rejection {
  const code: RejectionCode = cause instanceof BackupTrouble && cause.why === 'missing' ? 'NOT_FOUND' : 'BACKUP_FAILED'
  return rejected(code, textOf(cause))
}

const textOf = (cause: unknown): string => (cause instanceof Error ? cause.message : String(cause))
