/** Numbers that are read off the state of the cluster when somebody asks for them, under the names of Aurora. */
import { TASK_STATUSES } from '../../core/task/status.ts'
import type { SchedulerDeps } from '../http-server.ts'
import type { NodeMetrics } from '../metrics.ts'
import { logStatusNow } from './log-status.ts'

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
    const report = await logStatusNow(log)
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
