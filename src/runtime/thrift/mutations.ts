/**
 * The calls that change something, each one question to the actor that does it. An answer says that the change is
 * committed; where nobody can say whether it is, there is none, for Aurora's clients repeat whatever they are told was
 * transient. Source: the outside interfaces, section 5.
 */
import { createHash, randomUUID } from 'node:crypto'
import type { Ref } from '../../actors/actor.ts'
import type { HeldReleased } from '../../actors/agent-gateway/held-orders.ts'
import type { ReconcileStarted } from '../../actors/agent-gateway/sweeps.ts'
import type * as AgentGateway from '../../actors/agent-gateway.ts'
import type * as Backup from '../../actors/backup.ts'
import type * as JobKeeper from '../../actors/job-keeper.ts'
import type * as QuotaKeeper from '../../actors/quota-keeper.ts'
import * as TaskAdmin from '../../actors/task-admin.ts'
import { BATCH_TASKS_MAX } from '../../core/agents/reconcile-schedule.ts'
import { isIdentifier, taskId } from '../../core/base/ids.ts'
import { type Rejection, rejected } from '../../core/base/rejection.ts'
import { checkConfiguration } from '../../core/job/admission.ts'
import { quotaResources } from '../../core/job/resource-list.ts'
import { isTerminal } from '../../core/task/status.ts'
import { KILL_MESSAGE_CHARACTERS_MAX } from '../../wire/rest.ts'
import { listedResources, readJobConfiguration, readKey } from '../../wire/thrift/task-config-mapping.ts'
import { readTaskQuery, scheduledTask } from '../../wire/thrift/task-mapping.ts'
import { type Arguments, many } from '../../wire/thrift/types.ts'
import { asked } from '../http/rest-answers.ts'
import type { SchedulerDeps } from '../http-server.ts'
import { NO_TASK } from './reads.ts'
import { type Answer, failed, ok, refused } from './response.ts'

export interface Caller {
  readonly scheduler: SchedulerDeps
  /** Principal, or `UNSECURE` where nobody proves who they are. */
  readonly user: string
}

/** `unknown`: whether it was done cannot be told. */
export type Outcome = Answer | 'unknown'

/** Past this nobody knows. */
const ANSWER_MS_MAX = 30_000
const BLANK = 'Argument cannot be blank'

// ---- jobs ---------------------------------------------------------------------------------------------------------

export async function createJob(caller: Caller, { description }: Arguments<'createJob'>): Promise<Outcome> {
  if (description === undefined) return failed('ERROR', 'The argument `description` is missing')
  if (description.cronSchedule !== undefined)
    return failed('INVALID_REQUEST', 'Cron jobs may only be created/updated by calling scheduleCronJob.')
  const read = readJobConfiguration(description)
  if (read === null) return failed('INVALID_REQUEST', NO_TASK)
  // Whoever admits it looks at the whole again; this is for what it would not see.
  const checked = checkConfiguration(read.job, caller.scheduler.admission, read.foreign)
  if ('type' in checked) return refused(checked)
  const { job } = read
  const said = await askKeeper(caller, mutation => ({ type: 'create', job, ...mutation }))
  return outcome(said, done => ok(undefined, ...done.warnings))
}

export async function killTasks(caller: Caller, { job, instances, message }: Arguments<'killTasks'>): Promise<Outcome> {
  if (message !== undefined && message.length > KILL_MESSAGE_CHARACTERS_MAX) {
    const found = `The message has ${message.length} characters`
    return failed('INVALID_REQUEST', `${found}; at most ${KILL_MESSAGE_CHARACTERS_MAX} are kept with each task.`)
  }
  const chosen = instances === undefined || instances.length === 0 ? null : [...instances]
  const said = await askKeeper(caller, mutation => {
    return { type: 'kill', key: readKey(job), instances: chosen, message: message ?? null, ...mutation }
  })
  if (said !== 'unknown' && said.type === 'rejected' && said.code === 'NOT_FOUND') return ok(undefined, NOTHING_TO_KILL)
  return outcome(said, done => ok(undefined, ...(done.message === null ? [] : [done.message])))
}
const NOTHING_TO_KILL = 'No tasks to kill.'

export async function restartShards(caller: Caller, { job, shardIds }: Arguments<'restartShards'>): Promise<Outcome> {
  if (shardIds === undefined || shardIds.length === 0) return failed('ERROR', BLANK)
  const said = await askKeeper(caller, mutation => {
    return { type: 'restart', key: readKey(job), instances: [...shardIds], ...mutation }
  })
  if (said !== 'unknown' && said.type === 'rejected' && said.code === 'NOT_FOUND')
    return failed('INVALID_REQUEST', 'Not all requested shards are active.')
  return outcome(said, () => ok())
}

export async function addInstances(caller: Caller, { key, count }: Arguments<'addInstances'>): Promise<Outcome> {
  const said = await askKeeper(caller, mutation => {
    return { type: 'add', key: readKey(key?.jobKey), like: key?.instanceId ?? 0, count: count ?? 0, ...mutation }
  })
  return outcome(said, () => ok())
}

type Mutation<A> = {
  readonly requestId: string
  readonly fingerprint: string
  readonly user: string
  readonly replyTo: Ref<A | Rejection>
}

function askKeeper(
  caller: Caller,
  command: (mutation: Mutation<JobKeeper.JobOutcome>) => JobKeeper.Command,
): Promise<JobKeeper.JobOutcome | Rejection | 'unknown'> {
  return ask(caller, caller.scheduler.jobKeeper(), command)
}

/** Aurora's clients send no request id: each call is a new request. */
async function ask<C, A extends { readonly type: string }>(
  { scheduler, user }: Caller,
  ref: Ref<C> | null,
  command: (mutation: Mutation<A>) => C,
): Promise<A | Rejection | 'unknown'> {
  if (ref === null) return rejected('STORAGE_NOT_READY')
  const requestId = randomUUID()
  const fingerprint = createHash('sha256').update(requestId).digest('hex')
  const said = await asked<C, A>(
    scheduler,
    ref,
    replyTo => command({ requestId, fingerprint, user, replyTo }),
    ANSWER_MS_MAX,
    () => rejected('OUTCOME_UNKNOWN'),
  )
  return said.type === 'rejected' && (said as Rejection).code === 'OUTCOME_UNKNOWN' ? 'unknown' : said
}

function outcome<A extends { readonly type: string }>(
  said: A | Rejection | 'unknown',
  done: (answer: A) => Answer,
): Outcome {
  if (said === 'unknown') return said
  return said.type === 'rejected' ? refused(said as Rejection) : done(said as A)
}

// ---- administration -----------------------------------------------------------------------------------------------

export async function setQuota(caller: Caller, { ownerRole = '', quota }: Arguments<'setQuota'>): Promise<Outcome> {
  if (ownerRole.trim() === '') return failed('ERROR', BLANK)
  if (!isIdentifier(ownerRole)) return failed('INVALID_REQUEST', `Role ${ownerRole.slice(0, 255)} is invalid.`)
  const read = quotaResources(listedResources(quota?.resources))
  if (read.type === 'rejected') return failed('ERROR', read.detail)
  const keeper = caller.scheduler.quotas()?.keeper ?? null
  const said = await ask<QuotaKeeper.Command, QuotaKeeper.QuotaSet>(caller, keeper, mutation => {
    return { type: 'setQuota', role: ownerRole, quota: read.quota, ...mutation }
  })
  return outcome(said, () => ok())
}

/** OK whatever happens, as it always was; what did not happen is said. */
export async function forceTaskState(
  caller: Caller,
  { taskId: id = '', status }: Arguments<'forceTaskState'>,
): Promise<Outcome> {
  if (id.trim() === '' || status === undefined) return failed('ERROR', BLANK)
  if (status === 'INIT') return ok(undefined, 'No task goes to INIT.')
  const reason = `Transition forced by ${caller.user}`
  const said = await ask<TaskAdmin.Command, TaskAdmin.Forced>(caller, caller.scheduler.taskAdmin(), mutation => {
    return { type: 'forceState', taskId: taskId(id), to: status, reason, ...mutation }
  })
  if (said !== 'unknown' && said.type === 'rejected' && !isTransient(said))
    return { ...refused(said), responseCode: 'OK' }
  return outcome(said, () => ok())
}

const isTransient = (rejection: Rejection): boolean => refused(rejection).responseCode === 'ERROR_TRANSIENT'

export async function pruneTasks(caller: Caller, { query: given }: Arguments<'pruneTasks'>): Promise<Outcome> {
  const statuses = given?.statuses === undefined ? null : [...given.statuses]
  if (statuses?.length === 0)
    return failed('ERROR', 'An empty set of statuses is refused: leave it out for all tasks that have ended.')
  if (statuses?.some(status => !isTerminal(status)) === true) return failed('ERROR', TaskAdmin.NOT_TERMINAL)
  const { query, limit } = readTaskQuery(given)
  const reason = `Pruned by ${caller.user}`
  const said = await ask<TaskAdmin.Command, TaskAdmin.Pruned>(caller, caller.scheduler.taskAdmin(), mutation => {
    return { type: 'pruneTasks', query, limit: limit === 0 ? null : limit, reason, ...mutation }
  })
  return outcome(said, () => ok())
}

export function triggerExplicitTaskReconciliation(
  caller: Caller,
  { settings }: Arguments<'triggerExplicitTaskReconciliation'>,
): Promise<Outcome> {
  const batchSize = settings?.batchSize ?? null
  if (batchSize !== null && batchSize <= 0)
    return Promise.resolve(failed('INVALID_REQUEST', 'Batch size must be greater than zero.'))
  return reconcile(caller, 'explicit', batchSize === null ? null : Math.min(batchSize, BATCH_TASKS_MAX))
}

export const triggerImplicitTaskReconciliation = (caller: Caller): Promise<Outcome> =>
  reconcile(caller, 'implicit', null)

async function reconcile(caller: Caller, kind: 'explicit' | 'implicit', batchSize: number | null): Promise<Outcome> {
  const { user } = caller
  const said = await ask<AgentGateway.Command, ReconcileStarted | HeldReleased>(
    caller,
    caller.scheduler.gateway(),
    ({ replyTo }) => ({
      type: 'reconcile',
      kind,
      batchSize,
      user,
      replyTo: replyTo as Ref<ReconcileStarted | Rejection>,
    }),
  )
  return outcome(said, () => ok())
}

// ---- backups ------------------------------------------------------------------------------------------------------

type Asked<A> = Promise<A | Rejection | 'unknown'>
const askBackup = <A extends { readonly type: string }>(
  caller: Caller,
  command: (mutation: Mutation<A>) => Backup.Command,
): Asked<A> => ask<Backup.Command, A>(caller, caller.scheduler.backup(), command)

/** What a backup cannot do is an ERROR, as Aurora has it. */
async function backupAnswer<A extends { readonly type: string }>(
  said: Asked<A>,
  done: (answer: A) => Answer = () => ok(),
): Promise<Outcome> {
  const answer = await said
  const turned = outcome(answer, done)
  return turned !== 'unknown' && turned.responseCode === 'INVALID_REQUEST'
    ? { ...turned, responseCode: 'ERROR' }
    : turned
}

export const performBackup = (caller: Caller): Promise<Outcome> =>
  backupAnswer(askBackup<Backup.Written>(caller, mutation => ({ type: 'backupNow', ...mutation })))

export const listBackups = (caller: Caller): Promise<Outcome> =>
  backupAnswer(
    askBackup<Backup.Listed>(caller, ({ replyTo }) => ({ type: 'list', replyTo })),
    ({ files }) => ok({ listBackupsResult: { backups: files.map(({ name }) => name) } }),
  )

export function stageRecovery(caller: Caller, { backupId = '' }: Arguments<'stageRecovery'>): Promise<Outcome> {
  if (backupId.trim() === '') return Promise.resolve(failed('ERROR', BLANK))
  return backupAnswer(askBackup<Backup.Staged>(caller, mutation => ({ type: 'stage', name: backupId, ...mutation })))
}

export function queryRecovery(caller: Caller, { query: given }: Arguments<'queryRecovery'>): Promise<Outcome> {
  const { query } = readTaskQuery(given)
  return backupAnswer(
    askBackup<Backup.Shown>(caller, ({ replyTo }) => ({ type: 'show', query, replyTo })),
    ({ tasks, configs }) =>
      ok({ queryRecoveryResult: { tasks: many(tasks, row => scheduledTask(row, configs.get(row.configId))) } }),
  )
}

export function deleteRecoveryTasks(
  caller: Caller,
  { query: given }: Arguments<'deleteRecoveryTasks'>,
): Promise<Outcome> {
  const { query } = readTaskQuery(given)
  return backupAnswer(askBackup<Backup.Staged>(caller, mutation => ({ type: 'drop', query, ...mutation })))
}

/** Replaces the state of the cluster; this leader resigns with it. */
export const commitRecovery = (caller: Caller): Promise<Outcome> =>
  backupAnswer(
    askBackup<Backup.Restored>(caller, mutation => {
      return { type: 'commit', digest: null, reason: `Recovery committed by ${caller.user}`, ...mutation }
    }),
  )

export async function unloadRecovery(caller: Caller): Promise<Outcome> {
  const said = await askBackup<Backup.Staged>(caller, mutation => ({ type: 'unload', ...mutation }))
  if (said !== 'unknown' && said.type === 'rejected' && !isTransient(said as Rejection)) return ok()
  return outcome(said, () => ok())
}

/** The tables of every node are its snapshot at any moment. */
export const snapshot = (): Promise<Outcome> =>
  Promise.resolve(
    ok(undefined, 'Nothing to do: the tables of each node are its snapshot, and the log is truncated by itself.'),
  )
