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

/** A row that its maker may still change, because nobody else has seen it. */
export type OwnRow = { -readonly [Field in keyof TaskRow]: TaskRow[Field] }

/**
 * A copy to which a transition is going to be added: without the moment to wait for, as only a THROTTLED task has one,
 * and none of its events is new. By hand and not by spreading: rows have many optional fields, a copy is made at every
 * transition, and this one takes a tenth of the time.
 */
export function opened(row: TaskRow): OwnRow {
  const { agentId, host, ancestorId, flapCount, placement } = row
  const copy: OwnRow = {
    v: row.v,
    taskId: row.taskId,
    job: row.job,
    instance: row.instance,
    configId: row.configId,
    status: row.status,
    version: row.version,
    ports: row.ports,
    failureCount: row.failureCount,
    timesPartitioned: row.timesPartitioned,
    agentSeq: row.agentSeq,
    events: row.events,
  }
  if (agentId !== undefined) copy.agentId = agentId
  if (host !== undefined) copy.host = host
  if (ancestorId !== undefined) copy.ancestorId = ancestorId
  if (flapCount !== undefined) copy.flapCount = flapCount
  if (placement !== undefined) copy.placement = placement
  return copy
}

// Does not compile when a row has a field that a copy would lose.
type Copied = 'v' | 'taskId' | 'job' | 'instance' | 'configId' | 'status' | 'version' | 'ports' | 'failureCount'
type CopiedToo = 'timesPartitioned' | 'agentSeq' | 'events' | 'agentId' | 'host' | 'ancestorId' | 'flapCount'
const complete: Exclude<keyof TaskRow, Copied | CopiedToo | 'placement' | 'readyAtMs' | 'freshEvents'> extends never
  ? true
  : never = true
void complete

/** The row after a saved transition. The event's time is never before the last one's, whatever the clock says. */
export function recorded(row: TaskRow, status: TaskStatus, message: string | undefined, facts: RecordFacts): TaskRow {
  const copy = opened(row)
  record(copy, row.freshEvents ?? (row.events.length === 0 ? 0 : 1), status, message, facts)
  return copy
}

/** The same, into a row that is ours; `fresh`: how many of its events are new without this one. */
export function record(
  row: OwnRow,
  fresh: number,
  status: TaskStatus,
  message: string | undefined,
  { nowMs, scheduler, who, why }: RecordFacts,
): void {
  const event: { -readonly [Field in keyof TaskEvent]: TaskEvent[Field] } = {
    atMs: Math.max(nowMs, row.events.at(-1)?.atMs ?? nowMs),
    status,
    scheduler,
  }
  if (message !== undefined) event.message = message
  if (who !== undefined) event.who = who
  if (why !== undefined) event.why = why
  if (fresh > 0) row.freshEvents = fresh + 1
  row.status = status
  if (status === 'PARTITIONED') row.timesPartitioned++
  row.events = [...(status === 'PARTITIONED' ? compacted(row.events) : row.events), event]
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
