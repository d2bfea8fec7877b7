import type { AgentId, ConfigId, InstanceId, JobKey, TaskId } from '../base/ids.ts'
import type { TaskConfig } from '../job/task-config.ts'
import type { TaskStatus } from '../task/status.ts'
import type { Names, RoleCounts } from './directory.ts'
import type {
  AgentRow,
  JobRow,
  MetaRow,
  QuotaRow,
  RequestRow,
  Rows,
  TableName,
  TaskRow,
  UpdateEventRow,
  UpdateRow,
} from './rows.ts'

/**
 * The state of the cluster as this node sees it, staged changes included on the leader. Plain synchronous reads for
 * actors of the same thread; nobody changes what they are given. Lists are views made on the call: take what you need
 * before the next message.
 */
export interface LedgerView {
  task(id: TaskId): TaskRow | undefined
  config(id: ConfigId): TaskConfig | undefined
  job(key: JobKey): JobRow | undefined
  agent(id: AgentId): AgentRow | undefined
  request(id: string): RequestRow | undefined
  meta(name: string): MetaRow | undefined
  quota(role: string): QuotaRow | undefined
  /** All rows of a table by key, in any order: for those who look at a table as a whole. */
  rows<T extends TableName>(table: T): ReadonlyMap<string, Rows[T]>
  /** All that are stored, ended ones too, in any order. */
  updatesOfJob(key: JobKey): readonly UpdateRow[]
  /** Of the update of that key, in any order. */
  updateEvents(update: string): readonly UpdateEventRow[]

  /** In key order of `role/env/name`. */
  jobs(): Iterable<JobRow>
  agents(): Iterable<AgentRow>
  /** Any order. */
  tasks(): Iterable<TaskRow>
  /** All tasks of a job, terminal ones too, by (instance, newest event first). */
  tasksOfJob(key: JobKey): readonly TaskRow[]
  /** All tasks of a job by (instance, id): an order in which a task never moves. */
  tasksInPageOrder(key: JobKey): readonly TaskRow[]
  /** How many of its tasks, history included, are in each status; those in none are not there. */
  statusCountsOfJob(key: JobKey): ReadonlyMap<TaskStatus, number>
  /** Terminal ones of the job. */
  endedCountOfJob(key: JobKey): number
  /** Terminal tasks, the one that ended first in front. Change nothing while reading. */
  endedTasks(): Iterable<TaskRow>
  /** The task that holds the instance's slot: at most one is active. */
  activeTask(key: JobKey, instance: InstanceId): TaskRow | undefined
  activeTasksOfJob(key: JobKey): readonly TaskRow[]
  /** Host-assigned tasks (not terminal) bound to the agent. */
  tasksOnAgent(id: AgentId): readonly TaskRow[]
  /** Everything that was ever placed on a machine of that name and is still stored, terminal ones too; any order. */
  tasksOnHost(host: string): readonly TaskRow[]
  tasksByStatus(status: TaskStatus): Iterable<TaskRow>
  statusCount(status: TaskStatus): number
  /** Every job key that has tasks or a job row, in order. All of them are written out: rather ask for `jobKeysFrom`. */
  jobKeys(): readonly JobKey[]
  /** The same, from the first whose `role/env/name` is not before `text` on. Change nothing while reading. */
  jobKeysFrom(text: string): Iterable<JobKey>
  /** Roles with a job or a task, by name, from the first that is not before `name` on. Change nothing while reading. */
  rolesFrom(name: string): Iterable<RoleCounts>
  readonly names: Names
  readonly counts: { readonly tasks: number; readonly jobs: number; readonly agents: number; readonly configs: number }
}
