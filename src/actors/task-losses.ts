/**
 * Counts tasks that were LOST or FAILED by job, and those that were LOST by rack and by who owns the machine, so that a
 * bad rack or a bad job stands out. Names and meaning are Aurora's.
 *
 * Source: the scheduling spec, section 13.
 */
import { jobKeyText } from '../core/base/ids.ts'
import type { TaskRow } from '../core/ledger/rows.ts'
import type { LedgerView } from '../core/ledger/view.ts'
import { DEDICATED } from '../core/scheduling/dedicated.ts'
import type { TaskStatus } from '../core/task/status.ts'
import type { Metrics } from './ports.ts'

/** `row` as it was before. */
export function countLoss(
  metrics: Metrics,
  view: Pick<LedgerView, 'agent'>,
  row: TaskRow,
  to: TaskStatus | 'DELETED',
): void {
  if (to !== 'LOST' && to !== 'FAILED') return
  metrics.count(`tasks_${to}`, 1, { job: jobKeyText(row.job) })
  if (to === 'FAILED' || row.agentId === undefined) return
  const attributes = view.agent(row.agentId)?.attributes ?? []
  const valuesOf = (name: string) => attributes.find(attribute => attribute.name === name)?.values ?? []
  for (const rack of valuesOf('rack')) metrics.count('tasks_lost_rack', 1, { rack })
  const owners = new Set(valuesOf(DEDICATED).map(value => (value.split('/')[0] ?? '').replaceAll('*', '_')))
  for (const role of owners) metrics.count('tasks_lost_dedicated', 1, { role })
}
