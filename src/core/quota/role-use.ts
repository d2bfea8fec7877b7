/**
 * What each role uses, in four pools: production or not, on shared or on dedicated machines. Only what production takes
 * of shared machines is limited; the rest is told.
 *
 * Kept up to date change by change as numbers of active tasks by job and configuration, so that an answer costs by the
 * jobs of the role and not by its tasks; only jobs that are being updated are looked at instance by instance.
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
import { type Bag, EMPTY, most, plus, times } from './bag.ts'

export type Pool = 'prodShared' | 'prodDedicated' | 'nonProdShared' | 'nonProdDedicated'
export type Pools = Readonly<Record<Pool, Bag>>

const NO_POOLS: Pools = { prodShared: EMPTY, prodDedicated: EMPTY, nonProdShared: EMPTY, nonProdDedicated: EMPTY }
export const POOLS = Object.keys(NO_POOLS) as readonly Pool[]

export function poolOf({ production, constraints }: Pick<TaskConfig, 'production' | 'constraints'>): Pool {
  const isDedicated = constraints.some(({ name }) => name === DEDICATED)
  if (production) return isDedicated ? 'prodDedicated' : 'prodShared'
  return isDedicated ? 'nonProdDedicated' : 'nonProdShared'
}

interface JobUse {
  readonly key: JobKey
  /** Active tasks by configuration. */
  readonly counts: Map<ConfigId, number>
}

export class RoleUse {
  readonly #view: LedgerView
  /** By role, then by text of the job's key. */
  readonly #jobs = new Map<string, Map<string, JobUse>>()
  readonly #templates = new Map<string, Map<string, JobRow>>()
  /** Keys of updates under way, by role. */
  readonly #updates = new Map<string, Set<string>>()

  constructor(view: LedgerView) {
    this.#view = view
    for (const task of view.tasks()) if (ACTIVE.has(task.status)) this.#count(task, 1)
    for (const job of view.jobs()) this.#noteTemplate(job)
    for (const update of view.rows('update').values()) this.#noteUpdate(update)
  }

  /** One change of the ledger, with the row as it was. */
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
      case 'job':
        if (before !== undefined) this.#templates.get((before as JobRow).key.role)?.delete(change.key)
        if (change.type === 'put') this.#noteTemplate(change.row)
        return
      case 'update':
        if (change.type === 'put') this.#noteUpdate(change.row)
        else if (before !== undefined) this.#updates.get((before as UpdateRow).job.role)?.delete(change.key)
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
    return new Set([...this.#jobs.keys(), ...this.#templates.keys(), ...this.#updates.keys()])
  }

  /** `planned`: an update that is not stored yet, counted as if it were under way. */
  of(role: string, planned?: UpdateRow): Pools {
    const sum: Record<Pool, Bag> = { ...NO_POOLS }
    const updates = new Map<string, UpdateRow>()
    for (const key of this.#updates.get(role) ?? []) {
      const update = this.#view.rows('update').get(key)
      if (update !== undefined) updates.set(jobKeyText(update.job), update)
    }
    if (planned !== undefined) updates.set(jobKeyText(planned.job), planned)
    const templates = this.#templates.get(role)

    for (const [text, use] of this.#jobs.get(role) ?? []) {
      if (templates?.has(text)) continue
      const update = updates.get(text)
      const counts = update === undefined ? use.counts : this.#countsBeside(use.key, update)
      addAll(sum, this.#useOf(counts))
    }
    for (const update of updates.values()) addAll(sum, updateUse(update))
    for (const [text, template] of templates ?? []) {
      const running = this.#useOf(this.#jobs.get(role)?.get(text)?.counts ?? new Map())
      const config = this.#view.config(template.configId)
      const planned = { ...NO_POOLS }
      if (config !== undefined) planned[poolOf(config)] = times(config.resources, template.instanceCount)
      for (const pool of POOLS) sum[pool] = plus(sum[pool], most(running[pool], planned[pool]))
    }
    return sum
  }

  /** Of the job's active tasks, those that the update is not about. */
  #countsBeside(key: JobKey, { initial, desired }: UpdateRow): ReadonlyMap<ConfigId, number> {
    const ranges = [...initial, ...(desired === undefined ? [] : [desired])].flatMap(part => part.instances)
    const counts = new Map<ConfigId, number>()
    for (const { instance, configId } of this.#view.activeTasksOfJob(key)) {
      if (ranges.some(([from, to]) => instance >= from && instance <= to)) continue
      counts.set(configId, (counts.get(configId) ?? 0) + 1)
    }
    return counts
  }

  #useOf(counts: ReadonlyMap<ConfigId, number>): Pools {
    const sum: Record<Pool, Bag> = { ...NO_POOLS }
    for (const [configId, count] of counts) {
      const config = this.#view.config(configId)
      if (config === undefined) continue
      const pool = poolOf(config)
      sum[pool] = plus(sum[pool], times(config.resources, count))
    }
    return sum
  }

  #count({ job, configId }: TaskRow, by: 1 | -1): void {
    const ofRole = this.#jobs.get(job.role) ?? new Map<string, JobUse>()
    this.#jobs.set(job.role, ofRole)
    const text = jobKeyText(job)
    const use: JobUse = ofRole.get(text) ?? { key: job, counts: new Map() }
    ofRole.set(text, use)
    const count = (use.counts.get(configId) ?? 0) + by
    if (count > 0) use.counts.set(configId, count)
    else use.counts.delete(configId)
    if (use.counts.size === 0) ofRole.delete(text)
    if (ofRole.size === 0) this.#jobs.delete(job.role)
  }

  #noteTemplate(job: JobRow): void {
    if (job.cron === undefined) return
    const ofRole = this.#templates.get(job.key.role) ?? new Map()
    this.#templates.set(job.key.role, ofRole.set(jobKeyText(job.key), job))
  }

  #noteUpdate(update: UpdateRow): void {
    const key = updateKey(update.job, update.updateId)
    const state = updateState(this.#view.updateEvents(key))
    const ofRole = this.#updates.get(update.job.role) ?? new Set()
    if (state !== null && !isEnded(state.status)) ofRole.add(key)
    else ofRole.delete(key)
    if (ofRole.size > 0) this.#updates.set(update.job.role, ofRole)
    else this.#updates.delete(update.job.role)
  }
}

function updateUse({ initial, desired }: UpdateRow): Pools {
  const before: Record<Pool, Bag> = { ...NO_POOLS }
  for (const part of initial) addPart(before, part)
  const after: Record<Pool, Bag> = { ...NO_POOLS }
  if (desired !== undefined) addPart(after, desired)
  const sum: Record<Pool, Bag> = { ...NO_POOLS }
  for (const pool of POOLS) sum[pool] = most(before[pool], after[pool])
  return sum
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

function isSameUse(a: TaskRow, b: TaskRow): boolean {
  return a.configId === b.configId && ACTIVE.has(a.status) === ACTIVE.has(b.status)
}
