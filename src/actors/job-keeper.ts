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
import { assert } from '../core/base/assert.ts'
import { type ConfigId, type InstanceId, type JobKey, jobKeyText } from '../core/base/ids.ts'
import { type Rejection, rejected } from '../core/base/rejection.ts'
import { addedInstances } from '../core/job/added-instances.ts'
import {
  ADMISSION_SETTINGS,
  type AdmissionSettings,
  admit,
  type Machine,
  type Machines,
} from '../core/job/admission.ts'
import { configIdOf } from '../core/job/canonical-config.ts'
import { jobVersion, versionFault, type WantedVersion } from '../core/job/job-version.ts'
import type { JobConfiguration } from '../core/job/task-config.ts'
import { requestChange, requestOutcome } from '../core/ledger/request-outcomes.ts'
import type { AgentRow } from '../core/ledger/rows.ts'
import type { RowChange } from '../core/ledger/transaction.ts'
import type { LedgerView } from '../core/ledger/view.ts'
import { insertTasks } from '../core/task/creation.ts'
import { newTaskId } from '../core/task/task-id.ts'
import { activeUpdate } from '../core/update/update-status.ts'
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
  /** Of the job, as it must be for this to be done; absent: whatever it is. A retry of what is done does not look. */
  readonly ifVersion?: WantedVersion
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
/** More instances with the configuration of one that is active; their numbers follow the highest active one. */
export interface Add extends Mutation {
  readonly type: 'add'
  readonly key: JobKey
  readonly like: InstanceId
  readonly count: number
}
export type Command = Create | Kill | Restart | Add

export interface JobOutcome {
  readonly type: 'done'
  readonly key: JobKey
  /** Instances that were created, added, killed or restarted; ascending. */
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
        if (isOperation(command) && isBegun(known.outcome)) return operations.resume(command, known.outcome)
        return answerUnchanged(ledger, command, known.outcome as JobOutcome)
      case 'new':
        return begun(command)
    }
  }

  /** Looked at in the turn in which the change is staged, so nothing comes in between. */
  function begun(command: Command): void {
    const key = command.type === 'create' ? command.job.key : command.key
    const moved = command.ifVersion === undefined ? null : versionFault(key, command.ifVersion, versionNow(key))
    if (moved !== null) return answerUnchanged(ledger, command, moved)
    switch (command.type) {
      case 'create':
        return create(command)
      case 'add':
        return add(command)
      default: {
        const locked = updatingFault(view, command.key)
        return locked === null ? operations.begin(command) : answerUnchanged(ledger, command, locked)
      }
    }
  }

  /** A kill that was taken up has moved it, although its tasks hear of it one by one. */
  function versionNow(key: JobKey): string | null {
    const dying = operations.dying(key)
    const seen = {
      job: (of: JobKey) => view.job(of),
      config: (of: ConfigId) => view.config(of),
      tasksOfJob: (of: JobKey) => view.tasksOfJob(of),
      activeTasksOfJob: (of: JobKey) => view.activeTasksOfJob(of).filter(({ taskId }) => !dying.has(taskId)),
    }
    return jobVersion(seen, key, sha256)
  }

  function create(command: Create): void {
    const { user, requestId, fingerprint } = command
    const { wallMs } = context.now()
    const admitted = admit(command.job, admission, machines(view, placement))
    if (admitted.type === 'rejected') return answerUnchanged(ledger, command, admitted)
    const { key, instanceCount, task: config } = admitted.job
    const standing = updatingFault(view, key) ?? existsFault(view, key)
    if (standing !== null) return answerUnchanged(ledger, command, standing)
    const active = view.activeTasksOfJob(key)

    // Of a job with one instance on every host the instances are made as the hosts are seen.
    const isEveryHost = config.everyHost === true
    const wanted = isEveryHost ? hostsWanted(placement.allowedHosts(config), admission) : instanceCount
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

  function add(command: Add): void {
    const { key, user, requestId, fingerprint } = command
    const { wallMs } = context.now()
    const locked = updatingFault(view, key)
    if (locked !== null) return answerUnchanged(ledger, command, locked)
    const added = addedInstances(view, command, admission)
    if (added.type === 'rejected') return answerUnchanged(ledger, command, added)
    const { configId, instances } = added
    const config = view.config(configId)
    assert(config !== undefined, 'the configuration of a task is stored', { config: configId })
    if (config.everyHost === true) return answerUnchanged(ledger, command, asManyAsHosts(key))
    const overQuota = options.quotas?.().addFault(key.role, config, instances.length) ?? null
    if (overQuota !== null) return answerUnchanged(ledger, command, overQuota)
    const active = view.activeTasksOfJob(key)
    const inserted = insertTasks({
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
    const outcome: JobOutcome = { type: 'done', key, instances, message: null, warnings: [] }
    const row = view.job(key)
    const grown: RowChange[] =
      row === undefined
        ? []
        : [
            {
              type: 'put',
              table: 'job',
              key: jobKeyText(key),
              row: { ...row, instanceCount: row.instanceCount + instances.length },
            },
          ]
    stage(command, [...grown, ...inserted.changes, requestChange(requestId, fingerprint, outcome, wallMs)], outcome)
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
        case 'add':
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

const isOperation = (command: Command): command is Kill | Restart =>
  command.type === 'kill' || command.type === 'restart'

/** An update owns its job, also while it is paused: a change from elsewhere would be undone by it, or undo it. */
export function updatingFault(view: LedgerView, key: JobKey): Rejection | null {
  const update = activeUpdate(view, key)
  if (update === null) return null
  return rejected('JOB_UPDATING', undefined, {
    remedy: `Update ${update.updateId} of ${jobKeyText(key)} is ${update.status}: wait until it has ended, or abort it.`,
  })
}

/** Why a job cannot be created beside what there is. */
export function existsFault(view: LedgerView, key: JobKey): Rejection | null {
  if (view.activeTasksOfJob(key).length === 0 && view.job(key)?.cron === undefined) return null
  return rejected('JOB_EXISTS', `Job ${jobKeyText(key)} already exists`, {
    remedy: 'kill all of its instances first (`daybreak job killall`), or give the new job another name',
  })
}

/** How many instances a job with one on every host has, by the hosts that its rules allow. */
export function hostsWanted(allowed: readonly unknown[], { tasksPerJobMax }: AdmissionSettings): number {
  return Math.min(allowed.length, tasksPerJobMax)
}

const asManyAsHosts = (key: JobKey): Rejection =>
  rejected('INVALID_REQUEST', `${jobKeyText(key)} has one instance on every host: none can be added by hand.`, {
    remedy: 'Add a machine that its constraints allow, and it gets one there.',
  })

/** What admission knows of the machines. */
export function machines(view: LedgerView, placement: PlacementView): Machines {
  const agents = view.agents()
  const hosts = HOSTS_OF.get(agents) ?? hostsOf(agents)
  HOSTS_OF.set(agents, hosts)
  return { hosts, anyConnected: placement.largestHost() !== null }
}

/** By the list that the view gives until a machine changes: a job costs no more where there are more of them. */
const HOSTS_OF = new WeakMap<Iterable<AgentRow>, readonly Machine[]>()

const hostsOf = (agents: Iterable<AgentRow>): readonly Machine[] =>
  [...agents].map(({ host, total, portRanges, attributes }) => ({
    host,
    total,
    attributes,
    ports: portRanges.reduce((sum, [from, to]) => sum + to - from + 1, 0),
  }))
