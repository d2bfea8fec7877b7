/**
 * Task configurations as Aurora's clients write and read them. What they can say and ours cannot hold (containers,
 * fetched files) is refused where it is read, by Aurora's texts. Source: api.thrift; the scheduling spec, section 12.
 */
import { compareIds, type JobKey } from '../../core/base/ids.ts'
import type { Fault } from '../../core/base/rejection.ts'
import type { ForeignFaults } from '../../core/job/admission.ts'
import { type ListedResource, taskResources } from '../../core/job/resource-list.ts'
import type { Constraint, JobConfiguration, Resources, SlaPolicy, TaskConfig } from '../../core/job/task-config.ts'
import type { Quota } from '../../core/ledger/rows.ts'
import type { Struct, Union } from './types.ts'

export type AuroraTaskConfig = Struct<'TaskConfig'>

// ---- written ------------------------------------------------------------------------------------------------------

const whole = new WeakMap<TaskConfig, AuroraTaskConfig>()
const bare = new WeakMap<TaskConfig, AuroraTaskConfig>()

/** The same object for the same configuration. `bare`: without the data of the executor, which is long. */
export function auroraTaskConfig(config: TaskConfig, how: 'whole' | 'bare' = 'whole'): AuroraTaskConfig {
  const known = how === 'whole' ? whole : bare
  let written = known.get(config)
  if (written === undefined) {
    written = writtenConfig(config, how === 'whole')
    known.set(config, written)
  }
  return written
}

function writtenConfig(config: TaskConfig, withData: boolean): AuroraTaskConfig {
  const { executor, partitionPolicy, slaPolicy, taskLinks, contactEmail } = config
  return {
    job: { ...config.job },
    owner: { user: config.owner },
    isService: config.isService,
    priority: config.priority,
    maxTaskFailures: config.maxTaskFailures,
    production: config.production,
    tier: config.tier,
    resources: [
      ...auroraAmounts(config.resources),
      ...config.ports.map((namedPort): Union<'Resource'> => ({ namedPort })),
    ],
    constraints: config.constraints.map(({ name, rule }) => ({
      name,
      constraint:
        rule.type === 'limit'
          ? { limit: { limit: rule.limit } }
          : { value: { negated: rule.negated, values: [...rule.values] } },
    })),
    mesosFetcherUris: [],
    taskLinks: { ...taskLinks },
    ...(contactEmail === undefined ? {} : { contactEmail }),
    executorConfig: { name: executor.name, ...(withData ? { data: executor.data } : {}) },
    metadata: config.metadata.map(({ key, value }) => ({ key, value })),
    ...(partitionPolicy === undefined ? {} : { partitionPolicy: { ...partitionPolicy } }),
    ...(slaPolicy === undefined ? {} : { slaPolicy: writtenPolicy(slaPolicy) }),
    container: { mesos: { volumes: [] } },
  }
}

function writtenPolicy(policy: SlaPolicy): Union<'SlaPolicy'> {
  switch (policy.type) {
    case 'count':
      return { countSlaPolicy: { count: policy.count, durationSecs: policy.durationSecs } }
    case 'percentage':
      return { percentageSlaPolicy: { percentage: policy.percentage, durationSecs: policy.durationSecs } }
    case 'coordinator':
      return { coordinatorSlaPolicy: { coordinatorUrl: policy.coordinatorUrl, statusKey: policy.statusKey } }
  }
}

/** GPUs only where there are any. */
export function auroraAmounts({ cpusMilli, ramMb, diskMb, gpus = 0 }: Quota | Resources): Union<'Resource'>[] {
  const amounts: Union<'Resource'>[] = [{ numCpus: cpusMilli / 1000 }, { ramMb }, { diskMb }]
  if (gpus > 0) amounts.push({ numGpus: gpus })
  return amounts
}

// ---- read ---------------------------------------------------------------------------------------------------------

export interface ReadJob {
  readonly job: JobConfiguration
  /** What was asked for that no configuration can hold; admission puts it in its place among its own faults. */
  readonly foreign: ForeignFaults
}

/** Null where there is no configuration at all. */
export function readJobConfiguration(given: Struct<'JobConfiguration'>): ReadJob | null {
  const { taskConfig } = given
  if (taskConfig === undefined) return null
  const key = readKey(given.key)
  const owner = given.owner?.user ?? taskConfig.owner?.user ?? key.role
  const { task, foreign } = readTaskConfig(taskConfig, owner, key)
  const { cronSchedule, cronCollisionPolicy } = given
  const isCron = cronSchedule !== undefined
  return {
    foreign,
    job: {
      key,
      owner,
      instanceCount: given.instanceCount ?? 0,
      task,
      ...(isCron ? { cronSchedule } : {}),
      ...(isCron && cronCollisionPolicy !== undefined && cronCollisionPolicy !== 'RUN_OVERLAP'
        ? { cronCollisionPolicy }
        : {}),
    },
  }
}

export const readKey = (key: Struct<'JobKey'> | undefined): JobKey => {
  return { role: key?.role ?? '', environment: key?.environment ?? '', name: key?.name ?? '' }
}

export function readTaskConfig(
  given: AuroraTaskConfig,
  owner: string,
  key: JobKey,
): { readonly task: TaskConfig; readonly foreign: ForeignFaults } {
  const listed = taskResources(listedResources(given.resources))
  const { executorConfig, partitionPolicy, slaPolicy, contactEmail } = given
  const links = given.taskLinks ?? {}
  const task: TaskConfig = {
    job: given.job === undefined ? key : readKey(given.job),
    owner,
    isService: given.isService ?? false,
    maxTaskFailures: given.maxTaskFailures ?? 0,
    priority: given.priority ?? 0,
    production: given.production ?? false,
    tier: given.tier ?? '',
    ...(contactEmail === undefined ? {} : { contactEmail }),
    resources: listed.type === 'resources' ? listed.resources : { cpusMilli: 1, ramMb: 1, diskMb: 1, gpus: 0 },
    ports: listed.type === 'resources' ? [...new Set(listed.ports)].sort(compareIds) : [],
    constraints: [...(given.constraints ?? [])].flatMap(readConstraint),
    metadata: [...(given.metadata ?? [])].map(({ key: of = '', value = '' }) => ({ key: of, value })),
    ...(partitionPolicy === undefined
      ? {}
      : {
          partitionPolicy: {
            reschedule: partitionPolicy.reschedule ?? false,
            delaySecs: partitionPolicy.delaySecs ?? 0,
          },
        }),
    ...(slaPolicy === undefined ? {} : readPolicy(slaPolicy)),
    ...(Object.keys(links).length === 0 ? {} : { taskLinks: links }),
    executor: { name: executorConfig?.name ?? '', data: executorConfig?.data ?? '' },
  }
  return { task, foreign: foreignFaults(given, listed.type === 'rejected' ? listed.detail : null) }
}

function readConstraint({ name = '', constraint }: Struct<'Constraint'>): Constraint[] {
  if (constraint?.limit !== undefined) return [{ name, rule: { type: 'limit', limit: constraint.limit.limit ?? 0 } }]
  if (constraint?.value === undefined) return []
  const { negated = false, values = [] } = constraint.value
  return [{ name, rule: { type: 'value', negated, values: [...values] } }]
}

function readPolicy(policy: Union<'SlaPolicy'>): { readonly slaPolicy?: SlaPolicy } {
  const { countSlaPolicy: count, percentageSlaPolicy: percentage, coordinatorSlaPolicy: coordinator } = policy
  if (count !== undefined)
    return { slaPolicy: { type: 'count', count: count.count ?? 0, durationSecs: count.durationSecs ?? 0 } }
  if (percentage !== undefined) {
    const { percentage: part = 0, durationSecs = 0 } = percentage
    return { slaPolicy: { type: 'percentage', percentage: part, durationSecs } }
  }
  if (coordinator === undefined) return {}
  const { coordinatorUrl = '', statusKey = '' } = coordinator
  return { slaPolicy: { type: 'coordinator', coordinatorUrl, statusKey } }
}

export function listedResources(given: Iterable<Union<'Resource'>> | undefined): ListedResource[] {
  return [...(given ?? [])].flatMap((entry): ListedResource[] => {
    if (entry.numCpus !== undefined) return [{ type: 'CPUS', value: entry.numCpus }]
    if (entry.ramMb !== undefined) return [{ type: 'RAM_MB', value: entry.ramMb }]
    if (entry.diskMb !== undefined) return [{ type: 'DISK_MB', value: entry.diskMb }]
    if (entry.numGpus !== undefined) return [{ type: 'GPUS', value: entry.numGpus }]
    return entry.namedPort === undefined ? [] : [{ type: 'PORTS', value: entry.namedPort }]
  })
}

function foreignFaults(given: AuroraTaskConfig, resources: string | null): ForeignFaults {
  const { container, executorConfig, mesosFetcherUris } = given
  const docker = container?.docker
  const mesos = container?.mesos
  const fault = (path: string, text: string): Fault => ({ path, text })
  const faults: { -readonly [K in keyof ForeignFaults]: Fault[] } = {
    executor: [],
    container: [],
    resources: [],
    fetcher: [],
    volumes: [],
  }
  if (executorConfig === undefined && docker === undefined)
    faults.executor.push(fault('task.executor', 'Configuration may not be null.'))
  if (docker !== undefined) {
    const path = 'task.container.docker'
    if ((docker.image ?? '') === '') faults.container.push(fault(path, 'A container must specify an image.'))
    if ((docker.parameters?.length ?? 0) > 0)
      faults.container.push(fault(path, 'This scheduler is configured to disallow Docker parameters.'))
    if (executorConfig === undefined)
      faults.container.push(fault(path, 'This scheduler is configured to require an executor for Docker-based tasks.'))
    faults.container.push(fault(path, 'This scheduler is not configured to allow the container type DOCKER'))
  }
  if (mesos?.image !== undefined) {
    const text = 'This version has no container engine: the processes would run without the image.'
    faults.container.push(fault('task.container.mesos.image', text))
  }
  if (resources !== null) faults.resources.push(fault('task.resources', resources))
  for (const { name = '', constraint } of given.constraints ?? []) {
    if (constraint?.limit !== undefined || constraint?.value !== undefined) continue
    // Left out, its tasks would go where they must not.
    faults.resources.push(fault('task.constraints', `The constraint ${name} is of a kind that is not known here.`))
  }
  if ((mesosFetcherUris?.length ?? 0) > 0)
    faults.fetcher.push(
      fault('task.mesosFetcherUris', 'Mesos Fetcher for individual jobs is disabled in this cluster.'),
    )
  if ((mesos?.volumes?.length ?? 0) > 0)
    faults.volumes.push(
      fault('task.container.mesos.volumes', 'This scheduler is configured to disallow container volumes.'),
    )
  return faults
}
