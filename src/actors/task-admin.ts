/**
 * TaskAdmin: what an operator may do to tasks by hand. A forced transition goes through the same table as any other; a
 * prune forgets ended tasks before their time. Both say who and why, and carry a request id with its outcome, so that
 * asking again is never doing it twice: the outcome becomes true in the transaction that does the thing.
 *
 * Source: the task life cycle, sections 4 and 9.
 */
import type { TaskId } from '../core/base/ids.ts'
import { type Rejection, rejected } from '../core/base/rejection.ts'
import { requestChange, requestOutcome } from '../core/ledger/request-outcomes.ts'
import type { RowChange } from '../core/ledger/transaction.ts'
import { byEnd } from '../core/task/pruning.ts'
import { type TaskQuery, tasksMatching } from '../core/task/query.ts'
import { isTerminal, type TaskStatus, type TaskStatusOrDeleted, TERMINAL } from '../core/task/status.ts'
import { movesFrom } from '../core/task/transitions.ts'
import type { ActorSpec, Behaviour, Context, Ref } from './actor.ts'
import type { Ledger } from './ledger.ts'
import { type Metrics, silentMetrics } from './ports.ts'
import { DELETES_MAX } from './pruner.ts'
import type { TaskDirectory, Transitioned } from './task-state-machine.ts'

interface Request<O> {
  readonly requestId: string
  readonly fingerprint: string
  readonly user: string
  /** Stands in the history of the task, or in the cause of the transaction; never empty. */
  readonly reason: string
  readonly replyTo: Ref<O | Rejection>
}

export interface ForceState extends Request<Forced> {
  readonly type: 'forceState'
  readonly taskId: TaskId
  /** DELETED forgets an ended task. */
  readonly to: TaskStatusOrDeleted
}
export interface Forced {
  readonly type: 'forced'
  readonly taskId: TaskId
  readonly from: TaskStatus
  readonly to: TaskStatusOrDeleted
}

export interface PruneTasks extends Request<Pruned> {
  readonly type: 'pruneTasks'
  /** Statuses, if any, are terminal ones; without them, all terminal tasks that match the rest. */
  readonly query: TaskQuery
  /** Null: all that match. The ones that ended first go first. */
  readonly limit: number | null
}
export interface Pruned {
  readonly type: 'pruned'
  readonly tasks: number
}

export type Command = ForceState | PruneTasks

export interface TaskAdminOptions {
  readonly ledger: Ledger
  readonly tasks: TaskDirectory
  readonly metrics?: Metrics
}

type Message =
  | Command
  | {
      readonly type: 'answered'
      readonly command: ForceState
      readonly from: TaskStatus
      readonly answer: Transitioned
    }
  | { readonly type: 'pruneOn'; readonly command: PruneTasks; readonly done: number }

/** The outcome of a prune that is not finished: how many are deleted so far. */
interface Pruning {
  readonly type: 'pruning'
  readonly tasks: number
}

export const NOT_TERMINAL = 'Tasks in non-terminal state cannot be pruned.'

export function taskAdminSpec(options: TaskAdminOptions): ActorSpec<Command> {
  const spec: ActorSpec<Message> = {
    name: 'task-admin',
    kind: 'TaskAdmin',
    mailbox: {
      capacity: 1_000,
      onRefused: message => {
        if ('replyTo' in message) message.replyTo.tell(rejected('BUSY'))
      },
    },
    start: context => taskAdmin(context, options),
  }
  return spec as ActorSpec<Command>
}

function taskAdmin(context: Context<Message>, options: TaskAdminOptions): Behaviour<Message> {
  const { ledger, tasks, metrics = silentMetrics } = options
  const { view } = ledger
  let forcedCount = 0
  /** Prunes under way, by request id: a retry meanwhile is answered with the first. */
  const prunes = new Map<string, Ref<Pruned | Rejection>[]>()

  function commanded(command: Command): void {
    const refusal = ledger.refusal()
    if (refusal !== null) return void command.replyTo.tell(refusal)
    const known = requestOutcome(view, command.requestId, command.fingerprint)
    if (command.type === 'forceState') {
      if (known.type === 'conflict') return answer(command.replyTo, known.rejection)
      return known.type === 'done' ? answer(command.replyTo, known.outcome as Forced) : force(command)
    }
    if (known.type === 'conflict') return answer(command.replyTo, known.rejection)
    const outcome = known.type === 'done' ? (known.outcome as Pruned | Pruning) : null
    const waiting = prunes.get(command.requestId)
    if (waiting !== undefined) return void waiting.push(command.replyTo)
    if (outcome?.type === 'pruned') return answer(command.replyTo, outcome)
    prunes.set(command.requestId, [command.replyTo])
    prune(command, outcome?.tasks ?? 0)
  }

  /** Nothing is changed by it, but it may rest on what is not committed. */
  function answer<O>(replyTo: Ref<O | Rejection>, said: O | Rejection): void {
    ledger.whenLeased(
      () => void replyTo.tell(said),
      reason => void replyTo.tell(reason),
    )
  }

  // ---- forced transitions ----

  function force(command: ForceState): void {
    const { taskId, to, user, reason, replyTo } = command
    const row = view.task(taskId)
    if (row === undefined) return answer(replyTo, noSuchTask(taskId))
    const from = row.status
    // To be placed is more than a status: it takes a machine.
    const moves = movesFrom(from).filter(one => (one !== 'DELETED' || isTerminal(from)) && one !== 'ASSIGNED')
    if (!moves.includes(to)) return answer(replyTo, notAllowed(command, from, moves))
    const { wallMs } = context.now()
    const outcome: Forced = { type: 'forced', taskId, from, to }
    const record = requestChange(command.requestId, command.fingerprint, outcome, wallMs)
    context.log.info('task-forced', { task: taskId, from, to, user, reason })
    if (to === 'DELETED') {
      const changes: RowChange[] = [{ type: 'delete', table: 'task', key: taskId }, record]
      return stage(command, changes, said => void replyTo.tell(said ?? outcome))
    }
    tasks.tell({
      type: 'propose',
      taskId,
      to,
      expectVersion: row.version,
      message: `Transition forced by ${user}`,
      who: user,
      why: reason,
      alongside: [record],
      replyTo: {
        path: context.self.path,
        tell: said => context.self.tell({ type: 'answered', command, from, answer: said }),
      },
    })
  }

  function answered(command: ForceState, from: TaskStatus, { taskId, result }: Transitioned): void {
    if (result === 'INVALID_CAS_STATE') return commanded(command)
    const { to } = command
    if (result !== 'SUCCESS') return answer(command.replyTo, notAllowed(command, from, []))
    forcedCount++
    metrics.count('task_transitions_forced_total', 1, { to })
    command.replyTo.tell({ type: 'forced', taskId, from, to })
  }

  /** `then` is told why the outcome is not known, or null when all is committed. */
  function stage(command: Command, changes: readonly RowChange[], then: (lost: Rejection | null) => void): void {
    const { user, reason, requestId, type } = command
    const why = `${type === 'forceState' ? 'forced' : 'prune'}: ${reason}`
    ledger.stage(
      { cause: { who: user, why, requestId, wallMs: context.now().wallMs }, changes },
      () => then(null),
      then,
    )
  }

  // ---- prune ----

  function prune(command: PruneTasks, done: number): void {
    const over = (tell: (ref: Ref<Pruned | Rejection>) => void): void => {
      for (const ref of prunes.get(command.requestId) ?? []) tell(ref)
      prunes.delete(command.requestId)
    }
    const replies = (said: Rejection): void => over(ref => answer(ref, said))
    // Told as it is, and never as less: who hears that nothing was done does it again.
    const lost = (reason: Rejection): void => {
      const said = done === 0 ? reason : rejected('OUTCOME_UNKNOWN', `${done} tasks are pruned, and not all`)
      over(ref => void ref.tell(said))
    }
    const refusal = ledger.refusal()
    if (refusal !== null) return lost(refusal)
    const asked = [...(command.query.statuses ?? [])]
    if (asked.some(status => !isTerminal(status))) return replies(rejected('INVALID_REQUEST', NOT_TERMINAL))
    const found = tasksMatching(view, { ...command.query, statuses: asked.length > 0 ? asked : TERMINAL })
    if ('type' in found) return replies(found)
    const left = Math.min(found.length, command.limit === null ? found.length : command.limit - done)
    const going = found.toSorted(byEnd).slice(0, Math.min(left, DELETES_MAX))
    const total = done + going.length
    const isLast = going.length === left
    const outcome: Pruned | Pruning = { type: isLast ? 'pruned' : 'pruning', tasks: total }
    const changes: RowChange[] = going.map(task => ({ type: 'delete', table: 'task', key: task.taskId }))
    const { requestId, fingerprint, user, reason } = command
    changes.push(requestChange(requestId, fingerprint, outcome, context.now().wallMs))
    metrics.count('tasks_pruned', going.length)
    if (isLast) context.log.info('tasks-pruned', { tasks: total, user, reason })
    stage(command, changes, reason => {
      if (reason !== null) lost(reason)
      else if (outcome.type === 'pruned') over(ref => void ref.tell(outcome))
      else context.self.tell({ type: 'pruneOn', command, done: total })
    })
  }

  return {
    receive(message) {
      switch (message.type) {
        case 'forceState':
        case 'pruneTasks':
          return commanded(message)
        case 'answered':
          return answered(message.command, message.from, message.answer)
        case 'pruneOn':
          return prune(message.command, message.done)
      }
    },
    summary: () => ({ forced: forcedCount, prunesOpen: prunes.size }),
  }
}

function noSuchTask(taskId: TaskId): Rejection {
  return rejected('NOT_FOUND', `There is no task ${taskId}`, {
    remedy: 'it may have been forgotten after its end; `daybreak job status --json` shows the ids of a job',
  })
}

function notAllowed({ taskId, to }: ForceState, from: TaskStatus, moves: readonly TaskStatusOrDeleted[]): Rejection {
  const detail = from === to ? `Task ${taskId} is ${from} already` : `Task ${taskId} is ${from}: it cannot become ${to}`
  const remedy = moves.length > 0 ? { remedy: `from ${from} it can be forced to ${moves.join(', ')}` } : {}
  return rejected('ILLEGAL_TRANSITION', detail, remedy)
}
