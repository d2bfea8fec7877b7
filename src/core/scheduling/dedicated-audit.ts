/**
 * The guard's own table of dedicated machines, kept apart from the offer book on purpose: a placement passes two
 * checks that share only the rule. Its version rises whenever any machine's dedicated values change, so that a round
 * decided under the present version needs no second look. It also knows which running tasks the rule would refuse
 * today, because their machine became dedicated (or ceased to be) under them; those are reported, never touched.
 */
import type { AgentId, ConfigId, TaskId } from '../base/ids.ts'
import type { AgentRow, TaskRow } from '../ledger/rows.ts'
import type { RowChange } from '../ledger/transaction.ts'
import type { LedgerView } from '../ledger/view.ts'
import { HOST_ASSIGNED } from '../task/status.ts'
import { dedicatedValues, dedicatedVeto } from './dedicated.ts'

export interface Misplaced {
  readonly taskId: TaskId
  readonly agentId: AgentId
  readonly host: string
  /** The veto it would meet today. */
  readonly reason: string
}

export interface Pair {
  readonly taskId: TaskId
  readonly configId: ConfigId
  readonly agentId: AgentId
}

export class DedicatedAudit {
  readonly #view: LedgerView
  /** Dedicated machines only. */
  readonly #values = new Map<AgentId, readonly string[]>()
  readonly #misplaced = new Map<TaskId, Misplaced>()
  #version = 1

  constructor(view: LedgerView) {
    this.#view = view
    for (const agent of view.agents()) {
      const values = dedicatedValues(agent.attributes)
      if (values !== undefined) this.#values.set(agent.agentId, values)
    }
  }

  get version(): number {
    return this.#version
  }
  get dedicatedCount(): number {
    return this.#values.size
  }
  get misplacedCount(): number {
    return this.#misplaced.size
  }

  /** By task id's time of discovery. */
  misplaced(): readonly Misplaced[] {
    return [...this.#misplaced.values()]
  }

  /** Tasks that must not go where a round put them, in the order given. */
  vet(version: number, pairs: readonly Pair[]): readonly TaskId[] {
    if (version === this.#version) return []
    return pairs.filter(pair => this.#vetoOf(pair.configId, pair.agentId) !== null).map(pair => pair.taskId)
  }

  apply(change: RowChange, before: unknown): void {
    const after = change.type === 'put' ? change.row : undefined
    if (change.table === 'agent') this.#applyAgent(change.key as AgentId, after as AgentRow | undefined)
    else if (change.table === 'task') this.#applyTask(before as TaskRow | undefined, after as TaskRow | undefined)
  }

  /** Looks at everything that is bound to the agent; answers how many tasks that was. */
  auditAgent(agentId: AgentId): number {
    const tasks = this.#view.tasksOnAgent(agentId)
    for (const task of tasks) this.#auditTask(task)
    return tasks.length
  }

  #vetoOf(configId: ConfigId, agentId: AgentId): string | null {
    const config = this.#view.config(configId)
    return config === undefined ? null : dedicatedVeto(this.#values.get(agentId), config.constraints)
  }

  #applyAgent(agentId: AgentId, row: AgentRow | undefined): void {
    const values = row === undefined ? undefined : dedicatedValues(row.attributes)
    if (JSON.stringify(values) === JSON.stringify(this.#values.get(agentId))) return
    if (values === undefined) this.#values.delete(agentId)
    else this.#values.set(agentId, values)
    this.#version++
    this.auditAgent(agentId)
  }

  #applyTask(before: TaskRow | undefined, after: TaskRow | undefined): void {
    if (after !== undefined && HOST_ASSIGNED.has(after.status)) {
      if (before?.agentId !== after.agentId || !HOST_ASSIGNED.has(before?.status ?? 'PENDING')) this.#auditTask(after)
    } else {
      this.#misplaced.delete((after ?? before)!.taskId)
    }
  }

  #auditTask({ taskId, configId, agentId, host }: TaskRow): void {
    if (agentId === undefined) return
    const reason = this.#vetoOf(configId, agentId)
    if (reason === null) this.#misplaced.delete(taskId)
    else this.#misplaced.set(taskId, { taskId, agentId, host: host ?? '', reason })
  }
}
