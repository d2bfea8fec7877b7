import { portsOf } from './job-configuration.ts'
import type { Job } from './job-schema.ts'

/**
 * Fields that a job file may set and this version does not act on yet. Where the job would then not do what was asked in
 * an essential way it is refused; elsewhere the author is told what will not happen. A line goes from here when its
 * engine is built.
 */
export interface UnbuiltField {
  readonly field: string
  readonly verdict: 'refused' | 'warned'
  readonly text: string
}

/** `given`: the fields that the author wrote. Defaults warn nobody. */
export function unbuiltFields(job: Job, given: ReadonlySet<string>): UnbuiltField[] {
  const found: UnbuiltField[] = []
  const refuse = (field: string, text: string) => found.push({ field, verdict: 'refused', text })
  const warn = (field: string, text: string) => found.push({ field, verdict: 'warned', text })
  const ports = new Set(portsOf(job))

  if (job.cron_schedule !== undefined) {
    refuse('cron_schedule', 'this version has no cron engine: the job would run once, now')
  }
  const container = job.container
  if (container !== undefined && ('docker' in container || container.image !== undefined)) {
    refuse('container', 'this version has no container engine: the processes would run without the image')
  } else if (container !== undefined && 'volumes' in container && container.volumes.length > 0) {
    refuse('container', 'this version has no container engine: the volumes would be missing')
  }
  if (job.sla_policy !== undefined && given.has('sla_policy')) {
    warn('sla_policy', 'this version does not weigh kills and maintenance against an SLA policy')
  }
  if (job.announce !== undefined) {
    warn('announce', 'this version announces nowhere; the ports are assigned all the same')
  }
  if (given.has('health_check_config') || ports.has('health')) {
    const field = given.has('health_check_config') ? 'health_check_config' : 'health'
    warn(field, 'this version performs no health checks: RUNNING means that the first process was started')
  }
  const lifecyclePort = job.lifecycle.http?.port
  if (lifecyclePort !== undefined && (ports.has(lifecyclePort) || given.has('lifecycle'))) {
    warn('lifecycle', 'this version calls no shutdown endpoints: a task that is killed gets SIGTERM, then SIGKILL')
  }
  if (given.has('update_config')) {
    warn('update_config', 'this version has no rolling updates: all instances of a new job start at once')
  }
  if (job.production && job.tier === undefined) {
    warn(
      'production',
      "the tier decides this, and without one the cluster's default tier is taken; set tier: preferred",
    )
  }
  if (job.enable_hooks) warn('enable_hooks', 'this version runs no client hooks')
  const rotates = job.task.processes.filter(({ logger }) => logger?.mode === 'rotate').map(({ name }) => name)
  if (rotates.length > 0) {
    warn('logger', `this version does not rotate logs: the files of ${rotates.join(', ')} grow until the task ends`)
  }
  const elsewhere = job.task.processes.filter(
    ({ logger }) => !['file', 'none', undefined].includes(logger?.destination),
  )
  if (elsewhere.length > 0) {
    const names = elsewhere.map(({ name }) => name).join(', ')
    warn('logger', `this version writes logs to files only: nothing of ${names} appears where the agent itself writes`)
  }
  return found
}
