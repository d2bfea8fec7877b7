/**
 * Which updates may be forgotten. Only those that have ended; of these the ones that are old, the ones of jobs that have
 * no task any more, and of each job what is beyond the newest few. Source: the task life cycle, section 9.
 */
import { compareIds, type JobKey, jobKeyText } from '../base/ids.ts'
import type { Instant } from '../base/time.ts'
import { isEnded, type UpdateState } from './update-status.ts'

export interface UpdatePruneSettings {
  /** Ended updates that a job keeps. */
  readonly perJobMax: number
  /** Ended ones that were created longer ago go whatever their number. */
  readonly ageMsMax: number
}
export const UPDATE_PRUNE_SETTINGS: UpdatePruneSettings = { perJobMax: 10, ageMsMax: 30 * 86_400_000 }

export interface UpdateSummary extends UpdateState {
  /** Of its row. */
  readonly key: string
  readonly job: JobKey
}

/** Keys of those that go, in order. `hasTasks`: whether any task of the job is stored, ended ones too. */
export function updatesToForget(
  updates: Iterable<UpdateSummary>,
  hasTasks: (job: JobKey) => boolean,
  nowMs: Instant,
  { perJobMax, ageMsMax }: UpdatePruneSettings,
): readonly string[] {
  const going: string[] = []
  const kept = new Map<string, UpdateSummary[]>()
  for (const update of updates) {
    if (!isEnded(update.status)) continue
    const isOld = update.createdAtMs < nowMs - ageMsMax
    if (isOld || !hasTasks(update.job)) going.push(update.key)
    else {
      const job = jobKeyText(update.job)
      kept.set(job, [...(kept.get(job) ?? []), update])
    }
  }
  for (const ofJob of kept.values()) {
    const newestFirst = ofJob.sort((a, b) => b.createdAtMs - a.createdAtMs || compareIds(b.key, a.key))
    going.push(...newestFirst.slice(perJobMax).map(({ key }) => key))
  }
  return going.sort(compareIds)
}
