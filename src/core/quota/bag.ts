/** Amounts that a quota is about. Ports and what executors take are never counted. */
import type { Resources } from '../job/task-config.ts'
import type { Quota } from '../ledger/rows.ts'

/** Units: thousandths of a core, MB, MB, whole GPUs. */
export type Bag = Resources

export const EMPTY: Bag = { cpusMilli: 0, ramMb: 0, diskMb: 0, gpus: 0 }

export function plus(a: Bag, b: Bag): Bag {
  return {
    cpusMilli: a.cpusMilli + b.cpusMilli,
    ramMb: a.ramMb + b.ramMb,
    diskMb: a.diskMb + b.diskMb,
    gpus: a.gpus + b.gpus,
  }
}

export function minus(a: Bag, b: Bag): Bag {
  return plus(a, times(b, -1))
}

export function times(a: Bag, n: number): Bag {
  return { cpusMilli: a.cpusMilli * n, ramMb: a.ramMb * n, diskMb: a.diskMb * n, gpus: a.gpus * n }
}

/** Type by type: the cores may come from one, the RAM from the other. */
export function most(a: Bag, b: Bag): Bag {
  return {
    cpusMilli: Math.max(a.cpusMilli, b.cpusMilli),
    ramMb: Math.max(a.ramMb, b.ramMb),
    diskMb: Math.max(a.diskMb, b.diskMb),
    gpus: Math.max(a.gpus, b.gpus),
  }
}

interface QuotaKind {
  readonly type: keyof Bag
  readonly label: string
  readonly unit: string
  /** Shown units per unit counted. */
  readonly scale: number
}

export const QUOTA_KINDS: readonly QuotaKind[] = [
  { type: 'cpusMilli', label: 'CPU', unit: 'core(s)', scale: 1 / 1000 },
  { type: 'ramMb', label: 'RAM', unit: 'MB', scale: 1 },
  { type: 'diskMb', label: 'disk', unit: 'MB', scale: 1 },
  { type: 'gpus', label: 'GPU', unit: 'GPU(s)', scale: 1 },
]

/** Types that a quota limits: GPUs only where it says so. */
export function limitedKinds(quota: Quota): readonly QuotaKind[] {
  return QUOTA_KINDS.filter(({ type }) => quota[type] !== undefined)
}

/** `1.5 core(s), 512 MB RAM, 1024 MB disk`. */
export function bagText(bag: Quota): string {
  return limitedKinds(bag)
    .map(({ type, label, unit, scale }) => {
      const amount = Math.round((bag[type] ?? 0) * scale * 1000) / 1000
      return type === 'cpusMilli' ? `${amount} ${unit}` : `${amount} ${unit}${type === 'gpus' ? '' : ` ${label}`}`
    })
    .join(', ')
}
