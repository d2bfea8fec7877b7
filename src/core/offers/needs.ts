/**
 * Amounts of what a host has and a task takes, one integer per type, in the order in which people see them. A port
 * counts 1. Source: the scheduling spec, section 2.
 */
import type { Resources, TaskConfig } from '../job/task-config.ts'

/** Units: thousandths of a core, MB of 2^20 bytes, MB, ports, whole GPUs. Amounts may be negative where a host is overcommitted. */
export interface Needs {
  readonly cpusMilli: number
  readonly ramMb: number
  readonly diskMb: number
  readonly ports: number
  readonly gpus: number
}

export type NeedType = keyof Needs

export interface NeedKind {
  readonly type: NeedType
  /** As in `Insufficient: CPU`. */
  readonly label: string
  readonly unit: string
  /** Units shown to people per unit counted here. */
  readonly scale: number
  /** A shortage of this many shown units scores 1000. */
  readonly vetoRange: number
}

export const NEED_KINDS: readonly NeedKind[] = [
  { type: 'cpusMilli', label: 'CPU', unit: 'core(s)', scale: 1 / 1000, vetoRange: 16 },
  { type: 'ramMb', label: 'RAM', unit: 'MB', scale: 1, vetoRange: 24_576 },
  { type: 'diskMb', label: 'disk', unit: 'MB', scale: 1, vetoRange: 460_800 },
  { type: 'ports', label: 'ports', unit: 'port(s)', scale: 1, vetoRange: 1000 },
  { type: 'gpus', label: 'GPU', unit: 'core(s)', scale: 1, vetoRange: 4 },
]

/** What the executor takes beside every task. It lives inside the agent, so it is small. */
export const EXECUTOR_OVERHEAD_DEFAULT: Resources = { cpusMilli: 10, ramMb: 8, diskMb: 0, gpus: 0 }

/** What one task of this configuration takes from its host, executor included. */
export function needsOf(config: Pick<TaskConfig, 'resources' | 'ports'>, overhead: Resources): Needs {
  return {
    cpusMilli: config.resources.cpusMilli + overhead.cpusMilli,
    ramMb: config.resources.ramMb + overhead.ramMb,
    diskMb: config.resources.diskMb + overhead.diskMb,
    ports: config.ports.length,
    gpus: config.resources.gpus + overhead.gpus,
  }
}

/** How many tasks of these needs fit, at most `most`. Types that are not asked for do not matter. */
export function timesFitting(free: Needs, needs: Needs, most: number): number {
  let times = most
  for (const { type } of NEED_KINDS) {
    const asked = needs[type]
    if (asked <= 0) continue
    if (free[type] < asked) return 0
    times = Math.min(times, Math.floor(free[type] / asked))
  }
  return times
}

/** `1.5 core(s)`, `256 MB`. */
export function shown(kind: NeedKind, amount: number): string {
  return `${Math.round(amount * kind.scale * 1000) / 1000} ${kind.unit}`
}
