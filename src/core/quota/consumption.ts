/**
 * What the cluster's tasks take and what roles are granted, as numbers for dashboards under Aurora's names: here every
 * active task counts as it is, and not what updates and templates are charged for.
 * Source: the scheduling spec, section 13.
 */
import type { QuotaRow } from '../ledger/rows.ts'
import { type Bag, EMPTY, plus } from './bag.ts'
import { POOLS, type RoleUse } from './role-use.ts'

export interface Amount {
  readonly name: string
  /** `resource` is cpu_cores, ram_mb or disk_mb. */
  readonly labels: Readonly<Record<string, string>>
  readonly value: number
}

export function consumption(use: RoleUse, quotas: Iterable<QuotaRow>): readonly Amount[] {
  const amounts: Amount[] = []
  const put = (name: string, bag: Bag, role?: string): void => {
    const of = role === undefined ? undefined : { role }
    amounts.push(
      { name, labels: { ...of, resource: 'cpu_cores' }, value: bag.cpusMilli / 1000 },
      { name, labels: { ...of, resource: 'ram_mb' }, value: bag.ramMb },
      { name, labels: { ...of, resource: 'disk_mb' }, value: bag.diskMb },
    )
  }
  let total = EMPTY
  let dedicated = EMPTY
  let quota = EMPTY
  let freePool = EMPTY
  for (const role of [...use.roles()].sort()) {
    const pools = use.active(role)
    const ofRole = POOLS.reduce((sum, pool) => plus(sum, pools[pool]), EMPTY)
    put('resources_per_role', ofRole, role)
    total = plus(total, ofRole)
    dedicated = plus(dedicated, plus(pools.prodDedicated, pools.nonProdDedicated))
    quota = plus(quota, pools.prodShared)
    freePool = plus(freePool, pools.nonProdShared)
  }
  put('resources_total_consumed', total)
  put('resources_dedicated_consumed', dedicated)
  put('resources_quota_consumed', quota)
  put('resources_free_pool_consumed', freePool)
  let allocated = EMPTY
  for (const row of quotas) {
    const granted: Bag = { gpus: 0, ...row.quota }
    put('quota_per_role', granted, row.role)
    allocated = plus(allocated, granted)
  }
  put('resources_allocated_quota', allocated)
  return amounts
}
