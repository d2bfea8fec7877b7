/** Numbers that are read off the state of the cluster when somebody asks for them, under the names of Aurora. */
import { SCHEDULER_STATES } from '../../core/lifecycle/scheduler-states.ts'
import { TASK_STATUSES, type TaskStatus } from '../../core/task/status.ts'
import type { SchedulerDeps } from '../http-server.ts'
import type { NodeMetrics } from '../metrics.ts'
import { logStatusNow } from './log-status.ts'

export function collectClusterNumbers(metrics: NodeMetrics, { ledger, life, log }: SchedulerDeps): void {
  metrics.onRead(() => {
    const { state, isRegistered } = life()
    metrics.gauge('framework_registered', isRegistered ? 1 : 0)
    for (const one of SCHEDULER_STATES) metrics.gauge('scheduler_lifecycle', one === state ? 1 : 0, { state: one })
    if (!ledger.open) return
    for (const status of Object.keys(TASK_STATUSES) as TaskStatus[])
      metrics.gauge('task_store', ledger.view.statusCount(status), { status })
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
