/**
 * What each role uses, in four pools: production or not, on shared or on dedicated machines. Only what production takes
 * of shared machines is limited; the rest is told.
 *
 * Kept up to date change by change: the sum of all active tasks of a role, and beneath it how many of each configuration
 * a job has. An answer begins with the sum and looks only at the jobs that count otherwise than by their tasks, so it does
 * not cost by the tasks of the role, nor by its jobs; only a job that is being updated is looked at instance by instance.
 *
 * - A job that is being updated counts, type by type, as the larger of what it was and what it is to be: whichever way
 *   the update goes, there is room. Each side counts in the pool that it is of.
 * - A template counts as the larger of one run of it and of what runs; what runs counts by its own configuration, so that
 *   a template that changes its pool does not make running tasks vanish (D4).
 * Source: the scheduling spec, section 11.
 */
import { type ConfigId, type JobKey, jobKeyText } from '../base/ids.ts'
import type { TaskConfig } from '../job/task-config.ts'
import type { JobRow, Rows, TableName, TaskRow, UpdatePart, UpdateRow } from '../ledger/rows.ts'
import type { RowChange } from '../ledger/transaction.ts'
import type { LedgerView } from '../ledger/view.ts'
import { DEDICATED } from '../scheduling/dedicated.ts'
import { ACTIVE } from '../task/status.ts'
import { isEnded, updateKey, updateState } from '../update/update-status.ts'
import { type Bag, EMPTY, minus, most, plus, times } from './bag.ts'

export type Pool = 'prodShared' | 'prodDedicated' | 'nonProdShared' | 'nonProdDedicated'
export type Pools = Readonly<Record<Pool, Bag>>

const NO_POOLS: Pools = { prodShared: EMPTY, prodDedicated: EMPTY, nonProdShared: EMPTY, nonProdDedicated: EMPTY }
export const POOLS = Object.keys(NO_POOLS) as readonly Pool[]

export function poolOf({ production, constraints }: Pick<TaskConfig, 'production' | 'constraints'>): Pool {
  const isDedicated = constraints.some(({ name }) => name === DEDICATED)
  if (production) return isDedicated ? 'prodDedicated' : 'prodShared'
  return isDedicated ? 'nonProdDedicated' : 'nonProdShared'
}

/** Active tasks of one configuration. */
interface Share {
  readonly pool: Pool
  readonly each: Bag
  count: number
}
/** Shares of a job by configuration; none has a count of 0. */
type JobUse = Map<ConfigId, Share>

/** What an update changes, whether it is stored or only thought of. */
export type JobChange = Pick<UpdateRow, 'job' | 'initial' | 'desired'>

interface Role {
  /** By text of the job's key; none is empty. */
  readonly jobs: Map<string, JobUse>
  readonly sum: Record<Pool, Bag>
}

export class RoleUse {
  readonly #view: LedgerView
  readonly #roles = new Map<string, Role>()
  /** By role, then by text of the job's key. */
  readonly #templates = new Map<string, Map<string, JobRow>>()
  /** Keys of updates under way, by role. */
  readonly #updates = new Map<string, Set<string>>()

  constructor(view: LedgerView) {
    this.#view = view
    this.#countAll(view.tasks())
    for (const job of view.jobs()) this.#noteTemplate(job)
    for (const update of view.rows('update').values()) this.#noteUpdate(update)
  }

  /** One change of the ledger, with the row as it was. The view may be ahead of it. */
  apply(change: RowChange, before: Rows[TableName] | undefined): void {
    switch (change.table) {
      case 'task': {
        const was = before as TaskRow | undefined
        const is = change.type === 'put' ? change.row : undefined
        if (was !== undefined && is !== undefined && isSameUse(was, is)) return
        if (was !== undefined && ACTIVE.has(was.status)) this.#count(was, -1)
        if (is !== undefined && ACTIVE.has(is.status)) this.#count(is, 1)
        return
      }
      case 'job': {
        const was = before as JobRow | undefined
        if (was !== undefined) removeFrom(this.#templates, was.key.role, change.key)
        if (change.type === 'put') this.#noteTemplate(change.row)
        return
      }
      case 'update':
        if (change.type === 'put') this.#noteUpdate(change.row)
        else if (before !== undefined) removeFrom(this.#updates, (before as UpdateRow).job.role, change.key)
        return
      case 'updateEvent': {
        const key = change.type === 'put' ? change.row.update : (before as { update: string } | undefined)?.update
        const update = key === undefined ? undefined : this.#view.rows('update').get(key)
        if (update !== undefined) this.#noteUpdate(update)
        return
      }
      default:
    }
  }

  /** Roles that use anything, or have updates or templates. */
  roles(): ReadonlySet<string> {
    return new Set([...this.#roles.keys(), ...this.#templates.keys(), ...this.#updates.keys()])
  }

  /** What the active tasks of a role take as they are, whatever is planned for them. */
  active(role: string): Pools {
    return { ...(this.#roles.get(role)?.sum ?? NO_POOLS) }
  }

  /** What is charged to a role. `planned`: an update that is not stored yet, counted as if it were under way. */
  of(role: string, planned?: JobChange): Pools {
    const { jobs, sum: running } = this.#roles.get(role) ?? { jobs: new Map<string, JobUse>(), sum: NO_POOLS }
    const sum: Record<Pool, Bag> = { ...running }
    const templates = this.#templates.get(role) ?? new Map<string, JobRow>()
    for (const [text, template] of templates) {
      const config = this.#view.config(template.configId)
      const run = { ...NO_POOLS }
      if (config !== undefined) run[poolOf(config)] = times(config.resources, template.instanceCount)
      const active = useOf(jobs.get(text))
      for (const pool of POOLS) sum[pool] = plus(sum[pool], minus(most(active[pool], run[pool]), active[pool]))
    }
    for (const [text, update] of this.#updatesOf(role, planned)) {
      addAll(sum, updateUse(update))
      if (templates.has(text)) continue
      const job = jobs.get(text)
      if (job === undefined) continue
      const active = useOf(job)
      const beside = this.#useBeside(job, update)
      for (const pool of POOLS) sum[pool] = plus(sum[pool], minus(beside[pool], active[pool]))
    }
    return sum
  }

  #updatesOf(role: string, planned: JobChange | undefined): ReadonlyMap<string, JobChange> {
    const updates = new Map<string, JobChange>()
    for (const key of this.#updates.get(role) ?? []) {
      const update = this.#view.rows('update').get(key)
      if (update !== undefined) updates.set(jobKeyText(update.job), update)
    }
    if (planned !== undefined) updates.set(jobKeyText(planned.job), planned)
    return updates
  }

  /** Of the job's active tasks, what those take that the update is not about. */
  #useBeside(job: JobUse, { job: key, initial, desired }: JobChange): Pools {
    const ranges = [...initial, ...(desired === undefined ? [] : [desired])].flatMap(part => part.instances)
    const beside: JobUse = new Map()
    for (const { instance, configId } of this.#view.activeTasksOfJob(key)) {
      if (ranges.some(([from, to]) => instance >= from && instance <= to)) continue
      const share = job.get(configId)
      if (share === undefined) continue
      const count = (beside.get(configId)?.count ?? 0) + 1
      beside.set(configId, { ...share, count })
    }
    return useOf(beside)
  }

  /** Tasks of one configuration mostly follow each other, and are counted together. */
  #countAll(tasks: Iterable<TaskRow>): void {
    let alike: TaskRow | null = null
    let count = 0
    for (const task of tasks) {
      if (!ACTIVE.has(task.status)) continue
      if (alike !== null && (alike.configId !== task.configId || !isSameJob(alike.job, task.job))) {
        this.#count(alike, count)
        count = 0
      }
      alike = task
      count++
    }
    if (alike !== null) this.#count(alike, count)
  }

  #count({ job, configId }: TaskRow, by: number): void {
    const role = this.#roles.get(job.role) ?? { jobs: new Map<string, JobUse>(), sum: { ...NO_POOLS } }
    const text = jobKeyText(job)
    const use: JobUse = role.jobs.get(text) ?? new Map()
    const share = use.get(configId) ?? this.#shareOf(configId)
    // Counted and gone before it was looked at, its configuration with it: it takes nothing now.
    if (share === null) return
    share.count += by
    if (share.count === 0) use.delete(configId)
    else use.set(configId, share)
    if (use.size === 0) role.jobs.delete(text)
    else role.jobs.set(text, use)
    role.sum[share.pool] = plus(role.sum[share.pool], times(share.each, by))
    if (role.jobs.size === 0) this.#roles.delete(job.role)
    else this.#roles.set(job.role, role)
  }

  #shareOf(configId: ConfigId): Share | null {
    const config = this.#view.config(configId)
    return config === undefined ? null : { pool: poolOf(config), each: config.resources, count: 0 }
  }

  #noteTemplate(job: JobRow): void {
    if (job.cron === undefined) return
    const ofRole = this.#templates.get(job.key.role) ?? new Map<string, JobRow>()
    this.#templates.set(job.key.role, ofRole.set(jobKeyText(job.key), job))
  }

  #noteUpdate(update: UpdateRow): void {
    const { role } = update.job
    const key = updateKey(update.job, update.updateId)
    const state = updateState(this.#view.updateEvents(key))
    if (state === null || isEnded(state.status)) return removeFrom(this.#updates, role, key)
    this.#updates.set(role, (this.#updates.get(role) ?? new Set<string>()).add(key))
  }
}

function removeFrom(kept: Map<string, Map<string, unknown> | Set<string>>, role: string, key: string): void {
  const ofRole = kept.get(role)
  ofRole?.delete(key)
  if (ofRole?.size === 0) kept.delete(role)
}

function useOf(job: JobUse | undefined): Pools {
  const sum: Record<Pool, Bag> = { ...NO_POOLS }
  for (const { pool, each, count } of job?.values() ?? []) sum[pool] = plus(sum[pool], times(each, count))
  return sum
}

function updateUse(change: JobChange): Pools {
  const { before, after } = sidesOf(change)
  const sum: Record<Pool, Bag> = { ...NO_POOLS }
  for (const pool of POOLS) sum[pool] = most(before[pool], after[pool])
  return sum
}

/** What a change takes away and what it puts there. */
export function sidesOf({ initial, desired }: Omit<JobChange, 'job'>): {
  readonly before: Pools
  readonly after: Pools
} {
  const before: Record<Pool, Bag> = { ...NO_POOLS }
  for (const part of initial) addPart(before, part)
  const after: Record<Pool, Bag> = { ...NO_POOLS }
  if (desired !== undefined) addPart(after, desired)
  return { before, after }
}

function addPart(sum: Record<Pool, Bag>, { config, instances }: UpdatePart): void {
  let count = 0
  for (const [from, to] of instances) count += to - from + 1
  const pool = poolOf(config)
  sum[pool] = plus(sum[pool], times(config.resources, count))
}

function addAll(sum: Record<Pool, Bag>, more: Pools): void {
  for (const pool of POOLS) sum[pool] = plus(sum[pool], more[pool])
}

function isSameJob(a: JobKey, b: JobKey): boolean {
  return a === b || (a.name === b.name && a.environment === b.environment && a.role === b.role)
}

function isSameUse(a: TaskRow, b: TaskRow): boolean {
  return a.configId === b.configId && ACTIVE.has(a.status) === ACTIVE.has(b.status)
}
