/** What a job as it is to be would change of the job as it is: as an update tells it, for those that ask about quota. */
import type { ConfigId, InstanceId } from '../base/ids.ts'
import type { JobConfiguration } from '../job/task-config.ts'
import type { UpdatePart } from '../ledger/rows.ts'
import type { LedgerView } from '../ledger/view.ts'
import type { JobChange } from './role-use.ts'

/**
 * Only instances that change are named: those that have the configuration already stay out of it, and `desired` is absent
 * when instances only go. A job that is not there has nothing initial. Of a job with one instance on every host the
 * numbers say nothing, so those that have the configuration stay whatever their number is.
 */
export function jobChange(
  view: Pick<LedgerView, 'activeTasksOfJob' | 'config'>,
  { key, task: config, instanceCount }: JobConfiguration,
  configId: ConfigId,
): JobChange {
  const kept = new Set<InstanceId>()
  const going = new Map<ConfigId, InstanceId[]>()
  for (const task of view.activeTasksOfJob(key)) {
    const isKept = task.configId === configId && (config.everyHost === true || task.instance < instanceCount)
    if (isKept) kept.add(task.instance)
    else {
      const instances = going.get(task.configId) ?? []
      instances.push(task.instance)
      going.set(task.configId, instances)
    }
  }
  const initial: UpdatePart[] = []
  for (const [id, instances] of going) {
    const was = view.config(id)
    if (was !== undefined) initial.push({ config: was, instances: rangesOf(instances) })
  }
  const coming: InstanceId[] = []
  for (let instance = 0; coming.length < instanceCount - kept.size; instance++) {
    if (!kept.has(instance)) coming.push(instance)
  }
  return { job: key, initial, ...(coming.length === 0 ? {} : { desired: { config, instances: rangesOf(coming) } }) }
}

/** First and last of each run of numbers; a number that stands there twice counts twice. */
function rangesOf(instances: readonly InstanceId[]): UpdatePart['instances'] {
  const ranges: [InstanceId, InstanceId][] = []
  for (const instance of instances.toSorted((a, b) => a - b)) {
    const last = ranges.at(-1)
    if (last !== undefined && instance === last[1] + 1) last[1] = instance
    else ranges.push([instance, instance])
  }
  return ranges
}
