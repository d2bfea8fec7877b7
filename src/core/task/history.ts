/**
 * How a transition is written into a task's row: status, event, and what belongs to the status. The history only grows
 * at its end, its times never step back, and a link that flaps does not make it grow.
 *
 * Source: the task life cycle, section 2.
 */
import type { Instant } from '../base/time.ts'
import type { TaskEvent, TaskRow } from '../ledger/rows.ts'
import type { TaskStatus } from './status.ts'

/** When, by which leader, at whose wish and for which reason. */
export interface RecordFacts {
  readonly nowMs: Instant
  readonly scheduler: string
  readonly who?: string | undefined
  readonly why?: string | undefined
}

/**
 * The row after a saved transition. The event's time is never before the last one's, whatever the clock says.
 * `freshEvents`: how many of its events are new already; a row that says nothing of them has one.
 */
export function recorded(
  row: TaskRow,
  status: TaskStatus,
  message: string | undefined,
  { nowMs, scheduler, who, why }: RecordFacts,
  freshEvents: number = row.freshEvents ?? (row.events.length === 0 ? 0 : 1),
): TaskRow {
  const event: TaskEvent = {
    atMs: Math.max(nowMs, row.events.at(-1)?.atMs ?? nowMs),
    status,
    scheduler,
    ...(message === undefined ? undefined : { message }),
    ...(who === undefined ? undefined : { who }),
    ...(why === undefined ? undefined : { why }),
  }
  return {
    ...withoutMarks(row),
    ...(freshEvents === 0 ? undefined : { freshEvents: freshEvents + 1 }),
    status,
    timesPartitioned: row.timesPartitioned + (status === 'PARTITIONED' ? 1 : 0),
    events: [...(status === 'PARTITIONED' ? compacted(row.events) : row.events), event],
  }
}

/** Only a THROTTLED task has a moment to wait for. Few rows have either, and to leave out fields of one is slow. */
function withoutMarks(row: TaskRow): TaskRow {
  if (row.readyAtMs === undefined && row.freshEvents === undefined) return row
  const { readyAtMs: _, freshEvents: __, ...rest } = row
  return rest
}

/** `…, X, PARTITIONED, X` loses its last two: what follows is PARTITIONED again, and once is enough to know. */
function compacted(events: readonly TaskEvent[]): readonly TaskEvent[] {
  const [before, partitioned, healed] = events.slice(-3)
  const isFlap = partitioned?.status === 'PARTITIONED' && healed !== undefined && before?.status === healed.status
  return isFlap ? events.slice(0, -2) : events
}

/** When the task came into its status. */
export function sinceMs(row: TaskRow): Instant {
  return row.events.at(-1)?.atMs ?? 0
}
