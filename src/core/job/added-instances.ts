/**
 * Which instances a job gets when somebody asks for more of one that it has: they follow its highest live number and have
 * the configuration of the one named. Whether the role has the quota is asked for by whoever adds them.
 * Source: the scheduling spec, section 12 (add instances, Q1); Aurora's SchedulerThriftInterface.addInstances.
 */
import { type ConfigId, type InstanceId, type JobKey, jobKeyText } from '../base/ids.ts'
import { type Rejection, rejected } from '../base/rejection.ts'
import type { LedgerView } from '../ledger/view.ts'
import { type AdmissionSettings, countText } from './admission.ts'

export interface AddedInstances {
  readonly type: 'added'
  readonly configId: ConfigId
  /** Ascending, none of them live. */
  readonly instances: readonly InstanceId[]
}

/** `like`: the live instance whose configuration they get. Staged state, so that two who add at once get different ones. */
export function addedInstances(
  view: LedgerView,
  { key, like, count }: { readonly key: JobKey; readonly like: InstanceId; readonly count: number },
  { tasksPerJobMax }: Pick<AdmissionSettings, 'tasksPerJobMax'>,
): AddedInstances | Rejection {
  if (!Number.isSafeInteger(count) || count <= 0) return rejected('INVALID_REQUEST', 'Instance count must be positive.')
  if (view.job(key)?.cron !== undefined) {
    return rejected('INVALID_REQUEST', 'Instances may not be added to cron jobs.')
  }
  const active = view.activeTasksOfJob(key)
  const template = active.find(({ instance }) => instance === like)
  if (template === undefined) {
    return rejected('INVALID_REQUEST', 'No active task found for a given instance ID.', {
      remedy: `See which instances are active: daybreak job status CLUSTER/${jobKeyText(key)}`,
    })
  }
  if (active.length + count > tasksPerJobMax) {
    return rejected('INVALID_REQUEST', countText(tasksPerJobMax), {
      remedy: `${jobKeyText(key)} has ${active.length} live instances: at most ${tasksPerJobMax - active.length} more.`,
    })
  }
  const first = Math.max(...active.map(({ instance }) => instance)) + 1
  return { type: 'added', configId: template.configId, instances: Array.from({ length: count }, (_, n) => first + n) }
}
