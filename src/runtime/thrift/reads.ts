/**
 * The calls that only read. Each is a plain function of the leader's state; long lists are captured as rows and written
 * one by one later. Source: the outside interfaces, section 5.
 */
import type { PlacementView } from '../../actors/offer-broker.ts'
import type { QuotaView } from '../../actors/quota-keeper.ts'
import { compareIds, configId, isIdentifier, type JobKey, jobKeyText } from '../../core/base/ids.ts'
import { rejected } from '../../core/base/rejection.ts'
import { type AdmissionSettings, checkConfiguration } from '../../core/job/admission.ts'
import { configIdOf } from '../../core/job/canonical-config.ts'
import type { TaskConfig } from '../../core/job/task-config.ts'
import { jobKeysOfRole } from '../../core/ledger/directory.ts'
import type { JobRow, TaskRow } from '../../core/ledger/rows.ts'
import type { LedgerView } from '../../core/ledger/view.ts'
import { planTaskQuery } from '../../core/task/query.ts'
import { isActive, isTerminal, type TaskStatus } from '../../core/task/status.ts'
import { groupsOf, type InstanceGroup, jobDiff } from '../../core/update/job-diff.ts'
import {
  auroraAmounts,
  auroraTaskConfig,
  readJobConfiguration,
  readKey,
} from '../../wire/thrift/task-config-mapping.ts'
import { inRanges, queryText, rangesOf, readTaskQuery, scheduledTask } from '../../wire/thrift/task-mapping.ts'
import { type Arguments, many, type Struct } from '../../wire/thrift/types.ts'
import { type Answer, failed, ok, refused } from './response.ts'

export interface ReadWorld {
  readonly view: LedgerView
  /** Null while nobody keeps them. */
  readonly quotas: () => QuotaView | null
  readonly placement: PlacementView | null
  readonly admission: AdmissionSettings
  /** SHA-256 as hex. */
  readonly sha256: (text: string) => string
}

export function getRoleSummary({ view }: ReadWorld): Answer {
  const summaries: Struct<'RoleSummary'>[] = []
  for (const { role, jobsWithTasks: jobCount, cronJobs: cronJobCount } of view.rolesFrom(''))
    if (jobCount > 0 || cronJobCount > 0) summaries.push({ role, jobCount, cronJobCount })
  return ok({ roleSummaryResult: { summaries } })
}

export function getJobSummary({ view }: ReadWorld, { role }: Arguments<'getJobSummary'>): Answer {
  const summaries = keysOf(view, role).flatMap((key): Struct<'JobSummary'>[] => {
    const counts = view.statusCountsOfJob(key)
    let tasks = 0
    for (const count of counts.values()) tasks += count
    const job = view.job(key)
    const cron = job?.cron === undefined ? undefined : job
    // An active task is newer than any that has ended, so mostly the history need not be read.
    const active = view.activeTasksOfJob(key)
    const config = configOf(view, cron, active.length > 0 ? active : view.tasksInPageOrder(key))
    if (config === undefined || (tasks === 0 && cron === undefined)) return []
    return [{ job: jobConfiguration(key, config, cron?.instanceCount ?? tasks, cron), stats: statsOf(counts) }]
  })
  return ok({ jobSummaryResult: { summaries } })
}

/** Jobs with active tasks, and templates. */
export function getJobs({ view }: ReadWorld, { ownerRole }: Arguments<'getJobs'>): Answer {
  const configs = keysOf(view, ownerRole).flatMap((key): Struct<'JobConfiguration'>[] => {
    const active = view.activeTasksOfJob(key)
    const job = view.job(key)
    const cron = job?.cron === undefined ? undefined : job
    const config = configOf(view, cron, active)
    if (config === undefined || (active.length === 0 && cron === undefined)) return []
    return [jobConfiguration(key, config, cron?.instanceCount ?? active.length, cron)]
  })
  return ok({ getJobsResult: { configs } })
}

/** All of them for a role that is blank. */
const keysOf = (view: LedgerView, role = ''): readonly JobKey[] =>
  role.trim() === '' ? view.jobKeys() : [...jobKeysOfRole(view, role)]

/** Of the template, else of the newest task: an active one where there is one. */
function configOf(view: LedgerView, cron: JobRow | undefined, tasks: readonly TaskRow[]): TaskConfig | undefined {
  if (cron !== undefined) return view.config(cron.configId)
  let newest: TaskRow | undefined
  for (const task of tasks) if (newest === undefined || isNewer(task, newest)) newest = task
  return newest === undefined ? undefined : view.config(newest.configId)
}

function isNewer(a: TaskRow, b: TaskRow): boolean {
  if (isActive(a.status) !== isActive(b.status)) return isActive(a.status)
  return lastMs(a) > lastMs(b)
}
const lastMs = (task: TaskRow): number => task.events.at(-1)?.atMs ?? 0

function jobConfiguration(
  key: JobKey,
  config: TaskConfig,
  instanceCount: number,
  { cron }: Pick<JobRow, 'cron'> = {},
): Struct<'JobConfiguration'> {
  return {
    key: { ...key },
    owner: { user: config.owner },
    ...(cron === undefined ? {} : { cronSchedule: cron.schedule, cronCollisionPolicy: cron.collisionPolicy }),
    taskConfig: auroraTaskConfig(config),
    instanceCount,
  }
}

const PENDING: ReadonlySet<TaskStatus> = new Set(['INIT', 'PENDING', 'THROTTLED'])
const FAILED: ReadonlySet<TaskStatus> = new Set(['FAILED', 'LOST'])

function statsOf(counts: ReadonlyMap<TaskStatus, number>): Struct<'JobStats'> {
  const stats = { activeTaskCount: 0, finishedTaskCount: 0, failedTaskCount: 0, pendingTaskCount: 0 }
  for (const [status, count] of counts) {
    if (PENDING.has(status)) stats.pendingTaskCount += count
    else if (FAILED.has(status)) stats.failedTaskCount += count
    else if (isTerminal(status)) stats.finishedTaskCount += count
    else stats.activeTaskCount += count
  }
  return stats
}

// ---- tasks --------------------------------------------------------------------------------------------------------

export function getTasksStatus(world: ReadWorld, { query }: Arguments<'getTasksStatus'>): Answer {
  return tasksAnswer(world, query, 'whole')
}

export function getTasksWithoutConfigs(world: ReadWorld, { query }: Arguments<'getTasksWithoutConfigs'>): Answer {
  return tasksAnswer(world, query, 'bare')
}

function tasksAnswer({ view }: ReadWorld, given: Struct<'TaskQuery'> | undefined, how: 'whole' | 'bare'): Answer {
  const { query, offset, limit } = readTaskQuery(given)
  const plan = planTaskQuery(view, query)
  if ('type' in plan) return refused(plan)
  const found: { readonly row: TaskRow; readonly config: TaskConfig | undefined }[] = []
  let at = 0
  for (const row of plan.read(null)) {
    if (at++ < offset) continue
    // Taken now: while a long answer is written, a configuration may go with its last task, or all with leadership.
    found.push({ row, config: view.config(row.configId) })
    if (limit > 0 && found.length === limit) break
  }
  return ok({ scheduleStatusResult: { tasks: many(found, ({ row, config }) => scheduledTask(row, config, how)) } })
}

export function getPendingReason(
  { view, placement }: ReadWorld,
  { query: given = {} }: Arguments<'getPendingReason'>,
): Answer {
  if ((given.slaveHosts?.length ?? 0) > 0)
    return failed('INVALID_REQUEST', `SlaveHosts are not supported in ${queryText(given)}`)
  if ((given.statuses?.length ?? 0) > 0)
    return failed('INVALID_REQUEST', `Statuses is not supported in ${queryText(given)}`)
  const plan = planTaskQuery(view, { ...readTaskQuery(given).query, statuses: ['PENDING'] })
  if ('type' in plan) return refused(plan)
  const texts = new Map<string, string>()
  const reasons = [...plan.read(null)].map(({ taskId, configId: of }) => {
    const reason = texts.get(of) ?? (placement?.waiting(of)?.reasons ?? []).join(',')
    texts.set(of, reason)
    return { taskId, reason }
  })
  return ok({ getPendingReasonResult: { reasons } })
}

// ---- configurations -----------------------------------------------------------------------------------------------

export function getConfigSummary({ view }: ReadWorld, { job }: Arguments<'getConfigSummary'>): Answer {
  const key = readKey(job)
  if (!isKey(key)) return failed('ERROR', invalidKeyText(key))
  const groups = configGroups(view, groupsOf(view.activeTasksOfJob(key)))
  return ok({ configSummaryResult: { summary: { key: { ...key }, groups } } })
}

const isKey = ({ role, environment, name }: JobKey): boolean => [role, environment, name].every(isIdentifier)
const invalidKeyText = (key: JobKey): string =>
  `The job key ${jobKeyText(key)} is not valid: role, environment and name are 1 to 255 of A-Z a-z 0-9 _ - .`

function configGroups(
  view: LedgerView,
  groups: readonly InstanceGroup[],
  more?: { readonly id: string; readonly config: TaskConfig },
): Struct<'ConfigGroup'>[] {
  return groups.flatMap(({ configId: of, instances }) => {
    const config = more?.id === of ? more.config : view.config(of)
    return config === undefined ? [] : [{ config: auroraTaskConfig(config), instances: rangesOf(instances) }]
  })
}

export function populateJobConfig({ admission }: ReadWorld, { description }: Arguments<'populateJobConfig'>): Answer {
  const read = readJobConfiguration(description ?? {})
  if (read === null) return failed('INVALID_REQUEST', `Invalid configuration: ${NO_TASK}`)
  const checked = checkConfiguration(read.job, admission, read.foreign)
  if ('type' in checked) return failed('INVALID_REQUEST', `Invalid configuration: ${checked.detail}`)
  return ok({ populateJobResult: { taskConfig: auroraTaskConfig(checked.task) } })
}
export const NO_TASK = 'Job configuration must have taskConfig set.'

export function getJobUpdateDiff(world: ReadWorld, { request = {} }: Arguments<'getJobUpdateDiff'>): Answer {
  const { view, admission, sha256 } = world
  const { taskConfig, instanceCount = 0, settings } = request
  const key = readKey(taskConfig?.job)
  const read = readJobConfiguration({ key, ...(taskConfig === undefined ? {} : { taskConfig }), instanceCount })
  if (read === null) return failed('INVALID_REQUEST', NO_TASK)
  const checked = checkConfiguration(read.job, admission, read.foreign)
  if ('type' in checked) return refused(checked)
  if (view.job(key)?.cron !== undefined) return failed('INVALID_REQUEST', 'Cron jobs are not supported.')
  const id = configIdOf(checked.task, sha256)
  const only = settings?.updateOnlyTheseInstances ?? []
  const diff = jobDiff(view.activeTasksOfJob(key), {
    configId: configId(id),
    instanceCount,
    only: only.length === 0 ? null : inRanges(only),
  })
  const more = { id, config: checked.task }
  return ok({
    getJobUpdateDiffResult: {
      add: configGroups(view, diff.add, more),
      remove: configGroups(view, diff.remove),
      update: configGroups(view, diff.update),
      unchanged: configGroups(view, diff.unchanged),
    },
  })
}

// ---- quotas and tiers ---------------------------------------------------------------------------------------------

export function getQuota(world: ReadWorld, { ownerRole = '' }: Arguments<'getQuota'>): Answer {
  if (ownerRole.trim() === '') return failed('ERROR', 'Argument cannot be blank')
  const quotas = world.quotas()
  if (quotas === null) return refused(rejected('STORAGE_NOT_READY'))
  const none = { cpusMilli: 0, ramMb: 0, diskMb: 0 }
  const { prodShared, prodDedicated, nonProdShared, nonProdDedicated } = quotas.useOf(ownerRole)
  return ok({
    getQuotaResult: {
      quota: { resources: auroraAmounts(quotas.quotaOf(ownerRole) ?? none) },
      prodSharedConsumption: { resources: auroraAmounts(prodShared) },
      nonProdSharedConsumption: { resources: auroraAmounts(nonProdShared) },
      prodDedicatedConsumption: { resources: auroraAmounts(prodDedicated) },
      nonProdDedicatedConsumption: { resources: auroraAmounts(nonProdDedicated) },
    },
  })
}

export function getTierConfigs({ admission }: ReadWorld): Answer {
  const tiers = Object.entries(admission.tiers)
    .sort(([a], [b]) => compareIds(a, b))
    .map(([name, { preemptible, revocable }]) => {
      return { name, settings: { preemptible: String(preemptible), revocable: String(revocable) } }
    })
  return ok({ getTierConfigResult: { defaultTierName: admission.defaultTier, tiers } })
}
