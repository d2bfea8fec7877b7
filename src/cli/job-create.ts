import { toJobConfiguration } from '../core/job/job-configuration.ts'
import { fullKeyText } from '../core/job/job-file.ts'
import type { JobOutcomeView } from '../wire/rest.ts'
import { clusterUrl } from './clusters.ts'
import { type CommonOptions, parseDuration } from './command.ts'
import { CLIENT_EXIT, type ClientExit } from './exit-status.ts'
import { CliFailure, type Io } from './io.ts'
import { loadJob } from './job-file-text.ts'
import { parseJobKey } from './keys.ts'
import { say, sayJson, warn } from './report.ts'
import { jobPath, restClient } from './rest-client.ts'
import { goalOf, waitForJob } from './wait.ts'
import { dryRun } from './what-if-plan.ts'

export interface CreateOptions extends CommonOptions {
  readonly bind?: string[]
  readonly wait?: boolean
  readonly waitUntil?: string
  readonly dryRun?: boolean
}

/** `daybreak job create KEY FILE` */
export async function jobCreate(io: Io, keyText: string, path: string, options: CreateOptions): Promise<ClientExit> {
  const key = parseJobKey(keyText)
  const goal = goalOf(options)
  const timeoutMs = parseDuration(options.timeout)
  const { job, warnings } = await loadJob(io, path, key, options.bind ?? [])
  if (goal === 'FINISHED' && job.job.service) {
    throw new CliFailure(CLIENT_EXIT.notFound, 'A service never finishes; wait until RUNNING')
  }
  for (const text of warnings) warn(io, text)
  if (options.dryRun === true) return dryRun(io, key, toJobConfiguration(job.job, io.user), options)
  const client = restClient(io, await clusterUrl(io, key.cluster, options.url), { timeoutMs })
  const started = io.now()
  const outcome = await client
    .post<JobOutcomeView>('/api/v1/jobs', { job: toJobConfiguration(job.job, io.user) })
    .catch(error => {
      throw failedToCreate(error)
    })
  for (const text of outcome.warnings) warn(io, text)
  const url = client.url + jobPath(key)
  const json = options.json === true
  if (!json) say(io, `Job create succeeded: job url=${url}`)
  const left = timeoutMs === undefined ? undefined : Math.max(0, timeoutMs - (io.now() - started))
  const detail =
    goal === 'PENDING'
      ? null
      : await waitForJob(io, client, { key, instances: outcome.instances, goal, timeoutMs: left, quiet: json })
  if (json) {
    const tasks = detail === null ? {} : { active: detail.active, inactive: detail.inactive }
    const all = [...warnings, ...outcome.warnings]
    sayJson(io, {
      job: fullKeyText(key),
      instances: outcome.instances,
      message: outcome.message,
      warnings: all,
      url,
      ...tasks,
    })
  } else if (detail !== null) {
    say(io, goal === 'FINISHED' ? 'All instances have FINISHED' : 'All instances are RUNNING')
  }
  return CLIENT_EXIT.ok
}

/** What the scheduler refuses ends with the status of a failed command; what the network or the login does, with its own. */
function failedToCreate(error: unknown): unknown {
  if (!(error instanceof CliFailure)) return error
  const { code, remedy, faults } = error
  const exit =
    error.exit === CLIENT_EXIT.refused || error.exit === CLIENT_EXIT.notFound ? CLIENT_EXIT.commandFailed : error.exit
  return new CliFailure(exit, `Job creation failed due to error:\n${error.message}`, {
    faults,
    cause: error,
    ...(code === undefined ? {} : { code }),
    ...(remedy === undefined ? {} : { remedy }),
  })
}
