/** By what a node admits jobs when it leads: its config, its tiers, and what Aurora ships with for the rest. */
import { ADMISSION_SETTINGS, type AdmissionSettings } from '../core/job/admission.ts'
import type { Resources } from '../core/job/task-config.ts'
import type { Tiers } from '../core/job/tiers.ts'
import type { NodeConfig } from './config.ts'

export function admissionOf(config: Pick<NodeConfig, 'scheduler' | 'executor'>, tiers: Tiers): AdmissionSettings {
  const { scheduler, executor } = config
  return {
    ...ADMISSION_SETTINGS,
    ...tiers,
    allowGpus: scheduler.allowGpus,
    allowedEnvironments: scheduler.allowedEnvironments,
    tasksPerJobMax: scheduler.maxTasksPerJob,
    executorOverhead: executorOverheadOf(executor),
  }
}

const MIB = 2 ** 20

/** What each task takes beside its own. */
export function executorOverheadOf(executor: NodeConfig['executor']): Resources {
  return { cpusMilli: executor.overheadCpus, ramMb: Math.ceil(executor.overheadRam / MIB), diskMb: 0, gpus: 0 }
}
