/**
 * A task as the tables and their indices hold it. An index leads to it without its id: to look up an id among a million
 * costs eight or so reads of memory that no cache has, and a list would do it for every task that it shows.
 */
import { assert } from '../base/assert.ts'
import type { InstanceId, JobKey } from '../base/ids.ts'
import type { TaskStatus } from '../task/status.ts'
import type { TaskRow } from './rows.ts'

/** The same object for as long as the task stays in its place; its row is replaced with each change. */
export interface StoredTask {
  row: TaskRow
  readonly job: JobTasks
}

export interface JobTasks {
  readonly key: JobKey
  /** Of `key`. */
  readonly text: string
  readonly tasks: Set<StoredTask>
  /** By instance, the task that holds its slot. */
  readonly active: Map<InstanceId, StoredTask>
  /** How many of `tasks`; none is 0. */
  readonly byStatus: Map<TaskStatus, number>
  /** All of `tasks` by (instance, id), or null until it is asked for again. */
  pageOrder: readonly StoredTask[] | null
}

export function noTasks(key: JobKey, text: string): JobTasks {
  return { key, text, tasks: new Set(), active: new Map(), byStatus: new Map(), pageOrder: null }
}

/** One task more of the status. */
export function count(job: JobTasks, status: TaskStatus): void {
  job.byStatus.set(status, (job.byStatus.get(status) ?? 0) + 1)
}

/** One task fewer of its status. */
export function uncount(job: JobTasks, task: TaskRow): void {
  const others = (job.byStatus.get(task.status) ?? 0) - 1
  assert(others >= 0, 'tasks of a job are counted by status', { task: task.taskId })
  if (others > 0) job.byStatus.set(task.status, others)
  else job.byStatus.delete(task.status)
}

export function rowsOf(stored: Iterable<StoredTask> | undefined): TaskRow[] {
  const rows: TaskRow[] = []
  for (const { row } of stored ?? []) rows.push(row)
  return rows
}

/** The rows of stored tasks by id, as other tables have theirs. */
export class TaskRows implements ReadonlyMap<string, TaskRow> {
  readonly #stored: ReadonlyMap<string, StoredTask>

  constructor(stored: ReadonlyMap<string, StoredTask>) {
    this.#stored = stored
  }

  get size(): number {
    return this.#stored.size
  }
  get(id: string): TaskRow | undefined {
    return this.#stored.get(id)?.row
  }
  has(id: string): boolean {
    return this.#stored.has(id)
  }
  keys(): MapIterator<string> {
    return this.#stored.keys()
  }
  *values(): MapIterator<TaskRow> {
    for (const { row } of this.#stored.values()) yield row
  }
  *entries(): MapIterator<[string, TaskRow]> {
    for (const [id, { row }] of this.#stored) yield [id, row]
  }
  [Symbol.iterator](): MapIterator<[string, TaskRow]> {
    return this.entries()
  }
  forEach(visit: (row: TaskRow, id: string, rows: ReadonlyMap<string, TaskRow>) => void): void {
    for (const [id, { row }] of this.#stored) visit(row, id, this)
  }
}
