/**
 * Kills and restarts of jobs under way: one proposal per task, joined for the reply. First the request is recorded with
 * the tasks it is about (and the job's row goes, when the whole job is killed), then the tasks are asked, last comes the
 * outcome. A retry after a crash in between proposes to the very same tasks: those that were reached answer with a
 * no-op, and what has come since is not touched.
 *
 * Part of the JobKeeper, whose turn everything here runs in.
 */
import { type InstanceId, type JobKey, jobKeyText, type TaskId } from '../core/base/ids.ts'
import { type Rejection, rejected } from '../core/base/rejection.ts'
import type { Instant } from '../core/base/time.ts'
import { requestChange } from '../core/ledger/request-outcomes.ts'
import type { TaskRow } from '../core/ledger/rows.ts'
import type { Cause, RowChange } from '../core/ledger/transaction.ts'
import type { LedgerView } from '../core/ledger/view.ts'
import type { Context, Ref } from './actor.ts'
import type { Command, JobOutcome, Kill, Restart } from './job-keeper.ts'
import type { Ledger } from './ledger.ts'
import type { TaskDirectory, Transitioned } from './task-state-machine.ts'

/** What a request row holds until the outcome is known: the tasks that were active when it was asked. */
export interface Begun {
  readonly type: 'begun'
  readonly targets: readonly Target[]
}
interface Target {
  readonly taskId: TaskId
  readonly instance: InstanceId
}

/** A kill or restart whose tasks have not all answered. */
export interface Operation {
  readonly command: Kill | Restart
  /** The first asker, and whoever has repeated the request meanwhile. */
  readonly replyTo: Ref<JobOutcome | Rejection>[]
  readonly open: Map<TaskId, InstanceId>
  readonly done: Set<InstanceId>
  /** Taken up again after a change of leader: what is done already counts. */
  readonly isResumed: boolean
}

/** Messages of the JobKeeper to itself. */
export type OperationMessage =
  | { readonly type: 'answered'; readonly operation: Operation; readonly answer: Transitioned }
  | { readonly type: 'answersExpired'; readonly requestId: string }

export interface JobOperations {
  /** A request that is new. */
  begin(command: Kill | Restart): void
  /** A request that was recorded and has no outcome yet: joins it, or goes on with it after a change of leader. */
  resume(command: Kill | Restart, begun: Begun): void
  receive(message: OperationMessage): void
  /** Tasks of the job that are to be killed, whether they have heard of it yet or not. */
  dying(key: JobKey): ReadonlySet<TaskId>
  /** Tells whoever waits that the outcome is not known. */
  stop(): void
  readonly size: number
}

const REPEAT = 'Repeat the request under the same id (header Idempotency-Key): it goes on where it was.'

export function createJobOperations<M>(
  context: Context<M | OperationMessage>,
  { ledger, tasks, answersMsMax }: { ledger: Ledger; tasks: TaskDirectory; answersMsMax: number },
): JobOperations {
  const { view } = ledger
  const operations = new Map<string, Operation>()

  /** A kill or restart that is new: chooses its tasks, records them, and asks them. */
  function begin(command: Kill | Restart): void {
    const { key, instances } = command
    const job = view.job(key)
    if (job === undefined && view.tasksOfJob(key).length === 0) return answerUnchanged(ledger, command, noSuchJob(key))
    const active = view.activeTasksOfJob(key)
    const named = new Set(instances)
    const chosen = instances === null ? active : active.filter(task => named.has(task.instance))
    if (command.type === 'restart' && instances !== null && chosen.length < named.size)
      return answerUnchanged(ledger, command, notActive(command, chosen))

    // The job goes first: what comes after it under its name is another one.
    const isWhole = command.type === 'kill' && instances === null
    const changes: RowChange[] = isWhole && job ? [{ type: 'delete', table: 'job', key: jobKeyText(key) }] : []
    const targets = chosen.map(({ taskId, instance }): Target => ({ taskId, instance }))
    if (targets.length === 0) return finish(command, [command.replyTo], [], changes, false)
    const begun: Begun = { type: 'begun', targets }
    const record = requestChange(command.requestId, command.fingerprint, begun, context.now().wallMs)
    ledger.stage({ cause: causeOf(command, context.now().wallMs), changes: [...changes, record] })
    run(command, targets, false)
  }

  function resume(command: Kill | Restart, begun: Begun): void {
    const running = operations.get(command.requestId)
    if (running !== undefined) running.replyTo.push(command.replyTo)
    else run(command, begun.targets, true)
  }

  function run(command: Kill | Restart, targets: readonly Target[], isResumed: boolean): void {
    const operation: Operation = { command, replyTo: [command.replyTo], open: new Map(), done: new Set(), isResumed }
    operations.set(command.requestId, operation)
    context.startTimer(command.requestId, answersMsMax, { type: 'answersExpired', requestId: command.requestId })
    for (const target of targets) ask(operation, target)
  }

  function ask(operation: Operation, { taskId, instance }: Target): void {
    const { command } = operation
    operation.open.set(taskId, instance)
    tasks.tell({
      type: 'propose',
      taskId,
      to: command.type === 'kill' ? 'KILLING' : 'RESTARTING',
      message: auditText(command),
      who: command.user,
      ...(command.type === 'kill' && command.message !== null ? { why: command.message } : {}),
      replyTo: {
        path: context.self.path,
        tell: answer => context.self.tell({ type: 'answered', operation, answer }),
      },
    })
  }

  function answered(operation: Operation, { taskId, result }: Transitioned): void {
    const { command, open, done } = operation
    const instance = open.get(taskId)
    if (instance === undefined || operations.get(command.requestId) !== operation) return
    open.delete(taskId)
    if (result === 'SUCCESS' || (operation.isResumed && isDone(command, taskId))) done.add(instance)
    else if (command.type === 'kill') {
      // It ended by itself before the kill reached it, and was replaced: the kill is meant for the instance.
      const successor = successorOf(view, command.key, instance, taskId)
      if (successor !== undefined && successor.status !== 'KILLING')
        return ask(operation, { taskId: successor.taskId, instance })
    }
    if (open.size > 0) return
    close(command.requestId)
    finish(command, operation.replyTo, [...done], [], true)
  }

  function isDone(command: Kill | Restart, taskId: TaskId): boolean {
    const row = view.task(taskId)
    const asked = command.type === 'kill' ? 'KILLING' : 'RESTARTING'
    return row === undefined || row.events.some(event => event.status === asked)
  }

  function finish(
    command: Kill | Restart,
    replyTo: readonly Ref<JobOutcome | Rejection>[],
    done: readonly InstanceId[],
    changes: readonly RowChange[],
    wereAsked: boolean,
  ): void {
    const { key, requestId, fingerprint } = command
    const instances = done.toSorted((a, b) => a - b)
    const message = instances.length > 0 ? null : `No tasks to ${command.type}.`
    const outcome: JobOutcome = { type: 'done', key, instances, message, warnings: [] }
    const reply = (said: JobOutcome | Rejection): void => {
      for (const ref of replyTo) ref.tell(said)
    }
    // That the outcome is certainly not written says nothing of the tasks: who hears that nothing was done does it again.
    const lost = (reason: Rejection): void =>
      reply(wereAsked ? rejected('OUTCOME_UNKNOWN', undefined, { remedy: REPEAT }) : reason)
    // Full or busy by now: what was done is done, and a retry finds it so.
    if (ledger.refusal() !== null) return ledger.whenLeased(() => reply(outcome), lost)
    const record = requestChange(requestId, fingerprint, outcome, context.now().wallMs)
    ledger.stage(
      { cause: causeOf(command, context.now().wallMs), changes: [...changes, record] },
      () => reply(outcome),
      lost,
    )
  }

  function answersExpired(requestId: string): void {
    const operation = operations.get(requestId)
    if (operation === undefined) return
    close(requestId)
    const { open, command, replyTo } = operation
    context.log.warn('job-tasks-silent', { job: jobKeyText(command.key), asked: command.type, tasks: open.size })
    const detail = `${open.size} of the tasks did not answer within ${answersMsMax / 1000} s`
    for (const ref of replyTo) ref.tell(rejected('OUTCOME_UNKNOWN', detail, { remedy: REPEAT }))
  }

  function dying(key: JobKey): ReadonlySet<TaskId> {
    const name = jobKeyText(key)
    const kills = [...operations.values()].filter(({ command }) => command.type === 'kill')
    return new Set(
      kills.filter(({ command }) => jobKeyText(command.key) === name).flatMap(({ open }) => [...open.keys()]),
    )
  }

  function close(requestId: string): void {
    operations.delete(requestId)
    context.cancelTimer(requestId)
  }

  return {
    begin,
    resume,
    receive(message) {
      if (message.type === 'answered') answered(message.operation, message.answer)
      else answersExpired(message.requestId)
    },
    dying,
    stop() {
      for (const { replyTo } of operations.values())
        for (const ref of replyTo) ref.tell(rejected('OUTCOME_UNKNOWN', undefined, { remedy: REPEAT }))
      operations.clear()
    },
    get size() {
      return operations.size
    },
  }
}

/**
 * Nothing was changed; the answer waits all the same, as it may rest on what is not committed yet, or on rows that
 * another leader has changed since.
 */
export function answerUnchanged(ledger: Ledger, { replyTo }: Command, said: JobOutcome | Rejection): void {
  ledger.whenLeased(
    () => void replyTo.tell(said),
    reason => void replyTo.tell(reason),
  )
}

export function causeOf({ type, user, requestId }: Command, wallMs: Instant): Cause {
  return { who: user, why: `job ${type}`, requestId, wallMs }
}

export function isBegun(outcome: unknown): outcome is Begun {
  return typeof outcome === 'object' && outcome !== null && (outcome as { type?: unknown }).type === 'begun'
}

function auditText(command: Kill | Restart): string {
  const { user, type } = command
  if (type === 'restart') return `Restarted by ${user}`
  const { message } = command
  return message === null || message === '' ? `Killed by ${user}` : `Killed by ${user}.\n${message}`
}

function noSuchJob(key: JobKey): Rejection {
  return rejected('NOT_FOUND', `There is no job ${jobKeyText(key)}`, {
    remedy: `List the jobs of the role with: daybreak job list CLUSTER/${key.role}`,
  })
}

function notActive(command: Restart, chosen: readonly TaskRow[]): Rejection {
  const active = new Set(chosen.map(task => task.instance))
  const idle = [...new Set(command.instances)].filter(instance => !active.has(instance)).sort((a, b) => a - b)
  return rejected('NOT_ACTIVE', 'Not all requested shards are active.', {
    faults: idle.map(instance => ({ path: 'instances', text: `Instance ${instance} is not active.` })),
  })
}

/** The active task of the instance, if it goes back to `ancestor` by replacement. */
function successorOf(view: LedgerView, key: JobKey, instance: InstanceId, ancestor: TaskId): TaskRow | undefined {
  const active = view.activeTask(key, instance)
  let row = active
  while (row !== undefined && row.ancestorId !== ancestor)
    row = row.ancestorId === undefined ? undefined : view.task(row.ancestorId)
  return row === undefined ? undefined : active
}
