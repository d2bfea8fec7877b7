/**
 * JobKeeper: admits jobs and turns what users ask of a job into proposals to its tasks. One on the leader.
 *
 * A job and its tasks come into being in one transaction, together with the outcome of the request. Kills and restarts
 * are one proposal per task, joined for the reply: first the request is recorded with the tasks it is about, last with
 * its outcome. So a retry after a crash in between goes on with the very same tasks, and touches no later ones.
 *
 * A job exists while it has active tasks: creating it again is allowed once they have all ended, whether or not it was
 * killed whole. Its row stays until then for the count that was wanted; killing all removes it.
 *
 * Source: the task life cycle, sections 3 and 4; the API spec, section 5 (createJob, killTasks, restartShards).
 */
import { type InstanceId, type JobKey, jobKeyText, type TaskId } from '../core/base/ids.ts'
import { type Rejection, rejected } from '../core/base/rejection.ts'
import { ADMISSION_SETTINGS, type AdmissionSettings, admit, type Machines } from '../core/job/admission.ts'
import { configIdOf } from '../core/job/canonical-config.ts'
import type { JobConfiguration } from '../core/job/task-config.ts'
import { requestChange, requestOutcome } from '../core/ledger/request-outcomes.ts'
import type { TaskRow } from '../core/ledger/rows.ts'
import type { Cause, RowChange } from '../core/ledger/transaction.ts'
import type { LedgerView } from '../core/ledger/view.ts'
import { insertTasks } from '../core/task/creation.ts'
import { newTaskId } from '../core/task/task-id.ts'
import type { ActorSpec, Behaviour, Context, Ref } from './actor.ts'
import type { Ledger } from './ledger.ts'
import type { PlacementView } from './offer-broker.ts'
import { type Metrics, silentMetrics } from './ports.ts'
import type { TaskDirectory, Transitioned } from './task-state-machine.ts'

interface Mutation {
  /** From the `Idempotency-Key` header, or drawn by the edge when the client sent none. */
  readonly requestId: string
  /** SHA-256 (hex) of what was asked, so that a used id cannot carry another request. */
  readonly fingerprint: string
  /** Who asks; `UNSECURE` when nobody proved who they are. */
  readonly user: string
  readonly replyTo: Ref<JobOutcome | Rejection>
}

export interface Create extends Mutation {
  readonly type: 'create'
  readonly job: JobConfiguration
}
export interface Kill extends Mutation {
  readonly type: 'kill'
  readonly key: JobKey
  /** Null: all of them, and the job with them. */
  readonly instances: readonly InstanceId[] | null
  readonly message: string | null
}
export interface Restart extends Mutation {
  readonly type: 'restart'
  readonly key: JobKey
  /** Null: all active ones. */
  readonly instances: readonly InstanceId[] | null
}
export type Command = Create | Kill | Restart

export interface JobOutcome {
  readonly type: 'done'
  readonly key: JobKey
  /** Instances that were created, killed or restarted; ascending. */
  readonly instances: readonly InstanceId[]
  /** `No tasks to kill.` and the like. */
  readonly message: string | null
  /** Such as: `health checks are not run by this version`. */
  readonly warnings: readonly string[]
}

export interface JobKeeperOptions {
  readonly ledger: Ledger
  readonly tasks: TaskDirectory
  readonly placement: PlacementView
  /** Default: what Aurora ships with. */
  readonly admission?: AdmissionSettings
  /** A random UUID v4. */
  readonly uuid: () => string
  /** SHA-256 as hex. */
  readonly sha256: (text: string) => string
  /** Host name of this leader, for the events. */
  readonly schedulerName: string
  readonly metrics?: Metrics
  /** The tasks of a kill or restart have so long to answer, else the outcome is unknown. Default 30,000. */
  readonly answersMsMax?: number
}

/** What a request row holds until the outcome is known: the tasks that were active when it was asked. */
interface Begun {
  readonly type: 'begun'
  readonly targets: readonly Target[]
}
interface Target {
  readonly taskId: TaskId
  readonly instance: InstanceId
}

/** A kill or restart whose tasks have not all answered. */
interface Operation {
  readonly command: Kill | Restart
  /** The first asker, and whoever has repeated the request meanwhile. */
  readonly replyTo: Ref<JobOutcome | Rejection>[]
  readonly open: Map<TaskId, InstanceId>
  readonly done: Set<InstanceId>
  /** Taken up again after a change of leader: what is done already counts. */
  readonly isResumed: boolean
}

type Message =
  | Command
  | { readonly type: 'answered'; readonly operation: Operation; readonly answer: Transitioned }
  | { readonly type: 'answersExpired'; readonly requestId: string }

const REPEAT = 'Repeat the request under the same id (header Idempotency-Key): it goes on where it was.'

export function jobKeeperSpec(options: JobKeeperOptions): ActorSpec<Command> {
  const spec: ActorSpec<Message> = {
    name: 'job-keeper',
    kind: 'JobKeeper',
    mailbox: {
      capacity: 100_000,
      onRefused: message => {
        if ('replyTo' in message) message.replyTo.tell(rejected('BUSY'))
      },
    },
    start: context => jobKeeper(context, options),
  }
  return spec as ActorSpec<Command>
}

function jobKeeper(context: Context<Message>, options: JobKeeperOptions): Behaviour<Message> {
  const { ledger, tasks, placement, uuid, sha256, schedulerName, metrics = silentMetrics } = options
  const { admission = ADMISSION_SETTINGS, answersMsMax = 30_000 } = options
  const { view } = ledger
  const operations = new Map<string, Operation>()

  function commanded(command: Command): void {
    const refusal = ledger.refusal()
    if (refusal !== null) return void command.replyTo.tell(refusal)
    const known = requestOutcome(view, command.requestId, command.fingerprint)
    switch (known.type) {
      case 'conflict':
        return answer(command, known.rejection)
      case 'done':
        if (command.type !== 'create' && isBegun(known.outcome)) return resume(command, known.outcome)
        return answer(command, known.outcome as JobOutcome)
      case 'new':
        return command.type === 'create' ? create(command) : begin(command)
    }
  }

  function create(command: Create): void {
    const { user, requestId, fingerprint } = command
    const { wallMs } = context.now()
    const admitted = admit(command.job, admission, machines(view, placement))
    if (admitted.type === 'rejected') return answer(command, admitted)
    const { key, instanceCount, task: config } = admitted.job
    const active = view.activeTasksOfJob(key)
    if (active.length > 0) return answer(command, rejected('JOB_EXISTS', `Job ${jobKeyText(key)} already exists`))

    const configId = configIdOf(config, sha256)
    const instances = Array.from({ length: instanceCount }, (_, instance) => instance)
    const inserted = insertTasks({
      job: key,
      configId,
      instances,
      taken: new Set(active.map(task => task.instance)),
      nowMs: wallMs,
      scheduler: schedulerName,
      newTaskId: (job, instance) => newTaskId(job, instance, uuid()),
    })
    if (inserted.type === 'rejected') return answer(command, inserted)
    const outcome: JobOutcome = { type: 'done', key, instances, message: null, warnings: admitted.warnings }
    const job = { v: 1, key, configId, instanceCount, createdAtMs: wallMs, createdBy: user } as const
    stage(
      command,
      [
        { type: 'put', table: 'config', key: configId, row: { v: 1, configId, config } },
        { type: 'put', table: 'job', key: jobKeyText(key), row: job },
        ...inserted.changes,
        requestChange(requestId, fingerprint, outcome, wallMs),
      ],
      outcome,
    )
    metrics.count('jobs_created_total')
  }

  /** A kill or restart that is new: chooses its tasks, records them, and asks them. */
  function begin(command: Kill | Restart): void {
    const { key, instances } = command
    const job = view.job(key)
    if (job === undefined && view.tasksOfJob(key).length === 0) return answer(command, noSuchJob(key))
    const active = view.activeTasksOfJob(key)
    const chosen = instances === null ? active : active.filter(task => instances.includes(task.instance))
    if (command.type === 'restart' && instances !== null && chosen.length < new Set(instances).size)
      return answer(command, notActive(command, chosen))

    // The job goes first: what comes after it under its name is another one.
    const isWhole = command.type === 'kill' && instances === null
    const changes: RowChange[] = isWhole && job ? [{ type: 'delete', table: 'job', key: jobKeyText(key) }] : []
    const targets = chosen.map(({ taskId, instance }): Target => ({ taskId, instance }))
    if (targets.length === 0) return finish(command, [command.replyTo], [], changes)
    const begun: Begun = { type: 'begun', targets }
    const record = requestChange(command.requestId, command.fingerprint, begun, context.now().wallMs)
    ledger.stage({ cause: causeOf(command), changes: [...changes, record] })
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
    finish(command, operation.replyTo, [...done], [])
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
  ): void {
    const { key, requestId, fingerprint } = command
    const instances = done.toSorted((a, b) => a - b)
    const message = instances.length > 0 ? null : `No tasks to ${command.type}.`
    const outcome: JobOutcome = { type: 'done', key, instances, message, warnings: [] }
    const reply = (said: JobOutcome | Rejection): void => {
      for (const ref of replyTo) ref.tell(said)
    }
    // Full or busy by now: what was done is done, and a retry finds it so.
    if (ledger.refusal() !== null) return ledger.whenCommitted(() => reply(outcome), reply)
    const record = requestChange(requestId, fingerprint, outcome, context.now().wallMs)
    ledger.stage({ cause: causeOf(command), changes: [...changes, record] }, () => reply(outcome), reply)
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

  function close(requestId: string): void {
    operations.delete(requestId)
    context.cancelTimer(requestId)
  }

  function stage(command: Command, changes: readonly RowChange[], outcome: JobOutcome): void {
    ledger.stage(
      { cause: causeOf(command), changes },
      () => void command.replyTo.tell(outcome),
      reason => void command.replyTo.tell(reason),
    )
  }

  /** What changes nothing waits too: it may rest on what is not committed yet. */
  function answer(command: Command, said: JobOutcome | Rejection): void {
    ledger.whenCommitted(
      () => void command.replyTo.tell(said),
      reason => void command.replyTo.tell(reason),
    )
  }

  function causeOf({ type, user, requestId }: Command): Cause {
    return { who: user, why: `job ${type}`, requestId, wallMs: context.now().wallMs }
  }

  return {
    receive(message) {
      switch (message.type) {
        case 'create':
        case 'kill':
        case 'restart':
          return commanded(message)
        case 'answered':
          return answered(message.operation, message.answer)
        case 'answersExpired':
          return answersExpired(message.requestId)
      }
    },
    stopping() {
      for (const { replyTo } of operations.values())
        for (const ref of replyTo) ref.tell(rejected('OUTCOME_UNKNOWN', undefined, { remedy: REPEAT }))
      operations.clear()
    },
    summary: () => ({ jobs: view.counts.jobs, operationsOpen: operations.size }),
  }
}

function isBegun(outcome: unknown): outcome is Begun {
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

function machines(view: LedgerView, placement: PlacementView): Machines {
  const hosts = [...view.agents()].map(({ host, total, portRanges, attributes }) => ({
    host,
    total,
    attributes,
    ports: portRanges.reduce((sum, [from, to]) => sum + to - from + 1, 0),
  }))
  return { hosts, anyConnected: placement.largestHost() !== null }
}
