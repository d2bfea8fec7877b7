/**
 * What this machine has to offer and how it is doing. On a machine that a cgroup limits, the smaller limit counts.
 * Reserves for everything else that runs: RAM max(1 GiB, 5 %), disk 5 GiB. Source: the agent spec, section 17.
 */
import { readFileSync, statfsSync } from 'node:fs'
import { cpus, freemem, loadavg, totalmem } from 'node:os'
import type { MachineOffer, Vitals } from '../../actors/agent-ports.ts'
import type { Resources } from '../../core/job/task-config.ts'

const MB = 1024 * 1024
const RAM_RESERVE_MB = 1024
const DISK_RESERVE_MB = 5 * 1024
export const PORT_RANGES: MachineOffer['portRanges'] = [[31_000, 32_000]]

export interface MachineFacts {
  readonly cpus: number
  /** Cores that a cgroup allows; null: no limit. */
  readonly cpuLimit: number | null
  readonly ramBytes: number
  readonly ramLimitBytes: number | null
  readonly diskBytes: number
}

export function machineFacts(workDir: string): MachineFacts {
  const disk = statfsSync(workDir)
  const [quota, period] = (readLine('/sys/fs/cgroup/cpu.max') ?? 'max').split(' ')
  return {
    cpus: cpus().length,
    cpuLimit: quota === 'max' || quota === undefined ? null : positive(Number(quota) / Number(period ?? 100_000)),
    ramBytes: totalmem(),
    ramLimitBytes: positive(Number(readLine('/sys/fs/cgroup/memory.max') ?? Number.NaN)),
    diskBytes: disk.blocks * disk.bsize,
  }
}

/** The name that the system was given when it was installed; without one, the kernel's for this boot. */
export function machineId(): string {
  return readLine('/etc/machine-id') || (readLine('/proc/sys/kernel/random/boot_id') ?? '')
}

/** What to offer: whatever is not overridden, from the facts. Never negative. */
export function offeredResources(facts: MachineFacts, overrides: Partial<Resources> = {}): Resources {
  const ramMb = Math.floor(Math.min(facts.ramBytes, facts.ramLimitBytes ?? Number.POSITIVE_INFINITY) / MB)
  const diskMb = Math.floor(facts.diskBytes / MB)
  const cores = Math.min(facts.cpus, facts.cpuLimit ?? Number.POSITIVE_INFINITY)
  return {
    cpusMilli: overrides.cpusMilli ?? Math.floor(cores * 1000),
    ramMb: overrides.ramMb ?? Math.max(0, ramMb - Math.max(RAM_RESERVE_MB, Math.ceil(ramMb * 0.05))),
    diskMb: overrides.diskMb ?? Math.max(0, diskMb - DISK_RESERVE_MB),
    gpus: overrides.gpus ?? 0,
  }
}

export function machineVitals(workDir: string): Vitals {
  const disk = statfsSync(workDir)
  const used = disk.blocks - disk.bfree
  return {
    load1: loadavg()[0] ?? 0,
    freeRamMb: Math.floor(freemem() / MB),
    freeDiskMb: Math.floor((disk.bavail * disk.bsize) / MB),
    // As df shows it: what only root may use counts neither as used nor as free.
    diskUsedFraction: used + disk.bavail === 0 ? 0 : used / (used + disk.bavail),
  }
}

function readLine(path: string): string | null {
  try {
    return readFileSync(path, 'utf8').trim()
  } catch {
    return null // no such controller or file here
  }
}

function positive(value: number): number | null {
  return Number.isFinite(value) && value > 0 ? value : null
}
