/**
 * Pruner: forgets ended tasks that are old, and those of which a job has too many. One on the leader; its books are made
 * from the rows when it starts, and it looks when something can be due, not at every end of a task. Updates of jobs that
 * have ended are few, and are looked at every so often.
 *
 * Deletes come in small transactions, one at a time: the next look follows the commit of the last.
 */
import { type JobKey, jobKeyText } from '../core/base/ids.ts'
import type { Instant } from '../core/base/time.ts'
import type { TaskRow } from '../core/ledger/rows.ts'
import type { RowChange } from '../core/ledger/transaction.ts'
import type { LedgerView } from '../core/ledger/view.ts'
import { sinceMs } from '../core/task/history.ts'
import { expiryMs, type PruneSettings, surplusOf } from '../core/task/pruning.ts'
import { isTerminal } from '../core/task/status.ts'
import { type UpdatePruneSettings, type UpdateSummary, updatesToForget } from '../core/update/history-pruning.ts'
import { updateEventKey, updateState } from '../core/update/update-status.ts'
import type { ActorSpec, Behaviour, Context } from './actor.ts'
import type { Ledger, LedgerChange } from './ledger.ts'
import { type Metrics, silentMetrics } from './ports.ts'

export interface PrunerOptions {
  readonly ledger: Ledger
  readonly settings: PruneSettings
  readonly updates: UpdatePruneSettings & { readonly intervalMs: number }
  readonly metrics?: Metrics
}

type Message = { readonly type: 'look' } | { readonly type: 'deleted' } | { readonly type: 'lookAtUpdates' }

/** Rows that one transaction deletes. */
export const DELETES_MAX = 300
/** Between two looks for the jobs that have too many: a crowd of tasks that end together costs one. */
const PAUSE_MS = 1_000
const REFUSED_RETRY_MS = 1_000
/** A timer is never longer: the wall clock may be set. */
const LOOK_MS_MAX = 3_600_000

export function prunerSpec(options: PrunerOptions): ActorSpec<never> {
  const spec: ActorSpec<Message> = { name: 'pruner', kind: 'Pruner', start: context => pruner(context, options) }
  return spec as ActorSpec<never>
}

function pruner(context: Context<Message>, options: PrunerOptions): Behaviour<Message> {
  const { ledger, settings, metrics = silentMetrics } = options
  const { view } = ledger
  const openedAtMs = context.now().wallMs
  /** Jobs with more ended tasks than they keep, and when the next of these is due: before that nothing is. */
  const crowded = new Map<string, { readonly key: JobKey; dueMs: Instant }>()
  let isDeleting = false
  let isLookDue = false
  let isTimerSet = false
  let lastLookMonoMs = Number.NEGATIVE_INFINITY
  let pruned = 0
  let updatesPruned = 0

  const unsubscribe = ledger.subscribe('staged', staged)
  for (const key of view.jobKeysFrom('')) noteJob(key, openedAtMs)
  lookSoon()
  context.startPeriodicTimer('updates', options.updates.intervalMs, { type: 'lookAtUpdates' })

  /** In the turn of whoever stages: only notes. */
  function staged({ changes, transaction }: LedgerChange): void {
    for (const { change, before } of changes) {
      if (change.table !== 'task' || change.type !== 'put' || !isTerminal(change.row.status)) continue
      if (before !== undefined && isTerminal((before as TaskRow).status)) continue
      if (noteJob(change.row.job, transaction.cause.wallMs) || !isTimerSet) lookSoon()
    }
  }

  /** True when the job has just come to have too many. */
  function noteJob(key: JobKey, dueMs: Instant): boolean {
    const text = jobKeyText(key)
    if (crowded.has(text) || view.endedCountOfJob(key) <= settings.perJobMax) return false
    crowded.set(text, { key, dueMs })
    return true
  }

  function lookSoon(): void {
    if (!isLookDue && !isDeleting) isLookDue = context.self.tell({ type: 'look' })
  }

  function look(): void {
    isLookDue = false
    if (isDeleting) return
    const { wallMs, monoMs } = context.now()
    if (monoMs - lastLookMonoMs < PAUSE_MS) return wait(PAUSE_MS - (monoMs - lastLookMonoMs))
    if (ledger.refusal() !== null) return wait(REFUSED_RETRY_MS)
    const due = [...oldTasks(wallMs)]
    if (due.length < DELETES_MAX) surplus(due, wallMs)
    if (due.length > 0) return forget(due, wallMs)
    lastLookMonoMs = monoMs
    rest(wallMs)
  }

  function* oldTasks(wallMs: Instant): Generator<TaskRow> {
    let count = 0
    for (const task of view.endedTasks()) {
      if (++count > DELETES_MAX || expiryMs(sinceMs(task), openedAtMs, settings) > wallMs) return
      yield task
    }
  }

  /** Adds to `due` what the crowded jobs have too many of, as far as the transaction has room. */
  function surplus(due: TaskRow[], wallMs: Instant): void {
    const going = new Set(due)
    for (const [text, job] of crowded) {
      if (job.dueMs > wallMs) continue
      const ended = view.tasksOfJob(job.key).filter(task => isTerminal(task.status) && !going.has(task))
      const found = surplusOf(ended, wallMs, settings)
      const room = DELETES_MAX - due.length
      due.push(...found.due.slice(0, room))
      if (found.due.length > room) return
      if (found.nextMs === null) crowded.delete(text)
      else job.dueMs = found.nextMs
    }
  }

  function forget(due: readonly TaskRow[], wallMs: Instant): void {
    isDeleting = true
    pruned += due.length
    metrics.count('tasks_pruned', due.length)
    const changes = due.map(task => ({ type: 'delete', table: 'task', key: task.taskId }) as const)
    ledger.stage({ cause: { who: 'pruner', why: 'history', wallMs }, changes }, () => {
      context.self.tell({ type: 'deleted' })
    })
  }

  /** Until something is due; nothing to wait for, no timer. */
  function rest(wallMs: Instant): void {
    let nextMs: Instant | null = null
    for (const task of view.endedTasks()) {
      nextMs = expiryMs(sinceMs(task), openedAtMs, settings)
      break
    }
    for (const { dueMs } of crowded.values()) nextMs = Math.min(nextMs ?? dueMs, dueMs)
    if (nextMs !== null) return wait(nextMs - wallMs)
    context.cancelTimer('look')
    isTimerSet = false
  }

  function wait(ms: number): void {
    isTimerSet = true
    // What ends meanwhile is due no sooner than the longest wait is over.
    const longestMs = Math.min(LOOK_MS_MAX, Math.max(settings.ageMsMin, settings.ageMsMax))
    context.startTimer('look', Math.min(Math.max(ms, 0), longestMs), { type: 'look' })
  }

  /** An update and all that has happened to it go together; as many updates as their rows fit a transaction. */
  function forgetUpdates(): void {
    if (ledger.refusal() !== null) return
    const { wallMs } = context.now()
    const hasTasks = (job: JobKey): boolean => view.tasksInPageOrder(job).length > 0
    let changes: RowChange[] = []
    let count = 0
    const stage = (): void => {
      if (changes.length > 0) ledger.stage({ cause: { who: 'pruner', why: 'update history', wallMs }, changes })
      changes = []
    }
    for (const key of updatesToForget(updateSummaries(view), hasTasks, wallMs, options.updates)) {
      count++
      changes.push({ type: 'delete', table: 'update', key })
      for (const { number } of view.updateEvents(key)) {
        changes.push({ type: 'delete', table: 'updateEvent', key: updateEventKey(key, number) })
      }
      if (changes.length >= DELETES_MAX) stage()
    }
    stage()
    if (count > 0) metrics.count('job_updates_pruned', count)
    updatesPruned += count
  }

  return {
    receive(message) {
      if (message.type === 'lookAtUpdates') return forgetUpdates()
      if (message.type === 'deleted') isDeleting = false
      look()
    },
    stopping: () => unsubscribe(),
    summary: () => ({ pruned, updatesPruned, crowdedJobs: crowded.size, isDeleting, isTimerSet }),
  }
}

/** Those that have a status. */
function* updateSummaries(view: LedgerView): Generator<UpdateSummary> {
  for (const [key, { job }] of view.rows('update')) {
    const state = updateState(view.updateEvents(key))
    if (state !== null) yield { key, job, ...state }
  }
}
