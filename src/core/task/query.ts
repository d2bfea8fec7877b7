/**
 * Questions about tasks. Every part that is given must hold, within a part any of its values; nothing given, null or
 * empty restricts nothing. Answers come in page order, so that a page can begin where the last one ended.
 *
 * The plan says which index is read: ids, jobs, hosts, few tasks of a status, and only then all of them. Where the index
 * gives no order, what it gives is sorted; where that would be much, the jobs are walked in their order instead.
 *
 * Source: the task life cycle, section 10.
 */
import { compareIds, type InstanceId, type JobKey, jobKeyText, type TaskId } from '../base/ids.ts'
import { type Rejection, rejected } from '../base/rejection.ts'
import { jobKeysOfRole } from '../ledger/directory.ts'
import type { TaskRow } from '../ledger/rows.ts'
import type { LedgerView } from '../ledger/view.ts'
import { byInstance, isBehind, type PagePosition } from './page-order.ts'
import type { TaskStatus } from './status.ts'

export interface TaskQuery {
  /** Blank restricts nothing. */
  readonly role?: string | null
  readonly environment?: string | null
  readonly jobName?: string | null
  /** Together with role, environment and name: both must match. */
  readonly jobKeys?: readonly JobKey[] | null
  /** What names alone cannot say, such as patterns. */
  readonly isJobWanted?: ((key: JobKey) => boolean) | null
  readonly taskIds?: Iterable<TaskId> | null
  readonly statuses?: Iterable<TaskStatus> | null
  readonly instances?: Iterable<InstanceId> | null
  readonly hosts?: Iterable<string> | null
}

export type PlanKind = 'id' | 'job' | 'host' | 'status' | 'all'

export interface TaskPlan {
  readonly kind: PlanKind
  /** For the counter: `task_queries_by_id`, …, `task_queries_all`. */
  readonly counter: string
  /** In page order, behind `after`. Change nothing while reading. */
  read(after: PagePosition | null): Iterable<TaskRow>
}

/** So many tasks of the wanted statuses are rather sorted than looked for in all jobs. */
const SORTED_MAX = 5_000

/** How the query is answered. Refuses a job's name that stands beside job keys without the rest of a key. */
export function planTaskQuery(view: LedgerView, query: TaskQuery): TaskPlan | Rejection {
  const wanted = wantedOf(query)
  const { role, environment, jobName, jobKeys, taskIds, hosts, statuses } = wanted
  if (jobName !== null && jobKeys !== null && (role === null || environment === null))
    return rejected(
      'INVALID_REQUEST',
      'The job key is not valid: a name beside job keys needs role and environment too',
    )
  const matches = (task: TaskRow): boolean => isWanted(wanted, task) && isJobWanted(wanted, task.job)
  const sorted = (kind: PlanKind, rows: () => TaskRow[]): TaskPlan =>
    plan(kind, after => {
      const found = rows()
        .filter(task => matches(task) && (after === null || isBehind(task, after)))
        // Once for each, not at each comparison.
        .map(task => ({ task, job: jobKeyText(task.job) }))
      found.sort((a, b) => compareIds(a.job, b.job) || byInstance(a.task, b.task))
      return found.map(({ task }) => task)
    })

  if (taskIds !== null)
    return sorted('id', () => [...taskIds].map(id => view.task(id as TaskId)).filter(task => task !== undefined))
  const named =
    role !== null && environment !== null && jobName !== null ? [{ role, environment, name: jobName }] : null
  const keys = named ?? (jobKeys === null ? null : [...jobKeys.values()])
  if (keys !== null) {
    const inOrder = ordered(keys)
    return plan('job', after =>
      walk(view, after === null ? inOrder : inOrder.slice(firstFrom(inOrder, after.job)), wanted, after),
    )
  }
  if (hosts !== null) return sorted('host', () => [...hosts].flatMap(host => view.tasksOnHost(host)))
  if (statuses !== null) {
    const count = [...statuses].reduce((sum, status) => sum + view.statusCount(status), 0)
    if (count <= SORTED_MAX)
      return sorted('status', () => [...statuses].flatMap(status => [...view.tasksByStatus(status)]))
  }
  const from = role === null ? view.jobKeysFrom.bind(view) : (text: string) => jobKeysOfRole(view, role, text)
  return plan('all', after => walk(view, from(after?.job ?? ''), wanted, after))
}

/** In page order; for those who need all of them, not pages. */
export function tasksMatching(view: LedgerView, query: TaskQuery): TaskRow[] | Rejection {
  const plan = planTaskQuery(view, query)
  return 'type' in plan ? plan : [...plan.read(null)]
}

interface Wanted {
  readonly role: string | null
  readonly environment: string | null
  readonly jobName: string | null
  readonly jobKeys: ReadonlyMap<string, JobKey> | null
  readonly isJobWanted: ((key: JobKey) => boolean) | null
  readonly taskIds: ReadonlySet<string> | null
  readonly statuses: ReadonlySet<TaskStatus> | null
  readonly instances: ReadonlySet<InstanceId> | null
  readonly hosts: ReadonlySet<string> | null
}

function wantedOf(query: TaskQuery): Wanted {
  const { role, jobKeys, isJobWanted = null } = query
  return {
    role: role == null || role.trim() === '' ? null : role,
    environment: query.environment ?? null,
    jobName: query.jobName ?? null,
    jobKeys: jobKeys == null || jobKeys.length === 0 ? null : new Map(jobKeys.map(key => [jobKeyText(key), key])),
    isJobWanted,
    taskIds: setOf<string>(query.taskIds),
    statuses: setOf(query.statuses),
    instances: setOf(query.instances),
    hosts: setOf(query.hosts),
  }
}

function setOf<T>(values: Iterable<T> | null | undefined): ReadonlySet<T> | null {
  const set = new Set(values ?? [])
  return set.size === 0 ? null : set
}

function isJobWanted({ role, environment, jobName, jobKeys, isJobWanted }: Wanted, key: JobKey): boolean {
  if (role !== null && role !== key.role) return false
  if (environment !== null && environment !== key.environment) return false
  if (jobName !== null && jobName !== key.name) return false
  if (jobKeys !== null && !jobKeys.has(jobKeyText(key))) return false
  return isJobWanted === null || isJobWanted(key)
}

/** But for its job, which is looked at once for all of its tasks. */
function isWanted(wanted: Wanted, task: TaskRow): boolean {
  const { statuses, instances, hosts, taskIds } = wanted
  if (statuses !== null && !statuses.has(task.status)) return false
  if (instances !== null && !instances.has(task.instance)) return false
  if (hosts !== null && (task.host === undefined || !hosts.has(task.host))) return false
  return taskIds === null || taskIds.has(task.taskId)
}

function plan(kind: PlanKind, read: TaskPlan['read']): TaskPlan {
  return { kind, counter: kind === 'all' ? 'task_queries_all' : `task_queries_by_${kind}`, read }
}

const ordered = (keys: readonly JobKey[]): JobKey[] => keys.toSorted((a, b) => compareIds(jobKeyText(a), jobKeyText(b)))

/** `keys` in order, none before the position. Only in the job that holds it is every task compared with it. */
function* walk(
  view: LedgerView,
  keys: Iterable<JobKey>,
  wanted: Wanted,
  after: PagePosition | null,
): Generator<TaskRow> {
  for (const key of keys) {
    if (!isJobWanted(wanted, key)) continue
    const position = after !== null && jobKeyText(key) === after.job ? after : null
    for (const task of view.tasksInPageOrder(key))
      if (isWanted(wanted, task) && (position === null || isBehind(task, position))) yield task
  }
}

/** Index of the first key that is not before `text`. */
function firstFrom(keys: readonly JobKey[], text: string): number {
  let low = 0
  let high = keys.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (compareIds(jobKeyText(keys[middle]!), text) < 0) low = middle + 1
    else high = middle
  }
  return low
}
