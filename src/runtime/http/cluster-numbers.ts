/** Numbers that are read off the state of the cluster when somebody asks for them, under the names of Aurora. */
import type { LogStatusReport } from '../../actors/ports.ts'
import { TASK_STATUSES } from '../../core/task/status.ts'
import type { SchedulerDeps } from '../http-server.ts'
import type { NodeMetrics } from '../metrics.ts'

/** A log thread that is stuck must not keep `/vars` from answering. */
const LOG_STATUS_MS_MAX = 500

export function collectClusterNumbers(metrics: NodeMetrics, { ledger, leader, log }: SchedulerDeps): void {
  metrics.onRead(() => {
    metrics.gauge('framework_registered', leader()?.role === 'LEADER' && ledger.open ? 1 : 0)
    if (!ledger.open) return
    const counts = new Map<string, number>(Object.keys(TASK_STATUSES).map(status => [status, 0]))
    for (const { status } of ledger.view.tasks()) counts.set(status, (counts.get(status) ?? 0) + 1)
    for (const [status, count] of counts) metrics.gauge('task_store', count, { status })
    metrics.gauge('job_store', ledger.view.counts.jobs)
    metrics.gauge('agent_store', ledger.view.counts.agents)
  })
  metrics.onRead(async () => {
    const report = await within(LOG_STATUS_MS_MAX, log.status())
    if (report === null) return
    const { begin, end, commit, applied, diskFreeBytes, promised } = report
    for (const [name, value] of Object.entries({ begin, end, commit, applied })) metrics.gauge(`log_${name}`, value)
    metrics.gauge('log_ballot_round', promised[0])
    metrics.gauge('log_disk_free_bytes', diskFreeBytes)
    metrics.gauge('log_recovered', report.status === 'VOTING' ? 1 : 0)
    // A node that is alone needs no lease.
    if (report.members.length > 1) metrics.gauge('log_lease_remaining_ms', report.leaseLeftMs ?? 0)
  })
}

async function within(ms: number, answer: Promise<LogStatusReport>): Promise<LogStatusReport | null> {
  let late: NodeJS.Timeout | undefined
  const timeout = new Promise<null>(resolve => {
    late = setTimeout(resolve, ms, null)
  })
  // A log that has failed shows in /health; here its numbers are missing.
  const failed = answer.catch(() => null)
  const first = await Promise.race([failed, timeout])
  clearTimeout(late)
  return first
}
