/**
 * JobKeeper: admits jobs and turns what users ask of a job into proposals to its tasks. One on the leader.
 *
 * A job and its tasks come into being in one transaction, together with the outcome of the request. Kills and restarts
 * take several (`job-operations.ts`), and a retry after a crash in between goes on with the very same tasks.
 *
 * A job exists while it has active tasks: creating it again is allowed once they have all ended, whether or not it was
 * killed whole. Its row stays until then for the count that was wanted; killing all removes it.
 *
 * Source: the task life cycle, sections 3 and 4; the API spec, section 5 (createJob, killTasks, restartShards).
 */
import { type InstanceId, type JobKey, jobKeyText } from '../core/base/ids.ts'
import { type Rejection, rejected } from '../core/base/rejection.ts'
import { ADMISSION_SETTINGS, type AdmissionSettings, admit, type Machines } from '../core/job/admission.ts'
import { configIdOf } from '../core/job/canonical-config.ts'
import type { JobConfiguration } from '../core/job/task-config.ts'
import { requestChange, requestOutcome } from '../core/ledger/request-outcomes.ts'
import type { RowChange } from '../core/ledger/transaction.ts'
import type { LedgerView } from '../core/ledger/view.ts'
import { insertTasks } from '../core/task/creation.ts'
import { newTaskId } from '../core/task/task-id.ts'
import type { ActorSpec, Behaviour, Context, Ref } from './actor.ts'
import { answerUnchanged, causeOf, createJobOperations, isBegun, type OperationMessage } from './job-operations.ts'
import type { Ledger } from './ledger.ts'
import type { PlacementView } from './offer-broker.ts'
import { type Metrics, silentMetrics } from './ports.ts'
import type { QuotaView } from './quota-keeper.ts'
import type { TaskDirectory } from './task-state-machine.ts'

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
  /** Absent: nothing is limited. */
  readonly quotas?: () => Pick<QuotaView, 'addFault'>
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

type Message = Command | OperationMessage

/** It is the key of a row. */
const REQUEST_ID_CHARACTERS_MAX = 255
const BAD_REQUEST_ID = `A request id (header Idempotency-Key) has 1 to ${REQUEST_ID_CHARACTERS_MAX} characters`

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
  const operations = createJobOperations(context, { ledger, tasks, answersMsMax })

  function commanded(command: Command): void {
    const refusal = ledger.refusal()
    if (refusal !== null) return void command.replyTo.tell(refusal)
    if (command.requestId.length === 0 || command.requestId.length > REQUEST_ID_CHARACTERS_MAX)
      return void command.replyTo.tell(rejected('MALFORMED', BAD_REQUEST_ID))
    const known = requestOutcome(view, command.requestId, command.fingerprint)
    switch (known.type) {
      case 'conflict':
        return answerUnchanged(ledger, command, known.rejection)
      case 'done':
        if (command.type !== 'create' && isBegun(known.outcome)) return operations.resume(command, known.outcome)
        return answerUnchanged(ledger, command, known.outcome as JobOutcome)
      case 'new':
        return command.type === 'create' ? create(command) : operations.begin(command)
    }
  }

  function create(command: Create): void {
    const { user, requestId, fingerprint } = command
    const { wallMs } = context.now()
    const admitted = admit(command.job, admission, machines(view, placement))
    if (admitted.type === 'rejected') return answerUnchanged(ledger, command, admitted)
    const { key, instanceCount, task: config } = admitted.job
    const active = view.activeTasksOfJob(key)
    if (active.length > 0)
      return answerUnchanged(
        ledger,
        command,
        rejected('JOB_EXISTS', `Job ${jobKeyText(key)} already exists`, {
          remedy: 'kill all of its instances first (`daybreak job killall`), or give the new job another name',
        }),
      )

    // Of a job with one instance on every host the instances are made as the hosts are seen.
    const isEveryHost = config.everyHost === true
    const wanted = isEveryHost ? placement.offers().length : instanceCount
    const overQuota = options.quotas?.().addFault(key.role, config, wanted) ?? null
    if (overQuota !== null) return answerUnchanged(ledger, command, overQuota)

    const configId = configIdOf(config, sha256)
    const instances = Array.from({ length: isEveryHost ? 0 : instanceCount }, (_, instance) => instance)
    const inserted = isEveryHost
      ? ({ type: 'inserted', changes: [] } as const)
      : insertTasks({
          job: key,
          configId,
          instances,
          taken: new Set(active.map(task => task.instance)),
          nowMs: wallMs,
          who: user,
          scheduler: schedulerName,
          newTaskId: (job, instance) => newTaskId(job, instance, uuid()),
        })
    if (inserted.type === 'rejected') return answerUnchanged(ledger, command, inserted)
    const outcome: JobOutcome = { type: 'done', key, instances, message: null, warnings: admitted.warnings }
    const job = { v: 1, key, configId, instanceCount: wanted, createdAtMs: wallMs, createdBy: user } as const
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

  function stage(command: Command, changes: readonly RowChange[], outcome: JobOutcome): void {
    ledger.stage(
      { cause: causeOf(command, context.now().wallMs), changes },
      () => void command.replyTo.tell(outcome),
      reason => void command.replyTo.tell(reason),
    )
  }

  return {
    receive(message) {
      switch (message.type) {
        case 'create':
        case 'kill':
        case 'restart':
          return commanded(message)
        case 'answered':
        case 'answersExpired':
          return operations.receive(message)
      }
    },
    stopping: () => operations.stop(),
    summary: () => ({ jobs: view.counts.jobs, operationsOpen: operations.size }),
  }
}

/** What admission knows of the machines. */
export function machines(view: LedgerView, placement: PlacementView): Machines {
  const hosts = [...view.agents()].map(({ host, total, portRanges, attributes }) => ({
    host,
    total,
    attributes,
    ports: portRanges.reduce((sum, [from, to]) => sum + to - from + 1, 0),
  }))
  return { hosts, anyConnected: placement.largestHost() !== null }
}
