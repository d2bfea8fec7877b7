/**
 * Tasks that could make way, by the agent they run on, kept up to date change by change. For each agent the sum of what
 * all preemptible ones take is known, so that most hosts are ruled out without a look at their tasks.
 *
 * A victim is a task that lives on its machine: what is dying already frees its room anyway, and what is partitioned
 * cannot be asked to go.
 */
import { type AgentId, jobKeyText, type TaskId } from '../base/ids.ts'
import type { Instant } from '../base/time.ts'
import type { Tier } from '../job/tiers.ts'
import type { TaskRow } from '../ledger/rows.ts'
import type { RowChange } from '../ledger/transaction.ts'
import type { LedgerView } from '../ledger/view.ts'
import { NEED_KINDS, type Needs } from '../offers/needs.ts'
import type { Ask } from '../scheduling/ask.ts'
import type { TaskStatus } from '../task/status.ts'
import type { Standing } from './eligibility.ts'

export interface Victim extends Standing {
  readonly taskId: TaskId
  /** Text of the job's key. */
  readonly job: string
  readonly status: TaskStatus
  readonly needs: Needs
  readonly isRevocable: boolean
  /** Wall ms. */
  readonly runningSinceMs: Instant
}

export interface HostVictims {
  readonly agentId: AgentId
  readonly tasks: ReadonlyMap<TaskId, Victim>
  /** What the preemptible ones take together; lent cores do not count. */
  readonly preemptible: Needs
  /** Roles that have tasks here, with their number. */
  readonly roles: ReadonlyMap<string, number>
}
interface OwnHostVictims extends HostVictims {
  readonly tasks: Map<TaskId, Victim>
  readonly preemptible: { -readonly [K in keyof Needs]: Needs[K] }
  readonly roles: Map<string, number>
}

const LIVE: ReadonlySet<TaskStatus> = new Set(['ASSIGNED', 'STARTING', 'RUNNING'])

export class VictimIndex {
  readonly #view: LedgerView
  readonly #askOf: (task: TaskRow) => Ask | null
  readonly #tiers: Readonly<Record<string, Tier>>
  readonly #byAgent = new Map<AgentId, OwnHostVictims>()
  readonly #agentOf = new Map<TaskId, AgentId>()

  /** `askOf`: null when the configuration is not stored any more. Begins with what the view has now. */
  constructor(view: LedgerView, askOf: (task: TaskRow) => Ask | null, tiers: Readonly<Record<string, Tier>>) {
    this.#view = view
    this.#askOf = askOf
    this.#tiers = tiers
    for (const status of LIVE) for (const task of view.tasksByStatus(status)) this.#add(task)
  }

  get size(): number {
    return this.#agentOf.size
  }

  on(agentId: AgentId): HostVictims | undefined {
    return this.#byAgent.get(agentId)
  }

  apply(change: RowChange): void {
    if (change.table !== 'task') return
    this.#remove(change.key as TaskId)
    if (change.type === 'put' && LIVE.has(change.row.status)) this.#add(change.row)
  }

  /** How a task of this configuration stands against others. */
  standingOf(config: {
    readonly job: { readonly role: string }
    readonly priority: number
    readonly tier: string
  }): Standing {
    return {
      role: config.job.role,
      priority: config.priority,
      isPreemptible: this.#tiers[config.tier]?.preemptible ?? false,
    }
  }

  #add(task: TaskRow): void {
    const { agentId, taskId } = task
    const config = this.#view.config(task.configId)
    const ask = this.#askOf(task)
    if (agentId === undefined || config === undefined || ask === null) return
    const victim: Victim = {
      ...this.standingOf(config),
      taskId,
      job: jobKeyText(task.job),
      status: task.status,
      needs: ask.needs,
      isRevocable: ask.isRevocable,
      runningSinceMs: task.events.find(event => event.status === 'RUNNING')?.atMs ?? task.events.at(-1)?.atMs ?? 0,
    }
    const host = this.#hostOf(agentId)
    host.tasks.set(taskId, victim)
    host.roles.set(victim.role, (host.roles.get(victim.role) ?? 0) + 1)
    this.#agentOf.set(taskId, agentId)
    this.#sum(host, victim, 1)
  }

  #remove(taskId: TaskId): void {
    const agentId = this.#agentOf.get(taskId)
    const host = agentId === undefined ? undefined : this.#byAgent.get(agentId)
    const victim = host?.tasks.get(taskId)
    if (agentId === undefined || host === undefined || victim === undefined) return
    this.#agentOf.delete(taskId)
    host.tasks.delete(taskId)
    const left = (host.roles.get(victim.role) ?? 1) - 1
    if (left > 0) host.roles.set(victim.role, left)
    else host.roles.delete(victim.role)
    this.#sum(host, victim, -1)
    if (host.tasks.size === 0) this.#byAgent.delete(agentId)
  }

  #hostOf(agentId: AgentId): OwnHostVictims {
    const known = this.#byAgent.get(agentId)
    if (known !== undefined) return known
    const preemptible = { cpusMilli: 0, ramMb: 0, diskMb: 0, ports: 0, gpus: 0 }
    const host: OwnHostVictims = { agentId, tasks: new Map(), preemptible, roles: new Map() }
    this.#byAgent.set(agentId, host)
    return host
  }

  #sum(host: OwnHostVictims, { needs, isRevocable, isPreemptible }: Victim, sign: 1 | -1): void {
    if (!isPreemptible) return
    for (const { type } of NEED_KINDS) {
      if (type === 'cpusMilli' && isRevocable) continue
      host.preemptible[type] += sign * needs[type]
    }
  }
}
