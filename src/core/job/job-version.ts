/**
 * The version of a job: a short digest of what is wanted of it, so that a change can be asked for on the condition that
 * nobody else has changed the job meanwhile. It follows from the rows alone: every leader comes to the same, and no engine
 * has to remember to raise it.
 *
 * It moves with the configuration, the count and the schedule of the job, with which instances there are, and with the
 * configuration of each. It does not move when a task is placed, runs, is restarted or is replaced: the instance is wanted
 * as before. An instance that is being killed, or has ended for good, is wanted no more. Of a job on every host the hosts
 * decide which instances there are, and of a cron job its schedule, so there only configurations count.
 */
import { type JobKey, jobKeyText } from '../base/ids.ts'
import { type Rejection, rejected } from '../base/rejection.ts'
import type { TaskRow } from '../ledger/rows.ts'
import type { LedgerView } from '../ledger/view.ts'

/** On which versions of its job a change may be made: one of a list, or any while there is such a job. */
export type WantedVersion = readonly string[] | 'any'

const DIGITS = 16

/** Null: there is no such job. Shape: 16 hexadecimal digits. `sha256`: text to hex. */
export function jobVersion(
  view: Pick<LedgerView, 'job' | 'config' | 'activeTasksOfJob' | 'tasksOfJob'>,
  key: JobKey,
  sha256: (text: string) => string,
): string | null {
  const job = view.job(key)
  if (job === undefined && view.tasksOfJob(key).length === 0) return null
  const kept = view.activeTasksOfJob(key).filter(({ status }) => status !== 'KILLING')
  const isEveryHost = job !== undefined && view.config(job.configId)?.everyHost === true
  const row =
    job === undefined
      ? null
      : [
          job.configId,
          isEveryHost ? null : job.instanceCount,
          job.createdAtMs,
          job.cron?.schedule ?? null,
          job.cron?.collisionPolicy ?? null,
        ]
  const wanted = wantedOf(kept, { isEveryHost, isCron: job?.cron !== undefined })
  return sha256(JSON.stringify([jobKeyText(key), row, wanted])).slice(0, DIGITS)
}

/** What users have wanted of the instances: not what hosts or hours have made of it. */
function wantedOf(
  kept: readonly TaskRow[],
  { isEveryHost, isCron }: { readonly isEveryHost: boolean; readonly isCron: boolean },
): readonly unknown[] {
  if (isCron) return []
  if (isEveryHost) return [...new Set(kept.map(({ configId }) => configId))].sort()
  return kept.map(({ instance, configId }) => [instance, configId] as const).sort(([x], [y]) => x - y)
}

/** Why a change that was asked for on a condition is not made; null: it may be. */
export function versionFault(key: JobKey, wanted: WantedVersion | undefined, current: string | null): Rejection | null {
  if (wanted === undefined) return null
  const name = jobKeyText(key)
  if (current === null) {
    return rejected(
      'VERSION_MISMATCH',
      `There is no job ${name}, and the change was asked for on the condition of one`,
      {
        remedy: 'look at what there is with GET /api/v1/jobs; to create the job, leave out If-Match',
      },
    )
  }
  if (wanted === 'any' || wanted.includes(current)) return null
  const found = wanted.map(version => `"${version}"`).join(' or ')
  return rejected(
    'VERSION_MISMATCH',
    `Job ${name} is at version "${current}", and the change was asked for at ${found}`,
    {
      remedy: `look at the job again, and if the change is still right, send it with If-Match: "${current}"`,
      version: current,
    },
  )
}
