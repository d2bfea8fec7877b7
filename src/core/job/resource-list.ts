/**
 * Amounts as Aurora's clients send them: a list in which each entry has a type, one entry for each port. From it come the
 * amounts and ports of a task, or a quota; a type that is missing counts as 0, and admission says what must not be 0.
 *
 * Units: CPUS in cores (rounded to thousandths), RAM_MB and DISK_MB in MB, GPUS whole; the value of PORTS is a name.
 * Source: the scheduling spec, section 2, section 11 (first paragraph) and T12 of section 12.
 */
import { compareIds } from '../base/ids.ts'
import { type Rejection, rejected } from '../base/rejection.ts'
import type { Quota } from '../ledger/rows.ts'
import type { Resources } from './task-config.ts'

type Amount = 'CPUS' | 'RAM_MB' | 'DISK_MB' | 'GPUS'
export type ListedResource =
  | { readonly type: Amount; readonly value: number }
  | { readonly type: 'PORTS'; readonly value: string }

const DISPLAY: Readonly<Record<Amount, string>> = { CPUS: 'CPU', RAM_MB: 'RAM', DISK_MB: 'disk', GPUS: 'GPU' }

export interface TaskResources {
  readonly type: 'resources'
  readonly resources: Resources
  /** Names, in the order of the list. */
  readonly ports: readonly string[]
}

/** Refuses a second value of anything but ports. */
export function taskResources(list: readonly ListedResource[]): TaskResources | Rejection {
  const repeated = repeatedTypes(list)
  if (repeated.length > 0) {
    const names = repeated.map(type => DISPLAY[type]).sort(compareIds)
    return rejected('INVALID_REQUEST', `Multiple resource values are not supported for ${names.join(', ')}`, {
      remedy: 'Give each of them once; only ports are named one by one.',
    })
  }
  const ports = list.flatMap(entry => (entry.type === 'PORTS' ? [entry.value] : []))
  return { type: 'resources', resources: amountsOf(list), ports }
}

export interface QuotaResources {
  readonly type: 'quota'
  readonly quota: Quota
}

/** CPUS, RAM_MB and DISK_MB once each; GPUS may stand beside them (D17). */
export function quotaResources(list: readonly ListedResource[]): QuotaResources | Rejection {
  const types = new Set<string>(list.map(({ type }) => type))
  const isWhole = QUOTA_TYPES.every(type => types.delete(type))
  const hasGpus = types.delete('GPUS')
  if (isWhole && types.size === 0) {
    if (repeatedTypes(list).length > 0) return rejected('INVALID_REQUEST', 'Too many resource values in quota.')
    const { cpusMilli, ramMb, diskMb, gpus } = amountsOf(list)
    return { type: 'quota', quota: { cpusMilli, ramMb, diskMb, ...(hasGpus ? { gpus } : {}) } }
  }
  return rejected('INVALID_REQUEST', `Quota resources must be exactly: [${QUOTA_TYPES.join(', ')}]`)
}
const QUOTA_TYPES = ['CPUS', 'RAM_MB', 'DISK_MB'] as const satisfies readonly Amount[]

function repeatedTypes(list: readonly ListedResource[]): Amount[] {
  const types = list.flatMap(({ type }) => (type === 'PORTS' ? [] : [type]))
  return [...new Set(types.filter((type, at) => types.indexOf(type) !== at))]
}

function amountsOf(list: readonly ListedResource[]): Resources {
  const amount = (type: Amount): number => {
    const found = list.find(entry => entry.type === type)
    return found === undefined || found.type === 'PORTS' ? 0 : found.value
  }
  return {
    cpusMilli: Math.round(amount('CPUS') * 1000),
    ramMb: amount('RAM_MB'),
    diskMb: amount('DISK_MB'),
    gpus: amount('GPUS'),
  }
}
