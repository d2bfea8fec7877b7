import { fullKeyText } from '../core/job/job-file.ts'
import type { CommonOptions } from './command.ts'
import { CLIENT_EXIT, type ClientExit } from './exit-status.ts'
import type { Io } from './io.ts'
import { listedJobs } from './job-file-text.ts'
import { say, sayJson, warn } from './report.ts'
import { printable, styleOf } from './screen.ts'
import { tableText } from './table.ts'

export interface ListOptions extends CommonOptions {
  readonly bind?: string[]
}

/** `daybreak config list FILE`: the keys of the jobs that a job file describes. Needs no scheduler. */
export async function configList(io: Io, path: string, options: ListOptions): Promise<ClientExit> {
  const { jobs, warnings } = await listedJobs(io, path, options.bind ?? [])
  for (const text of warnings) warn(io, text)
  const rows = jobs.map(({ key, job, open }) => ({
    job: fullKeyText(key),
    kind: job.service ? 'service' : job.cron_schedule === undefined ? 'adhoc' : 'cron',
    instances: job.every_host ? null : job.instances,
    tier: job.tier ?? null,
    open,
  }))
  if (options.json === true) sayJson(io, rows)
  else if (!io.stdout.isTTY) for (const { job } of rows) say(io, job)
  else {
    const columns = [{ head: 'JOB', min: 20 }, { head: 'KIND' }, { head: 'INSTANCES', right: true }, { head: 'TIER' }]
    const shown = rows.map(({ job, kind, instances, tier }) => [
      printable(job),
      kind === 'adhoc' ? 'ad-hoc' : kind,
      instances === null ? 'every host' : String(instances),
      tier ?? "the cluster's default",
    ])
    io.stdout.write(tableText(columns, shown, styleOf(io.stdout, io.env)))
    if (rows.some(({ open }) => open.length > 0)) say(io, 'Parts in capitals are left to the key of the command.')
  }
  return CLIENT_EXIT.ok
}
