/**
 * Whether a change of a job or of a quota may be, as far as quotas go. A role without a quota has none of anything.
 * Checked when a change is asked for, never when a task is placed. Texts are Aurora's, word for word; need, have and
 * short of every type stand beside them.
 */
import { type Fault, type Rejection, rejected } from '../base/rejection.ts'
import type { TaskConfig } from '../job/task-config.ts'
import type { JobRow, Quota } from '../ledger/rows.ts'
import type { LedgerView } from '../ledger/view.ts'
import { type Bag, bagText, EMPTY, limitedKinds, minus, plus, QUOTA_KINDS, times } from './bag.ts'
import { type JobChange, poolOf, type RoleUse } from './role-use.ts'

export const NO_QUOTA: Quota = { cpusMilli: 0, ramMb: 0, diskMb: 0 }

export class QuotaCheck {
  readonly #view: LedgerView
  readonly #use: RoleUse

  constructor(view: LedgerView, use: RoleUse) {
    this.#view = view
    this.#use = use
  }

  quotaOf(role: string): Quota {
    return this.#view.quota(role)?.quota ?? NO_QUOTA
  }

  /** So many more instances of a configuration, of a job that is new or grows. */
  addFault(role: string, config: TaskConfig, added: number): Rejection | null {
    if (poolOf(config) !== 'prodShared') return null
    return this.#fault(role, this.#use.of(role).prodShared, times(config.resources, added))
  }

  /**
   * An update that is to begin, of a job that is there or is not. One that only takes instances away is always allowed.
   * `beside`: what is planned with it.
   */
  updateFault(update: JobChange, beside: Bag = EMPTY): Rejection | null {
    const { role } = update.job
    if (update.desired === undefined || poolOf(update.desired.config) !== 'prodShared') return null
    const used = this.#use.of(role).prodShared
    return this.#fault(role, plus(used, beside), minus(this.#use.of(role, update).prodShared, used))
  }

  /** A template that is new, or takes the place of another: that one's share is free then, if it was counted (D4). */
  cronFault(role: string, config: TaskConfig, instances: number, replaced: JobRow | undefined): Rejection | null {
    if (poolOf(config) !== 'prodShared') return null
    const added = times(config.resources, instances)
    const old = replaced?.cron === undefined ? undefined : this.#view.config(replaced.configId)
    const freed =
      old !== undefined && replaced !== undefined && poolOf(old) === 'prodShared'
        ? times(old.resources, replaced.instanceCount)
        : EMPTY
    return this.#fault(role, this.#use.of(role).prodShared, plus(added, times(freed, -1)))
  }

  /** What is to be added. Of GPUs nothing can be added to a quota that does not count them: that would take away. */
  increaseFault(role: string, by: Quota): Rejection | null {
    if (by.gpus === undefined || this.quotaOf(role).gpus !== undefined) return null
    return rejected('INVALID_REQUEST', `The quota of ${role} does not limit GPUs, so none can be added to it`, {
      remedy: `To limit them: daybreak quota set CLUSTER/${role} CPU RAM DISK --gpu N.`,
    })
  }

  /** A quota that is to be set. */
  setFault(role: string, quota: Quota): Rejection | null {
    if (QUOTA_KINDS.some(({ type }) => (quota[type] ?? 0) < 0)) {
      return rejected('INVALID_REQUEST', `Negative values in: ${bagText(quota)}`, {
        remedy: 'Amounts are zero or more.',
      })
    }
    const tooLarge = QUOTA_KINDS.filter(({ type }) => !Number.isSafeInteger(quota[type] ?? 0))
    if (tooLarge.length > 0) {
      const labels = tooLarge.map(({ label }) => label).join(', ')
      return rejected('INVALID_REQUEST', `Quota: ${labels} of ${role} would be more than can be counted`, {
        remedy: `Set it anew: daybreak quota set CLUSTER/${role} CPU RAM DISK.`,
      })
    }
    const used = this.#use.of(role).prodShared
    const limited = limitedKinds(quota)
    if (limited.every(({ type }) => (quota[type] ?? 0) >= used[type])) return null
    const { gpus: _, ...counted } = used
    const reserved = quota.gpus === undefined ? counted : used
    const detail = `Quota: ${bagText(quota)} is less then current prod reservation: ${bagText(reserved)}`
    return rejected('INVALID_REQUEST', detail, {
      remedy: 'Set at least what production of the role uses now, or end some of it first.',
    })
  }

  #fault(role: string, used: Bag, added: Bag): Rejection | null {
    const quota = this.quotaOf(role)
    const needed = plus(used, added)
    const short = limitedKinds(quota).filter(({ type }) => needed[type] > (quota[type] ?? 0))
    if (short.length === 0) return null
    const exceeded = short.map(({ type, label, unit, scale }) => {
      return `${label} quota exceeded by ${((needed[type] - (quota[type] ?? 0)) * scale).toFixed(2)} ${unit}`
    })
    const faults = short.map(({ type, label, unit, scale }): Fault => {
      const amount = (n: number): string => `${Math.round(n * scale * 1000) / 1000} ${unit}`
      const have = quota[type] ?? 0
      return {
        path: 'task.resources',
        text: `${label}: production of ${role} uses ${amount(used[type])}, this adds ${amount(added[type])}; the quota is ${amount(have)}, so ${amount(needed[type] - have)} too little`,
      }
    })
    const isUnset = this.#view.quota(role) === undefined
    return rejected('QUOTA_EXCEEDED', `Insufficient resource quota: ${exceeded.join('; ')}`, {
      faults,
      remedy: isUnset
        ? `The role ${role} has no quota. Whoever runs the cluster gives it one: daybreak quota set CLUSTER/${role} CPU RAM DISK; or choose a tier that is not production (preemptible).`
        : `Ask for less, end other production jobs of ${role}, or have its quota raised: daybreak quota increase CLUSTER/${role} CPU RAM DISK.`,
    })
  }
}
