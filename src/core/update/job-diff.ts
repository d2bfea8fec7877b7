/**
 * What it would take to make a job what a configuration says: instances to add, to take away, to change, and those that
 * are as they should be already. Source: the outside interfaces, section 5 (getJobUpdateDiff).
 */
import type { ConfigId, InstanceId } from '../base/ids.ts'
import type { TaskRow } from '../ledger/rows.ts'

/** Instances of one configuration. Shape: ascending. */
export interface InstanceGroup {
  readonly configId: ConfigId
  readonly instances: readonly InstanceId[]
}

export interface JobDiff {
  /** With what they will be. */
  readonly add: readonly InstanceGroup[]
  /** These three with what they are now. */
  readonly remove: readonly InstanceGroup[]
  readonly update: readonly InstanceGroup[]
  readonly unchanged: readonly InstanceGroup[]
}

export interface Desired {
  readonly configId: ConfigId
  readonly instanceCount: number
  /** Only these are looked at; null: all. */
  readonly only: Pick<ReadonlySet<InstanceId>, 'has'> | null
}

/** `active`: the active tasks of the job. */
export function jobDiff(active: readonly TaskRow[], { configId, instanceCount, only }: Desired): JobDiff {
  const looked = active.filter(({ instance }) => only === null || only.has(instance))
  const there = new Set(looked.map(({ instance }) => instance))
  const wanted = Array.from({ length: instanceCount }, (_, instance) => instance)
  const missing = wanted.filter(instance => !there.has(instance) && (only === null || only.has(instance)))
  const staying = looked.filter(({ instance }) => instance < instanceCount)
  return {
    add: missing.length === 0 ? [] : [{ configId, instances: missing }],
    remove: groupsOf(looked.filter(({ instance }) => instance >= instanceCount)),
    update: groupsOf(staying.filter(task => task.configId !== configId)),
    unchanged: groupsOf(staying.filter(task => task.configId === configId)),
  }
}

/** By configuration, in the order of their first instances. */
export function groupsOf(tasks: readonly TaskRow[]): readonly InstanceGroup[] {
  const groups = new Map<ConfigId, InstanceId[]>()
  for (const { configId, instance } of tasks.toSorted((a, b) => a.instance - b.instance)) {
    const group = groups.get(configId)
    if (group === undefined) groups.set(configId, [instance])
    else group.push(instance)
  }
  return [...groups].map(([configId, instances]) => ({ configId, instances }))
}
