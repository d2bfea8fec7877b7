/**
 * Where a task has just failed: its replacement goes elsewhere, if anywhere else will do. Whatever is wrong with the host
 * may be wrong with it for this task only.
 */
import type { AgentId } from '../base/ids.ts'
import type { Instant } from '../base/time.ts'
import type { TaskRow } from '../ledger/rows.ts'
import type { LedgerView } from '../ledger/view.ts'

/** So long a failed run keeps its instance away. */
export const FAILED_HOST_MS = 10 * 60_000

/** Null: nowhere, or not lately. */
export function failedHost(view: Pick<LedgerView, 'task'>, { ancestorId }: TaskRow, nowMs: Instant): AgentId | null {
  const ancestor = ancestorId === undefined ? undefined : view.task(ancestorId)
  if (ancestor?.agentId === undefined) return null
  if (ancestor.status !== 'FAILED' && ancestor.status !== 'LOST') return null
  const endedMs = ancestor.events.at(-1)?.atMs ?? 0
  return nowMs - endedMs < FAILED_HOST_MS ? ancestor.agentId : null
}
