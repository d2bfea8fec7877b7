/**
 * What leader and agent say of one machine's tasks, in one form, so that equal views give equal text and one hash in a
 * heartbeat tells whether they agree. The form leaves out what the two cannot share: that the leader has four states for
 * a task that is to end where the agent has one, and that an agent knows of no assignment before it has the task.
 */
import { isLive, type TaskRecord } from '../executor/agent-book.ts'
import type { TaskRow } from '../ledger/rows.ts'
import { isKillOwed } from '../task/agent-list.ts'
import { HOST_ASSIGNED } from '../task/status.ts'

/** As the agent's book has it: its live tasks. */
export function recordsText(records: Iterable<TaskRecord>): string {
  const lines: string[] = []
  for (const record of records) if (isLive(record)) lines.push(`${record.taskId}:${recordState(record)}`)
  return textOf(lines)
}

/** As the ledger has it: the tasks bound to the agent. One that is PARTITIONED agrees with nothing an agent can say. */
export function rowsText(rows: Iterable<TaskRow>): string {
  const lines: string[] = []
  for (const row of rows)
    if (HOST_ASSIGNED.has(row.status)) lines.push(`${row.taskId}:${isKillOwed(row) ? 'KILLING' : row.status}`)
  return textOf(lines)
}

function recordState({ kill, state }: TaskRecord): string {
  if (kill !== null) return 'KILLING'
  return state === 'ACCEPTED' ? 'ASSIGNED' : state
}

// By code units, which is the order of sort itself, and of `compareIds`.
const textOf = (lines: string[]): string => lines.sort().join('\n')
