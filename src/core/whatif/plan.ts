/**
 * What would happen if machines were drained or lost, or jobs were created or changed: a trial on a copy of the state as
 * it is, with the very matcher and the very preemption that placement uses. Nothing is written anywhere.
 *
 * The order is that of placement: the highest priority first, of equal ones the group that has waited longest. Victims of
 * preemption are placed again after everybody else. The same state and the same seed give the same plan.
 *
 * The work is cut into steps of a few milliseconds; state that changes between them shows in the plan as it is read.
 */
import {
  type AgentId,
  type ConfigId,
  compareIds,
  type InstanceId,
  type JobKey,
  jobKeyText,
  type TaskId,
  taskId,
} from '../base/ids.ts'
import { type Prng, prng } from '../base/prng.ts'
import type { Instant } from '../base/time.ts'
import type { JobConfiguration, Resources } from '../job/task-config.ts'
import type { Tier } from '../job/tiers.ts'
import type { TaskRow } from '../ledger/rows.ts'
import type { LedgerView } from '../ledger/view.ts'
import type { OfferOrder } from '../offers/candidate-order.ts'
import { SlotSearch } from '../preempt/slot-search.ts'
import { VictimIndex } from '../preempt/victim-index.ts'
import { everyHostPlan } from '../scheduling/every-host.ts'
import { Matcher } from '../scheduling/matcher.ts'
import { HOST_ASSIGNED } from '../task/status.ts'
import { OverlayView } from './overlay-view.ts'

export interface WhatIf {
  /** Agents whose hosts are drained: nothing new there, and what runs there has to move. */
  readonly drain: ReadonlySet<AgentId>
  /** Agents that are gone with everything on them. */
  readonly lose: ReadonlySet<AgentId>
  /**
   * Jobs as they are to be; admitted. A job that exists is changed to it, any other is made. Of a job with one instance on
   * every host there are as many as the hosts of the trial allow, whatever its count says.
   */
  readonly apply: readonly { readonly job: JobConfiguration; readonly configId: ConfigId }[]
}

export interface PlanOptions {
  readonly view: LedgerView
  readonly isConnected: (id: AgentId) => boolean
  readonly overhead: Resources
  readonly tiers: Readonly<Record<string, Tier>>
  readonly offerOrder: readonly OfferOrder[]
  readonly unavailabilityThresholdMs: number
  readonly isPreemptionEnabled: boolean
  readonly tasksPerJobMax: number
  readonly nowMs: Instant
  readonly seed: number
}

export interface PlannedJob {
  readonly key: JobKey
  /** Tasks that looked for a place in the trial: new ones, displaced ones, those that waited already. */
  readonly asked: number
  readonly displaced: number
  readonly placed: readonly { readonly instance: number; readonly host: string }[]
  readonly pending: readonly number[]
  /** Why they stay pending; empty when none does. */
  readonly reasons: readonly string[]
  readonly details: readonly string[]
}

export interface Plan {
  readonly seed: number
  readonly hosts: { readonly connected: number; readonly drained: number; readonly lost: number }
  /** By key; only jobs of which a task looked for a place. */
  readonly jobs: readonly PlannedJob[]
  readonly preempted: readonly {
    readonly key: JobKey
    readonly instance: number
    readonly host: string
    readonly inFavorOf: JobKey
  }[]
}

const AGENTS_PER_STEP = 50
const TASKS_PER_MATCH = 512

export function* plan(what: WhatIf, options: PlanOptions): Generator<undefined, Plan> {
  const trial = new Trial(what, options)
  yield* trial.prepare()
  yield* trial.place(trial.waiting())
  if (options.isPreemptionEnabled) yield* trial.preempt()
  return trial.outcome()
}

interface Asking {
  readonly configId: ConfigId
  readonly key: JobKey
  readonly priority: number
  sinceMs: Instant
  readonly taskIds: TaskId[]
}

class Trial {
  readonly #what: WhatIf
  readonly #options: PlanOptions
  readonly #view: OverlayView
  readonly #matcher: Matcher
  readonly #random: Prng
  /** Tasks that look for a place, by id; true: displaced from one. */
  readonly #asking = new Map<TaskId, boolean>()
  readonly #preempted: Plan['preempted'][number][] = []
  #newIds = 0

  constructor(what: WhatIf, options: PlanOptions) {
    this.#what = what
    this.#options = options
    this.#view = new OverlayView(options.view)
    this.#random = prng(options.seed)
    const { overhead, tiers, offerOrder, unavailabilityThresholdMs } = options
    const random = this.#random
    this.#matcher = new Matcher({ view: this.#view, overhead, tiers, offerOrder, unavailabilityThresholdMs, random })
  }

  /** The cluster as it would be, with nobody placed yet. */
  *prepare(): Generator<undefined, void> {
    const { view, isConnected } = this.#options
    const { drain, lose } = this.#what
    for (const id of [...drain, ...lose]) {
      for (const task of view.tasksOnAgent(id)) this.#displace(task)
      yield undefined
    }
    for (const { job, configId } of this.#what.apply) this.#end(job, configId)
    let n = 0
    for (const row of view.agents()) {
      if (lose.has(row.agentId) || !isConnected(row.agentId)) continue
      if (drain.has(row.agentId)) this.#view.putAgent({ ...row, mode: 'DRAINING' })
      this.#matcher.agentUp(row.agentId)
      if (++n % AGENTS_PER_STEP === 0) yield undefined
    }
    for (const { job, configId } of this.#what.apply) this.#make(job, configId)
    // What is held back for a while would be let go in time; the trial has none, so it looks for a place now.
    for (const task of [...this.#view.tasksByStatus('THROTTLED')]) this.#view.putTask({ ...task, status: 'PENDING' })
    for (const task of this.#view.tasksByStatus('PENDING'))
      if (!this.#asking.has(task.taskId)) this.#asking.set(task.taskId, false)
  }

  /** What looks for a place now, in the order of placement. */
  waiting(): readonly Asking[] {
    const groups = new Map<ConfigId, Asking>()
    for (const id of this.#asking.keys()) {
      const task = this.#view.task(id)
      const config = task === undefined ? undefined : this.#view.config(task.configId)
      if (task === undefined || config === undefined || HOST_ASSIGNED.has(task.status)) continue
      const sinceMs = task.events.at(-1)?.atMs ?? this.#options.nowMs
      const { configId, job: key } = task
      const group = groups.get(configId) ?? { configId, key, priority: config.priority, sinceMs, taskIds: [] }
      groups.set(configId, group)
      group.sinceMs = Math.min(group.sinceMs, sinceMs)
      group.taskIds.push(id)
    }
    return [...groups.values()].sort(
      (a, b) => b.priority - a.priority || a.sinceMs - b.sinceMs || compareIds(a.configId, b.configId),
    )
  }

  *place(groups: readonly Asking[]): Generator<undefined, void> {
    for (const { configId, taskIds } of groups) {
      const isGang = this.#view.config(configId)?.gang !== undefined
      const most = isGang ? taskIds.length : TASKS_PER_MATCH
      for (let at = 0; at < taskIds.length; at += most) {
        this.#match(configId, taskIds.slice(at, at + most))
        yield undefined
      }
    }
  }

  /** For those that are left over; their victims look for a place at the end. */
  *preempt(): Generator<undefined, void> {
    const left = this.waiting()
    if (left.length === 0) return
    const { tiers, nowMs } = this.#options
    const matcher = this.#matcher
    const victims = new VictimIndex(
      this.#view,
      task => (this.#view.config(task.configId) === undefined ? null : matcher.askOf(task.configId)),
      tiers,
    )
    const search = new SlotSearch(matcher, victims, this.#view)
    yield undefined
    for (const { configId, key, taskIds } of left) {
      const count = Math.min(taskIds.length, TASKS_PER_MATCH)
      const { slots } = search.search({ configId, count, nowMs, seed: this.#random.int(0, 2 ** 32) })
      yield undefined
      if (slots.length === 0) continue
      for (const slot of slots) {
        for (const victim of slot.victims) {
          const task = this.#view.task(victim.taskId)
          if (task === undefined || !HOST_ASSIGNED.has(task.status)) continue
          this.#preempted.push({ key: task.job, instance: task.instance, host: slot.host, inFavorOf: key })
          const { change, before } = this.#displace(task)
          matcher.apply(change, before)
          victims.apply(change)
        }
      }
      for (const { change } of this.#match(configId, taskIds)) victims.apply(change)
    }
    yield* this.place(this.waiting())
  }

  outcome(): Plan {
    const jobs = new Map<string, { key: JobKey; tasks: TaskRow[]; displaced: number }>()
    for (const [id, isDisplaced] of this.#asking) {
      const task = this.#view.task(id)
      if (task === undefined) continue
      const text = jobKeyText(task.job)
      const job = jobs.get(text) ?? { key: task.job, tasks: [], displaced: 0 }
      jobs.set(text, job)
      job.tasks.push(task)
      if (isDisplaced) job.displaced++
    }
    const { drain, lose } = this.#what
    return {
      seed: this.#options.seed,
      hosts: { connected: this.#matcher.book.connectedCount, drained: drain.size, lost: lose.size },
      jobs: [...jobs.entries()]
        .sort(([a], [b]) => compareIds(a, b))
        .map(([, { key, tasks, displaced }]) => this.#plannedJob(key, tasks, displaced)),
      preempted: this.#preempted,
    }
  }

  #plannedJob(key: JobKey, tasks: readonly TaskRow[], displaced: number): PlannedJob {
    const sorted = tasks.toSorted((a, b) => a.instance - b.instance)
    const pending = sorted.filter(task => !HOST_ASSIGNED.has(task.status))
    const why = pending[0] === undefined ? null : this.#matcher.reasonsOf(pending[0].configId)
    return {
      key,
      asked: tasks.length,
      displaced,
      placed: sorted
        .filter(task => HOST_ASSIGNED.has(task.status))
        .map(({ instance, host = '?' }) => ({ instance, host })),
      pending: pending.map(({ instance }) => instance),
      reasons: why?.reasons ?? [],
      details: why?.details ?? [],
    }
  }

  #match(configId: ConfigId, taskIds: readonly TaskId[]): ReturnType<OverlayView['putTask']>[] {
    const { placed } = this.#matcher.match({ configId, taskIds }, this.#options.nowMs, this.#random.int(0, 2 ** 32))
    return placed.map(({ taskId: id, agentId, host, ports }) => {
      const row = this.#view.task(id)!
      const put = this.#view.putTask({ ...row, status: 'ASSIGNED', agentId, host, ports })
      this.#matcher.apply(put.change, put.before)
      return put
    })
  }

  /** It has to look for another place. A job with one instance on every host has lost one host, and nothing moves. */
  #displace(task: TaskRow): ReturnType<OverlayView['putTask']> {
    const { agentId: _, host: __, placement: ___, ...rest } = task
    const isBound = this.#view.config(task.configId)?.everyHost === true
    if (!isBound) this.#asking.set(task.taskId, true)
    return this.#view.putTask({ ...rest, ports: {}, status: isBound ? 'KILLED' : 'PENDING' })
  }

  /** What the changed job has no use for. Before any agent is up, so the matcher has not seen what ends here. */
  #end({ key, instanceCount, task: config }: JobConfiguration, configId: ConfigId): void {
    this.#view.putConfig(configId, config)
    for (const task of this.#view.activeTasksOfJob(key)) {
      if (task.configId === configId && (config.everyHost === true || task.instance < instanceCount)) continue
      this.#asking.delete(task.taskId)
      this.#view.putTask({ ...task, status: 'KILLED' })
    }
  }

  /** What it lacks beside the tasks that were left to it. After the agents are up: on which of them it may be is known. */
  #make(job: JobConfiguration, configId: ConfigId): void {
    const { key } = job
    for (const instance of this.#lacking(job)) {
      const id = taskId(`what-if-${++this.#newIds}`)
      this.#asking.set(id, false)
      this.#view.putTask({
        v: 1,
        taskId: id,
        job: key,
        instance,
        configId,
        status: 'PENDING',
        version: 1,
        ports: {},
        failureCount: 0,
        timesPartitioned: 0,
        agentSeq: 0,
        events: [{ atMs: this.#options.nowMs, status: 'PENDING', scheduler: 'what-if' }],
      })
    }
  }

  #lacking({ key, instanceCount, task: config }: JobConfiguration): readonly InstanceId[] {
    const left = this.#view.activeTasksOfJob(key)
    if (config.everyHost === true) {
      const { nowMs, tasksPerJobMax } = this.#options
      return everyHostPlan(this.#matcher.allowedHosts(config.constraints, nowMs), left, tasksPerJobMax).insert
    }
    const taken = new Set(left.map(task => task.instance))
    return Array.from({ length: instanceCount }, (_, instance) => instance).filter(instance => !taken.has(instance))
  }
}
