/**
 * What an update of a job can have come to. Names and wire numbers are Aurora's. An update has no stored status: it is
 * that of its last event, and the times are those of its first and its last one. Source: the task life cycle, section 10.
 */
import { type JobKey, jobKeyText } from '../base/ids.ts'
import type { Instant } from '../base/time.ts'
import type { UpdateEventRow } from '../ledger/rows.ts'
import type { LedgerView } from '../ledger/view.ts'

export const UPDATE_STATUSES = {
  ROLLING_FORWARD: 0,
  ROLLING_BACK: 1,
  ROLL_FORWARD_PAUSED: 2,
  ROLL_BACK_PAUSED: 3,
  ROLLED_FORWARD: 4,
  ROLLED_BACK: 5,
  ABORTED: 6,
  ERROR: 7,
  FAILED: 8,
  ROLL_FORWARD_AWAITING_PULSE: 9,
  ROLL_BACK_AWAITING_PULSE: 10,
} as const
export type UpdateStatus = keyof typeof UPDATE_STATUSES

export const UPDATE_ACTIONS = {
  INSTANCE_UPDATED: 1,
  INSTANCE_ROLLED_BACK: 2,
  INSTANCE_UPDATING: 3,
  INSTANCE_ROLLING_BACK: 4,
  INSTANCE_UPDATE_FAILED: 5,
  INSTANCE_ROLLBACK_FAILED: 6,
} as const
export type UpdateAction = keyof typeof UPDATE_ACTIONS

const ENDED: ReadonlySet<UpdateStatus> = new Set(['ROLLED_FORWARD', 'ROLLED_BACK', 'ABORTED', 'FAILED', 'ERROR'])

/** Nothing of it happens any more. */
export const isEnded = (status: UpdateStatus): boolean => ENDED.has(status)

export interface UpdateState {
  readonly status: UpdateStatus
  readonly createdAtMs: Instant
  readonly lastModifiedAtMs: Instant
}

/** `events`: all of one update, in any order. Null before it has a status: it is only being written. */
export function updateState(events: Iterable<UpdateEventRow>): UpdateState | null {
  const sorted = [...events].sort((a, b) => a.number - b.number)
  const status = sorted.findLast(event => event.status !== undefined)?.status
  const [first] = sorted
  if (status === undefined || first === undefined) return null
  const lastModifiedAtMs = sorted.reduce((last, { atMs }) => Math.max(last, atMs), first.atMs)
  return { status, createdAtMs: first.atMs, lastModifiedAtMs }
}

/** The update that owns the job at present, paused ones included: nothing else may change it meanwhile. Null: none does. */
export function activeUpdate(
  view: Pick<LedgerView, 'updatesOfJob' | 'updateEvents'>,
  job: JobKey,
): { readonly updateId: string; readonly status: UpdateStatus } | null {
  for (const { updateId } of view.updatesOfJob(job)) {
    const status = updateState(view.updateEvents(updateKey(job, updateId)))?.status
    if (status !== undefined && !isEnded(status)) return { updateId, status }
  }
  return null
}

export function updateKey(job: JobKey, updateId: string): string {
  return `${jobKeyText(job)}/${updateId}`
}

export function updateEventKey(update: string, number: number): string {
  return `${update}/${String(number).padStart(6, '0')}`
}
