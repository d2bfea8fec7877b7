/**
 * The ledger as it would be: the rows that there are, with some of them changed, added or hidden. Nothing is copied but
 * what differs, and nothing of it is ever stored.
 */
import { type AgentId, type ConfigId, type JobKey, jobKeyText, type TaskId } from '../base/ids.ts'
import type { TaskConfig } from '../job/task-config.ts'
import type { AgentRow, TaskRow } from '../ledger/rows.ts'
import type { RowChange } from '../ledger/transaction.ts'
import type { LedgerView } from '../ledger/view.ts'
import { HOST_ASSIGNED, isActive, type TaskStatus } from '../task/status.ts'

/** What placement reads of a ledger. */
export type PlacedView = Pick<
  LedgerView,
  'task' | 'config' | 'agent' | 'tasksOnAgent' | 'activeTasksOfJob' | 'tasksByStatus'
>

export class OverlayView implements PlacedView {
  readonly #base: LedgerView
  readonly #tasks = new Map<TaskId, TaskRow>()
  readonly #configs = new Map<ConfigId, TaskConfig>()
  readonly #agents = new Map<AgentId, AgentRow>()
  readonly #onAgent = new Map<AgentId, Set<TaskId>>()
  readonly #ofJob = new Map<string, Set<TaskId>>()

  constructor(base: LedgerView) {
    this.#base = base
  }

  /** The change as the ledger would tell it, and the row before it. */
  putTask(row: TaskRow): { readonly change: RowChange; readonly before: TaskRow | undefined } {
    const before = this.task(row.taskId)
    const known = this.#tasks.get(row.taskId)
    if (known?.agentId !== undefined) this.#onAgent.get(known.agentId)?.delete(row.taskId)
    this.#tasks.set(row.taskId, row)
    if (row.agentId !== undefined) add(this.#onAgent, row.agentId, row.taskId)
    add(this.#ofJob, jobKeyText(row.job), row.taskId)
    return { change: { type: 'put', table: 'task', key: row.taskId, row }, before }
  }
  putConfig(configId: ConfigId, config: TaskConfig): void {
    this.#configs.set(configId, config)
  }
  putAgent(row: AgentRow): void {
    this.#agents.set(row.agentId, row)
  }

  task(id: TaskId): TaskRow | undefined {
    return this.#tasks.get(id) ?? this.#base.task(id)
  }
  config(id: ConfigId): TaskConfig | undefined {
    return this.#configs.get(id) ?? this.#base.config(id)
  }
  agent(id: AgentId): AgentRow | undefined {
    return this.#agents.get(id) ?? this.#base.agent(id)
  }
  tasksOnAgent(id: AgentId): readonly TaskRow[] {
    const base = this.#base.tasksOnAgent(id).filter(task => !this.#tasks.has(task.taskId))
    const own = this.#rows(this.#onAgent.get(id)).filter(task => HOST_ASSIGNED.has(task.status))
    return own.length === 0 ? base : [...base, ...own]
  }
  activeTasksOfJob(key: JobKey): readonly TaskRow[] {
    const base = this.#base.activeTasksOfJob(key)
    const own = this.#ofJob.get(jobKeyText(key))
    if (own === undefined) return base
    return [
      ...base.filter(task => !this.#tasks.has(task.taskId)),
      ...this.#rows(own).filter(task => isActive(task.status)),
    ]
  }
  *tasksByStatus(status: TaskStatus): Iterable<TaskRow> {
    for (const task of this.#base.tasksByStatus(status)) if (!this.#tasks.has(task.taskId)) yield task
    for (const task of this.#tasks.values()) if (task.status === status) yield task
  }

  #rows(ids: ReadonlySet<TaskId> | undefined): TaskRow[] {
    return [...(ids ?? [])].map(id => this.#tasks.get(id)).filter(row => row !== undefined)
  }
}

function add<K>(index: Map<K, Set<TaskId>>, key: K, id: TaskId): void {
  const known = index.get(key)
  if (known === undefined) index.set(key, new Set([id]))
  else known.add(id)
}
