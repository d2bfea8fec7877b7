/** Rows of the ledger as the REST documents of `src/wire/rest.ts`. Only reads; lists in the order their pages need. */
import type { AgentLiveView } from '../../actors/agent-gateway.ts'
import type { PlacementView } from '../../actors/offer-broker.ts'
import { placeWarnings } from '../../core/agents/place-attributes.ts'
import { sandboxPath } from '../../core/agents/sandbox-path.ts'
import { type ConfigId, type JobKey, jobKeyText, taskId } from '../../core/base/ids.ts'
import type { Fault } from '../../core/base/rejection.ts'
import { jobKeysOfRole } from '../../core/ledger/directory.ts'
import type { AgentRow, JobRow, TaskRow } from '../../core/ledger/rows.ts'
import type { LedgerView } from '../../core/ledger/view.ts'
import { everyHostPlan } from '../../core/scheduling/every-host.ts'
import type { TaskQuery } from '../../core/task/query.ts'
import { ACTIVE, isActive, TASK_STATUSES, type TaskStatus, TERMINAL } from '../../core/task/status.ts'
import type { AgentView, JobDetail, JobSummary, PendingList, Task, TaskQueryText } from '../../wire/rest.ts'
import { comparePageKeys, type PageKey } from './paging.ts'

/** `*` and `?` stand for any characters and for one. No RegExp: with many stars one can look for ever. */
export function globPattern(glob: string | undefined): { test(text: string): boolean } | null {
  if (glob === undefined || glob === '*') return null
  return { test: text => fitsGlob(glob, text) }
}

/** At most as many steps as the lengths of both multiplied: only what the latest star stands for is tried again. */
function fitsGlob(glob: string, text: string): boolean {
  let at = 0
  /** Where the latest star is, and where in the text what it stands for ends. */
  let star = -1
  let end = 0
  for (let from = 0; from < text.length; ) {
    if (glob[at] === '*') {
      star = at++
      end = from
    } else if (at < glob.length && (glob[at] === '?' || glob[at] === text[from])) {
      at++
      from++
    } else if (star >= 0) {
      at = star + 1
      from = ++end
    } else return false
  }
  while (glob[at] === '*') at++
  return at === glob.length
}

export interface JobFilter {
  readonly role?: string | undefined
  readonly environment?: string | undefined
  readonly name?: string | undefined
}

/** Job keys that match, in their order, from `from` on. */
export function* matchingJobs(view: LedgerView, filter: JobFilter, from: string | null): Generator<JobKey> {
  const isWanted = jobMatcher(filter)
  const { role } = filter
  const isExact = role !== undefined && !/[*?]/.test(role)
  const keys = isExact ? jobKeysOfRole(view, role, from ?? '') : view.jobKeysFrom(from ?? '')
  for (const key of keys) if (isWanted(key)) yield key
}

function jobMatcher(filter: JobFilter): (key: JobKey) => boolean {
  const [role, environment, name] = [filter.role, filter.environment, filter.name].map(globPattern)
  return key =>
    (role?.test(key.role) ?? true) && (environment?.test(key.environment) ?? true) && (name?.test(key.name) ?? true)
}

/** `RUNNING,PENDING`, `active`, `terminal`; null for a word that is none of these. */
export function statusFilter(text: string | undefined): ReadonlySet<TaskStatus> | 'any' | null {
  if (text === undefined || text === '') return 'any'
  const wanted = new Set<TaskStatus>()
  for (const word of text.split(',').map(part => part.trim())) {
    if (word === 'active') for (const status of ACTIVE) wanted.add(status)
    else if (word === 'terminal') for (const status of TERMINAL) wanted.add(status)
    else if (Object.hasOwn(TASK_STATUSES, word.toUpperCase())) wanted.add(word.toUpperCase() as TaskStatus)
    else return null
  }
  return wanted
}

/** What is asked for in words, as a query; a fault where a word says nothing. */
export function taskQueryOf(asked: TaskQueryText): TaskQuery | Fault {
  const statuses = statusFilter(asked.status)
  if (statuses === null)
    return {
      path: 'status',
      text: `must be statuses, \`active\` or \`terminal\`, found ${JSON.stringify(asked.status)}`,
    }
  const instances = instancesOf(words(asked.instance))
  if (instances === null)
    return {
      path: 'instance',
      text: `must be numbers and ranges such as 0,2-4, at most ${RANGE_MAX} numbers, found ${shortly(asked.instance)}`,
    }
  const jobKeys = words(asked.job).map(text => text.split('/'))
  if (jobKeys.some(parts => parts.length !== 3 || parts.includes('')))
    return {
      path: 'job',
      text: `must be ROLE/ENVIRONMENT/NAME, or several with commas, found ${JSON.stringify(asked.job)}`,
    }
  // Exact parts are found by index, patterns by looking at every job.
  const parts = { role: asked.role, environment: asked.environment, name: asked.name }
  const exact = (text: string | undefined): string | null => (text === undefined || /[*?]/.test(text) ? null : text)
  const patterns = [globPattern(parts.role), globPattern(parts.environment), globPattern(parts.name)]
  const isPlain = Object.values(parts).every(text => text === undefined || text === '*' || exact(text) !== null)
  return {
    role: exact(parts.role),
    environment: exact(parts.environment),
    jobName: exact(parts.name),
    jobKeys: jobKeys.map(([role = '', environment = '', name = '']) => ({ role, environment, name })),
    isJobWanted: isPlain
      ? null
      : key => [key.role, key.environment, key.name].every((text, at) => patterns[at]?.test(text) ?? true),
    taskIds: words(asked.id).map(taskId),
    statuses: statuses === 'any' ? null : statuses,
    instances,
    hosts: words(asked.host),
  }
}

const words = (text: string | undefined): string[] =>
  (text ?? '')
    .split(',')
    .map(word => word.trim())
    .filter(word => word !== '')

/** Numbers in all. */
const RANGE_MAX = 100_000

const shortly = (text = ''): string => JSON.stringify(text.length <= 100 ? text : `${text.slice(0, 100)}…`)

/** Of `3` and `0-4`, however often; null for what is neither, or too many to write out. */
function instancesOf(ranges: readonly string[]): readonly number[] | null {
  const found = new Set<number>()
  let left = RANGE_MAX
  for (const word of ranges) {
    const range = /^(\d{1,9})(?:-(\d{1,9}))?$/.exec(word)
    const from = Number(range?.[1])
    const to = Number(range?.[2] ?? range?.[1])
    left -= to - from + 1
    if (range === null || to < from || left < 0) return null
    for (let id = from; id <= to; id++) found.add(id)
  }
  return [...found]
}

/** Why a task has no place; null when that is not known. */
export type PendingReasons = (row: TaskRow) => string | null

export function pendingReasons(placement: PlacementView | null): PendingReasons {
  const known = new Map<string, string>()
  return ({ configId }) => {
    let text = known.get(configId)
    if (text === undefined) {
      const group = placement?.waiting(configId) ?? null
      text = group === null ? '' : (group.reasons.length > 0 ? group.reasons : group.details).join(', ')
      known.set(configId, text)
    }
    return text === '' ? null : text
  }
}

export function taskDocument(view: LedgerView, row: TaskRow, reasons: PendingReasons): Task {
  const config = view.config(row.configId)
  return {
    taskId: row.taskId,
    job: row.job,
    instance: row.instance,
    status: row.status,
    host: row.host ?? null,
    agentId: row.agentId ?? null,
    sandbox: sandboxOf(view, row),
    ports: { ...row.ports },
    failureCount: row.failureCount,
    maxTaskFailures: config?.maxTaskFailures ?? 1,
    isService: config?.isService ?? false,
    ancestorId: row.ancestorId ?? null,
    resources: config?.resources ?? { cpusMilli: 0, ramMb: 0, diskMb: 0, gpus: 0 },
    metadata: (config?.metadata ?? []).map(({ key, value }) => ({ key, value })),
    events: row.events.map(event => ({
      atMs: event.atMs,
      status: event.status,
      message: event.message ?? null,
      scheduler: event.scheduler,
      who: event.who ?? null,
      why: event.why ?? null,
    })),
    pendingReason: row.status === 'PENDING' ? reasons(row) : null,
  }
}

function sandboxOf(view: LedgerView, { agentId, taskId }: TaskRow): string | null {
  const workDir = agentId === undefined ? undefined : view.agent(agentId)?.workDir
  return workDir === undefined ? null : sandboxPath(workDir, taskId)
}

/** Tasks are counted by status as they change; they are read only where no job row says what they are. */
export function jobSummaryDocument(view: LedgerView, key: JobKey): JobSummary {
  const job = view.job(key)
  const tasks = job === undefined ? view.tasksOfJob(key) : []
  const configId = job?.configId ?? newestTask(tasks)?.configId
  const config = configId === undefined ? undefined : view.config(configId)
  const byStatus: Record<string, number> = {}
  let [active, all] = [0, 0]
  for (const [status, count] of view.statusCountsOfJob(key)) {
    byStatus[status] = count
    all += count
    if (isActive(status)) active += count
  }
  return {
    key,
    kind: config?.isService === true ? 'service' : 'adhoc',
    tier: config?.tier ?? '',
    instanceCount: job?.instanceCount ?? new Set(tasks.map(task => task.instance)).size,
    active,
    inactive: all - active,
    byStatus,
    createdAtMs: job?.createdAtMs ?? null,
    createdBy: job?.createdBy ?? null,
  }
}

/** Null when neither the job nor a task of it is known. */
export function jobDetailDocument(
  view: LedgerView,
  key: JobKey,
  reasons: PendingReasons,
  placement: PlacementView | null,
): JobDetail | null {
  const job = view.job(key)
  const tasks = view.tasksOfJob(key)
  const configId = job?.configId ?? newestTask(tasks)?.configId
  if (configId === undefined) return null
  const documents = (rows: readonly TaskRow[]) => rows.map(row => taskDocument(view, row, reasons))
  const config = view.config(configId)
  return {
    job: jobSummaryDocument(view, key),
    config: config === undefined ? null : (structuredClone(config) as NonNullable<JobDetail['config']>),
    active: documents(tasks.filter(task => isActive(task.status)).toSorted((a, b) => a.instance - b.instance)),
    inactive: documents(tasks.filter(task => !isActive(task.status))),
    ...everyHostOf(view, job, placement),
  }
}

function everyHostOf(
  view: LedgerView,
  job: JobRow | undefined,
  placement: PlacementView | null,
): Pick<JobDetail, 'everyHost'> {
  if (job === undefined || placement === null || view.config(job.configId)?.everyHost !== true) return {}
  const { hosts, served } = everyHostPlan(placement.allowedHosts(job.configId), view.activeTasksOfJob(job.key), 0)
  return { everyHost: { hosts, served } }
}

export function agentDocument(
  view: LedgerView,
  row: AgentRow,
  live: AgentLiveView | null,
  placement: PlacementView | null,
): AgentView {
  const connected = live?.connected(row.agentId) ?? false
  const silentMs = live?.silentMs(row.agentId)
  const offer = placement?.offer(row.agentId) ?? null
  return {
    agentId: row.agentId,
    host: row.host,
    connected,
    draining: connected && live?.takesTasks(row.agentId) === false,
    firstSeenMs: row.firstSeenMs,
    awaySinceMs: row.awaySinceMs ?? null,
    silentMs: silentMs == null ? null : Math.round(silentMs),
    mode: row.mode,
    attributes: row.attributes.map(({ name, values }) => ({ name, values: [...values] })),
    total: row.total,
    free: offer?.free ?? null,
    freePorts: offer?.freePorts ?? null,
    tasks: view.tasksOnAgent(row.agentId).length,
    agentVersion: row.agentVersion,
    warnings: [...placeWarnings(row)],
  }
}

type PendingGroup = PendingList['pending'][number]

/** What waits, by job and configuration; what the placement has to say of a group is asked when its turn comes. */
export function* pendingGroups(
  view: LedgerView,
  filter: JobFilter,
  placement: PlacementView | null,
  after: PageKey | null,
): Generator<readonly [PageKey, PendingGroup]> {
  if (placement === null) return
  const isWanted = jobMatcher(filter)
  const jobs = new Map<ConfigId, JobKey>()
  for (const { configId, job } of view.tasksByStatus('PENDING')) {
    if (!jobs.has(configId) && isWanted(job)) jobs.set(configId, job)
  }
  const keys = [...jobs].map(([configId, job]) => [jobKeyText(job), configId] as const)
  for (const key of keys.sort(comparePageKeys)) {
    if (after !== null && comparePageKeys(key, after) <= 0) continue
    const group = placement.waiting(key[1])
    if (group === null) continue
    const { job, taskIds, penaltyMs, reasons, details } = group
    yield [key, { job, taskIds: [...taskIds], penaltyMs, reasons: [...reasons], details: [...details] }]
  }
}

function newestTask(tasks: readonly TaskRow[]): TaskRow | undefined {
  let newest: TaskRow | undefined
  for (const task of tasks) {
    if (newest === undefined || (task.events.at(-1)?.atMs ?? 0) > (newest.events.at(-1)?.atMs ?? 0)) newest = task
  }
  return newest
}
