/**
 * The rows of the cluster in memory, with the indices that decisions ask for: tasks by job, by the slot they hold, by
 * agent and by status, and how often each configuration is used. Nothing here is stored: whatever is in the log or in
 * the tables of the log thread, applied in order, gives the same rows and the same indices.
 *
 * Made to hold a million tasks: indices are touched only when membership changes, so a transition of a task costs a few
 * hash operations; those that lists are read from lead to the tasks themselves (`stored-task.ts`), the others are sets of
 * ids. What has names is kept in order beside them (`directory.ts`); other keys that must come in order are sorted when
 * asked for and kept until the set of keys changes.
 */
import { assert } from '../base/assert.ts'
import {
  type AgentId,
  type ConfigId,
  compareIds,
  type InstanceId,
  type JobKey,
  jobKeyText,
  type TaskId,
} from '../base/ids.ts'
import type { TaskConfig } from '../job/task-config.ts'
import { sinceMs } from '../task/history.ts'
import { byInstance } from '../task/page-order.ts'
import { ACTIVE, HOST_ASSIGNED, isTerminal, TASK_STATUSES, type TaskStatus } from '../task/status.ts'
import { Directory, type Names, type RoleCounts } from './directory.ts'
import { EndedByTime } from './ended-by-time.ts'
import { NamedSets } from './named-sets.ts'
import {
  type AgentRow,
  type ConfigRow,
  type JobRow,
  type MetaRow,
  type QuotaRow,
  type RequestRow,
  type Rows,
  TABLE_NUMBERS,
  type TableName,
  type TaskRow,
  type UpdateEventRow,
  type UpdateRow,
} from './rows.ts'
import { count, type JobTasks, noTasks, rowsOf, type StoredTask, TaskRows, uncount } from './stored-task.ts'
import type { RowChange } from './transaction.ts'
import type { LedgerView } from './view.ts'

/** A change with the row as it was before it; undefined when there was none. */
export interface AppliedChange {
  readonly change: RowChange
  readonly before: Rows[TableName] | undefined
}

export class Tables implements LedgerView {
  readonly #tasks = new Map<string, StoredTask>()
  readonly #taskRows = new TaskRows(this.#tasks)
  readonly #configs = new Map<string, ConfigRow>()
  readonly #jobs = new Map<string, JobRow>()
  readonly #agents = new Map<string, AgentRow>()
  readonly #requests = new Map<string, RequestRow>()
  readonly #metas = new Map<string, MetaRow>()
  readonly #updates = new Map<string, UpdateRow>()
  readonly #updateEvents = new Map<string, UpdateEventRow>()
  readonly #quotas = new Map<string, QuotaRow>()

  readonly #byJob = new Map<string, JobTasks>()
  readonly #byAgent = new NamedSets<StoredTask>()
  readonly #byStatus = new Map<TaskStatus, Set<string>>()
  readonly #byHost = new NamedSets<StoredTask>()
  readonly #ended = new EndedByTime()
  readonly #configUses = new Map<string, number>()
  /** Key of an update to the keys of its events. */
  readonly #eventsOfUpdate = new Map<string, Set<string>>()
  /** Text of a job's key to the keys of its updates. */
  readonly #updatesOfJob = new Map<string, Set<string>>()
  #isLoading = false
  #jobsSorted: JobRow[] | null = null
  readonly #directory = new Directory()
  #jobKeysSorted: JobKey[] | null = null
  #agentsSorted: AgentRow[] | null = null

  constructor() {
    for (const status of Object.keys(TASK_STATUSES)) this.#byStatus.set(status as TaskStatus, new Set())
  }

  /**
   * Applies the changes of one transaction, at most one per row (`coalesce`). Old index entries all go before new ones
   * come, so a task may take the slot of one that ends in the same transaction, in whichever order they are listed.
   */
  apply(changes: readonly RowChange[]): AppliedChange[] {
    const applied: AppliedChange[] = []
    for (const change of changes) {
      const before = this.row(change.table, change.key)
      if (before === undefined && change.type === 'delete') continue
      applied.push({ change, before })
      this.#unindex(change, before)
    }
    for (const { change, before } of applied) this.#write(change, before)
    return applied
  }

  /** Forgets everything; views that others hold stay the same object. */
  clear(): void {
    this.#tasks.clear()
    for (const table of Object.keys(TABLE_NUMBERS)) if (table !== 'task') this.#table(table as OtherTable).clear()
    this.#byJob.clear()
    this.#byAgent.clear()
    for (const ids of this.#byStatus.values()) ids.clear()
    this.#byHost.clear()
    this.#ended.clear()
    this.#configUses.clear()
    this.#eventsOfUpdate.clear()
    this.#updatesOfJob.clear()
    this.#directory.clear()
    this.#jobsSorted = null
    this.#jobKeysSorted = null
    this.#agentsSorted = null
  }

  /**
   * While pages of the stored tables and then the entries since the first page are applied, rows may be of different
   * moments: until `endLoading`, two tasks may seem to hold one slot.
   */
  get isLoading(): boolean {
    return this.#isLoading
  }

  beginLoading(): void {
    this.#isLoading = true
  }

  endLoading(): void {
    this.#isLoading = false
    this.#ended.sort()
    for (const job of this.#byJob.values()) job.active.clear()
    for (const stored of this.#tasks.values()) if (ACTIVE.has(stored.row.status)) this.#takeSlot(stored)
  }

  row<T extends TableName>(table: T, key: string): Rows[T] | undefined {
    return this.rows(table).get(key)
  }

  /** How many tasks and jobs refer to the configuration. */
  configUses(id: ConfigId): number {
    return this.#configUses.get(id) ?? 0
  }

  // ---- LedgerView ----

  task(id: TaskId): TaskRow | undefined {
    return this.#tasks.get(id)?.row
  }
  config(id: ConfigId): TaskConfig | undefined {
    return this.#configs.get(id)?.config
  }
  job(key: JobKey): JobRow | undefined {
    return this.#jobs.get(jobKeyText(key))
  }
  agent(id: AgentId): AgentRow | undefined {
    return this.#agents.get(id)
  }
  request(id: string): RequestRow | undefined {
    return this.#requests.get(id)
  }
  meta(name: string): MetaRow | undefined {
    return this.#metas.get(name)
  }
  rows<T extends TableName>(table: T): ReadonlyMap<string, Rows[T]> {
    const rows: unknown = table === 'task' ? this.#taskRows : this.#table(table as OtherTable)
    return rows as ReadonlyMap<string, Rows[T]>
  }
  quota(role: string): QuotaRow | undefined {
    return this.#quotas.get(role)
  }
  updateEvents(update: string): readonly UpdateEventRow[] {
    const events: UpdateEventRow[] = []
    for (const key of this.#eventsOfUpdate.get(update) ?? []) {
      const event = this.#updateEvents.get(key)
      if (event !== undefined) events.push(event)
    }
    return events
  }
  updatesOfJob(key: JobKey): readonly UpdateRow[] {
    const updates: UpdateRow[] = []
    for (const update of this.#updatesOfJob.get(jobKeyText(key)) ?? []) {
      const row = this.#updates.get(update)
      if (row !== undefined) updates.push(row)
    }
    return updates
  }
  jobs(): readonly JobRow[] {
    this.#jobsSorted ??= sortedValues(this.#jobs)
    return this.#jobsSorted
  }
  agents(): readonly AgentRow[] {
    this.#agentsSorted ??= sortedValues(this.#agents)
    return this.#agentsSorted
  }
  tasks(): Iterable<TaskRow> {
    return this.#taskRows.values()
  }
  requests(): Iterable<RequestRow> {
    return this.#requests.values()
  }
  tasksOfJob(key: JobKey): readonly TaskRow[] {
    return rowsOf(this.#byJob.get(jobKeyText(key))?.tasks).sort(byInstanceNewestFirst)
  }
  activeTask(key: JobKey, instance: InstanceId): TaskRow | undefined {
    return this.#byJob.get(jobKeyText(key))?.active.get(instance)?.row
  }
  activeTasksOfJob(key: JobKey): readonly TaskRow[] {
    return rowsOf(this.#byJob.get(jobKeyText(key))?.active.values()).sort(byInstanceNewestFirst)
  }
  tasksOnAgent(id: AgentId): readonly TaskRow[] {
    return rowsOf(this.#byAgent.get(id))
  }
  tasksInPageOrder(key: JobKey): readonly TaskRow[] {
    const job = this.#byJob.get(jobKeyText(key))
    if (job === undefined) return []
    job.pageOrder ??= [...job.tasks].sort((a, b) => byInstance(a.row, b.row))
    return rowsOf(job.pageOrder)
  }
  statusCountsOfJob(key: JobKey): ReadonlyMap<TaskStatus, number> {
    return this.#byJob.get(jobKeyText(key))?.byStatus ?? NO_COUNTS
  }
  endedCountOfJob(key: JobKey): number {
    const job = this.#byJob.get(jobKeyText(key))
    return job === undefined ? 0 : job.tasks.size - job.active.size
  }
  *endedTasks(): Iterable<TaskRow> {
    for (const id of this.#ended.ids()) {
      const task = this.#tasks.get(id)
      if (task !== undefined) yield task.row
    }
  }
  tasksOnHost(host: string): readonly TaskRow[] {
    return rowsOf(this.#byHost.get(host))
  }
  statusCount(status: TaskStatus): number {
    return this.#byStatus.get(status)?.size ?? 0
  }
  *tasksByStatus(status: TaskStatus): Iterable<TaskRow> {
    for (const id of this.#byStatus.get(status) ?? []) {
      const task = this.#tasks.get(id)
      if (task !== undefined) yield task.row
    }
  }
  jobKeys(): readonly JobKey[] {
    this.#jobKeysSorted ??= this.#directory.jobKeys()
    return this.#jobKeysSorted
  }
  jobKeysFrom(text: string): Iterable<JobKey> {
    return this.#directory.jobKeysFrom(text)
  }
  rolesFrom(name: string): Iterable<RoleCounts> {
    return this.#directory.rolesFrom(name)
  }
  get names(): Names {
    return this.#directory
  }
  get counts(): LedgerView['counts'] {
    return {
      tasks: this.#tasks.size,
      jobs: this.#jobs.size,
      agents: this.#agents.size,
      configs: this.#configs.size,
    }
  }

  // ---- Details ----

  #table(table: OtherTable): Map<string, Rows[TableName]> {
    switch (table) {
      case 'config':
        return this.#configs as Map<string, Rows[TableName]>
      case 'job':
        return this.#jobs as Map<string, Rows[TableName]>
      case 'agent':
        return this.#agents as Map<string, Rows[TableName]>
      case 'request':
        return this.#requests as Map<string, Rows[TableName]>
      case 'meta':
        return this.#metas as Map<string, Rows[TableName]>
      case 'update':
        return this.#updates as Map<string, Rows[TableName]>
      case 'updateEvent':
        return this.#updateEvents as Map<string, Rows[TableName]>
      case 'quota':
        return this.#quotas as Map<string, Rows[TableName]>
    }
  }

  #unindex(change: RowChange, before: Rows[TableName] | undefined): void {
    if (change.table === 'task') {
      const stored = before === undefined ? undefined : this.#tasks.get(change.key)
      if (stored === undefined) return
      const next = change.type === 'put' ? change.row : undefined
      if (next === undefined || !samePlace(stored.row, next)) this.#unindexTask(stored)
      else if (!sameIndices(stored.row, next)) this.#leaveIndices(stored, next)
      return
    }
    if (change.table === 'job' && before !== undefined) this.#useConfig((before as JobRow).configId, -1)
  }

  #write(change: RowChange, before: Rows[TableName] | undefined): void {
    if (change.table === 'task') return this.#writeTask(change, before as TaskRow | undefined)
    const table = this.#table(change.table)
    if (change.type === 'put') table.set(change.key, change.row)
    else table.delete(change.key)
    if (change.table === 'job') {
      this.#jobsSorted = null
      this.#indexJob(change, before as JobRow | undefined)
      if (change.type === 'put') this.#useConfig(change.row.configId, 1)
    } else if (change.table === 'agent') {
      this.#agentsSorted = null
      if (change.type === 'put') this.#directory.putAgent(change.row, before as AgentRow | undefined)
      else this.#directory.deleteAgent(before as AgentRow)
    } else if (change.table === 'updateEvent') {
      this.#indexUpdateEvent(change, before as UpdateEventRow | undefined)
    } else if (change.table === 'update') {
      const job = change.type === 'put' ? change.row.job : (before as UpdateRow | undefined)?.job
      if (job !== undefined) keep(this.#updatesOfJob, jobKeyText(job), change.key, change.type === 'put')
    }
  }

  #writeTask(change: RowChange & { table: 'task' }, before: TaskRow | undefined): void {
    if (change.type === 'delete') {
      this.#tasks.delete(change.key)
      this.#directory.deleteTask(before!.taskId)
      return
    }
    const { row } = change
    const stored = this.#tasks.get(change.key)
    if (stored === undefined) this.#directory.addTask(row.taskId)
    if (stored === undefined || !samePlace(stored.row, row)) {
      // Not `change.key`: read from bytes that would be another copy of the same text, and of a million of them.
      this.#tasks.set(row.taskId, this.#indexTask(row))
      return
    }
    const old = stored.row
    stored.row = row
    if (!sameIndices(old, row)) this.#enterIndices(stored, old)
  }

  /** A key is known while it has a job row or tasks. */
  #indexJob(change: RowChange & { table: 'job' }, before: JobRow | undefined): void {
    const after = change.type === 'put' ? change.row : undefined
    const key = (after ?? before)!.key
    if (!this.#byJob.has(change.key)) {
      if (before === undefined) this.#keyAppears(change.key, key)
      if (after === undefined) this.#keyDisappears(change.key, key)
    }
    const [had, has] = [before?.cron !== undefined, after?.cron !== undefined]
    if (had !== has) this.#directory.count(key.role, 'cronJobs', has ? 1 : -1)
  }

  #keyAppears(text: string, key: JobKey): void {
    this.#directory.addJob(text, key)
    this.#jobKeysSorted = null
  }
  #keyDisappears(text: string, key: JobKey): void {
    this.#directory.deleteJob(text, key)
    this.#jobKeysSorted = null
  }

  #indexUpdateEvent(change: RowChange & { table: 'updateEvent' }, before: UpdateEventRow | undefined): void {
    const update = change.type === 'put' ? change.row.update : before?.update
    if (update === undefined) return
    keep(this.#eventsOfUpdate, update, change.key, change.type === 'put')
  }

  #indexTask(task: TaskRow): StoredTask {
    const text = jobKeyText(task.job)
    let job = this.#byJob.get(text)
    if (job === undefined) {
      job = noTasks(task.job, text)
      this.#byJob.set(text, job)
      if (!this.#jobs.has(text)) this.#keyAppears(text, task.job)
      this.#directory.count(task.job.role, 'jobsWithTasks', 1)
    }
    const stored: StoredTask = { row: task, job }
    job.tasks.add(stored)
    job.pageOrder = null
    if (ACTIVE.has(task.status)) this.#takeSlot(stored)
    count(job, task.status)
    if (task.agentId !== undefined && HOST_ASSIGNED.has(task.status)) this.#byAgent.add(task.agentId, stored)
    this.#byStatus.get(task.status)?.add(task.taskId)
    if (task.host !== undefined) this.#byHost.add(task.host, stored)
    if (isTerminal(task.status)) this.#ended.add(task.taskId, sinceMs(task))
    this.#useConfig(task.configId, 1)
    return stored
  }

  #takeSlot(stored: StoredTask): void {
    const { row, job } = stored
    const holder = job.active.get(row.instance)
    const isFree = holder === undefined || this.#isLoading
    assert(isFree, 'an instance has at most one active task', { holder: holder?.row.taskId, task: row.taskId })
    job.active.set(row.instance, stored)
  }

  #unindexTask(stored: StoredTask): void {
    const { row: task, job } = stored
    if (job.active.get(task.instance) === stored) job.active.delete(task.instance)
    uncount(job, task)
    job.tasks.delete(stored)
    job.pageOrder = null
    if (job.tasks.size === 0) {
      this.#byJob.delete(job.text)
      if (!this.#jobs.has(job.text)) this.#keyDisappears(job.text, task.job)
      this.#directory.count(task.job.role, 'jobsWithTasks', -1)
    }
    if (task.agentId !== undefined) this.#byAgent.delete(task.agentId, stored)
    this.#byStatus.get(task.status)?.delete(task.taskId)
    if (task.host !== undefined) this.#byHost.delete(task.host, stored)
    this.#ended.delete(task.taskId)
    this.#useConfig(task.configId, -1)
  }

  /**
   * Of a task that stays where it is in its job, which is what nearly every transition of one does: it leaves what it
   * will not be in, and nothing else. Together with `#enterIndices` the same as to take it out and put it in again.
   */
  #leaveIndices(stored: StoredTask, next: TaskRow): void {
    const { row: old, job } = stored
    if (!ACTIVE.has(next.status) && job.active.get(old.instance) === stored) job.active.delete(old.instance)
    if (old.status !== next.status) {
      uncount(job, old)
      this.#byStatus.get(old.status)?.delete(old.taskId)
    }
    if (old.agentId !== undefined && (old.agentId !== next.agentId || !HOST_ASSIGNED.has(next.status)))
      this.#byAgent.delete(old.agentId, stored)
    if (old.host !== undefined && old.host !== next.host) this.#byHost.delete(old.host, stored)
    if (isTerminal(old.status)) this.#ended.delete(old.taskId)
    if (old.configId !== next.configId) this.#useConfig(old.configId, -1)
  }

  /** `stored` has its new row. */
  #enterIndices(stored: StoredTask, old: TaskRow): void {
    const { row: next, job } = stored
    const { taskId, status } = next
    if (ACTIVE.has(status) && job.active.get(next.instance) !== stored) this.#takeSlot(stored)
    if (old.status !== status) {
      count(job, status)
      this.#byStatus.get(status)?.add(taskId)
    }
    const isOn = next.agentId !== undefined && HOST_ASSIGNED.has(status)
    if (isOn && !(old.agentId === next.agentId && HOST_ASSIGNED.has(old.status)))
      this.#byAgent.add(next.agentId, stored)
    if (next.host !== undefined && old.host !== next.host) this.#byHost.add(next.host, stored)
    if (isTerminal(status)) this.#ended.add(taskId, sinceMs(next))
    if (old.configId !== next.configId) this.#useConfig(next.configId, 1)
  }

  #useConfig(id: ConfigId, by: 1 | -1): void {
    const uses = (this.#configUses.get(id) ?? 0) + by
    assert(uses >= 0, 'a configuration is not used less than never', { config: id })
    if (uses === 0) this.#configUses.delete(id)
    else this.#configUses.set(id, uses)
  }
}

const NO_COUNTS: ReadonlyMap<TaskStatus, number> = new Map()

/** Tables whose rows are kept as they are. */
type OtherTable = Exclude<TableName, 'task'>

/** Puts the member into the set of that name, or takes it out; no set is kept empty. */
function keep(sets: Map<string, Set<string>>, name: string, member: string, isMember: boolean): void {
  if (isMember) add(sets, name, member)
  else drop(sets, name, member)
}

function add(sets: Map<string, Set<string>>, name: string, member: string): void {
  const set = sets.get(name)
  if (set === undefined) sets.set(name, new Set([member]))
  else set.add(member)
}

function drop(sets: Map<string, Set<string>>, name: string, member: string): void {
  const set = sets.get(name)
  set?.delete(member)
  if (set?.size === 0) sets.delete(name)
}

/** True when a change from one row to the other, of the same place, leaves every index as it is. */
function sameIndices(a: TaskRow, b: TaskRow): boolean {
  return (
    a.status === b.status &&
    a.agentId === b.agentId &&
    a.host === b.host &&
    a.configId === b.configId &&
    (!isTerminal(a.status) || sinceMs(a) === sinceMs(b))
  )
}

/** True when both are of the same instance of the same job. */
function samePlace(a: TaskRow, b: TaskRow): boolean {
  return a.instance === b.instance && (a.job === b.job || jobKeyText(a.job) === jobKeyText(b.job))
}

function byInstanceNewestFirst(a: TaskRow, b: TaskRow): number {
  return a.instance - b.instance || newest(b) - newest(a) || compareIds(a.taskId, b.taskId)
}
const newest = (task: TaskRow): number => task.events[task.events.length - 1]?.atMs ?? 0

function sortedValues<V>(map: ReadonlyMap<string, V>): V[] {
  return [...map.entries()].sort(([a], [b]) => compareIds(a, b)).map(([, value]) => value)
}
